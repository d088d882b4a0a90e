"""A load that rises at once: what counts as capacity then, and what must run before it comes."""

from __future__ import annotations

import math
from dataclasses import replace

import coldplate_test_trains as trains
import numpy as np
import pytest

from controller.design import loop_design
from controller.outdoor import Outdoor
from controller.stage_state import Seen

LOW_W, HIGH_W = 250e3, 850e3


@pytest.fixture(scope="module")
def three():
    """Three trains."""
    return trains.trains(3)


def test_limits_hold_at_the_heat_that_is_there(three):
    """A forecast that has not caught up with a jump changes nothing: what the racks give now needs more towers."""
    found = []
    for forecast_w in (HIGH_W / 1.03, LOW_W):
        hall = trains.Hall(three, wet_bulb_c=20.0)
        hall.enabled = {u for u in hall.units if u.endswith("-1")}
        hall.memory = replace(hall.memory, seen={u: Seen(u in hall.enabled, -math.inf) for u in hall.units})
        found.append(hall.decide([forecast_w] * 120, now_w=HIGH_W).plan.staging)
    assert {message.code for message in found} == {"stage_needed"}


def test_chillers_take_condenser_water_from_the_economisers(three):
    """With all chillers at work little is left for the plates; with none they have all of it."""
    side = loop_design(three, three.groups["tcs-1"]).rejection
    side = replace(side, chiller=replace(side.chiller, together=True))
    at = np.array([0.030]), np.array([18.0]), np.array([17.0]), Outdoor(25.0, 15.0)
    light, heavy = (float(side.unreached_w(np.array([w]), *at)[0]) for w in (300e3, 900e3))
    alone = replace(side, chiller=None)
    plates_w = [w - float(alone.unreached_w(np.array([w]), *at)[0]) for w in (300e3, 900e3)]
    assert light == pytest.approx(300e3 - plates_w[0] - side.chiller.heat_w)
    left_m3_s = side.tower.flow_m3_s - side.chiller.machines * side.chiller.condenser_m3_s
    assert left_m3_s < 0.5 * side.economiser.cold_w_k / side.water.heat_j_m3_k
    assert heavy > 900e3 - 0.75 * plates_w[1] - side.chiller.heat_w
    dry = replace(side, chiller=replace(side.chiller, condenser_m3_s=1e-6))
    drawn_w, dry_w = (float(s.powers(np.array([900e3]), *at).chiller_w[0]) for s in (side, dry))
    assert drawn_w > 1.1 * dry_w
