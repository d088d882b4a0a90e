"""The air unit of the hall: the warmest air that the limits allow, step by step, and back where it comes too near."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller import inputs
from controller.air import air_power_w, plan_air
from controller.state import initial_state
from controller.step import step
from plant.live import Reading
from plant.samples import Quality, Reason

POINT = "air-unit/air_temperature_setpoint"
HEAT_W, SETTLE_S = 8e4, 10.0


def shown(snapshot, values):
    """The snapshot with more readings."""
    readings = {p: Reading(v, snapshot.at_s, 0.0, Quality.GOOD, Reason.NONE) for p, v in values.items()}
    return replace(snapshot, readings={**snapshot.readings, **readings})


@pytest.fixture
def hall(pod_snapshot):
    """The demo pod's air unit at its design."""
    return shown(
        pod_snapshot,
        {
            "air-unit/effective_air_temperature_setpoint": 25.0,
            "air-unit/air_inlet_temperature": 25.3,
            "dry-coolers/outdoor_dry_bulb": 30.0,
        },
    )


def planned(site, snapshot, moves=None, now_s=1e4):
    """What is asked of it."""
    return plan_air(site, snapshot, site.groups["tcs-1"], HEAT_W, moves or {}, now_s, SETTLE_S)


def test_it_walks_to_the_warmest_air_allowed_and_waits_in_between(pod, hall):
    """One largest step, then the dwell; the goal is the end of the range."""
    first = planned(pod, hall)
    assert (first.setpoint.value, first.setpoint.target, first.setpoint.design) == (26.0, 27.0, 25.0)
    assert first.reason.code == "plan_air"
    moves = {POINT: first.move}
    waiting = planned(pod, hall, moves, now_s=1e4 + 300.0)
    assert (waiting.setpoint.value, waiting.move) == (26.0, first.move)
    there = shown(hall, {"air-unit/effective_air_temperature_setpoint": 26.0})
    assert planned(pod, there, moves, now_s=1e4 + 320.0).setpoint.value == 27.0


def test_a_limit_below_the_range_counts_with_its_reserve(pod, hall):
    """Racks that may breathe 29 °C: the setpoint ends 3 K below."""
    site = replace(pod, limits={**pod.limits, "air-inlet": replace(pod.limits["air-inlet"], maximum=29.0)})
    assert planned(site, hall).setpoint.target == 26.0


def test_air_that_nobody_tells_any_more_is_left_to_the_unit(pod, hall):
    """All instruments of the air are lost: it is not made as warm as may be, and what is asked of the unit runs out."""
    shows = ("air-unit/air_inlet_temperature", "cdu-1/room_temperature", "cdu-2/room_temperature")
    blind = replace(hall, readings={p: r for p, r in hall.readings.items() if p not in shows})
    assert planned(pod, blind) is None
    assert planned(pod, shown(blind, {shows[2]: 25.0})) is not None


@pytest.mark.parametrize("point", ["air-unit/air_inlet_temperature", "cdu-2/room_temperature"])
def test_air_near_its_limit_sends_it_back_to_design(pod, hall, point):
    """Whichever instrument tells: design, and the reason names the limit."""
    warm = shown(hall, {point: 31.2, "air-unit/effective_air_temperature_setpoint": 27.0})
    found = planned(pod, warm)
    assert (found.setpoint.value, found.setpoint.target) == (26.0, 25.0)
    assert found.reason.code == "plan_air_hot"
    assert found.reason.params["limit_c"] == 32.0


def test_what_is_not_known_or_not_commanded_is_left_alone(pod, pod_snapshot, hall):
    """No setpoint in force, or no command: nothing is asked, and the loop's own plan is as ever."""
    unknown = replace(hall, readings={p: r for p, r in hall.readings.items() if "air-unit/effective" not in p})
    assert planned(pod, unknown) is None
    group = pod.groups["tcs-1"]
    without = replace(group, commands={r: p for r, p in group.commands.items() if r != inputs.AIR})
    site = replace(pod, groups={"tcs-1": without})
    assert planned(site, hall) is None
    plan = step(initial_state(), unknown, (), unknown.at_s, pod).plans[0]
    assert plan.air is None
    assert POINT not in {s.point for s in plan.setpoints}


def test_the_plan_counts_it(pod, hall, now_s):
    """Its power is in the prediction, its saving in the money, its setpoint among the others', its reason beside."""
    plan = step(initial_state(), hall, (), now_s, pod).plans[0]
    silent = replace(hall, readings={p: r for p, r in hall.readings.items() if "air-unit/effective" not in p})
    bare = step(initial_state(), silent, (), now_s, pod).plans[0]
    assert plan.setpoints[-1].point == POINT
    assert plan.setpoints[:-1] == bare.setpoints
    unit_w = plan.predicted_cooling_w - bare.predicted_cooling_w
    design_w = plan.predicted_design_cooling_w - bare.predicted_design_cooling_w
    assert 0.03 < 1 - unit_w / design_w < 0.10
    assert plan.saving_per_h > bare.saving_per_h
    assert plan.air.code == "plan_air"


def test_power_at_the_rating_point_is_the_site_file_s(pod):
    """Rated heat over rated COP and full fans; less in colder air outside, less for warmer air inside."""
    unit = pod.equipment["air-unit"]
    rated_w = air_power_w(unit, 140e3, 25.0, 35.0)
    assert rated_w == pytest.approx(140e3 / 4.0 + 9e3)
    assert air_power_w(unit, 140e3, 25.0, 20.0) < air_power_w(unit, 140e3, 27.0, 35.0) < rated_w
