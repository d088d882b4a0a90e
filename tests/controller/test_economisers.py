"""The economisers' UA is found from the water at them and at the towers, though nobody meters their condenser flow."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import sites
from controller.curves import UNTAUGHT
from controller.design import loop_design
from controller.economisers import economised
from controller.learning import PLATES, Learnt, corrected, observe
from controller.model import Load, Setpoints
from controller.outdoor import Outdoor
from plant.live import Reading, Snapshot
from plant.samples import Quality, Reason

ROOT = Path(__file__).parents[2]
FACILITY_C, HEAT_W, FLOW_M3_S = 33.0, 9e5, 0.0135
UNITS = {"economiser": ["economiser"], "cooling-tower": ["tower"]}


@pytest.fixture(scope="module")
def hall():
    """The tower-cooled hall."""
    return sites.load_site(ROOT / "site-configs" / "hall.yaml")


def _shown(side, ratio, tower_c, now_s=0.0, **changed):
    """What a hall whose plates have `ratio` of the model's UA shows: it holds its water as long as it can."""
    heat_j_m3_k, plate = side.water.heat_j_m3_k, side.economiser
    into_c, least = FACILITY_C + HEAT_W / (FLOW_M3_S * heat_j_m3_k), 0.5 * side.tower.flow_m3_s
    hot_w_k, flows = np.array(FLOW_M3_S * heat_j_m3_k), np.linspace(0.2, 1.0, 400) * plate.cold_w_k
    ua_w_k = ratio * plate.ua_at(hot_w_k, flows)
    decay = np.exp(-ua_w_k / hot_w_k * (1 - hot_w_k / flows))
    carried_w = (1 - decay) / (1 - hot_w_k / flows * decay) * hot_w_k * (into_c - tower_c)
    valve = float(np.interp(HEAT_W, carried_w, flows))
    flow = max(valve / heat_j_m3_k, least)
    values = {
        "economiser/flow": FLOW_M3_S,
        "economiser/entering_temperature": into_c,
        "economiser/leaving_temperature": FACILITY_C + max(HEAT_W - carried_w[-1], 0.0) / float(hot_w_k),
        "tower/flow": flow,
        "tower/leaving_temperature": tower_c,
        "tower/entering_temperature": tower_c + HEAT_W / (flow * heat_j_m3_k),
        **changed,
    }
    readings = {p: Reading(v, now_s, now_s, Quality.GOOD, Reason.NONE) for p, v in values.items()}
    return Snapshot(at_s=now_s, readings=readings)


def _learnt(hall, ratio, tower_c, looks=60):
    group = hall.groups["tcs-1"]
    design, learnt = loop_design(hall, group), Learnt()
    load = Load(heat_w=HEAT_W, it_w=1e6, gpu_w=1485.0, air=Outdoor(32.0, 22.0))
    at = Setpoints.of(np.array([(36.0, 6e4, FACILITY_C, tower_c)]))
    for look in range(looks):
        learnt = observe(learnt, hall, _shown(design.rejection, ratio, tower_c, 600.0 * look), group, design, load, at)
    return design, learnt


def _log(learnt, design):
    share = FLOW_M3_S * design.water.heat_j_m3_k / design.rejection.economiser.hot_w_k
    return float(learnt.curves.get(PLATES, UNTAUGHT).log_at(np.array(share)))


@pytest.mark.parametrize(("ratio", "tower_c"), [(0.7, 32.0), (0.7, 32.8), (0.85, 32.75)])
def test_worse_plates_are_told_by_what_the_towers_give_more_than_their_least(hall, ratio, tower_c):
    """They take more condenser water than the least, which is metered: their UA is found, and counted in limits too."""
    design, learnt = _learnt(hall, ratio, tower_c)
    assert _log(learnt, design) == pytest.approx(math.log(ratio), abs=0.03)
    side = corrected(design, learnt).rejection
    hot, cold = np.array(5e4), np.array(1.1e5)
    for plate in (side.economiser, side.sure):
        assert float(plate.per_kelvin(hot, cold)) < float(design.rejection.economiser.per_kelvin(hot, cold))


def test_better_plates_are_believed_no_further_than_they_were_seen_to_hold(hall):
    """A valve that has something left tells a least UA; a little more is tried, and limits wait for proof."""
    design, learnt = _learnt(hall, 1.6, 32.75)
    seen = economised(_shown(design.rejection, 1.6, 32.75), UNITS, design.rejection, FACILITY_C, chills=False)
    assert seen.at_least
    assert seen.log < _log(learnt, design) < math.log(1.6)
    side = corrected(design, learnt).rejection
    assert max(side.sure.over_hot.logs) <= max(side.economiser.over_hot.logs)
    assert min(side.sure.over_hot.logs) >= 0.0


def test_what_easily_holds_is_no_news(hall):
    """Far colder condenser water than the model needs says nothing."""
    design, learnt = _learnt(hall, 1.0, 29.0)
    assert PLATES not in learnt.curves
    assert corrected(design, learnt).rejection.sure is None


@pytest.mark.parametrize(
    "changed",
    [
        {"tower/entering_temperature": 60.0},
        {"economiser/leaving_temperature": FACILITY_C + 0.3},
        {"tower/flow": math.nan},
    ],
)
def test_water_on_its_way_and_missing_meters_tell_nothing(hall, changed):
    """Heat that does not balance, a setpoint just missed, a flow that nobody shows."""
    side = loop_design(hall, hall.groups["tcs-1"]).rejection
    assert economised(_shown(side, 0.9, 32.0), UNITS, side, FACILITY_C, chills=False) is not None
    assert economised(_shown(side, 0.9, 32.0, **changed), UNITS, side, FACILITY_C, chills=False) is None


def test_a_chiller_that_may_run_takes_condenser_water_of_its_own(hall):
    """What the towers give then is not the economisers': plates that are 15 % worse are taken for no worse than that."""
    group = hall.groups["tcs-1"]
    design, load = loop_design(hall, group), Load(heat_w=HEAT_W, it_w=1e6, gpu_w=1485.0, air=Outdoor(32.0, 22.0))
    at = Setpoints.of(np.array([(36.0, 6e4, FACILITY_C, 32.0)]))
    for name in ("running", "effective_enable_command"):
        more = {f"chiller/{name}": 1.0, "chiller/entering_temperature": FACILITY_C, "chiller/active_power": 0.0}
        flow = 0.045  # economiser's and chiller's
        rise_k = HEAT_W / (flow * design.water.heat_j_m3_k)
        more |= {"tower/flow": flow, "tower/entering_temperature": 32.0 + rise_k}
        shown = _shown(design.rejection, 1.0, 32.0, **more)
        assert PLATES not in observe(Learnt(), hall, shown, group, design, load, at).curves


def test_like_plates_in_parallel_share_one_table(hall):
    """Twice the plates carry twice the heat with twice the water."""
    one = loop_design(hall, hall.groups["tcs-1"]).rejection.economiser
    two = type(one)(
        ua_w_k=2 * one.ua_w_k, hot_w_k=2 * one.hot_w_k, cold_w_k=2 * one.cold_w_k, most_w_k=2 * one.most_w_k
    )
    hot, wanted = np.array([4e4, 8e4]), np.array([3e4, 6e4])
    for found, expected in zip(two.cold_for(2 * hot, 2 * wanted), one.cold_for(hot, wanted), strict=True):
        assert found == pytest.approx(2 * expected)
