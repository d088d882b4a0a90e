"""Every Modbus profile, served by its simulated device on a real socket and read back by the collector's reader."""

from __future__ import annotations

import csv
import math
from contextlib import asynccontextmanager

import pytest

from devices.encode import no_value_words
from devices.modbus import ModbusEndpoint, ModbusRefusedError
from devices.profiles import load_profile, profile_names
from devices.readplan import UnitReader
from plant.quantities import Quantity
from simulator.profile_device import ProfileDevice, nominal
from simulator.wire import ModbusServer

MODBUS = [name for name in profile_names() if load_profile(name).transport == "modbus-tcp"]
UNIT = 12
BOUNDED = {
    Quantity.TEMPERATURE, Quantity.POWER, Quantity.VOLUME_FLOW, Quantity.PRESSURE, Quantity.DIFFERENTIAL_PRESSURE,
    Quantity.VOLTAGE, Quantity.CURRENT, Quantity.SPEED, Quantity.HUMIDITY, Quantity.FRACTION, Quantity.FREQUENCY,
}  # fmt: skip


@asynccontextmanager
async def served(profile):
    """A device of a profile behind a socket: (device, endpoint)."""
    device = ProfileDevice(profile)
    server = ModbusServer({UNIT: device}, lambda _: False)
    host, port = await server.start("127.0.0.1", 0)
    endpoint = ModbusEndpoint(host, port, timeout_s=5.0)
    try:
        yield device, endpoint
    finally:
        await endpoint.close()
        await server.close()


async def read_all(reader):
    """Every point's value [SI] by name."""
    found = {}
    for period_s in reader.periods:
        reading = await reader.read(period_s)
        found |= {p.name: v for p, v in zip(reading.points, reading.values.tolist(), strict=True)}
    return found


@pytest.mark.parametrize("name", MODBUS)
async def test_what_is_read_is_what_the_device_holds(name):
    """All points of a profile come over the wire as the simulated device encoded them, at three moments, within bounds."""
    profile = load_profile(name)
    moved = set()
    async with served(profile) as (device, endpoint):
        reader = UnitReader(endpoint, profile, UNIT)
        before = {}
        for time_s in (0.0, 140.0, 420.0):
            device.step(time_s)
            values = await read_all(reader)
            assert not reader.unreadable
            assert set(values) == {p.name for p in profile.points}
            for point in profile.points:
                held, low, high = device.values[point.name], point.bound(point.min), point.bound(point.max)
                assert values[point.name] == pytest.approx(held, rel=1e-9, abs=1e-9 * abs(point.factor)), point.name
                assert low is None or held >= low, point.name
                assert high is None or held <= high, point.name
            moved |= {n for n, v in values.items() if v != before.get(n, v)}
            before = values
    measured = [p for p in profile.points if p.quantity in BOUNDED and not p.writable]
    assert {p.name for p in measured if p.max is not None} <= moved


@pytest.mark.parametrize("name", MODBUS)
async def test_what_the_profile_calls_no_register_is_refused(name):
    """A register next to every readable range answers exception 2, so a plan that spans a hole would be noticed."""
    profile = load_profile(name)
    async with served(profile) as (device, endpoint):
        for table, held in device.words.items():
            edges = {a + 1 for a in held if a + 1 not in held} | {a - 1 for a in held if a and a - 1 not in held}
            assert edges
            for address in sorted(edges)[:12]:
                with pytest.raises(ModbusRefusedError, match="exception 2"):
                    await endpoint.read(UNIT, table, address, 1)


@pytest.mark.parametrize("name", profile_names())
def test_a_profile_bounds_and_names_what_it_has(name):
    """Names and addresses occur once, bounds are the right way round and physical quantities have both; alarms have names."""
    profile = load_profile(name)
    assert profile.title
    assert len({p.name for p in profile.points}) == len(profile.points)
    places = [(p.table, p.address, p.bit) for p in profile.points if p.table]
    assert len(set(places)) == len(places)
    for point in profile.points:
        if point.quantity in BOUNDED and not point.name.startswith("pump_service"):
            assert point.min is not None, point.name
            assert point.max is not None, point.name
            assert point.min < point.max, point.name
        assert not point.alarms or point.bits, point.name
        low, high = point.bound(point.min), point.bound(point.max)
        assert low is None or nominal(point) >= low, point.name
        assert high is None or nominal(point) <= high, point.name


@pytest.mark.parametrize("name", [name for name in MODBUS if name != "sunspec-meter"])
async def test_a_missing_sensor_has_no_value(name):
    """A measurement's words for "no value", and NaN in a float's, are read as none and never as a number."""
    profile = load_profile(name)
    point = next(p for p in profile.points if p.quantity in BOUNDED and not p.writable and not p.scale_from)
    async with served(profile) as (device, endpoint):
        reader = UnitReader(endpoint, profile, UNIT)
        for place, word in enumerate(no_value_words(point), point.address):
            device.words[point.table][place] = word
        reading = await reader.read(point.period_s)
        values = dict(zip((p.name for p in reading.points), reading.values.tolist(), strict=True))
        assert math.isnan(values.pop(point.name))
        assert not any(math.isnan(v) for v in values.values())


async def test_a_sunspec_value_that_is_not_implemented_has_no_value():
    """0x8000 in a value, or in its scale factor, is no value; the others of the model stay."""
    profile = load_profile("sunspec-meter")
    base = 40000 + 4 + 66
    async with served(profile) as (device, endpoint):
        reader = UnitReader(endpoint, profile, UNIT)
        device.words["holding"][base + 16] = 0x8000  # frequency
        device.words["holding"][base + 22] = 0x8000  # scale factor of active powers
        values = await read_all(reader)
    gone = {name for name, value in values.items() if math.isnan(value)}
    powers = {"active_power", "active_power_a", "active_power_b", "active_power_c", "power_scale"}
    assert gone == {"frequency"} | powers


@pytest.mark.parametrize("word", [[0xFFFF, 0xFFFF], [0x0000, 0xFFFF], [0xFFFF, 0x0000]])
async def test_a_rear_door_without_a_sensor_says_so(word):
    """The door's 0xFFFF for a sensor that is not fitted is no value in whichever of the two words it stands."""
    profile = load_profile("liebert-dcd")
    async with served(profile) as (device, endpoint):
        device.words["input"].update({110: word[0], 111: word[1]})
        values = await read_all(UnitReader(endpoint, profile, UNIT))
        assert math.isnan(values["cabinet_2_temperature"])
        assert values["cabinet_3_temperature"] == device.values["cabinet_3_temperature"]


async def test_a_power_supply_speaks_binary_fixed_point():
    """Registers of the public map by hand: 2^-10 V, 2^-6 A, 2^-3 W, and signed 2^-7 degrees."""
    profile = load_profile("orv3-hpr-psu")
    async with served(profile) as (device, endpoint):
        device.words["holding"].update({0x4F: 51200, 0x50: 3520, 0x52: 22000, 0x45: 0x10000 - 640, 0x46: 5760})
        values = await read_all(UnitReader(endpoint, profile, UNIT))
    assert values["output_voltage"] == 50.0
    assert values["output_current"] == 55.0
    assert values["active_power"] == 2750.0
    assert values["inlet_temperature"] == -5.0
    assert values["outlet_temperature"] == 45.0


def test_the_rpu_has_every_register_of_the_public_map(public_data):
    """All 243 rows are there with address, length, sign, scale and the names of their bits; 0x9006 and 0x9011 stay raw."""
    profile = load_profile("aalc-rpu")
    points, texts = {p.address: p for p in profile.points}, {t.address: t for t in profile.texts}
    with (public_data / "aalc" / "rpu_registers.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 243 == len(points) + len(texts)
    for row in rows:
        address, words = int(row["address"], 16), int(row["words"])
        if row["format"] == "STRING":
            assert (texts[address].words, texts[address].name) == (words, row["name"].lower())
            continue
        point = points[address]
        assert point.words == words, point.name
        assert point.type.startswith("s") == (row["signed"] == "True"), point.name
        assert point.scale == (1.0 if point.name.endswith("_raw") else float(row["scale"])), point.name
        if row["flag_bits"]:
            named = dict(pair.split("=") for pair in row["flag_bits"].split(";"))
            assert point.bits == {int(bit): name.strip() for bit, name in named.items()}, point.name
            assert point.alarms == ("alarm" in row["name"].lower() or row["name"] == "Leakage")
    assert {p.address for p in profile.points if p.name.endswith("_raw")} == {0x9006, 0x9011, 0x9115}
    assert [p.name for p in profile.points if p.writable] == ["flow_setpoint", "supply_temperature_setpoint"]
    assert profile.fallback.kind == "none"


async def test_writes_are_taken_by_writable_points_only():
    """A writable point keeps what is written to it; a register that only measures refuses."""
    profile = load_profile("bac-trillium")
    async with served(profile) as (device, endpoint):
        await endpoint.write(UNIT, 2048, [285])
        assert device.values["leaving_temperature_setpoint"] == pytest.approx(28.5)
        device.step(100.0)
        assert await endpoint.read(UNIT, "holding", 2048, 1) == [285]
        with pytest.raises(ModbusRefusedError, match="exception 2"):
            await endpoint.write(UNIT, 2050, [1])
