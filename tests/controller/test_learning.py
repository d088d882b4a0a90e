"""The model follows a plant whose pumps and fans are not what the site file says, at any load and at each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sites
from controller.curves import BOUNDS, KNOTS, Curve
from controller.design import Corrections, loop_design
from controller.learning import Learnt, Reading, corrected, full_w, learned, observe
from controller.model import Load, Setpoints, evaluate
from controller.outdoor import Outdoor
from plant import live
from plant.live import Snapshot
from plant.samples import Quality, Reason

ROOT = Path(__file__).parents[2]
LOAD = Load(heat_w=7e5, it_w=8e5, gpu_w=1485.0, air=Outdoor(32.0, 22.0))
AT = Setpoints.of(np.array([(36.0, 6e4, 31.0, 28.0)]))


@pytest.fixture(scope="module")
def hall():
    """The tower-cooled hall."""
    return sites.load_site(ROOT / "site-configs" / "hall.yaml")


def _meters(hall, plant, now_s, load=LOAD, *, water=True):
    """What a plant with other curves shows: its equipment's powers, the tower's fan speed and (water) its water."""
    group, truth = hall.groups["tcs-1"], evaluate(plant, load, AT)
    fans_w = float(truth.fan_w[0])
    shown = {f"{m}/active_power": float(truth.tcs_pump_w[0]) / 2 for m in group.members}
    shown |= {"fws-pumps/active_power": float(truth.facility_pump_w[0])}
    shown |= {"tower/active_power": fans_w + float(truth.tower_pump_w[0])}
    shown |= {"tower/fan_speed": (fans_w / 22e3) ** (1 / 3), "chiller/active_power": 0.0}
    if water:  # as the plant's own tower meets it: found from its speed before the curve
        flow = plant.rejection.tower.flow_m3_s / 2
        heat_w = float(truth.rejected_w[0] + truth.tower_pump_w[0])
        rise_k = heat_w / (flow * plant.water.heat_j_m3_k)
        shown |= {"tower/flow": flow, "tower/leaving_temperature": 28.0, "tower/entering_temperature": 28.0 + rise_k}
    readings = {p: live.Reading(v, now_s, now_s, Quality.GOOD, Reason.NONE) for p, v in shown.items()}
    return Snapshot(at_s=now_s, readings=readings)


def _level(log):
    return Curve((float(log),) * len(KNOTS))


def _followed(hall, plant, hours, loads=(LOAD,), *, water=True):
    nominal, learnt = loop_design(hall, hall.groups["tcs-1"]), Learnt()
    for minute in range(0, 60 * hours, 10):
        load = loads[minute // 10 % len(loads)]
        snapshot = _meters(hall, plant, 60.0 * minute, load, water=water)
        learnt = observe(learnt, hall, snapshot, hall.groups["tcs-1"], nominal, load, AT)
    return nominal, learnt


@pytest.mark.parametrize("water", [True, False])
def test_a_wrong_pump_and_fan_curve_are_found(hall, water):
    """A plant whose pumps draw 50 % more and whose fans must turn 30 % faster is predicted within 3 %.

    Fans are judged by the water at the tower or, where it does not tell, by the model from the setpoints on.
    """
    nominal = loop_design(hall, hall.groups["tcs-1"])
    half, third = _level(np.log(1.5)), _level(np.log(1.3))
    plant = corrected(nominal, Learnt({"facility_pump": half, "tcs_pump": half, "fans": third}))
    _, learnt = _followed(hall, plant, 6, water=water)
    assert set(learnt.curves) == {"facility_pump", "tcs_pump", "tower_pump", "fans"}  # the chiller never ran
    found, truth = evaluate(corrected(nominal, learnt), LOAD, AT), evaluate(plant, LOAD, AT)
    for part in ("facility_pump_w", "tcs_pump_w"):
        assert float(getattr(found, part)[0]) == pytest.approx(float(getattr(truth, part)[0]), rel=0.03)
    assert float(found.cooling_w[0]) == pytest.approx(float(truth.cooling_w[0]), rel=0.03)
    before = evaluate(nominal, LOAD, AT)
    assert abs(float(before.cooling_w[0] / truth.cooling_w[0]) - 1) > 0.15


def test_each_load_has_its_own(hall):
    """Fans that are slower than the model at little heat and faster at much of it are predicted at both."""
    nominal = loop_design(hall, hall.groups["tcs-1"])
    bent = Curve(tuple(float(x) for x in 0.4 * np.tanh(2 * np.log(np.array(KNOTS) / 0.36))))
    plant = corrected(nominal, Learnt({"fans": bent}))
    loads = tuple(Load(heat_w=w, it_w=w / 0.87, gpu_w=1485.0, air=LOAD.air) for w in (4e5, 8e5))
    _, learnt = _followed(hall, plant, 12, loads, water=False)
    for load in loads:
        truth, before = (float(evaluate(d, load, AT).fan_w[0]) for d in (plant, nominal))
        assert float(evaluate(corrected(nominal, learnt), load, AT).fan_w[0]) == pytest.approx(truth, rel=0.12)
        assert before != pytest.approx(truth, rel=0.3)


def test_a_good_model_is_left_alone(hall):
    """Where meters agree, nothing is corrected."""
    nominal = loop_design(hall, hall.groups["tcs-1"])
    _, learnt = _followed(hall, nominal, 1, water=False)
    assert learnt.curves
    for curve in learnt.curves.values():
        assert curve.logs == pytest.approx([0.0] * len(KNOTS), abs=0.02)


def test_curves_stay_within_bounds_and_learn_slowly_later():
    """A meter that shows ten times too much moves a curve to its bound, never beyond; old knowledge moves less."""

    def seen(before, ratio, now_s):
        return learned(before, {"chiller": Reading(0.1, 0.1 * ratio)}, now_s)

    learnt = Learnt()
    for minute in range(60):
        learnt = seen(learnt, 10.0, 60.0 * minute)
    assert max(learnt.curves["chiller"].logs) == pytest.approx(np.log(BOUNDS[1]))
    first, settled = seen(Learnt(), 1.5, 0.0), Learnt()
    for minute in range(60):
        settled = seen(settled, 1.0, 60.0 * minute)
    later = seen(settled, 1.5, 3600.0)
    assert max(later.curves["chiller"].logs) < 0.3 * max(first.curves["chiller"].logs)
    much_later = seen(settled, 1.5, 30 * 86400.0)
    assert max(much_later.curves["chiller"].logs) > 0.9 * max(first.curves["chiller"].logs)


def test_near_loads_learn_more_than_far_ones():
    """What is seen at one load counts most there, in part everywhere."""
    curve = Curve().seen(0.3, np.log(1.5), 0.05, 0.0)
    near, middle, far = (float(curve.log_at(np.array(share))) for share in (0.3, 0.45, 0.9))
    assert near > middle > far > 0.1


def test_fans_that_fall_short_reach_less(hall):
    """Fans at full speed where the model has them at four fifths: the tower's coldest water is warmer."""
    nominal = loop_design(hall, hall.groups["tcs-1"])
    weak = corrected(nominal, Learnt({"fans": _level(np.log(1.25))}))
    assert weak.rejection.fans.full_at() == pytest.approx(0.8)
    hot = Load(heat_w=9e5, it_w=1e6, gpu_w=1485.0, air=Outdoor(35.0, 27.5))
    at = Setpoints.of(np.array([(36.0, 6e4, 31.0, 20.0)]))
    assert float(evaluate(weak, hot, at).chiller_w[0]) > float(evaluate(nominal, hot, at).chiller_w[0])


def test_what_no_meter_shows_is_not_learned(hall):
    """Without readings nothing changes."""
    nominal = loop_design(hall, hall.groups["tcs-1"])
    nothing = Snapshot(at_s=0.0, readings={})
    learnt = observe(Learnt(), hall, nothing, hall.groups["tcs-1"], nominal, LOAD, AT)
    assert not learnt.curves
    assert corrected(nominal, learnt).corrections == Corrections()


def test_a_machine_that_barely_runs_tells_nothing(hall):
    """Below a fiftieth of full load a meter shows losses and standby."""
    nominal = loop_design(hall, hall.groups["tcs-1"])
    assert not learned(Learnt(), {"chiller": Reading(0.01, 0.5)}, 0.0).curves
    assert full_w(nominal)["chiller"] == pytest.approx(7e5 / 6.0)
