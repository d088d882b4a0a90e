"""The benchmark of the cycle's time: its site is a real one, and every loop of it gets a plan."""

from __future__ import annotations

from benchmarks import cycle
from controller.step import initial_state, step


def test_every_loop_of_the_large_site_is_planned():
    """Ten loops of two CDUs and twenty racks: a heat for each CDU, a plan for each loop, no condition."""
    site = cycle.make_site(20, gpus=False)
    assert (len(site.of_kind("cdu")), len(site.of_kind("rack")), len(site.groups)) == (20, 200, 10)
    plant = cycle.Values(site)
    result = step(plant.seeded(initial_state()), plant.snapshot(cycle.START_S), (), cycle.START_S, site)
    assert {plan.loop for plan in result.plans} == set(site.groups)
    assert result.conditions == ()
    assert {h.subject for h in result.forecast.heats} >= set(site.groups)
