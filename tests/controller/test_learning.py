"""The model follows a plant whose pumps and fans are not what the site file says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sites
from controller.design import Factors, loop_design
from controller.learning import BOUNDS, Learnt, corrected, learned, observe
from controller.model import Load, Setpoints, evaluate
from controller.outdoor import Outdoor
from plant.live import Reading, Snapshot
from plant.samples import Quality, Reason

ROOT = Path(__file__).parents[2]
LOAD = Load(heat_w=7e5, it_w=8e5, gpu_w=1485.0, air=Outdoor(32.0, 22.0))
AT = Setpoints.of(np.array([(36.0, 6e4, 31.0, 28.0)]))


@pytest.fixture(scope="module")
def hall():
    """The tower-cooled hall."""
    return sites.load_site(ROOT / "site-configs" / "hall.yaml")


def _meters(hall, plant, now_s):
    """What a plant with other curves shows: its equipment's powers and the tower's fan speed."""
    group, truth = hall.groups["tcs-1"], evaluate(plant, LOAD, AT)
    fans_w = float(truth.fan_w[0])
    shown = {f"{m}/active_power": float(truth.tcs_pump_w[0]) / 2 for m in group.members}
    shown |= {"fws-pumps/active_power": float(truth.facility_pump_w[0])}
    shown |= {"tower/active_power": fans_w + float(truth.tower_pump_w[0])}
    shown |= {"tower/fan_speed": (fans_w / 22e3) ** (1 / 3), "chiller/active_power": 0.0}
    readings = {p: Reading(v, now_s, now_s, Quality.GOOD, Reason.NONE) for p, v in shown.items()}
    return Snapshot(at_s=now_s, readings=readings)


def _followed(hall, plant, hours):
    nominal, learnt = loop_design(hall, hall.groups["tcs-1"]), Learnt()
    for minute in range(0, 60 * hours, 10):
        snapshot = _meters(hall, plant, 60.0 * minute)
        learnt = observe(learnt, hall, snapshot, hall.groups["tcs-1"], corrected(nominal, learnt), LOAD, AT)
    return nominal, learnt


def test_a_wrong_pump_and_fan_curve_are_found(hall):
    """A plant whose pumps draw 50 % more and whose fans must move 30 % more air is predicted within 3 %."""
    nominal = loop_design(hall, hall.groups["tcs-1"])
    plant = corrected(nominal, Learnt({"facility_pump": np.log(1.5), "tcs_pump": np.log(1.5), "air": np.log(1.3)}))
    _, learnt = _followed(hall, plant, 6)
    assert learnt.factors.facility_pump == pytest.approx(1.5, rel=0.03)
    assert learnt.factors.air == pytest.approx(1.3, rel=0.05)
    assert learnt.factors.chiller == 1.0  # it never ran
    found, truth = evaluate(corrected(nominal, learnt), LOAD, AT), evaluate(plant, LOAD, AT)
    assert float(found.cooling_w[0]) == pytest.approx(float(truth.cooling_w[0]), rel=0.03)
    before = evaluate(nominal, LOAD, AT)
    assert abs(float(before.cooling_w[0] / truth.cooling_w[0]) - 1) > 0.15


def test_a_good_model_is_left_alone(hall):
    """Where meters agree, factors stay at 1."""
    nominal = loop_design(hall, hall.groups["tcs-1"])
    _, learnt = _followed(hall, nominal, 1)
    for name in Factors.__slots__:
        assert getattr(learnt.factors, name) == pytest.approx(1.0, abs=0.02)


def test_factors_stay_within_bounds_and_learn_slowly_later():
    """A meter that shows ten times too much moves a factor to its bound, never beyond; old knowledge moves less."""
    learnt = Learnt()
    for minute in range(60):
        learnt = learned(learnt, {"tcs_pump": 1e3}, {"tcs_pump": 1e4}, 60.0 * minute)
    assert learnt.factors.tcs_pump == pytest.approx(BOUNDS[1])
    first = learned(Learnt(), {"chiller": 1.0}, {"chiller": 1.5}, 0.0)
    settled = Learnt()
    for minute in range(60):
        settled = learned(settled, {"chiller": 1.0}, {"chiller": 1.0}, 60.0 * minute)
    later = learned(settled, {"chiller": 1.0}, {"chiller": 1.5}, 3600.0)
    assert later.factors.chiller - 1 < 0.3 * (first.factors.chiller - 1)


def test_what_no_meter_shows_is_not_learned(hall):
    """Without readings nothing changes."""
    nominal = loop_design(hall, hall.groups["tcs-1"])
    nothing = Snapshot(at_s=0.0, readings={})
    assert observe(Learnt(), hall, nothing, hall.groups["tcs-1"], nominal, LOAD, AT).factors == Factors()
