"""CDUs of the simulator that take a flow or a pump speed: who follows what, and what is left when one stops."""

from __future__ import annotations

import pytest

from benchmarks.flow_twin import flow_site
from simulator.plant import SimulatedPlant

NOON_S = 1_783_764_000.0


def told(plant, values, seconds=600.0):
    """Hold setpoints for a while, with the heartbeats of what is driven."""
    for beat in range(round(seconds / 30.0)):
        for device in {point.partition("/")[0] for point in values}:
            plant.command(f"{device}/remote_enable", 1.0)
            plant.command(f"{device}/heartbeat", float(beat + plant.time_s % 1000))
        for point, value in values.items():
            plant.command(point, value)
        plant.step(30.0)


def flow(plant):
    """What the racks get [m³/s]."""
    return plant.groups[0].loop.bank.total_flow_m3_s


def test_each_cdu_holds_its_own_flow_and_no_more():
    """They need not be alike; the one that is left does not make up for the other."""
    plant = SimulatedPlant(flow_site("each"), NOON_S)
    told(plant, {"cdu-1/flow_setpoint": 0.009, "cdu-2/flow_setpoint": 0.011})
    assert flow(plant) == pytest.approx(0.020, rel=0.01)
    shown = plant.measured(["cdu-1", "cdu-2"])
    assert shown["cdu-2/effective_flow_setpoint"] == pytest.approx(0.011, rel=1e-3)
    assert shown["cdu-2/control_source"] == 1.0
    plant.faults.stopped = {"cdu-1"}
    told(plant, {"cdu-2/flow_setpoint": 0.011})
    assert flow(plant) == pytest.approx(0.011, rel=0.01)


def test_a_master_holds_the_flow_of_the_loop_with_who_is_left():
    """The follower shows the master's setpoint as its own."""
    plant = SimulatedPlant(flow_site("master"), NOON_S)
    told(plant, {"cdu-1/flow_setpoint": 0.015})
    assert flow(plant) == pytest.approx(0.015, rel=0.01)
    shown = plant.measured(["cdu-2"])
    assert shown["cdu-2/effective_flow_setpoint"] == pytest.approx(0.015, rel=1e-3)
    assert shown["cdu-2/control_source"] == 3.0
    plant.faults.stopped = {"cdu-2"}
    told(plant, {"cdu-1/flow_setpoint": 0.015})
    assert flow(plant) == pytest.approx(0.015, rel=0.01)


def test_pumps_turn_as_they_are_told():
    """By the affinity laws half of the speed is about half of the flow; let go they ramp back to their default."""
    plant = SimulatedPlant(flow_site("speed"), NOON_S)
    told(plant, {"cdu-1/pump_speed_setpoint": 0.8})
    full_m3_s = flow(plant)
    told(plant, {"cdu-1/pump_speed_setpoint": 0.6})
    assert plant.groups[0].loop.units[1].speed == pytest.approx(0.6)
    assert flow(plant) == pytest.approx(0.75 * full_m3_s, rel=0.02)
    plant.step(300.0)
    assert plant.groups[0].loop.units[0].speed == pytest.approx(0.8)
