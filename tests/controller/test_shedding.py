"""How much load what cooling is left carries: facility water that warms has more taken from it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from controller.causes import Cause, Found
from controller.cold_plates import hottest_plates
from controller.losses import losses_of
from controller.rejection_left import taken_now
from controller.shedding import carries
from controller.step import initial_state, step
from controller.transient import seconds_to_limit
from plant.live import LiveTable, Snapshot
from simulator.faults import Faults
from simulator.memory import MemoryPlant


@pytest.fixture
def tripped(pod, now_s):
    """Four minutes after the chiller stopped."""
    plant = MemoryPlant(pod, now_s, faults=Faults())
    plant.plant.faults.command("stop chiller", plant.plant.measured())
    plant.advance(240.0)
    live = LiveTable(pod.points.values(), plant.clock)
    live.update(plant.batch())
    return live.snapshot()


def shows(snapshot, **values):
    """The snapshot in which dry cooler's points show something else."""
    named = {f"dry-coolers/{name}": value for name, value in values.items()}
    new = {point: replace(snapshot.readings[point], value=value) for point, value in named.items()}
    return Snapshot(at_s=snapshot.at_s, readings={**snapshot.readings, **new})


def test_a_dry_cooler_takes_more_as_its_water_warms(pod, tripped):
    """What it shows over its distance to the air; a chiller that runs takes what it takes, and no more."""
    group, names = pod.groups["tcs-1"], ("entering_temperature", "leaving_temperature", "outdoor_dry_bulb", "flow")
    into_c, out_c, air_c, flow = (tripped.value(f"dry-coolers/{name}") for name in names)
    stream_w_k = 4.17e6 * flow
    heat_w, w_k = taken_now(pod, tripped, group, {"chiller"})
    assert heat_w == pytest.approx(stream_w_k * (into_c - out_c), rel=0.01)
    assert heat_w > 100e3
    assert w_k == pytest.approx(heat_w / (into_c - air_c))
    warm = shows(tripped, leaving_temperature=out_c + 3.0, entering_temperature=into_c + 3.0)
    both_w, w_k = taken_now(pod, warm, group, set())
    sent_c = tripped.value("chiller/leaving_temperature")
    assert both_w == pytest.approx(stream_w_k * (into_c + 3.0 - sent_c), rel=0.01)
    assert w_k == pytest.approx(stream_w_k * (into_c - out_c) / (into_c + 3.0 - air_c), rel=0.01)


def test_what_is_taken_is_not_guessed(pod, tripped):
    """Water hardly warmer than the air tells nothing of its coil, the design does; without a reading nothing is known."""
    group, design = pod.groups["tcs-1"], pod.equipment["dry-coolers"].design
    near = shows(tripped, outdoor_dry_bulb=tripped.value("dry-coolers/entering_temperature") - 0.5)
    stream_w_k, design_w_k = (4.17e6 * flow for flow in (tripped.value("dry-coolers/flow"), design["flow_m3_s"]))
    share = design["heat_w"] / (design["heat_w"] + design["approach_k"] * design_w_k)
    assert taken_now(pod, near, group, {"chiller"})[1] == pytest.approx(stream_w_k * share, rel=0.01)
    bare = replace(pod.equipment["dry-coolers"], design={k: v for k, v in design.items() if k != "approach_k"})
    untold = replace(pod, equipment={**pod.equipment, "dry-coolers": bare})
    assert taken_now(untold, near, group, {"chiller"})[1] == 0.0
    assert taken_now(pod, shows(tripped, outdoor_dry_bulb=math.nan), group, {"chiller"}) is None
    assert taken_now(pod, tripped, group, {"chiller", "dry-coolers"}) is None


def test_water_that_is_held_is_cooled_as_it_must_be(pod, pod_snapshot, now_s):
    """A pump that trips while coolers have reserve: what they take now does not count. Warm water: it does."""
    group, pump = pod.groups["tcs-1"], (Found(cause=Cause.PUMP_TRIP, subject="cdu-2"),)
    ahead = step(initial_state(), pod_snapshot, (), now_s, pod).forecast
    less = {"flow": 0.5 * pod_snapshot.value("dry-coolers/flow")}

    def least_c(snapshot):
        limits = (replace(pod.limits["case"], maximum=float(c)) for c in np.arange(50.0, 90.0, 0.5))
        sites = (replace(pod, limits={**pod.limits, "case": limit}) for limit in limits)
        return next((s.limits["case"].maximum for s in sites if carries(s, snapshot, group, pump, ahead)), math.inf)

    assert least_c(shows(pod_snapshot, **less)) == least_c(pod_snapshot) < 90.0
    warm = {f"cdu-{n}/fws_supply_temperature": 33.0 for n in (1, 2)}
    readings = {p: replace(r, value=warm.get(p, r.value)) for p, r in pod_snapshot.readings.items()}
    unheld = Snapshot(at_s=pod_snapshot.at_s, readings=readings)
    assert least_c(shows(unheld, **less)) > least_c(unheld)


def test_facility_water_warms_towards_where_all_heat_is_taken(pod, pod_snapshot, now_s):
    """20 kW taken more for each kelvin: 400 kW too much makes cases 10 K warmer than 200 kW in the end, not without end."""
    plates = hottest_plates(pod, pod_snapshot, pod.groups["tcs-1"], {})
    (row,) = losses_of(pod, pod_snapshot, pod.groups["tcs-1"], plates, {"tcs-1": 400e3}, set())

    def hottest(kept_w, more_w_k):
        limits = np.arange(40.0, 250.0, 0.2)
        losses = replace(row, facility_w=np.array([kept_w]), facility_w_k=np.array([more_w_k]), limit_c=limits)
        return limits[np.isinf(seconds_to_limit(losses))][0]

    few, more = hottest(200e3, 20e3), hottest(400e3, 20e3)
    assert more - few == pytest.approx(10.0, abs=0.5)
    assert hottest(400e3, 0.0) > more + 50.0
