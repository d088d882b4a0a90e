"""Towers, dry coolers and chillers that share their work are judged one by one, each by the water at it."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from controller.design import loop_design
from controller.heats import Heat
from controller.identification.cycle import known_of_all
from controller.identification.findings import findings
from controller.identification.observing import observed
from controller.identification.parameters import COIL, COP
from controller.towers import fan_share, tower_design
from plant.live import Reading, Snapshot
from plant.samples import Quality, Reason
from tests.controller.trains import Hall, trains

HEAT_W, FLOW_M3_S, LEAVING_C = 6e5, 0.012, 21.0
TOWERS = ("tower-1", "tower-2", "tower-3")


@pytest.fixture(scope="module")
def hall():
    """Three trains, and the design of their loop."""
    site = trains(3)
    return site, loop_design(site, site.groups["tcs-1"])


def _water(site, design, worn, now_s=0.0, rng=None):
    """What the hall shows: each tower carries its third; worn: by how much more air some of them need."""
    values = {}
    for name in TOWERS:
        tower, third = tower_design([site.equipment[name]], design.water), np.array([HEAT_W / 3])
        flow, leaving = np.array([FLOW_M3_S]), np.array([LEAVING_C])
        fan = float(fan_share(tower, design.water, third, flow, leaving, 15.0)[0]) * worn.get(name, 1.0)
        values |= {f"{name}/flow": FLOW_M3_S, f"{name}/fan_speed": fan, f"{name}/leaving_temperature": LEAVING_C}
        values[f"{name}/entering_temperature"] = LEAVING_C + HEAT_W / 3 / (FLOW_M3_S * design.water.heat_j_m3_k)
    if rng is not None:
        values = {p: v + (rng.gauss(0.0, 0.05) if "temperature" in p else 0.0) for p, v in values.items()}
    shown = Hall(site, now_s=now_s, wet_bulb_c=15.0).snapshot(HEAT_W)
    more = {p: Reading(v, now_s, now_s, Quality.GOOD, Reason.NONE) for p, v in values.items()}
    return Snapshot(at_s=now_s, readings={**shown.readings, **more})


def _coils(site, design, snapshot):
    group = site.groups["tcs-1"]
    return {e: s.log for e, p, s in observed(site, snapshot, group, design) if p is COIL and s is not None}


@pytest.mark.parametrize("worn", TOWERS)
def test_the_tower_that_needs_more_air_is_the_one_that_is_told(hall, worn):
    """Of three towers in parallel one has a fouled fill: it alone is off, whichever it is."""
    site, design = hall
    found = _coils(site, design, _water(site, design, {worn: 1.3}))
    assert found == {t: pytest.approx(math.log(1.3) if t == worn else 0.0, abs=1e-3) for t in TOWERS}


def test_a_tower_that_stands_says_nothing_and_the_others_go_on(hall):
    """No flow and no fan at the first: the other two are judged all the same."""
    site, design = hall
    shown = _water(site, design, {})
    off = {f"tower-1/{n}": Reading(0.0, 0.0, 0.0, Quality.GOOD, Reason.NONE) for n in ("flow", "fan_speed")}
    assert set(_coils(site, design, Snapshot(at_s=0.0, readings={**shown.readings, **off}))) == {"tower-2", "tower-3"}


def test_one_instrument_for_outdoor_air_serves_all_towers(hall):
    """Where only one tower has it, the others are judged by it, too."""
    site, design = hall
    shown = _water(site, design, {"tower-3": 1.3}).readings
    told = {p: r for p, r in shown.items() if "outdoor" not in p or p.startswith("tower-2/")}
    found = _coils(site, design, Snapshot(at_s=0.0, readings=told))
    assert found == {t: pytest.approx(math.log(1.3) if t == "tower-3" else 0.0, abs=1e-3) for t in TOWERS}


def test_a_chiller_is_judged_by_the_water_of_its_own_tower(hall):
    """With tower 1 silent, and tower 2 10 K warmer than the others, only what concerns them changes."""
    site, design = hall
    chilled = {}
    for number in (1, 2, 3):
        chilled |= {f"chiller-{number}/cooling_power": 1.8e5, f"chiller-{number}/active_power": 3e4}
        chilled |= {f"chiller-{number}/leaving_temperature": 16.0}
    chilled |= {"tower-1/leaving_temperature": math.nan, "tower-2/leaving_temperature": LEAVING_C + 10.0}
    more = {p: Reading(v, 0.0, 0.0, Quality.GOOD, Reason.NONE) for p, v in chilled.items()}
    shown = Snapshot(at_s=0.0, readings={**_water(site, design, {}).readings, **more})
    found = {e: s for e, p, s in observed(site, shown, site.groups["tcs-1"], design) if p is COP}
    assert found["chiller-1"] is None
    assert found["chiller-2"].log > found["chiller-3"].log + 0.2


def test_fouling_of_one_tower_is_a_finding_with_its_share_of_the_cost_and_quiet_days_are_none(hall):
    """After a day and a half tower 2 needs ever more air, a quarter a day; it is found, it alone, and not before."""
    site, design = hall
    known, rng, told = {}, random.Random(3), []
    for look in range(4 * 288):
        day = look / 288
        worn = {"tower-2": math.exp(0.25 * max(day - 1.5, 0.0))}
        snapshot = _water(site, design, worn, 300.0 * look, rng)
        known = known_of_all(known, site, snapshot, {"tcs-1": Heat(HEAT_W)})
        told += [(day, c) for c in findings(known, site, snapshot.at_s)]
    assert {(c.code, c.subject) for _, c in told} == {("rejection_worse", "tower-2")}
    assert told[0][0] > 1.5 + math.log(1.25) / 0.25
    costs = [c.remedy.params["kwh"] for _, c in told]
    assert costs[-1] > costs[0] >= 0
    rated_kwh = 7500.0 * 8.76
    assert 0 < costs[-1] < rated_kwh
