"""SunSpec devices: finding a model, scale factors, not-implemented values; and plans over odd register maps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from devices.links import ModbusDevice
from devices.modbus import ModbusEndpoint
from devices.profiles import Fallback, Profile, ProfilePoint, ReadableRange
from devices.readplan import UnitReader, plan_blocks
from plant.errors import RefusedError, SilentError

MARK = [0x5375, 0x6E53]


def register(name, address, **fields):
    """A register of a power."""
    given = {"quantity": "power", "unit": "W", "period_s": 5, "table": "holding", "type": "s16"}
    return ProfilePoint(name=name, address=address, **(given | fields))


def profile(*points, **fields):
    """A profile of these points."""
    given = {"profile": "test", "kind": "meter", "transport": "modbus-tcp", "revision": "1", "source": "a test"}
    return Profile(**(given | {"fallback": Fallback(kind="none"), "points": points} | fields))


METER = profile(
    register("power", 2, scale_from="power_sf"),
    register("power_b", 3, scale_from="power_sf"),
    register("power_sf", 6, quantity="count", unit="1", period_s=60),
    register("energy", 7, quantity="energy", unit="Wh", type="u32", scale_from="energy_sf", period_s=60),
    register("energy_sf", 40, quantity="count", unit="1", period_s=60),
    register("limit", 9, type="u16", scale_from="power_sf", writable=True, period_s=60),
    readable=(ReadableRange(table="holding", first=0, last=120),),
    sunspec_models=(201, 203),
)


def device(base=40_000, models=((1, 66), (203, 105)), **words):
    """A SunSpec map: mark, model headers, and registers of the last model by offset."""
    table = {base: MARK[0], base + 1: MARK[1]}
    at = base + 2
    start = at
    for model, length in models:
        start = at
        table |= dict.fromkeys(range(at, at + 2 + length), 0) | {at: model, at + 1: length}
        at += 2 + length
    table |= {at: 0xFFFF, at + 1: 0}
    return {1: {"holding": table | {start + int(k[1:]): v for k, v in words.items()}}}


@pytest.mark.parametrize("base", [40_000, 0, 50_000])
async def test_a_model_is_found_wherever_the_map_begins(peers, base):
    """Values of a meter at each of the three bases, behind other models, scaled by the device's own factors."""
    words = device(base, a2=1234, a3=0x8000, a6=0xFFFF, a7=1, a8=0x0002, a40=3)
    async with peers.serving(peers.Peer(words)) as peer:
        reader = UnitReader(ModbusEndpoint("127.0.0.1", peer.port), METER, 1)
        fast, slow = await reader.read(5), await reader.read(60)
        values = {p.name: v for r in (fast, slow) for p, v in zip(r.points, r.values.tolist(), strict=True)}
        assert values["power"] == pytest.approx(123.4)
        assert math.isnan(values["power_b"]), "0x8000 is not implemented"
        assert values["energy"] == pytest.approx(65538 * 1000 * 3600.0)
        asked = len(peer.requests)
        await reader.read(5)
        assert len(peer.requests) == asked + 1, "found once, and factor and values come in one read"
        await reader.endpoint.close()


async def test_minus_one_is_a_number_and_a_missing_factor_is_no_value(peers):
    """In SunSpec 0xFFFF is -1 in a signed register; a factor that is not implemented makes no value, never a wrong one."""
    words = device(a2=0xFFFF, a6=1)
    async with peers.serving(peers.Peer(words)) as peer:
        reader = UnitReader(ModbusEndpoint("127.0.0.1", peer.port), METER, 1)
        reading = await reader.read(5)
        assert reading.values[[p.name for p in reading.points].index("power")] == pytest.approx(-10.0)
        for odd in (0x8000, 11, 0xFFF0):
            words[1]["holding"][40_000 + 2 + 68 + 6] = odd
            reading = await reader.read(5)
            assert np.isnan(reading.values[:2]).all()
        await reader.endpoint.close()


async def test_a_setpoint_is_written_through_its_scale_factor(peers):
    """The register gets the number that the device's own factor asks for, at the place where the model was found."""
    words = device(a6=0xFFFE, a9=500)
    async with peers.serving(peers.Peer(words)) as peer:
        hands = ModbusDevice(ModbusEndpoint("127.0.0.1", peer.port), "m", METER, 1)
        assert await hands.write("m/limit", 12.344) == pytest.approx(12.34)
        assert words[1]["holding"][40_000 + 2 + 68 + 9] == 1234
        assert await hands.read_back("m/limit") == pytest.approx(12.34)
        words[1]["holding"][40_000 + 2 + 68 + 6] = 0x8000
        with pytest.raises(RefusedError, match="scale factor power_sf has no value"):
            await hands.write("m/limit", 12.0)
        await hands.endpoint.close()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (device(models=((1, 66), (103, 50))), "no SunSpec model 201 or 203; it has 1, 103"),
        ({1: {"holding": dict.fromkeys(range(100), 0)}}, "no SunSpec device, 'SunS' is at none of 40000, 0, 50000"),
    ],
)
async def test_a_missing_model_is_told(peers, words, why):
    """The wrong profile for a device is a refusal that says what the device has."""
    async with peers.serving(peers.Peer(words)) as peer:
        reader = UnitReader(ModbusEndpoint("127.0.0.1", peer.port), METER, 1)
        with pytest.raises(RefusedError, match=why):
            await reader.read(5)
        await reader.endpoint.close()


def test_holes_and_lengths_stay_within_what_the_profile_allows():
    """A hole is spanned only inside of a readable range and up to max_gap; no block is longer than max_words."""
    points = [register(f"p{a}", a) for a in (0, 1, 5, 30, 31, 60)]
    blocks = [
        [(b.address, b.count) for b in plan_blocks(profile(*points, **limits))[5]]
        for limits in (
            {},
            {"readable": (ReadableRange(table="holding", first=0, last=99),)},
            {"readable": (ReadableRange(table="holding", first=0, last=99),), "max_gap": 3},
            {"readable": (ReadableRange(table="holding", first=0, last=31),), "max_words": 6},
        )
    ]
    assert blocks[0] == [(0, 2), (5, 1), (30, 2), (60, 1)]
    assert blocks[1] == [(0, 61)]
    assert blocks[2] == [(0, 6), (30, 2), (60, 1)]
    assert blocks[3] == [(0, 6), (30, 2), (60, 1)]


async def test_bit_fields_of_one_register_cost_one_read(peers):
    """Fields of the same word come together, and are lost together when it is refused."""
    flags = [register(f"f{bit}", 7, type="u16", quantity="state", unit="code", bit=bit) for bit in range(16)]
    plan = profile(register("power", 6), *flags, register("last", 8))
    words = {1: {"holding": {6: 5, 7: 0b1000_0000_0000_0010, 8: 9}}}
    async with peers.serving(peers.Peer(words)) as peer:
        reader = UnitReader(ModbusEndpoint("127.0.0.1", peer.port), plan, 1)
        reading = await reader.read(5)
        assert len(peer.requests) == 1
        assert [p.name for p, v in zip(reading.points, reading.values, strict=True) if v == 1] == ["f1", "f15"]
        del words[1]["holding"][7]
        reading = await reader.read(5)
        assert [p.name for p in reading.points] == ["power", "last"]
        assert len(reader.unreadable) == 16
        await reader.endpoint.close()


async def test_a_device_that_refuses_lengths_is_read_in_smaller_blocks(peers):
    """Exception 3 for a long block is learned like a gap; nothing is lost."""

    class Short(peers.Peer):
        def answer(self, unit, pdu):
            return bytes([0x83, 3]) if pdu[4] > 10 else super().answer(unit, pdu)

    plan = profile(*(register(f"p{a}", a) for a in range(40)))
    async with peers.serving(Short({1: {"holding": {a: a for a in range(40)}}})) as peer:
        reader = UnitReader(ModbusEndpoint("127.0.0.1", peer.port), plan, 1)
        assert (await reader.read(5)).values.tolist() == list(range(40))
        assert not reader.unreadable
        asked = len(peer.requests)
        await reader.read(5)
        assert len(peer.requests) - asked == 4
        await reader.endpoint.close()


async def test_a_starting_device_that_refuses_everything_loses_nothing(peers):
    """A plan that has worked is not unlearned when the device refuses all of it for a while."""
    words = {1: {"holding": {0: 4, 1: 5}}}
    plan = profile(register("a", 0), register("b", 1))
    async with peers.serving(peers.Peer(words)) as peer:
        reader = UnitReader(ModbusEndpoint("127.0.0.1", peer.port), plan, 1)
        assert (await reader.read(5)).values.tolist() == [4, 5]
        words[1]["holding"].clear()
        with pytest.raises(RefusedError, match="none of the profile's addresses"):
            await reader.read(5)
        words[1]["holding"].update({0: 6, 1: 7})
        assert (await reader.read(5)).values.tolist() == [6, 7]
        assert not reader.unreadable
        await reader.endpoint.close()


async def test_a_silent_unit_is_silence_not_a_gap(peers):
    """Exception 11 of a gateway silences its unit only, and teaches nothing about registers."""

    class Gateway(peers.Peer):
        def answer(self, unit, pdu):
            return bytes([pdu[0] | 0x80, 11]) if unit == 2 else super().answer(unit, pdu)

    plan = profile(register("a", 0), register("b", 1))
    async with peers.serving(Gateway({1: {"holding": {0: 4, 1: 5}}})) as peer:
        endpoint = ModbusEndpoint("127.0.0.1", peer.port)
        one, two = UnitReader(endpoint, plan, 1), UnitReader(endpoint, plan, 2)
        with pytest.raises(SilentError, match=r"unit 2 .*exception 11"):
            await two.read(5)
        assert (await one.read(5)).values.tolist() == [4, 5]
        assert not two.unreadable
        assert peer.connections == 1
        await endpoint.close()
