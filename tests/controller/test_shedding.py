"""How much load what cooling is left carries: facility water that warms has more taken from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.cold_plates import hottest_plates
from controller.losses import losses_of
from controller.rejection_left import taken_w_k
from controller.transient import seconds_to_limit
from plant.live import LiveTable, Snapshot
from simulator.faults import Faults
from simulator.memory import MemoryPlant


def test_a_dry_cooler_takes_more_as_its_water_warms(pod, now_s):
    """What it shows over its distance to the air; nothing of one that has failed, or where a reading is missing."""
    plant = MemoryPlant(pod, now_s, faults=Faults())
    plant.plant.faults.command("stop chiller", plant.plant.measured())
    plant.advance(240.0)
    live = LiveTable(pod.points.values(), plant.clock)
    live.update(plant.batch())
    snapshot = live.snapshot()
    group = pod.groups["tcs-1"]
    into_c, out_c, air_c, flow = (
        snapshot.value(f"dry-coolers/{n}")
        for n in ("entering_temperature", "leaving_temperature", "outdoor_dry_bulb", "flow")
    )
    expected = 4.17e6 * flow * (into_c - out_c) / (into_c - air_c)
    assert taken_w_k(pod, snapshot, group, set()) == pytest.approx(expected, rel=0.01)
    assert taken_w_k(pod, snapshot, group, {"dry-coolers"}) == 0.0
    name = "dry-coolers/outdoor_dry_bulb"
    shown = {**snapshot.readings, name: replace(snapshot.readings[name], value=into_c - 0.5)}
    near = Snapshot(at_s=snapshot.at_s, readings=shown)
    assert taken_w_k(pod, near, group, set()) == 0.0


def test_facility_water_warms_towards_where_all_heat_is_taken(pod, pod_snapshot, now_s):
    """20 kW taken more for each kelvin: 400 kW too much makes cases 10 K warmer than 200 kW in the end, not without end."""
    plates = hottest_plates(pod, pod_snapshot, pod.groups["tcs-1"], {})
    (row,) = losses_of(pod, pod_snapshot, pod.groups["tcs-1"], plates, {"tcs-1": 400e3}, set())

    def hottest(kept_w, taken_w_k):
        limits = np.arange(40.0, 250.0, 0.2)
        losses = replace(row, facility_w=np.array([kept_w]), facility_w_k=np.array([taken_w_k]), limit_c=limits)
        return limits[np.isinf(seconds_to_limit(losses))][0]

    few, more = hottest(200e3, 20e3), hottest(400e3, 20e3)
    assert more - few == pytest.approx(10.0, abs=0.5)
    assert hottest(400e3, 0.0) > more + 50.0
