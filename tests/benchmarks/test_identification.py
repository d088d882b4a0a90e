"""The benchmark of identification: what it changes of the plant, and, in campaigns, what it measures."""

from __future__ import annotations

import pytest

from benchmarks.identification import GPUS, START_S, TRUE, actual_site, run, thinned
from benchmarks.maintenance import quiet_then_fouled
from benchmarks.twin_plant import example_site


def test_the_plant_differs_from_its_site_file_as_told():
    """Named figures are multiplied, everything else stays; racks show a dozen GPUs."""
    site = example_site("demo-pod.yaml")
    actual = actual_site(site)
    for name, equipment in site.equipment.items():
        for key, value in equipment.design.items():
            assert actual.equipment[name].design[key] == pytest.approx(value * TRUE.get(name, {}).get(key, 1.0))
    shown = [p for p in thinned(site).points if p.startswith("rack-01/gpu-") and p.endswith("/temperature")]
    assert len(shown) == GPUS


@pytest.mark.campaign
def test_a_day_finds_the_plant():
    """After a day nine in ten parameters lie in their intervals, predictions are better, limits hold while learning."""
    found = run(quick=True, data=None)
    assert found["covered_pct"] >= 90.0
    for name in ("case_error_{}_k", "facility_flow_error_{}_pct", "cooling_power_error_{}_pct"):
        assert found[name.format("after")] < 0.5 * found[name.format("before")]
    assert found["violation_s"] == 0.0


@pytest.mark.campaign
def test_a_quiet_week_is_quiet_and_fouling_is_told():
    """Eight days of noise give no finding; an exchanger that loses 5 % a day is told within four days."""
    found = quiet_then_fouled(thinned(example_site("demo-pod.yaml")), START_S, 1, 8, 6)
    assert found["false_findings"] == found["other_findings"] == 0.0
    assert found["days_to_fouling"] < 4.0
    assert found["told_kwh_a_year"] > 0.0
