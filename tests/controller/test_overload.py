"""A day on which the plant can't hold design: what is asked then, and why it is not the most."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.letting_go import Watch, watched
from controller.optimise import judge, search
from controller.outdoor import Outdoor
from controller.overload import eased
from controller.problems import build_problem
from controller.step import initial_state, step
from simulator.plant import SimulatedPlant
from simulator.weather import Weather

HOT_C = 44.0
RATED_SHARE = 1.0
PLANT = ("dew_point", "rack_flow", "facility_flow", "facility_temperature")
ROLES = ("supply_temperature", "differential_pressure", "facility_supply_temperature")


@pytest.fixture
def hot(pod, pod_snapshot, now_s):
    """The demo pod's problem at 44 °C outdoors, when all of its load may come."""
    forecasts = {h.subject: h for h in step(initial_state(), pod_snapshot, (), now_s, pod).forecast.heats}
    problem = build_problem(pod, pod_snapshot, pod.groups["tcs-1"], forecasts["tcs-1"], ())
    heat_w = RATED_SHARE * problem.design.liquid_heat_w
    upper = replace(problem.upper, heat_w=heat_w, it_w=RATED_SHARE * problem.design.rack_power_w, air=Outdoor(HOT_C))
    return replace(problem, upper=upper, median=upper, spread=())


def test_what_can_be_held_is_asked_where_design_cannot(hot):
    """No limit is broken at it, the plant holds it, and only the reserve for a lost CDU is short."""
    choice = eased(hot, search(hot))
    assert choice.overload
    assert not choice.feasible
    at, design = (judge(hot, np.array([point])).margins for point in (choice.target, hot.design_point))
    assert min(design[name][0] for name in PLANT) < 0
    assert min(at[name][0] for name in (*PLANT, "case_temperature", "rack_return_temperature")) >= 0
    assert choice.binding == "worst_case"
    assert choice.worst_margin_k == pytest.approx(at["worst_case"][0])


def test_of_what_is_held_none_keeps_a_larger_reserve(hot):
    """Over the whole range no setting that the plant holds, and that breaks no limit, leaves a lost CDU 0.3 K more."""
    kept_k = eased(hot, search(hot)).worst_margin_k
    grid = np.stack(np.meshgrid(np.linspace(30, 41, 23), np.linspace(45e3, 150e3, 15), np.linspace(20, 38, 37)), -1)
    margins = judge(hot, grid.reshape(-1, 3)).margins
    held = np.min([margins[name] for name in (*PLANT, "case_temperature", "rack_return_temperature")], axis=0) >= 0
    assert held.any()
    assert margins["worst_case"][held].max() <= kept_k + 0.3


def test_a_limit_outranks_the_reserve(hot):
    """Where the case limit can't be kept either, no other setting that is held breaks it less."""
    tight = replace(hot, bounds=replace(hot.bounds, case_c=69.0))
    choice = eased(tight, search(tight))
    assert choice.overload
    assert choice.binding in {"case_temperature", "worst_case"}
    grid = np.stack(np.meshgrid(np.linspace(30, 41, 23), np.linspace(45e3, 150e3, 15), np.linspace(20, 38, 37)), -1)
    margins = judge(tight, grid.reshape(-1, 3)).margins
    held = np.min([margins[name] for name in PLANT], axis=0) >= 0
    at = judge(tight, np.array([choice.target])).margins
    assert margins["case_temperature"][held].max() <= at["case_temperature"][0] + 0.3


def test_a_site_without_a_reserve_has_only_limits_to_break(hot):
    """`reserve: none`: what is held and breaks the case limit least, at whatever cost to a lost CDU."""
    bare = replace(hot, bounds=replace(hot.bounds, reserve=False, case_c=66.0))
    choice = eased(bare, search(bare))
    assert choice.overload
    assert choice.binding == "case_temperature"


def test_nothing_changes_where_design_is_held(hot):
    """On a mild day a case limit that nothing keeps still means design: that is cold, and the plant gives it."""
    mild = replace(hot.upper, air=Outdoor(15.0))
    problem = replace(hot, upper=mild, median=mild, bounds=replace(hot.bounds, case_c=50.0))
    choice = eased(problem, search(problem))
    assert not choice.overload
    assert choice.target == problem.design_point


def test_narrow_room_is_found(hot):
    """Where a coarse look misses the little room that every limit leaves, a dense one finds it."""
    upper = replace(hot.upper, heat_w=0.95 * hot.upper.heat_w)
    problem = replace(hot, upper=upper, median=upper)
    assert not search(problem).feasible
    choice = eased(problem, search(problem))
    assert choice.feasible
    assert bool(judge(problem, np.array([choice.target])).feasible[0])


def test_an_overloaded_loop_is_kept_but_where_cases_pass_their_limit(pod, pod_snapshot, now_s):
    """What the plant can hold is better than the design that letting go would mean."""
    result = step(initial_state(), pod_snapshot, (), now_s, pod)
    (plan,) = result.plans
    held = replace(plan, reason=replace(plan.reason, code="plan_overload"), binding="case_temperature")
    hotter = replace(held, predicted_case_c=held.case_limit_c + 0.1)
    design = replace(plan, reason=replace(plan.reason, code="plan_design"), binding="case_temperature")
    for shown, unmet in ((held, False), (hotter, True), (design, True)):
        assert ("tcs-1" in watched(Watch(), replace(result, plans=(shown,)), ("tcs-1",), now_s).unmet) == unmet


def test_in_the_simulator_less_asked_is_colder(pod, hot, now_s):
    """The load jumps: asked for design, facility water runs away; asked for what is held, it is held."""
    target = eased(hot, search(hot)).target
    held, design = (_after_the_jump(pod, now_s, point) for point in (target, hot.design_point))
    assert held[0] == pytest.approx(target[0], abs=0.3)
    assert design[0] > held[0] + 2.0
    assert design[1] > held[1] + 3.0


def _after_the_jump(pod, now_s, point):
    """Supply and facility water [°C] an hour after a third of the load has become all of it."""
    sky = Weather(dry_bulb_c=HOT_C, dew_point_c=8.0, wet_bulb_c=20.0, relative_humidity=0.12)
    plant = SimulatedPlant(
        pod,
        now_s,
        sky=lambda _: sky,
        work=lambda _, time_s: RATED_SHARE if time_s > now_s + 7200.0 else 0.33,
        inner_step_s=7.5,
    )
    group = pod.groups["tcs-1"]
    asked = {group.commands[role]: value for role, value in zip(ROLES, point, strict=True)}
    for beat in range(360):
        for equipment in {name.partition("/")[0] for name in asked}:
            drive = pod.drives[equipment]
            if drive.enable:
                plant.command(drive.enable, 1.0)
            plant.command(drive.heartbeat, float(beat))
        for name, value in asked.items():
            plant.command(name, value)
        plant.step(30.0)
    shown = plant.measured()
    return shown["cdu-1/tcs_supply_temperature"], shown["cdu-1/fws_supply_temperature"]
