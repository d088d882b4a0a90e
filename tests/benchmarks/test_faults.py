"""The fault study: what it tells of a failure is what the twin and the controller did."""

from __future__ import annotations

import pytest

from benchmarks.fault_scenarios import SCENARIOS
from benchmarks.faults import FULL_MOMENTS_S, _row, calm
from benchmarks.registry import BENCHMARKS
from benchmarks.twin_plant import example_site

WANTED = {"pump trip", "CDU loss", "silent CDU", "leak", "dry-cooler fan loss", "job storm in 15 s", "fouling"}


@pytest.fixture(scope="module")
def site():
    """The demo pod."""
    return example_site("demo-pod.yaml")


@pytest.fixture(scope="module")
def before(site):
    """An hour of it without a fault."""
    return calm(site)


def test_a_scenario_begins_where_the_optimiser_wants_to_be(site, before):
    """Warmer and with less flow than design: the reserve is as small as it ever is."""
    design = site.groups["tcs-1"].design
    assert before.goal["cdu-1/supply_temperature_setpoint"] > design["supply_temperature"] + 2.0
    assert before.goal["cdu-1/differential_pressure_setpoint"] < 0.6 * design["differential_pressure"]


@pytest.mark.parametrize(
    ("name", "word", "crossed"),
    [("pump trip", "pump_tripped", False), ("leak", "plan_hold", False), ("facility pump trip", "shed_load", True)],
)
def test_a_row_tells_what_happened(site, before, name, word, crossed):
    """Named within a cycle; no case limit is crossed but where no heat can leave at all."""
    scenario = next(s for s in SCENARIOS if s.name == name)
    row = _row(site, scenario, before, 420.0)
    assert row["reacted_s"] <= 60.0
    assert word in row["did"]
    assert (row["case_violation_minutes"] > 0) is crossed
    assert (row["least_margin_k"] < 0) is crossed


def test_valves_that_jam_are_survived_at_whatever_moment(site):
    """Three minutes later facility water was free to move, and was made warmer while nothing held the supply: -0.6 K."""
    scenario = next(s for s in SCENARIOS if s.name == "stuck valves of all CDUs, load up")
    row = _row(site, scenario, calm(site, learn_s=FULL_MOMENTS_S[2]), 420.0)
    assert row["least_margin_k"] > 0


def test_twenty_scenarios_at_least():
    """Each with a name of its own, the issue's among them, and the benchmark is registered."""
    names = [s.name for s in SCENARIOS]
    assert len(set(names)) == len(names) >= 20
    assert set(names) >= WANTED
    assert "faults" in BENCHMARKS
