"""A fouled economiser is a finding with its cost; other flows and other weather are none, whatever law its UA follows."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import sites
from controller import inputs
from controller.design import loop_design
from controller.heats import Heat
from controller.identification.cycle import known_of_all
from controller.identification.economiser_plates import _its_towers
from controller.identification.findings import findings, worse_by
from controller.identification.observing import observed
from controller.identification.parameters import PLATE, PLATE_FLAT
from plant.live import Reading, Snapshot
from plant.samples import Quality, Reason
from tests.controller.trains import trains

ROOT = Path(__file__).parents[2]
FACILITY_C = 33.0


@pytest.fixture(scope="module")
def hall():
    """The tower-cooled hall with pumps that go down to 30 %, and the design of its loop."""
    site = sites.load_site(ROOT / "site-configs" / "hall.yaml")
    tower = site.equipment["tower"]
    tower = replace(tower, design={**tower.design, "min_flow_fraction": 0.3})
    site = replace(site, equipment={**site.equipment, "tower": tower})
    return site, loop_design(site, site.groups["tcs-1"])


def _shown(hall, *, exponent, worn=1.0, heat_w=1.05e6, flow=0.022, tower_c=31.0, now_s=0.0, rng=None):
    """What the hall shows whose plates have `worn` of their UA, and films of any exponent: its valve holds the water."""
    site, design = hall
    side = design.rejection
    plate, heat_j_m3_k = side.economiser, side.water.heat_j_m3_k
    hot, cold = flow * heat_j_m3_k, np.linspace(0.1, 1.0, 400) * plate.most_w_k
    films = 2.0 / ((hot / plate.hot_w_k) ** -exponent + (cold / plate.cold_w_k) ** -exponent)
    low, ratio = np.minimum(hot, cold), np.minimum(np.minimum(hot, cold) / np.maximum(hot, cold), 0.9999)
    decay = np.exp(-worn * plate.ua_w_k * films / low * (1 - ratio))
    into_c = FACILITY_C + heat_w / hot
    carried_w = (1 - decay) / (1 - ratio * decay) * low * (into_c - tower_c)
    condenser = float(np.interp(heat_w, carried_w, cold)) / heat_j_m3_k
    values = {
        "economiser/flow": flow,
        "economiser/entering_temperature": into_c,
        "economiser/leaving_temperature": FACILITY_C + max(heat_w - float(carried_w[-1]), 0.0) / hot,
        "tower/flow": max(condenser, 0.3 * side.tower.flow_m3_s),
        "tower/leaving_temperature": tower_c,
        "tower/outdoor_dry_bulb": tower_c - 4.0,
        "tower/outdoor_wet_bulb": tower_c - 6.0,
    }
    values["tower/entering_temperature"] = tower_c + heat_w / (values["tower/flow"] * heat_j_m3_k)
    if rng is not None:
        values = {
            p: v + rng.gauss(0.0, 0.05) if "temp" in p else v * (1 + rng.gauss(0, 0.005)) for p, v in values.items()
        }
    group = site.groups["tcs-1"]
    asked = {"supply_temperature": 37.0, "differential_pressure": 6e4, "facility_supply_temperature": FACILITY_C}
    for role, point in inputs.setpoint_points(site, group).items():
        values[inputs.effective_point(site, point)] = asked.get(role, tower_c)
    readings = {p: Reading(v, now_s, now_s, Quality.GOOD, Reason.NONE) for p, v in values.items()}
    return Snapshot(at_s=now_s, readings=readings)


def _seen(hall, snapshot):
    site, design = hall
    found = observed(site, snapshot, site.groups["tcs-1"], design)
    return {p.name: s for e, p, s in found if p in {PLATE, PLATE_FLAT} and s is not None}


def _days(hall, *, exponent, wear_per_day=0.0, more_flow=0.0, warmer_k=0.0):
    """Three and a half days with noise and a load that swings; from their middle on other flows, weather, or wear."""
    site, _ = hall
    known, rng, told = {}, random.Random(4), []
    for look in range(1008):
        day, swing = look / 288, math.sin(2 * math.pi * look / 288)
        late = max(day - 1.5, 0.0)
        heat_w, flow = 1.0e6 + 5e4 * swing, 0.022 + 0.001 * swing + more_flow * min(late, 1.0)
        worn, tower_c = math.exp(-wear_per_day * late), 30.4 + 0.2 * swing + warmer_k * min(late, 1.0)
        shown = _shown(
            hall, exponent=exponent, worn=worn, heat_w=heat_w, flow=flow, tower_c=tower_c, now_s=300.0 * look, rng=rng
        )
        known = known_of_all(known, site, shown, {"tcs-1": Heat(heat_w)})
        told += [(day, c) for c in findings(known, site, shown.at_s)]
    return known["tcs-1"], told


@pytest.mark.parametrize("worn", [0.85, 0.92, 1.0])
def test_ua_is_read_from_the_water_at_economiser_and_tower(hall, worn):
    """Where the towers give more than their least for it: by films, and whatever the flows, and truth lies between."""
    films, flat, between = (_seen(hall, _shown(hall, exponent=e, worn=worn)) for e in (0.8, 0.0, 0.4))
    assert films["plate_ua"].log == pytest.approx(math.log(worn), abs=0.01)
    assert flat["plate_ua_flat"].log == pytest.approx(math.log(worn), abs=0.01)
    assert between["plate_ua_flat"].log < math.log(worn) < between["plate_ua"].log


def test_condenser_water_at_its_least_tells_nothing(hall):
    """What holds easily shows no more than a least UA."""
    assert not _seen(hall, _shown(hall, exponent=0.8, tower_c=25.0))


def test_while_a_chiller_may_run_nothing_is_told(hall):
    """Its condenser water is nobody's to tell from the economiser's."""
    shown = _shown(hall, exponent=0.8)
    chills = {"chiller/running": Reading(1.0, 0.0, 0.0, Quality.GOOD, Reason.NONE)}
    assert _seen(hall, shown)
    assert not _seen(hall, Snapshot(at_s=0.0, readings={**shown.readings, **chills}))


def test_an_economiser_is_judged_by_towers_of_its_own_only():
    """In trains it is tower N for economiser N; on common headers nobody knows whose water it is."""
    site = trains(2)
    own, shared = (
        site.equipment["tower-1"],
        replace(site.equipment["tower-1"], feeds=("economiser-1", "economiser-2")),
    )
    assert _its_towers(site, site.equipment["economiser-1"]) == [own]
    common = replace(site, equipment={**site.equipment, "tower-1": shared})
    assert _its_towers(common, site.equipment["economiser-1"]) == []
    assert _its_towers(common, site.equipment["economiser-2"]) == []


@pytest.mark.parametrize(
    ("exponent", "more_flow", "warmer_k", "misled"),
    [(0.8, -0.005, -0.5, "plate_ua_flat"), (0.0, 0.006, 1.0, "plate_ua")],
)
def test_other_flows_and_weather_are_no_fouling(hall, exponent, more_flow, warmer_k, misled):
    """Whether UA goes with the flows or not: quiet days are fitted and find nothing, though one law sees a change."""
    known, told = _days(hall, exponent=exponent, more_flow=more_flow, warmer_k=warmer_k)
    assert {"economiser/plate_ua", "economiser/plate_ua_flat"} <= set(known.baselines)
    key = f"economiser/{misled}"
    assert worse_by(PLATE, known.estimates[key], known.baselines[key]) > 0.1
    assert not told


def test_fouling_is_found_with_size_and_yearly_cost(hall):
    """A sixth a day from the middle of the second on: told once both laws see it, with what pumps and fans pay."""
    known, told = _days(hall, exponent=0.4, wear_per_day=0.17)
    assert {(c.code, c.subject) for _, c in told} == {("fouling", "economiser")}
    first, last = told[0], told[-1]
    assert first[0] > 1.5 + 0.15 / 0.17
    true_pct = 100 * -math.expm1(-0.17 * (last[0] - 1.5))
    assert 15 <= first[1].cause.params["change_pct"] <= last[1].cause.params["change_pct"] <= true_pct
    costs = [c.remedy.params["kwh"] for _, c in told]
    assert 0 < costs[0] < costs[-1] < 12e3 * 8.76, "pumps that take 12 kW at the most"
    assert set(known.changes) == {"economiser/plate_ua"}
