"""A load that rises at once: what counts as capacity then, and what must run before it comes."""

from __future__ import annotations

import math
from dataclasses import replace

import coldplate_test_trains as trains
import numpy as np
import pytest

from controller.design import loop_design
from controller.outdoor import Outdoor
from controller.stage_choice import missing
from controller.stage_reserve import RISE_S
from controller.stage_state import Seen, look
from controller.staging import whole_plant
from plant.live import Snapshot

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


def stands(hall, *units):
    """Only these run, all since long."""
    hall.enabled = set(units)
    hall.memory = replace(hall.memory, seen={u: Seen(u in hall.enabled, -math.inf) for u in hall.units})
    return hall


def chilled(site, start_s=420.0, most_c=22.0):
    """The same with racks that only chilled water cools, and chillers that start in start_s [s]."""
    group = site.groups["tcs-1"]
    point = group.commands["supply_temperature"]
    stages = tuple(replace(s, start_s=start_s) if s.kind == "chiller" else s for s in group.stages)
    lower = {role: group.design[role] - 10.0 for role in ("supply_temperature", "facility_supply_temperature")}
    limits = dict(site.limits)
    limits["tcs-supply"] = replace(limits["tcs-supply"], maximum=most_c + 2.0)
    return replace(
        site,
        limits=limits,
        envelopes={**site.envelopes, point: replace(site.envelopes[point], minimum=18.0, maximum=most_c)},
        groups={group.id: replace(group, stages=stages, design={**group.design, **lower})},
    )


def test_chillers_that_start_too_slowly_run_before_the_load_comes(three):
    """All that full load needs run at low load, too, unless they start within the rise of a sudden load."""
    ran = {}
    for start_s in (RISE_S, 420.0):
        hall = trains.Hall(chilled(three, start_s), wet_bulb_c=24.0)
        stands(hall, *(u for u in hall.units if not u.startswith("chiller")), "chiller-1")
        trains.day(hall, [LOW_W] * 4)
        ran[start_s] = hall.running("chiller")
    assert ran[RISE_S] < ran[420.0] == 3


def test_a_site_that_goes_by_learned_swings_keeps_no_more_than_those(three):
    """Where GPUs have been seen to come to a third of their rating at most, fewer chillers wait for them."""
    hall = trains.Hall(chilled(three), wet_bulb_c=24.0)
    stands(hall, *hall.units)
    hall.memory = replace(hall.memory, gpu_w=400.0)
    trains.day(hall, [LOW_W] * 6)
    assert hall.running("chiller") < 3


def test_a_chiller_that_its_own_thermostat_stopped_is_no_capacity(three):
    """Enabled, it stands until its shortest time off is over: not failed, counted again after that."""
    hall = stands(trains.Hall(three), *trains.Hall(three).units)
    shown = hall.snapshot(LOW_W)
    seen = look(hall.memory.seen, three, shown, hall.now_s)
    stopped = {p: replace(r, value=0.0) if p == "chiller-2/running" else r for p, r in shown.readings.items()}
    still = Snapshot(at_s=hall.now_s + 60.0, readings=stopped)
    seen = look(seen, three, still, hall.now_s + 60.0)
    for minutes, locked in ((2, True), (20, True), (22, False)):
        plant = whole_plant(three, still, hall.group, seen, hall.now_s + 60.0 * minutes)
        (unit,) = (u for u in plant.units if u.id == "chiller-2")
        assert (unit.locked, unit.on, unit.failed) == (locked, True, False)
        assert ("chiller-2" in missing(plant, plant.on)) == locked


def test_a_plant_that_is_short_of_the_rating_keeps_what_it_can(three):
    """Where all chillers together do not carry full load, they run as far as they help, and nothing is given up."""
    hot = chilled(three)
    small = {
        u.id: replace(u, design={**u.design, "heat_w": 150e3}) for u in three.equipment.values() if u.kind == "chiller"
    }
    hall = trains.Hall(replace(hot, equipment={**hot.equipment, **small}), wet_bulb_c=26.0)
    decisions = trains.day(stands(hall, *hall.units), [LOW_W] * 4)
    assert hall.running("chiller") == 3
    assert {d.plan.staging.code for d in decisions} == {"stage_stays"}


@pytest.mark.parametrize(("locked", "wet_bulb_c"), [(True, 17.0), (True, 24.0), (False, 24.0)])
def test_what_locked_chillers_cannot_carry_is_asked_off_at_once(three, locked, wet_bulb_c):
    """At full load all chillers stand within their shortest time off: what towers alone do not carry has to come off."""
    hall = trains.Hall(chilled(three), wet_bulb_c=wet_bulb_c)
    stands(hall, *(u for u in hall.units if not u.startswith("chiller")))
    if locked:
        off = {u: Seen(False, hall.now_s - 60.0) for u in hall.units if u.startswith("chiller")}
        hall.memory = replace(hall.memory, seen={**hall.memory.seen, **off})
    decision = hall.decide([HIGH_W] * 120)
    told = {c.code for c in decision.conditions}
    assert ("shed_load" in told) == (decision.shed is not None) == locked
    if not locked:
        return
    assert decision.plan.staging.code == "stage_all"
    assert decision.shed.it_w == pytest.approx(HIGH_W / 0.87)
    assert decision.shed.power_w + decision.shed.bearable_w == pytest.approx(decision.shed.it_w)
    borne = decision.shed.bearable_w / decision.shed.it_w
    assert 0.3 < borne < 0.95 if wet_bulb_c < 20.0 else borne == 0.0


def test_a_limit_that_no_load_meets_sheds_none(three):
    """Cases above their limit at any load are a matter of the site file, not of the load."""
    case = three.limits["case"]
    hopeless = replace(three, limits={**three.limits, "case": replace(case, maximum=45.0)})
    hall = trains.Hall(hopeless)
    decision = hall.decide([HIGH_W] * 120)
    assert decision.plan.staging.code == "stage_all"
    assert decision.shed is None
