"""The fault study: what it tells of a failure is what the twin and the controller did."""

from __future__ import annotations

import pytest

from benchmarks.fault_scenarios import SCENARIOS
from benchmarks.faults import _goal, _row
from benchmarks.registry import BENCHMARKS
from benchmarks.twin_plant import example_site

WANTED = {"pump trip", "CDU loss", "silent CDU", "leak", "dry-cooler fan loss", "job storm in 15 s", "fouling"}


@pytest.fixture(scope="module")
def site():
    """The demo pod."""
    return example_site("demo-pod.yaml")


@pytest.mark.parametrize(
    ("name", "word", "crossed"),
    [("pump trip", "pump_tripped", False), ("leak", "plan_hold", False), ("facility pump trip", "shed_load", True)],
)
def test_a_row_tells_what_happened(site, name, word, crossed):
    """Named within a cycle; no case limit is crossed but where no heat can leave at all."""
    scenario = next(s for s in SCENARIOS if s.name == name)
    row = _row(site, scenario, _goal(site), 420.0)
    assert row["reacted_s"] <= 60.0
    assert word in row["did"]
    assert (row["case_violation_minutes"] > 0) is crossed
    assert (row["least_margin_k"] < 0) is crossed


def test_twenty_scenarios_at_least():
    """Each with a name of its own, the issue's among them, and the benchmark is registered."""
    names = [s.name for s in SCENARIOS]
    assert len(set(names)) == len(names) >= 20
    assert set(names) >= WANTED
    assert "faults" in BENCHMARKS
