"""What the loss of the largest CDU is reckoned to do, beside what the twin does when one trips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.ride_through import Trip, compare
from controller.constraints import CASE_TOLERANCE
from controller.design import loop_design
from controller.learning import with_shown_flow
from controller.loss import lost_cdu_case_c, surely_lost_case_c
from controller.model import Load
from controller.optimise import judge, search
from controller.outdoor import Outdoor
from controller.problems import bounds, build_problem
from controller.step import initial_state, step

LIMIT_C = 72.0


@pytest.fixture
def design(pod):
    """The demo pod's loop."""
    return loop_design(pod, pod.groups["tcs-1"])


@pytest.fixture
def problem(pod, pod_snapshot, now_s):
    """The demo pod's problem on a warm day, with the whole of its heat."""
    forecasts = {h.subject: h for h in step(initial_state(), pod_snapshot, (), now_s, pod).forecast.heats}
    found = build_problem(pod, pod_snapshot, pod.groups["tcs-1"], forecasts["tcs-1"], ())
    full = replace(full_load(found.design), air=Outdoor(28.0))
    return replace(found, upper=full, median=full)


def full_load(design):
    """Everything at full power."""
    gpu_w = CASE_TOLERANCE * design.index_rack.gpu_power_w
    return Load(heat_w=design.liquid_heat_w, it_w=design.rack_power_w, gpu_w=gpu_w, air=Outdoor(20.0))


def lost_c(design, supply_c, dp_pa, facility_c):
    """The hottest case [°C] of one point."""
    points = (np.array([x]) for x in (supply_c, dp_pa, facility_c))
    return float(lost_cdu_case_c(design, full_load(design), *points)[0])


@pytest.mark.parametrize("lost", ["cdu-1", "cdu-2"])
def test_chosen_point_survives_the_trip(problem, lost):
    """At full load, where the optimiser wants to be, the twin's largest CDU stops and no case meets its limit."""
    choice = search(problem)
    assert choice.feasible
    supply_c, dp_pa, facility_c = choice.target
    trip = Trip(load=1.0, supply_c=supply_c, dp_pa=dp_pa, facility_c=facility_c, outdoor_c=20.0, lost=lost)
    came = compare(trip)
    assert came.begun
    assert came.came_s is None


@pytest.mark.parametrize(
    ("dp_pa", "approach_k"), [(45e3, 6.0), (45e3, 9.0), (45e3, 14.0), (55e3, 3.0), (55e3, 14.0), (80e3, 6.0)]
)
def test_margin_is_neither_optimistic_nor_far_off(design, dp_pa, approach_k):
    """Where the model sees 0.1 K left the twin keeps its limit; 2 K warmer it does not."""
    points = (np.array([x]) for x in (36.5, dp_pa, 36.5 - approach_k))
    supply_c = 36.5 + LIMIT_C - 0.1 - float(surely_lost_case_c(design, full_load(design), *points)[0])
    warmer = (supply_c, supply_c + 2.0)
    trips = [
        Trip(load=1.0, supply_c=s, dp_pa=dp_pa, facility_c=s - approach_k, outdoor_c=20.0, lost="cdu-2") for s in warmer
    ]
    kept, broken = (compare(trip) for trip in trips)
    assert kept.came_s is None
    assert broken.came_s is not None or not broken.begun


def test_stronger_pumps_leave_more(design):
    """What the CDUs left can move counts, but no more than the racks take already."""
    weak, strong = (
        replace(design, cdus=tuple(replace(c, most_flow_m3_s=m) for c in design.cdus)) for m in (0.01, 0.02)
    )
    assert lost_c(weak, 36.0, 90e3, 30.0) > lost_c(strong, 36.0, 90e3, 30.0) + 1.0
    stronger = replace(design, cdus=tuple(replace(c, most_flow_m3_s=0.03) for c in design.cdus))
    assert lost_c(strong, 36.0, 45e3, 30.0) == pytest.approx(lost_c(stronger, 36.0, 45e3, 30.0), abs=0.2)


def test_slower_pumps_leave_less(design):
    """The first half minute counts: pumps that speed up slowly let the plates get hotter."""
    slow = replace(design, lags=replace(design.lags, pump_ramp_s=120.0))
    assert lost_c(slow, 36.0, 45e3, 28.0) > lost_c(design, 36.0, 45e3, 28.0) + 0.5


@pytest.mark.parametrize("members", [1, 2])
def test_better_exchangers_leave_as_much(design, members):
    """One seen better than its figure at every day's flow has not shown what it is at a loss's; a worse one counts.

    Nor does it leave less: its valves are not reckoned as further closed than the figure has them.
    """
    here = replace(design, cdus=design.cdus[:members])
    better, worse = (
        replace(here, cdus=tuple(replace(c, ua_w_k=ratio * c.ua_w_k) for c in here.cdus)) for ratio in (1.3, 0.8)
    )
    point = (36.0, 45e3, 34.5)
    assert lost_c(better, *point) == pytest.approx(lost_c(here, *point), abs=1e-6)
    assert lost_c(worse, *point) > lost_c(here, *point) + 0.5


def test_warm_facility_water_counts_alone(design):
    """Where the CDUs left can't hold the supply, a colder setpoint does not help."""
    cold, warm = (lost_c(design, supply_c, 66e3, 36.0) for supply_c in (36.5, 37.0))
    assert warm == pytest.approx(cold, abs=0.35)


def test_pump_speed_tells_what_a_cdu_can_do(pod, pod_snapshot, design):
    """Flow over speed is a lower bound of what a pump moves; an unknown speed tells nothing."""
    shown = with_shown_flow(design, pod_snapshot, pod.groups["tcs-1"])
    assert all(s.most_flow_m3_s >= d.most_flow_m3_s for s, d in zip(shown.cdus, design.cdus, strict=True))
    modest = replace(design, cdus=tuple(replace(c, most_flow_m3_s=0.001) for c in design.cdus))
    told = with_shown_flow(modest, pod_snapshot, pod.groups["tcs-1"])
    flow, speed = (pod_snapshot.value(f"cdu-1/{name}") for name in ("tcs_flow", "pump_speed"))
    assert told.cdus[0].most_flow_m3_s == pytest.approx(0.95 * flow / speed)
    silent = replace(pod_snapshot, readings={})
    assert with_shown_flow(modest, silent, pod.groups["tcs-1"]).cdus[0].most_flow_m3_s == 0.001


def test_site_may_do_without_the_reserve(pod, problem):
    """`reserve: none` takes the constraint away, and what is saved with it; the margin is still told."""
    group = replace(pod.groups["tcs-1"], reserve="none")
    assert not bounds(pod, group, None).reserve
    free = replace(problem, bounds=replace(problem.bounds, reserve=False))
    assert "worst_case" not in judge(free, np.array([problem.design_point])).margins
    bold, careful = search(free), search(problem)
    assert bold.worst_margin_k < -0.5
    assert careful.worst_margin_k >= -1e-9
    assert bold.cooling_w + bold.it_extra_w < careful.cooling_w + careful.it_extra_w
