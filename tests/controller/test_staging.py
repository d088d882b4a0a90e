"""Which units of the plant run: fewer at low load, calmly, with a spare where the site asks, and all in need."""

from __future__ import annotations

import math
from dataclasses import replace

import coldplate_test_trains as trains
import numpy as np
import pytest

from actuator.guard import guard
from controller import loops
from controller.asking import setpoints_to_ask
from controller.chillers import chiller_design, chiller_w, running
from controller.design import loop_design
from controller.modes import apply_intent, initial_modes
from controller.pumps import efficiency_share
from controller.stage_choice import chosen, everything, plant_of
from controller.stage_loss import UnitLoss
from controller.stage_state import Seen, look, units_of
from controller.staging import decide, whole_plant
from plant.intents import Intent, IntentKind, Mode, ModeState
from plant.leases import Lease
from plant.live import Snapshot

LOW_W, HIGH_W = 250e3, 850e3


@pytest.fixture(scope="module")
def three():
    """Three trains."""
    return trains.trains(3)


def settled(hall, heat_w, steps=12, step_s=600):
    """Long enough under one load for every unit to be switched."""
    return trains.day(hall, [heat_w] * steps, step_s)


def stopped(hall, *units):
    """A hall in which some units stand for long."""
    hall.enabled -= set(units)
    hall.memory = replace(hall.memory, seen={u: Seen(on=u in hall.enabled, since_s=-math.inf) for u in hall.units})
    return hall


@pytest.fixture(scope="module")
def sinus_day(three):
    """A day of load between 14 and 93 % of design, with staging and with everything on."""
    staged, plain = trains.Hall(three, wet_bulb_c=18.0), trains.Hall(trains.all_on(three), wet_bulb_c=18.0)
    heat_w = trains.sinus(0.14 * 918e3, 0.93 * 918e3, steps=72)
    trains.day(staged, heat_w, step_s=1200)
    trains.day(plain, heat_w, step_s=1200)
    return staged, plain


@pytest.mark.parametrize(("reserve", "left"), [("none", 1), ("n+1", 2)])
def test_low_load_takes_few_units(three, reserve, left):
    """At a quarter of the load one train and one pump are left, and one in reserve; that draws less than with all."""
    group = three.groups["tcs-1"]
    hall = trains.Hall(replace(three, groups={group.id: replace(group, reserve=reserve)}))
    before_w, _ = hall.power_w(LOW_W)
    decisions = settled(hall, LOW_W)
    after_w, enough = hall.power_w(LOW_W)
    assert (hall.running("tower"), hall.running("pump")) == (left, left)
    assert enough
    assert after_w < 0.85 * before_w
    said = [d.plan.staging for d in decisions if d.plan.staging.code == "stage_saves"]
    assert any("tower-" in m.params["stops"] and float(m.params["saves_kw"]) > 0.1 for m in said)


def test_a_sinusoidal_day_is_calm(sinus_day):
    """No unit is switched more than four times in a day, and what runs always carries the heat."""
    hall, _ = sinus_day
    counts = [sum(u == unit for _, u, _ in hall.switched) for unit in hall.units]
    assert sum(counts) > 0
    assert max(counts) <= 4
    assert hall.short_s == 0.0


def test_a_sinusoidal_day_is_cheaper(sinus_day):
    """Against the same optimiser with everything on, on a plant that neither knows."""
    staged, plain = sinus_day
    assert plain.short_s == 0.0
    assert staged.energy_j < 0.95 * plain.energy_j


def test_least_times_are_kept(three):
    """Under a load that jumps every twenty minutes no unit is on or off for less than its least time."""
    hall = trains.Hall(three)
    trains.day(hall, [LOW_W, LOW_W, 0.6 * HIGH_W, HIGH_W] * 8, step_s=300)
    last: dict[str, float] = dict.fromkeys(hall.units, trains.NOW_S)
    kinds = {u.id: u.kind for u in three.equipment.values()}
    assert hall.switched
    for at_s, unit, on in hall.switched:
        least_on_s, least_off_s = trains.TIMES_S[kinds[unit]]
        assert at_s - last[unit] >= (least_off_s if on else least_on_s)
        last[unit] = at_s


def test_a_unit_that_fails_is_replaced(three):
    """A tower that may run and does not is told, stays enabled, and another one takes its share."""
    hall = trains.Hall(three, wet_bulb_c=20.0)
    settled(hall, LOW_W)
    lost = min(u for u in hall.enabled if u.startswith("tower-"))
    hall.broken.add(lost)
    found = trains.day(hall, [LOW_W] * 3)
    assert hall.running("tower") >= 1
    assert lost in hall.enabled
    assert ("unit_failed", lost) in {(c.code, c.subject) for c in found[-1].conditions}


def test_where_nothing_suffices_everything_runs(three):
    """With a case limit that no setpoint holds, all units may run, and the setpoints go back to design."""
    case = three.limits["case"]
    hopeless = replace(three, limits={**three.limits, "case": replace(case, maximum=45.0)})
    hall = stopped(trains.Hall(hopeless), "tower-2", "economiser-2", "chiller-2", "pump-2")
    decision = hall.decide([HIGH_W] * 120)
    hall.follow(decision)
    assert decision.plan.staging.code == "stage_all"
    assert hall.enabled == set(hall.units)
    assert decision.plan.reason.code in {"plan_design_tower", "plan_dwell_tower"}


def test_a_rise_that_is_forecast_is_met_ahead():
    """With full load expected in ten minutes what is missing starts now; what can start in time still rests."""
    four = trains.trains(4)
    alone = stopped(trains.Hall(four, wet_bulb_c=26.0), *(u for u in trains.Hall(four).units if u[-1] in "34"))
    quiet = alone.decide([LOW_W] * 120)
    assert {s.point for s in quiet.plan.setpoints if s.value > s.current and "enable" in s.point} == set()
    early = alone.decide([LOW_W] * 45 + [HIGH_W] * 75)
    assert early.plan.staging.code != "stage_needed"
    decision = alone.decide([LOW_W] * 10 + [HIGH_W] * 110)
    started = {
        s.point.partition("/")[0] for s in decision.plan.setpoints if "enable" in s.point and s.value > s.current
    }
    assert decision.plan.staging.code == "stage_needed"
    assert {u.partition("-")[0] for u in started} >= {"tower", "pump"}


def test_chillers_that_nobody_needs_are_stopped(three):
    """Their own thermostats might start them: in cool air none stays enabled, though idle ones draw nothing yet."""
    hall = trains.Hall(three)
    settled(hall, LOW_W)
    assert hall.running("chiller") == 0


def test_a_jump_is_met_by_towers_and_pumps_first(three):
    """From one train at low load to full load at once: no chiller, since towers with their pumps carry it."""
    hall = stopped(trains.Hall(three), *(u for u in trains.Hall(three).units if not u.endswith("-1")), "chiller-1")
    decisions = trains.day(hall, [HIGH_W] * 6, 600)
    assert decisions[0].plan.staging.code == "stage_needed"
    assert hall.running("tower") >= 2
    assert hall.running("pump") >= 2
    assert not any(unit.startswith("chiller") for _, unit, on in hall.switched if on)


def test_one_that_does_not_start_is_replaced(three):
    """A pump that is asked for and never runs is told after its start time, and the other one is asked for."""
    hall = stopped(trains.Hall(three, wet_bulb_c=24.0), "pump-2", "pump-3")
    hall.broken.add("pump-2")
    decisions = trains.day(hall, [1.2 * HIGH_W] * 6, 600)
    switched = {unit for _, unit, on in hall.switched if on}
    assert {"pump-2", "pump-3"} <= switched
    assert ("unit_failed", "pump-2") in {(c.code, c.subject) for c in decisions[-1].conditions}
    assert hall.running("pump") == 2


def test_a_spare_that_the_site_asks_for_runs():
    """With two towers at least, two run at any load."""
    hall = trains.Hall(trains.trains(3, {"cooling-tower": 2}))
    settled(hall, LOW_W)
    assert hall.running("tower") == 2


def test_one_that_tells_nothing_is_left_alone(three):
    """A silent unit gets no command and counts for nothing."""
    hall = trains.Hall(three)
    hall.decide([LOW_W] * 120)
    decision = hall.decide([LOW_W] * 120, silent=frozenset({"chiller-2"}))
    assert "chiller-2/enable_command" not in {s.point for s in decision.plan.setpoints}
    assert "chiller 2/3" in decision.plan.staging.text


def _with(snapshot, gone, **shown):
    """The same with some equipment silent, and some readings more."""
    readings = {p: r for p, r in snapshot.readings.items() if p.partition("/")[0] not in gone}
    some = next(iter(readings.values()))
    readings |= {p: replace(some, value=v) for p, v in shown.items()}
    return Snapshot(at_s=snapshot.at_s, readings=readings)


@pytest.mark.parametrize(("flow", "counts"), [(0.009, True), (0.0, False)])
def test_one_that_tells_nothing_and_moves_water_counts(three, flow, counts):
    """It carries its share and is nobody's to stop; where nothing moves it counts for nothing."""
    hall = stopped(trains.Hall(three))
    shown = _with(hall.snapshot(LOW_W), {"pump-2"}, **{"pump-2/flow": flow})
    (unit,) = (u for u in units_of(three, shown, hall.group, hall.memory.seen, hall.now_s) if u.id == "pump-2")
    assert (unit.known, unit.on, unit.may_stop, unit.may_start) == (False, counts, False, False)
    plant = plant_of(three, hall.group, units_of(three, shown, hall.group, hall.memory.seen, hall.now_s), hall.now_s)
    for count in (1, 2):
        some = chosen(plant, {"cooling-tower": 1, "chiller": 0, "pump": count})
        assert ("pump-2" in some) == counts


def test_an_economiser_works_with_a_tower_that_tells_nothing_and_runs(three):
    """Else half of that train would stand beside a tower that runs."""
    hall = stopped(trains.Hall(three))
    for fan, works in ((0.5, True), (0.0, False)):
        shown = _with(hall.snapshot(LOW_W), {"tower-2"}, **{"tower-2/fan_speed": fan})
        units = units_of(three, shown, hall.group, hall.memory.seen, hall.now_s)
        assert ("economiser-2" in plant_of(three, hall.group, units, hall.now_s).on) == works


@pytest.mark.parametrize(
    ("shown", "failed"),
    [({"pump-2/flow": 0.009}, False), ({"pump-2/flow": 0.0}, True), ({"tower-2/flow": 0.01}, True)],
)
def test_a_readback_that_says_it_stands_is_not_believed_while_it_works(three, shown, failed):
    """A pump whose water flows runs; through a tower water flows though its fan has tripped."""
    hall = stopped(trains.Hall(three))
    (unit,) = {p.partition("/")[0] for p in shown}
    seen = hall.memory.seen
    for minute in (0, 10, 20):
        snapshot = replace(_with(hall.snapshot(LOW_W), (), **shown, **{f"{unit}/running": 0.0}), at_s=600.0 * minute)
        seen = look(seen, three, snapshot, hall.now_s + 60.0 * minute)
    found = units_of(three, snapshot, hall.group, seen, hall.now_s + 1200.0)
    assert [u.failed for u in found if u.id == unit] == [failed]


def test_a_train_works_together(three):
    """A chiller never runs without its tower, and economisers go with theirs."""
    hall = stopped(trains.Hall(three))
    group, shown = hall.group, hall.snapshot(LOW_W)
    plant = plant_of(three, group, units_of(three, shown, group, hall.memory.seen, hall.now_s), hall.now_s)
    some = chosen(plant, {"cooling-tower": 1, "chiller": 1, "pump": 1})
    assert some is not None
    train = {u.partition("-")[2] for u in some if not u.startswith("pump")}
    assert len(train) == 1
    assert len(some) == 4
    assert chosen(plant, {"cooling-tower": 1, "chiller": 2, "pump": 1}) is None
    assert everything(plant) == frozenset(hall.units)


def test_a_chiller_without_its_tower_is_out(three):
    """When a tower fails, its chiller and economiser are no longer reckoned with."""
    hall = stopped(trains.Hall(three))
    hall.broken.add("tower-1")
    hall.memory = replace(hall.memory, seen=look(hall.memory.seen, three, hall.snapshot(LOW_W), hall.now_s))
    hall.now_s += 600.0
    plant = whole_plant(three, hall.snapshot(LOW_W), hall.group, hall.memory.seen, hall.now_s)
    assert not {"tower-1", "chiller-1", "economiser-1"} & plant.on
    assert not {"tower-1", "chiller-1", "economiser-1"} & everything(plant)


def test_staging_begins_with_auto(three):
    """Limited to a kelvin, every unit may run."""
    hall = stopped(trains.Hall(three), "pump-3")
    plan = hall.decide([LOW_W] * 120).plan
    state = ModeState(loop="tcs-1", mode=Mode.LIMITED, since_s=0.0, actor="ann", reason="test")
    asked = {s.point: s.value for s in setpoints_to_ask(plan, state) if "enable" in s.point}
    assert asked
    assert set(asked.values()) == {1.0}


def test_half_the_towers_are_half_the_condenser_water(three):
    """The least condenser flow, the fans and the pumps go with how many run; the approach stays."""
    group = three.groups["tcs-1"]
    all_of_them, one = (loop_design(three, group, off).rejection for off in ((), ("tower-2", "tower-3")))
    assert one.tower.flow_m3_s == pytest.approx(all_of_them.tower.flow_m3_s / 3)
    assert one.tower.pump_w == pytest.approx(all_of_them.tower.pump_w / 3)
    assert one.tower.ntu == pytest.approx(all_of_them.tower.ntu)
    assert one.fan_power_w == pytest.approx(7500.0)


def test_chillers_share_what_there_is(three):
    """Two enabled machines at a third of their load draw more than one at two thirds, where fewer would do."""
    units = [e for e in three.equipment.values() if e.kind == "chiller"][:2]
    one, two = (chiller_design(units[:n], water_cooled=True, together=True) for n in (1, 2))
    at = np.array([40e3]), np.array([18.0]), np.array([25.0])
    assert float(chiller_w(two, *at)[0]) > 1.3 * float(chiller_w(one, *at)[0])
    assert running(two, np.array([0.0, 1.0])).tolist() == [0.0, 2.0]


def shows(hall, seen, minutes, **running):
    """Minute by minute some chillers show whether they run, all others that they do as they are told."""
    for _ in range(minutes):
        shown = hall.snapshot(LOW_W)
        told = {f"{unit.replace('_', '-')}/running": on for unit, on in running.items()}
        readings = {p: replace(r, value=told.get(p, r.value)) for p, r in shown.readings.items()}
        hall.now_s += 60.0
        seen = look(seen, hall.site, Snapshot(at_s=hall.now_s, readings=readings), hall.now_s)
    return seen


def test_released_chillers_are_known_by_those_that_stand(three):
    """Where an enabled chiller stands and the water is held, a command only releases it, and that is remembered."""
    hall = trains.Hall(three)
    group, seen = hall.group, shows(hall, {}, 3, chiller_2=0.0, chiller_3=0.0)
    plant = whole_plant(three, hall.snapshot(LOW_W), group, seen, hall.now_s)
    assert plant.waiting is None, "it may be starting yet"
    seen = shows(hall, seen, 5, chiller_2=0.0, chiller_3=0.0)
    plant = whole_plant(three, hall.snapshot(LOW_W), group, seen, hall.now_s)
    assert plant.waiting == {"chiller-2", "chiller-3"}
    seen = shows(hall, seen, 1)
    assert whole_plant(three, hall.snapshot(LOW_W), group, seen, hall.now_s).waiting == set(), "it is remembered"


def test_water_goes_through_evaporators_that_run(three):
    """Those that wait let no water through, and those that run alone ask the pumps for more."""
    chillers = {u.id: u for u in three.equipment.values() if u.kind == "chiller"}
    told = {name: replace(u, design={**u.design, "flow_m3_s": 0.010, "dp_pa": 20e3}) for name, u in chillers.items()}
    site, flow = replace(three, equipment={**three.equipment, **told}), np.array([0.02])
    group, waits = site.groups["tcs-1"], [None, ("chiller-3",), ("chiller-2", "chiller-3")]
    drawn_w = [float(loop_design(site, group, (), waiting).pumps.power_w(flow)[0]) for waiting in waits]
    assert drawn_w == sorted(drawn_w)
    assert drawn_w[2] > 1.2 * drawn_w[0]
    by_passed_w = float(loop_design(site, group, chillers).pumps.power_w(flow)[0])
    assert by_passed_w < drawn_w[0]


def test_pumps_are_best_near_their_design():
    """Efficiency falls both with too many pumps and with too few, and is whole at design."""
    shares, heads = np.array([0.3, 1.0, 1.5]), np.array([0.7, 1.0, 1.0])
    low, best, high = efficiency_share(shares, heads).tolist()
    assert best == pytest.approx(1.0)
    assert low < 0.9
    assert high < 0.95


def test_with_nothing_left_everything_is_asked_for(three):
    """All towers gone: no crash, all that has not failed may run."""
    hall = stopped(trains.Hall(three))
    hall.broken |= {"tower-1", "tower-2", "tower-3"}
    decision = trains.day(hall, [LOW_W] * 4)[-1]
    assert decision.plan.staging.code == "stage_all"
    assert {c.subject for c in decision.conditions if c.code == "unit_failed"} == {"tower-1", "tower-2", "tower-3"}


def test_the_guard_lets_every_decision_pass(three):
    """What is asked is 0 or 1, and comes no sooner than the envelope lets it."""
    hall = trains.Hall(three)
    changed_s: dict[str, float] = {}
    for _ in range(12):
        shown = hall.snapshot(LOW_W)
        decision = hall.decide([LOW_W] * 120)
        for setpoint in decision.plan.setpoints:
            if setpoint.point.endswith("enable_command"):
                verdict = guard(
                    lease_of(setpoint, hall.now_s), three.envelopes[setpoint.point], setpoint.current,
                    changed_s.get(setpoint.point, -math.inf), shown, hall.now_s, epoch=1,
                )  # fmt: skip
                assert verdict.code == "allowed"
                if setpoint.value != setpoint.current:
                    changed_s[setpoint.point] = hall.now_s
        hall.follow(decision)
        hall.advance(LOW_W, 300.0)
    assert changed_s


def lease_of(setpoint, now_s):
    """A controller's lease."""
    return Lease(
        point=setpoint.point, value=setpoint.value, epoch=1, seq=1, issued_s=now_s, issued_mono_s=now_s, ttl_s=180.0
    )


@pytest.mark.parametrize(("value", "accepted"), [(0.0, True), (1.0, True), (0.5, False), (1.5, False)])
def test_a_person_holds_a_switch_on_or_off_only(pod, value, accepted):
    """A hold of half a pump is refused in words."""
    command = "pump-1/enable_command"
    switch = trains.switch(command)
    group = pod.groups["tcs-1"]
    group = replace(group, commands={**group.commands, "enable:pump-1": command})
    site = replace(pod, groups={"tcs-1": group}, envelopes={**pod.envelopes, command: switch})
    intent = Intent(
        kind=IntentKind.HOLD, actor="ann", reason="test", at_s=0.0, loop="tcs-1", values={command: value}, expires_s=600.0
    )  # fmt: skip
    _, answer = apply_intent(initial_modes(site), intent, site, (), frozenset({"tcs-1"}), 0.0)
    assert answer.accepted is accepted
    assert accepted or command in answer.text


def test_where_more_is_needed_nothing_stops(three):
    """One tower and all pumps at low load: another one starts, and no pump is saved before it carries its share."""
    standing = [f"{kind}-{n}" for kind in ("tower", "economiser", "chiller") for n in (2, 3)]
    decision = stopped(trains.Hall(three, wet_bulb_c=20.0), *standing, "chiller-1").decide([LOW_W] * 120)
    assert decision.plan.staging.code == "stage_needed"
    assert "tower-2" in decision.plan.staging.params["starts"]
    assert decision.plan.staging.params["stops"] == "-"


def test_a_loss_that_no_setpoint_survives_gives_nothing_up(three, monkeypatch):
    """Units that were chosen all the same are driven by the limits that hold now, not back to design."""
    lost = UnitLoss(off=frozenset({"tower-2", "tower-3", "economiser-2", "economiser-3"}), seconds=1e6)
    kinds = []
    for losses in ((), (lost,)):
        monkeypatch.setattr(loops, "decide", lambda *args, losses=losses: replace(decide(*args), lost=losses))
        kinds.append(trains.Hall(three, wet_bulb_c=24.0).decide([HIGH_W] * 120).plan.reason.code)
    assert kinds[0] == kinds[1] != "plan_design_tower"
