"""Sites whose profile is wrong about the device: whatever it is asked, the device is never told to leave the envelope."""

from __future__ import annotations

import struct

import pytest

from actuator.actuator import Actuator
from devices.links import ModbusDevice
from devices.profiles import Profile
from plant.clock import ManualClock
from plant.live import LiveTable
from plant.samples import SampleBatch

SETPOINT = "cdu-1/supply_setpoint"
FORMS = {"s16": ">h", "s32": ">i", "f32": ">f"}


def profile(unit="degC", scale=0.01, order="ABCD", kind="s16"):
    """A CDU with a heartbeat, an enable and one setpoint."""
    whole = {"quantity": "count", "unit": "1", "period_s": 5, "table": "holding", "writable": True}
    sp = {
        "name": "supply_setpoint",
        "quantity": "temperature",
        "unit": unit,
        "period_s": 5,
        "table": "holding",
        "address": 10,
    }
    return Profile.model_validate({
        "profile": "t", "kind": "cdu", "transport": "modbus-tcp", "revision": "1", "source": "a test of wrong profiles",
        "fallback": {"kind": "native_heartbeat", "heartbeat": "heartbeat", "timeout_s": 60, "enable": "remote_enable"},
        "points": [
            whole | {"name": "heartbeat", "address": 0}, whole | {"name": "remote_enable", "address": 1},
            whole | {"name": "owner_epoch", "address": 2}, sp | {"scale": scale, "order": order, "type": kind, "writable": True},
        ],
    })  # fmt: skip


class Registers:
    """The device: it knows its own meaning of the setpoint's words, apart from any profile."""

    def __init__(self, kind, words_of, means):
        self.holding = dict.fromkeys(range(3), 0) | dict(enumerate(words_of, 10))
        self.kind, self.means, self.told = kind, means, []

    async def read(self, unit, table, address, count):
        """Words."""
        return [self.holding[address + i] for i in range(count)]

    async def send(self, request):
        """A write."""
        function, address, third = struct.unpack(">BHH", request.pdu[:5])
        words = [third] if function == 6 else struct.unpack(f">{third}H", request.pdu[6:])
        self.holding |= dict(enumerate(words, address))
        if address == 10:
            raw = struct.unpack(FORMS[self.kind], struct.pack(f">{len(words)}H", *words))[0]
            self.told.append(self.means(raw))


def words(kind, raw):
    """A number as the device holds it: big-endian words."""
    data = struct.pack(FORMS[kind], raw)
    return list(struct.unpack(f">{len(data) // 2}H", data))


# name, the device's type, its words at 32 °C, what a raw number means to it [°C], what the site believes
WRONG = [
    ("ten times", "s16", 320, lambda r: r / 10, {"scale": 0.01}),
    ("a tenth", "s16", 3200, lambda r: r / 100, {"scale": 0.1}),
    ("a hundredth", "s16", 32, float, {"scale": 0.01}),
    ("fahrenheit taken for celsius", "s16", 896, lambda r: (r / 10 - 32) / 1.8, {"scale": 0.1}),
    ("celsius taken for fahrenheit", "s16", 3200, lambda r: r / 100, {"unit": "degF"}),
    ("kelvin taken for celsius", "s16", 3051, lambda r: r / 10 - 273.15, {"scale": 0.1}),
    ("words swapped", "s32", 3200, lambda r: r / 100, {"kind": "s32", "order": "CDAB"}),
    ("octets swapped", "s16", 3200, lambda r: r / 100, {"order": "BADC"}),
    ("float words swapped", "f32", 32.0, float, {"kind": "f32", "order": "CDAB", "scale": 1.0}),
    ("float backwards", "f32", 32.0, float, {"kind": "f32", "order": "DCBA", "scale": 1.0}),
    ("integer taken for float", "s32", 3200, lambda r: r / 100, {"kind": "f32", "scale": 1.0}),
    ("wrong sign", "s16", 3200, lambda r: r / 100, {"scale": -0.01}),
]


def actuator_on(make_rig, device_kind, raw, means, believed):
    """The actuator on such a device. The effective setpoint comes from elsewhere, right, which hides the fault best."""
    rig = make_rig()
    registers = Registers(device_kind, words(device_kind, raw), means)
    link = ModbusDevice(registers, "cdu-1", profile(**believed), 1)
    del rig.site.envelopes["cdu-1/pressure_setpoint"]
    clock = ManualClock()
    live = LiveTable(rig.site.points.values(), clock)
    rig.clock, rig.live = clock, live
    rig.actuator = Actuator(rig.site, {"cdu-1": link}, live, clock, rig.audit, rig.epoch, frozenset({"cdu-1"}))
    now_s = clock.now()
    seen = {"effective_supply_setpoint": 32.0, "dew_point": 12.0, "control_source": 0.0}
    live.update(SampleBatch.of([(f"cdu-1/{k}", now_s, now_s, v, 0) for k, v in seen.items()]))
    return rig, registers


@pytest.mark.parametrize(("name", "kind", "raw", "means", "believed"), WRONG, ids=[w[0] for w in WRONG])
async def test_a_wrong_profile_tells_the_device_nothing(make_rig, name, kind, raw, means, believed):
    """The register that reads impossibly is not written: the device is neither told a value nor switched to remote."""
    for asked in (22.0, 31.5, 32.0, 32.9, 42.0):
        rig, registers = actuator_on(make_rig, kind, raw, means, believed)
        answer = await rig.ask(asked)
        assert not answer.accepted
        assert registers.told == []
        assert registers.holding[1] == 0
        assert rig.codes() == ["register_implausible"]


async def test_the_right_profile_is_driven(make_rig):
    """The same rig with a right profile is told what was asked, so the test above can fail."""
    rig, registers = actuator_on(make_rig, "s16", 3200, lambda r: r / 100, {})
    answer = await rig.ask(32.5)
    assert answer.accepted, answer.text
    assert registers.told == [32.0, 32.5]
    assert registers.holding[1] == 1
