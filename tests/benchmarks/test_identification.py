"""The benchmark of identification: what it changes of the plant, and, in campaigns, what it measures."""

from __future__ import annotations

import pytest

from benchmarks.identification import GPUS, START_S, TRUE, actual_site, run, thinned
from benchmarks.maintenance import POD, quiet_then_worn
from benchmarks.twin_plant import example_site
from simulator.plant import SimulatedPlant
from simulator.sensors import typical_sensors

FLOWS = [example_site("demo-pod.yaml").points["cdu-2/fws_flow"]]


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
def test_a_quiet_week_is_quiet_and_wear_is_told():
    """Eight days of noise give no finding; what loses 5 % a day is told within four days, machines with their cost."""
    found = quiet_then_worn(thinned(example_site("demo-pod.yaml")), START_S, 1, POD, 8, 6)
    assert found["false_findings"] == found["other_findings"] == 0.0
    for wear in POD:
        assert found[f"{wear.code}_days"] < 4.0
        assert found[f"{wear.code}_kwh_a_year"] > 0.0 or wear.code == "sensor_drift"


def test_wear_is_what_it_says():
    """Step by step or at once, what is left is what was asked for; nothing else of the plant changes."""
    plant = SimulatedPlant(example_site("demo-pod.yaml"), START_S, sensors=typical_sensors(FLOWS, START_S, 1))
    other, pump, cop = (*(cdu.curve.efficiency for cdu in plant.cdus), plant.facility.chillers.chillers[0].carnot_share)
    gain = plant.sensors.by_point[FLOWS[0].id].gain
    for wear in POD:
        wear.by(plant, 1.0, 0.9)
        wear.by(plant, 0.9, 0.8)
    assert plant.cdus[1].curve.efficiency == pytest.approx(0.8 * pump)
    assert plant.facility.chillers.chillers[0].carnot_share == pytest.approx(0.8 * cop)
    assert 1 / (1 / plant.cdus[0].ua_w_k + plant.cdus[0].fouling_k_w) == pytest.approx(0.8 * plant.cdus[0].ua_w_k)
    assert 1 + plant.sensors.by_point[FLOWS[0].id].gain == pytest.approx((1 + gain) / 0.8)
    assert plant.cdus[0].curve.efficiency == other
