"""What the lumped model and the search promise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller import model
from controller.design import loop_design
from controller.optimise import judge, search, stepped
from controller.outdoor import Outdoor
from controller.problems import build_problem
from controller.step import initial_state, step
from plant.errors import ConfigError


@pytest.fixture
def design(pod):
    """The demo pod's loop."""
    return loop_design(pod, pod.groups["tcs-1"])


@pytest.fixture
def problem(pod, pod_snapshot, now_s):
    """Its problem at noon."""
    forecasts = {h.subject: h for h in step(initial_state(), pod_snapshot, (), now_s, pod).forecast.heats}
    return build_problem(pod, pod_snapshot, pod.groups["tcs-1"], forecasts["tcs-1"], ())


def test_design_flow_at_design_pressure(design):
    """At design dp each rack has its design flow."""
    assert float(model.loop_flow(design, np.array([110000.0]))[0]) == pytest.approx(8 * 0.0029)


def test_exchanger_gives_its_approach_at_design(design):
    """At design flows heat over UA is the logarithmic mean temperature difference."""
    flow, water = np.array([0.025]), np.array([0.030])
    heat = float(model.exchanged_w(design, flow, water, np.array([12.0]))[0])
    cold_end = 12.0 - heat / (0.025 * design.coolant.heat_j_m3_k)
    warm_end = 12.0 - heat / (0.030 * design.water.heat_j_m3_k)
    mean = (warm_end - cold_end) / np.log(warm_end / cold_end)
    assert heat / 350e3 == pytest.approx(mean, rel=1e-3)


def test_facility_flow_closes_the_balance(design):
    """The flow found by bisection carries exactly the heat."""
    flow, supply, facility = np.array([0.02]), np.array([34.0]), np.array([28.0])
    water = model.facility_flow(design, np.array([6e5]), flow, supply, facility)
    difference = supply + 6e5 / (flow * design.coolant.heat_j_m3_k) - facility
    assert float(model.exchanged_w(design, flow, water, difference)[0]) == pytest.approx(6e5, rel=1e-3)


def test_dry_cooler_meets_its_design_point(design):
    """1.2 MW at 7 K approach need full fan speed and no chiller; one kelvin colder needs the chiller."""
    heat, flow = np.array([1.2e6]), np.array([0.030])
    nobody, air = np.array([np.nan]), Outdoor(35.0)
    at_design = design.rejection.powers(heat, flow, np.array([42.0]), nobody, air)
    assert float(at_design.fan_w[0]) == pytest.approx(21000, rel=0.01)
    assert float(at_design.chiller_w[0]) == pytest.approx(0, abs=100)
    colder = design.rejection.powers(heat, flow, np.array([41.0]), nobody, air)
    assert float(colder.chiller_w[0]) > 5000
    assert float(design.rejection.unreached_w(heat, flow, np.array([42.0]), nobody, air)[0]) < -6e5


def test_air_warmer_than_the_water_warms_it(design):
    """By less than the water lies below it; chillers carry that, too, unless the water is led past the coils."""
    heat, flow, setpoint = np.array([3e5]), np.array([0.013]), np.array([27.0])
    nobody, air = np.array([np.nan]), Outdoor(41.0)
    past = replace(design.rejection, warms=False)
    through_w, past_w = (float(r.unreached_w(heat, flow, setpoint, nobody, air)[0]) for r in (design.rejection, past))
    below_k = 41.0 - 27.0 - 3e5 / (0.013 * design.water.heat_j_m3_k)
    most_w = 0.013 * design.water.heat_j_m3_k * below_k
    assert past_w == pytest.approx(3e5 - 7e5)
    assert 0.7 * most_w < through_w - past_w < most_w
    chillers_w = [float(r.powers(heat, flow, setpoint, nobody, air).chiller_w[0]) for r in (design.rejection, past)]
    assert chillers_w[0] > 1.4 * chillers_w[1]


def test_more_flow_cools_cases(design):
    """Case temperature falls with differential pressure and rises one for one with supply."""
    cases = model.full_load_case_c(design, np.array([32.0, 32.0, 33.0]), np.array([60e3, 110e3, 110e3]), 1350.0)
    assert cases[0] > cases[1]
    assert cases[2] - cases[1] == pytest.approx(1.0)
    assert cases[1] == pytest.approx(32 + 0.0205 * 1350)


def test_search_keeps_every_constraint(problem):
    """The target keeps all reserves and costs less site power than design."""
    choice = search(problem)
    assert choice.feasible
    judged = judge(problem, np.array([choice.target, problem.design_point]))
    assert bool(judged.feasible[0])
    assert judged.site_w[0] < judged.site_w[1]
    assert choice.binding


def test_no_feasible_candidate_gives_design(problem):
    """With an impossible case limit the choice is the design point, marked infeasible."""
    choice = search(replace(problem, bounds=replace(problem.bounds, case_c=50.0)))
    assert not choice.feasible
    assert choice.target == problem.design_point
    assert choice.worst_margin_k < 0


def test_step_leaves_out_moves_that_break_a_limit(problem):
    """Facility water may not rise ahead of the supply that it has to cool."""
    held = replace(problem, current=(32.0, 110000.0, 27.0))
    step_to = stepped(held, (32.0, 110000.0, 38.0), (True, True, True))
    judged = judge(held, np.array([step_to]))
    assert bool(judged.feasible[0])


def test_missing_design_figure_is_named(pod):
    """A design figure that the site file lacks is an error that names it."""
    cdu = pod.equipment["cdu-1"]
    lame = replace(cdu, design={k: v for k, v in cdu.design.items() if k != "ua_w_k"})
    broken = replace(pod, equipment={**pod.equipment, "cdu-1": lame})
    with pytest.raises(ConfigError, match="ua_w_k of cdu-1"):
        loop_design(broken, broken.groups["tcs-1"])
