"""Ride-through is never optimistic, and says what it does not know."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from benchmarks.ride_through import Trip, compare, drawn, figures
from controller.ride_through import ride_throughs
from controller.step import initial_state, step
from plant.live import Snapshot
from plant.samples import Quality, Reason

TRIPS = st.builds(
    Trip,
    load=st.floats(0.0, 1.0),
    supply_c=st.floats(24.0, 42.0),
    dp_pa=st.floats(45e3, 150e3),
    facility_c=st.floats(15.0, 37.0),
    outdoor_c=st.floats(-10.0, 40.0),
    lost=st.sampled_from(["cdu-1", "cdu-2"]),
    uneven=st.booleans(),
    fouling_k_w=st.sampled_from([0.0, 1e-6, 2e-6]),
    plate_tau_s=st.sampled_from([0.0, 10.0]),
    alone=st.booleans(),
)


@settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # an example takes a second, and is readable as it is
    suppress_health_check=[HealthCheck.too_slow],
)
@given(trip=TRIPS)
def test_never_more_time_than_there_is(trip):
    """Whatever load, setpoints, weather and fouling: the twin's case limit comes no sooner than was said."""
    found = compare(trip)
    assert not (found.begun and found.optimistic), found


def test_a_campaign_of_trips_finds_no_optimism(pytestconfig):
    """The same over many drawn trips (`--campaign`), and in most that never meet the limit it says so."""
    rng = random.Random(20261)
    count = 400 if pytestconfig.getoption("--campaign") else 12
    told = figures([compare(drawn(rng)) for _ in range(count)])
    assert told["ride_through_optimistic"] == 0
    assert told["ride_through_never_said"] >= 0.5 * told["ride_through_never_met"]


def test_the_last_pump_leaves_the_plates_alone():
    """With no other pump seconds are left, and none where the plates' mass is not in the site file."""
    trip = Trip(load=1.0, supply_c=32.0, dp_pa=110e3, facility_c=27.0, outdoor_c=20.0, alone=False)
    assert compare(trip).said.seconds is None
    alone = compare(replace(trip, alone=True, supply_c=30.0))
    assert alone.said.seconds is not None
    assert 0.0 < alone.said.seconds <= alone.came_s < 20.0
    bare = compare(replace(trip, alone=True, supply_c=30.0, plate_tau_s=0.0))
    assert bare.said.seconds == 0.0


def as_bad(snapshot, *points):
    """A snapshot in which some points are stale."""
    stale = {p: replace(snapshot.readings[p], quality=Quality.BAD, reason=Reason.STALE) for p in points}
    return Snapshot(at_s=snapshot.at_s, readings={**snapshot.readings, **stale})


def test_each_cdu_has_a_figure_each_cycle(pod, pod_snapshot, lab, lab_snapshot, now_s):
    """The step tells it of every CDU and sidecar."""
    for site, snapshot in ((pod, pod_snapshot), (lab, lab_snapshot)):
        told = step(initial_state(), snapshot, (), now_s, site).ride_throughs
        assert [r.cdu for r in told] == [m for g in site.groups.values() for m in g.members]
        assert all(r.known for r in told)


def test_unknown_says_why(pod, pod_snapshot, now_s):
    """Without facility water or a forecast nothing is promised, and the reason names it."""
    ahead = step(initial_state(), pod_snapshot, (), now_s, pod).forecast
    blind = as_bad(pod_snapshot, "cdu-1/fws_supply_temperature", "cdu-2/fws_supply_temperature")
    for told in (
        ride_throughs(pod, blind, ahead, now_s),
        ride_throughs(pod, pod_snapshot, replace(ahead, heats=()), now_s),
    ):
        assert not any(r.known for r in told)
        assert all(r.seconds is None and r.reason for r in told)


def test_a_member_that_does_not_tell_its_flow_is_no_help(pod, pod_snapshot, now_s):
    """A silent CDU is not reckoned with: losing the other one leaves what cold plates hold back, less than a second."""
    ahead = step(initial_state(), pod_snapshot, (), now_s, pod).forecast
    told = {r.cdu: r for r in ride_throughs(pod, as_bad(pod_snapshot, "cdu-2/tcs_flow"), ahead, now_s)}
    assert told["cdu-1"].seconds < 1.0


@pytest.mark.parametrize("more", [1.1, 1.3])
def test_more_heat_leaves_less_time(pod, pod_snapshot, now_s, more):
    """A higher quantile never gives more seconds."""
    ahead = step(initial_state(), pod_snapshot, (), now_s, pod).forecast

    def times(factor):
        grown = [
            tuple(replace(h, heat_w=tuple(tuple(factor * w for w in row) for row in h.heat_w)) for h in part)
            for part in (ahead.heats, ahead.racks)
        ]
        told = ride_throughs(pod, pod_snapshot, replace(ahead, heats=grown[0], racks=grown[1]), now_s)
        return np.array([np.inf if r.seconds is None else r.seconds for r in told])

    assert (times(more) <= times(1.0)).all()
