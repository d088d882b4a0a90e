"""The plant without sockets: the same points and refusals as over the wire, with time moved by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plant.clock import ManualClock
from plant.errors import RefusedError, SilentError
from plant.live import LiveTable
from simulator.memory import MemoryPlant
from sites import load_site

CONFIGS = Path(__file__).parents[2] / "site-configs"
SUMMER_S = 1_783_900_800.0


@pytest.fixture
def memory() -> MemoryPlant:
    """The demo pod in memory."""
    return MemoryPlant(load_site(CONFIGS / "demo-pod.yaml"), SUMMER_S)


@pytest.mark.parametrize("name", ["demo-pod", "small-lab"])
def test_every_declared_point_has_a_value(name):
    """Whatever a site declares, its plant shows, finite and within the plausible range of the profile."""
    site = load_site(CONFIGS / f"{name}.yaml")
    plant = MemoryPlant(site, SUMMER_S)
    batch = plant.batch(gpus=True)
    values = dict(zip(batch.points, batch.value.tolist(), strict=True))
    assert set(values) == set(site.points)
    for point in site.points.values():
        assert point.minimum is None or values[point.id] >= point.minimum - 1e-9, point.id
        assert point.maximum is None or values[point.id] <= point.maximum + 1e-9, point.id


def test_batches_feed_the_live_table(memory):
    """Samples carry the clock's time and are GOOD until they are too old."""
    live = LiveTable(memory.site.points.values(), memory.clock)
    memory.advance(60.0)
    live.update(memory.batch())
    assert live.snapshot().value("cdu-1/tcs_supply_temperature") == pytest.approx(32.0, abs=1.0)
    assert memory.clock.now() == SUMMER_S + 60.0 == pytest.approx(memory.plant.time_s)
    assert not any("/gpu-" in point for point in memory.batch().points)


def test_registers_limit_the_resolution(memory):
    """A value has the resolution that its register gives it."""
    batch = memory.batch()
    value = batch.value[batch.points.index("cdu-1/tcs_supply_temperature")] * 100
    assert value == pytest.approx(round(value), abs=1e-6)


async def test_a_device_is_driven_as_over_the_wire(memory):
    """Writes pass through the registers, hold while the heartbeat changes, and fall back when it stops."""
    device = memory.device("cdu-1")
    await device.write("cdu-1/owner_epoch", 3.0)
    await device.write("cdu-1/remote_enable", 1.0)
    assert await device.write("cdu-1/supply_temperature_setpoint", 35.004) == pytest.approx(35.0)
    for beat in range(20):
        await device.write("cdu-1/heartbeat", float(beat + 1))
        memory.advance(30.0)
    assert await device.read_back("cdu-1/supply_temperature_setpoint") == pytest.approx(35.0)
    assert memory.plant.measured(["cdu-2"])["cdu-2/tcs_supply_temperature"] == pytest.approx(35.0, abs=0.5)
    memory.advance(900.0)
    assert memory.plant.measured(["cdu-2"])["cdu-2/tcs_supply_temperature"] == pytest.approx(32.0, abs=0.5)


async def test_refused_and_silent(memory):
    """What the device refuses is refused here too, and a silent device answers nobody and sends nothing."""
    device = memory.device("cdu-1")
    with pytest.raises(RefusedError):
        await device.write("cdu-1/supply_temperature_setpoint", 55.0)
    with pytest.raises(RefusedError):
        await device.write("cdu-1/tcs_flow", 0.01)
    memory.plant.faults.silent.add("cdu-1")
    with pytest.raises(SilentError):
        await device.read_back("cdu-1/heartbeat")
    assert not any(point.startswith("cdu-1/") for point in memory.batch().points)


def test_falsified_points(memory):
    """A stuck point repeats itself, a missing one is a BAD NaN, and healing restores both."""
    faults, point = memory.plant.faults, "cdu-1/tcs_supply_temperature"
    faults.command(f"stuck {point}", memory.plant.measured())
    faults.command("nan cdu-1/tcs_flow", {})
    first = memory.batch()
    memory.advance(120.0)
    second = memory.batch()
    at = first.points.index(point)
    assert first.value[at] == second.value[at]
    missing = second.points.index("cdu-1/tcs_flow")
    assert np.isnan(second.value[missing])
    assert second.code[missing] & 3 == 2
    faults.command("heal", {})
    assert not faults.any_point
    assert not np.isnan(memory.batch().value).any()


def test_a_given_clock_is_moved(memory):
    """A study may bring its own clock."""
    clock = ManualClock(epoch_s=SUMMER_S)
    plant = MemoryPlant(memory.site, SUMMER_S, clock)
    plant.advance(12.5)
    assert clock.elapsed_s == pytest.approx(12.5)
