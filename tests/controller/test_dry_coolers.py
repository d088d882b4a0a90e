"""What the model says of dry coolers, beside the simulator's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.design import loop_design
from controller.optimise import judge
from controller.outdoor import Outdoor
from controller.problems import build_problem
from controller.step import initial_state, step
from simulator.fluids import fluid
from simulator.rejection import DryCooler


@pytest.fixture
def design(pod):
    """The demo pod's loop."""
    return loop_design(pod, pod.groups["tcs-1"])


def test_a_chiller_that_may_not_start_is_no_reserve(pod, pod_snapshot, now_s):
    """31 °C outside, 0.2 to 0.9 MW: what coolers alone come to must lie below the limit, or the chiller must run on.

    One that may start at once, or that colder water keeps running, leaves the limit to the setpoint.
    """
    found = step(initial_state(), pod_snapshot, (), now_s, pod).forecast.heats
    heat = next(h for h in found if h.subject == "tcs-1")
    problem = build_problem(pod, pod_snapshot, pod.groups["tcs-1"], heat, ())
    low, high = (
        replace(problem.upper, heat_w=w, it_w=w / 0.87, air=Outdoor(31.0)) for w in (2e5, problem.design.liquid_heat_w)
    )
    tight = replace(problem.bounds, facility_c=(12.0, 35.0))
    problem = replace(problem, median=low, spread=(), upper=high, bounds=tight)
    warm, cold = (38.0, 110e3, 33.0), (38.0, 110e3, 29.0)

    def left_k(asked, point):
        return float(judge(asked, np.array([point])).margins["facility_temperature"][0])

    assert -3.0 < left_k(problem, warm) < 0.0
    assert left_k(problem, cold) > 0.0
    quick = replace(problem.design.rejection.chiller, min_off_s=0.0)
    rejection = replace(problem.design.rejection, chiller=quick)
    assert left_k(replace(problem, design=replace(problem.design, rejection=rejection)), warm) > 0.0


def _settled(pod, heat_w: float, leaving_c: float, flow: float, air_c: float) -> float:
    """Fan speed [1] at which the simulator's coolers settle."""
    water = fluid("water").rho_cp
    cooler = DryCooler(pod.equipment["dry-coolers"], water)
    for _ in range(1500):
        cooler.step(5.0, leaving_c, cooler.leaving_c + heat_w / (water * flow), flow, air_c)
    return cooler.fan


@pytest.mark.parametrize(
    ("heat_w", "air_c", "colder", "warmer"),
    [(8.7e5, 29.0, (33.4, 0.0156), (34.4, 0.0183)), (4.2e5, 31.7, (33.5, 0.0118), (34.5, 0.0144))],
)
def test_warmer_water_and_more_of_it_save_fans_as_in_the_simulator(pod, design, heat_w, air_c, colder, warmer):
    """A kelvin warmer, with the flow that CDUs then take: a coil that knew no water film saw a third of it at most."""
    both, air = (colder, warmer), Outdoor(air_c)
    fans = [design.rejection.shown_share(heat_w, flow, leaving_c, air) for leaving_c, flow in both]
    true = [_settled(pod, heat_w, leaving_c, flow, air_c) for leaving_c, flow in both]
    assert fans[0] - fans[1] == pytest.approx(true[0] - true[1], rel=0.5)
