"""Design figures that can't be are named, with the unit that was meant."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from sites.check import problems
from sites.check_figures import BOUNDS, LIMITS
from sites.form import LimitQuantity

LAB = Path(__file__).parents[2] / "site-configs" / "small-lab.yaml"


@pytest.mark.parametrize(
    ("written", "instead", "remedy"),
    [
        ("liquid_fraction: 0.85", "liquid_fraction: 85", "55 % is 0.55"),
        ("efficiency: 0.96", "efficiency: 96", "55 % is 0.55"),
        ("pump_efficiency: 0.55", "pump_efficiency: 0", "55 % is 0.55"),
        ("heat_w: 150000", "heat_w: -150000", "watts"),
        ("ua_w_k: 32500", "ua_w_k: 0", "watts per kelvin"),
        ("flow_m3_s: 0.0030", "flow_m3_s: 180", "1 l/min is 1.667e-5"),
        ("head_pa: 140000", "head_pa: 1e30", "pascals"),
        ("cop: 3.5", "cop: -3.5", "heat per electrical power"),
        ("case_resistance_k_w: 0.0205", "case_resistance_k_w: 20.5", "kelvin per watt"),
        ("temperature_c: 24", "temperature_c: 297", "degrees Celsius"),
        ("pump_power_w: 350", "pump_power_w: 1.0e308", "watts"),
    ],
)
def test_a_figure_that_cannot_be_is_a_fault_at_its_line(written, instead, remedy, tmp_path):
    """Energy and limits would be wrong by it, without a word."""
    text = LAB.read_text(encoding="utf-8")
    line = text[: text.index(written)].count("\n") + 1
    path = tmp_path / "site.yaml"
    path.write_text(text.replace(written, instead, 1), encoding="utf-8")
    found = [p for p in problems(path) if p.severity == "fault" and remedy in p.remedy]
    assert [p.where for p in found][:1] == [f"{path}:{line}"]
    assert instead.split(":")[0] in found[0].message


@pytest.mark.parametrize(
    ("written", "instead", "remedy"),
    [
        ("quantity: case_temperature, max: 72", "quantity: case_temperature, max: 345", "degrees Celsius"),
        ("quantity: tcs_supply_temperature, min: 20, max: 43", "quantity: tcs_supply_temperature, min: 68, max: 109",
         "degrees Celsius"),
        ("quantity: dew_point_margin, min: 2", "quantity: dew_point_margin, min: 275", "kelvin"),
        ("quantity: rack_flow_m3_s, min: 0.00165", "quantity: rack_flow_m3_s, min: 99", "1 l/min is 1.667e-5"),
        ("kg_per_kwh: 0.36", "kg_per_kwh: 360", "360 g/kWh are 0.36"),
    ],
)  # fmt: skip
def test_a_limit_in_another_unit_would_hold_nothing(written, instead, remedy, tmp_path):
    """Kelvins, Fahrenheit or litres a minute for a limit: refused at its line."""
    path, text = tmp_path / "site.yaml", (LAB.parent / "demo-pod.yaml").read_text(encoding="utf-8")
    path.write_text(text.replace(written, instead, 1), encoding="utf-8")
    line = text[: text.index(written)].count("\n") + 1
    found = [p for p in problems(path) if p.severity == "fault" and remedy in p.remedy]
    assert [p.where for p in found] == [f"{path}:{line}"]


def test_every_quantity_of_a_limit_has_its_bounds():
    """None goes unlooked at."""
    assert set(LIMITS) == set(get_args(LimitQuantity))


def test_what_a_report_wants_declared_of_a_meter_may_be_declared(tmp_path):
    """A replaced meter and a register that rolls over are design figures of the meter, and no faults."""
    path, text = tmp_path / "site.yaml", LAB.read_text(encoding="utf-8")
    for replaced_s, faults in (("1790003600", 0), ("3600", 1)):
        meter = f"meters: ups, design: {{replaced_s: {replaced_s}, register_rollover_j: 3.6e15}},"
        path.write_text(text.replace("meters: ups,", meter, 1), encoding="utf-8")
        found = [p for p in problems(path) if p.severity == "fault"]
        assert ["since 1970" in p.remedy for p in found] == [True] * faults


def test_shipped_sites_have_no_such_figure():
    """Nor does a bound stand where another one before it takes all of its names."""
    for path in sorted(LAB.parent.glob("*.yaml")):
        assert [p for p in problems(path) if p.severity == "fault"] == []
    endings = [b.ending for b in BOUNDS]
    assert [e for n, e in enumerate(endings) if any(e.endswith(before) for before in endings[:n])] == []
