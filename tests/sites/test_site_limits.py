"""Limits that no setting meets are faults of the site file."""

from __future__ import annotations

from pathlib import Path

import pytest

from sites.check import problems

SITES = Path(__file__).parents[2] / "site-configs"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("quantity: case_temperature, max: 72", "quantity: case_temperature, max: 40",
         "limit 'case': 40 °C can't be met at full load: rack-01 has at least 42.8 °C with the coldest supply"),
        ("quantity: rack_flow_m3_s, min: 0.00165", "quantity: rack_flow_m3_s, min: 0.0033",
         "limit 'rack-flow': rack-01 gets 0.0029 m³/s by design, its least is 0.0033"),
    ],
)  # fmt: skip
def test_a_limit_that_no_setting_meets_is_a_fault(tmp_path, old, new, says):
    """Named once, at its line, with a remedy."""
    text = (SITES / "demo-pod.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "site.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    (found,) = [p for p in problems(path) if p.severity == "fault"]
    assert says in found.message
    line = text.splitlines().index(next(row for row in text.splitlines() if old in row)) + 1
    assert found.where.endswith(f":{line}")
    assert found.remedy


def test_a_tolerance_in_percent_is_a_fault(tmp_path):
    """How much worse cold plates may be is a share of their figure."""
    text = (SITES / "demo-pod.yaml").read_text(encoding="utf-8")
    path = tmp_path / "site.yaml"
    path.write_text(text.replace("power_w: 132000,", "power_w: 132000, design_tolerance: 20,"), encoding="utf-8")
    found = [p for p in problems(path) if p.severity == "fault"]
    assert found
    assert all("design_tolerance 20 is no share" in p.message and p.remedy == "5 % is 0.05" for p in found)
    path.write_text(text.replace("power_w: 132000,", "power_w: 132000, design_tolerance: 0.05,"), encoding="utf-8")
    assert not [p for p in problems(path) if p.severity == "fault"]


@pytest.mark.parametrize("site", sorted(SITES.glob("*.yaml")), ids=lambda p: p.stem)
def test_the_shipped_sites_can_be_met(site):
    """None of their limits is out of reach."""
    assert not [p for p in problems(site) if p.severity == "fault"]
