"""What the model says of dry coolers, beside the simulator's."""

from __future__ import annotations

import pytest

from controller.design import loop_design
from controller.outdoor import Outdoor
from simulator.fluids import fluid
from simulator.rejection import DryCooler


@pytest.fixture
def design(pod):
    """The demo pod's loop."""
    return loop_design(pod, pod.groups["tcs-1"])


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
