"""Simulated device controllers: who may set what, and how they let go."""

from __future__ import annotations

import itertools

import pytest

from devices.profiles import load_profile
from plant.errors import RefusedError
from simulator.devices import ControlSource, DeviceController

DEFAULTS = {"supply_temperature_setpoint": 32.0, "differential_pressure_setpoint": 110_000.0}
SUPPLY, DP = DEFAULTS


class Log(list):
    """Keeps the events."""

    def __call__(self, at_s, device, event, values):
        """Take one."""
        self.append((at_s, event, dict(values)))


@pytest.fixture
def log() -> Log:
    """An empty log."""
    return Log()


@pytest.fixture
def cdu(log) -> DeviceController:
    """A generic CDU at its defaults."""
    return DeviceController("cdu-1", load_profile("generic-cdu"), DEFAULTS, log)


def run(device: DeviceController, start_s: float, seconds: int) -> None:
    """Let seconds pass."""
    for second in range(seconds):
        device.step(start_s + second + 1.0, 1.0)


def take_over(device: DeviceController, now_s: float, supply_c: float = 36.0, dp_pa: float = 70_000.0) -> None:
    """Become the remote owner."""
    for name, value in (("remote_enable", 1.0), ("heartbeat", 1.0), (SUPPLY, supply_c), (DP, dp_pa)):
        device.write(name, value, now_s)


def test_a_setpoint_without_heartbeat_has_no_effect(cdu):
    """A written setpoint is kept but not followed until the device is enabled and hears a changing heartbeat."""
    cdu.write(SUPPLY, 36.0, 0.0)
    run(cdu, 0.0, 10)
    assert cdu.effective(SUPPLY) == 32.0
    cdu.write("remote_enable", 1.0, 10.0)
    assert cdu.source is ControlSource.LOCAL
    cdu.write("heartbeat", 7.0, 11.0)
    assert cdu.source is ControlSource.REMOTE
    assert cdu.effective(SUPPLY) == 36.0


def test_a_heartbeat_that_stops_changing_ends_remote_control_by_a_ramp(cdu, log):
    """A heartbeat rewritten without change counts as silence: after its timeout the device ramps to its default."""
    take_over(cdu, 0.0)
    for second in range(1, 62):
        cdu.write("heartbeat", 1.0, float(second))
        cdu.step(float(second), 1.0)
    assert cdu.source is ControlSource.RETURNING
    assert cdu.heartbeat_lost
    assert 35.9 < cdu.effective(SUPPLY) < 36.0
    run(cdu, 61.0, 100)
    assert cdu.effective(SUPPLY) == pytest.approx(35.0, abs=0.05)
    assert cdu.effective(DP) == 110_000.0
    run(cdu, 161.0, 320)
    assert cdu.source is ControlSource.LOCAL
    assert cdu.effective(SUPPLY) == 32.0
    changes = [(at_s, v["from"], v["to"]) for at_s, event, v in log if event == "control_source"]
    assert [c[1:] for c in changes] == [("local", "remote"), ("remote", "returning"), ("returning", "local")]
    assert changes[1][0] == pytest.approx(61.0)
    ramp = [v[f"effective_{SUPPLY}"] for _, event, v in log if event == "ramp"]
    steps = [a - b for a, b in itertools.pairwise(ramp)]
    assert len(ramp) > 30
    assert max(steps) == pytest.approx(0.1, abs=0.02)


def test_a_changing_heartbeat_holds_for_ever(cdu):
    """As long as the register changes within the timeout the remote setpoint stays in force."""
    take_over(cdu, 0.0)
    for second in range(600):
        if second % 50 == 0:
            cdu.write("heartbeat", float(second % 65536 + 2), float(second))
        cdu.step(float(second), 1.0)
    assert cdu.source is ControlSource.REMOTE
    assert cdu.effective(SUPPLY) == 36.0


def test_the_next_owner_starts_from_the_default(cdu):
    """After a loss the setpoint register holds the default, so that a new heartbeat alone makes no jump."""
    take_over(cdu, 0.0)
    run(cdu, 0.0, 600)
    cdu.write("heartbeat", 99.0, 601.0)
    assert cdu.source is ControlSource.REMOTE
    assert cdu.effective(SUPPLY) == 32.0


def test_disabling_lets_go_at_once(cdu):
    """Writing remote_enable 0 starts the return without waiting for the timeout."""
    take_over(cdu, 0.0)
    cdu.write("remote_enable", 0.0, 1.0)
    assert cdu.source is ControlSource.RETURNING


def test_refusals(cdu, log):
    """Out of range, not writable, an older owner and a nonsensical enable are refused, logged, and change nothing."""
    cdu.write("owner_epoch", 5.0, 0.0)
    cdu.write("owner_epoch", 5.0, 0.0)
    for name, value in ((SUPPLY, 60.0), (DP, 1000.0), ("tcs_flow", 1.0), ("owner_epoch", 4.0), ("remote_enable", 2.0)):
        with pytest.raises(RefusedError):
            cdu.write(name, value, 1.0)
    assert [v["point"] for _, event, v in log if event == "refused"] == [
        SUPPLY,
        DP,
        "tcs_flow",
        "owner_epoch",
        "remote_enable",
    ]
    assert cdu.readings()["owner_epoch"] == 5.0
    assert cdu.readings()[SUPPLY] == 32.0


def test_a_device_without_heartbeat_just_obeys(log):
    """The AALC sidecar has no heartbeat: a setpoint holds until the next one."""
    sidecar = DeviceController("sidecar", load_profile("aalc-rpu"), {SUPPLY: 36.0, "flow_setpoint": 7e-4}, log)
    sidecar.write(SUPPLY, 38.0, 0.0)
    run(sidecar, 0.0, 600)
    assert sidecar.effective(SUPPLY) == 38.0
