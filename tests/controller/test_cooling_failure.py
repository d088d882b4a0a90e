"""What the controller does when cooling fails: the site's cause-and-effect matrix, hunting, and load to shed."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from controller.cause_effect import Effect, effect_of, strictest
from controller.causes import Cause, Found
from controller.hunting import CHANGES, WINDOW_S, hunting, watched
from controller.step import initial_state, step
from plant.clock import ManualClock
from plant.live import LiveTable, Snapshot
from plant.samples import Quality, Reason
from simulator.faults import Faults
from simulator.memory import MemoryPlant

SUPPLY, DP, FACILITY = (
    "cdu-1/supply_temperature_setpoint",
    "cdu-1/differential_pressure_setpoint",
    "dry-coolers/leaving_temperature_setpoint",
)


def seen(pod, now_s, fault="", minutes=4):
    """The pod some minutes after a fault."""
    plant = MemoryPlant(pod, now_s, faults=Faults())
    for line in fault.splitlines():
        plant.plant.faults.command(line, plant.plant.measured())
    plant.advance(60.0 * minutes)
    live = LiveTable(pod.points.values(), plant.clock)
    live.update(plant.batch())
    return live.snapshot(), plant.clock.now()


def changed(snapshot, **values):
    """A snapshot in which points (dashes and slashes as `__`, `_of_`) show something else."""
    named = {k.replace("_of_", "/").replace("__", "-"): v for k, v in values.items()}
    new = {p: replace(snapshot.readings[p], value=v) for p, v in named.items()}
    return Snapshot(at_s=snapshot.at_s, readings={**snapshot.readings, **new})


def stale(snapshot, *points):
    """A snapshot in which points are stale."""
    new = {p: replace(snapshot.readings[p], quality=Quality.BAD, reason=Reason.STALE) for p in points}
    return Snapshot(at_s=snapshot.at_s, readings={**snapshot.readings, **new})


def asked(result):
    """Point -> value asked."""
    return {s.point: s.value for plan in result.plans for s in plan.setpoints}


def codes(result):
    """Codes of what is wrong."""
    return {c.code for c in result.conditions}


FAILURES = pytest.mark.parametrize(
    ("fault", "code", "subject"),
    [
        ("stop cdu-2", "pump_tripped", "cdu-2"),
        ("stop dry-coolers", "rejection_lost", "dry-coolers"),
        ("stop chiller", "chiller_tripped", "chiller"),
        ("stop fws-pumps", "facility_pump_lost", "fws-pumps"),
    ],
)


def tighter(pod, maximum):
    """The pod with another case limit."""
    return replace(pod, limits={**pod.limits, "case": replace(pod.limits["case"], maximum=maximum)})


@FAILURES
def test_the_next_cycle_uses_the_reserve(pod, now_s, fault, code, subject):
    """After a failure that design does not carry: named, and one step colder and with more flow, in the envelope."""
    snapshot, at_s = seen(pod, now_s, fault)
    if fault == "stop chiller":
        snapshot = changed(snapshot, cdu__1_of_fws_supply_temperature=29.0)
    result = step(initial_state(), snapshot, (), at_s, tighter(pod, 45.0))
    assert subject in {c.subject for c in result.conditions if c.code == code}
    (plan,) = result.plans
    assert plan.reason.code == "plan_reserve"
    for setpoint in plan.setpoints:
        envelope = pod.envelopes[setpoint.point]
        assert envelope.minimum <= setpoint.value <= envelope.maximum
        assert abs(setpoint.value - setpoint.current) <= envelope.max_step + 0.01
    assert asked(result)[SUPPLY] < plan.setpoints[0].current
    assert asked(result)[DP] > plan.setpoints[1].current


def test_a_chiller_that_nobody_misses_is_only_told(pod, now_s):
    """Its fault is a condition; while the facility water is held the optimiser goes on."""
    snapshot, at_s = seen(pod, now_s, "stop chiller")
    held = changed(snapshot, cdu__1_of_fws_supply_temperature=27.2, cdu__2_of_fws_supply_temperature=27.2)
    result = step(initial_state(), held, (), at_s, pod)
    assert "chiller_tripped" in codes(result)
    assert result.plans[0].reason.code in {"plan_move", "plan_stay"}


def warmer(snapshot, facility_k, *supplies_k):
    """Facility water and each CDU's supply so far above their setpoints."""
    asked = {"fws": 27.0 + facility_k, "tcs": snapshot.value("cdu-1/effective_supply_temperature_setpoint")}
    new = {f"cdu__{n}_of_fws_supply_temperature": asked["fws"] for n in (1, 2)}
    new |= {f"cdu__{n}_of_tcs_supply_temperature": asked["tcs"] + k for n, k in enumerate(supplies_k, 1)}
    return changed(snapshot, **new)


def test_water_that_nothing_holds_is_named_though_no_device_tells_a_fault(pod, now_s):
    """A chiller within its shortest time off says that all is well: facility water and supply tell, and more flow comes."""
    snapshot, at_s = seen(pod, now_s)
    result = step(initial_state(), warmer(snapshot, 8.0, 2.5, 2.5), (), at_s, tighter(pod, 45.0))
    (said,) = [c for c in result.conditions if c.code == "facility_water_unheld"]
    assert said.subject == "tcs-1"
    assert "8.0 K" in said.cause.text
    assert result.plans[0].reason.code == "plan_reserve"
    assert asked(result)[DP] > result.plans[0].setpoints[1].current


@pytest.mark.parametrize("shown", [(8.0, 0.3, 0.3), (2.0, 2.5, 2.5), (8.0, 2.5, 0.3)])
def test_warm_water_that_the_cdus_still_cope_with_is_no_failure(pod, now_s, shown):
    """Facility water alone, supply alone, or one CDU's only."""
    snapshot, at_s = seen(pod, now_s)
    assert "facility_water_unheld" not in codes(step(initial_state(), warmer(snapshot, *shown), (), at_s, pod))


def test_the_reserve_that_is_not_reached_does_not_ask_for_itself(pod, now_s):
    """Setpoints colder than design are only asked as the reserve: the water is unheld where design is not reached."""
    snapshot, at_s = seen(pod, now_s)
    shown = warmer(snapshot, 3.0, 1.0, 1.0)
    colder = changed(
        shown,
        dry__coolers_of_effective_leaving_temperature_setpoint=14.0,
        cdu__1_of_effective_supply_temperature_setpoint=22.0,
    )
    assert "facility_water_unheld" not in codes(step(initial_state(), colder, (), at_s, pod))
    beyond = warmer(colder, 8.0, 12.5, 12.5)  # supply is told from 22 °C on: 34.5 of design's 32
    assert "facility_water_unheld" in codes(step(initial_state(), beyond, (), at_s, pod))


def test_where_the_rest_carries_it_nothing_more_is_spent(pod, now_s):
    """One CDU carries the load at design: named, and the setpoints stay."""
    snapshot, at_s = seen(pod, now_s, "stop cdu-2")
    result = step(initial_state(), snapshot, (), at_s, tighter(pod, 80.0))
    assert "pump_tripped" in codes(result)
    assert all(s.value == pytest.approx(s.current, abs=0.01) for plan in result.plans for s in plan.setpoints)
    assert result.plans
    assert result.shed == ()


@pytest.mark.parametrize("silent", [False, True])
def test_without_any_cdu_all_load_is_asked_off(pod, now_s, silent):
    """Every pump tripped, or every CDU silent and no flow: all watts of the loop's racks, in the very next cycle."""
    shown, at_s = seen(pod, now_s, "stop cdu-1\nstop cdu-2", minutes=0.5)
    if silent:
        shown = stale(shown, *(p for p in shown.readings if p.startswith("cdu-")))
    result = step(initial_state(), shown, (), at_s, pod)
    assert {"cdu_lost" if silent else "pump_tripped", "shed_load"} <= codes(result)
    (shed,) = result.shed
    assert shed.power_w == shed.it_w == pytest.approx(sum(shown.value(f"{r}/power") for r in pod.groups["tcs-1"].racks))
    assert all(h.power_w == 0 for h in result.headrooms)
    assert all(math.isfinite(s.value) for plan in result.plans for s in plan.setpoints)


def test_a_rack_that_tells_no_power_is_shed_with_its_nameplate(pod, now_s):
    """Nobody knows what it draws: all that it may."""
    shown, at_s = seen(pod, now_s, "stop cdu-1\nstop cdu-2", minutes=0.5)
    known_w = sum(shown.value(f"rack-0{n}/power") for n in range(2, 9))
    (shed,) = step(initial_state(), stale(shown, "rack-01/power"), (), at_s, pod).shed
    assert shed.power_w == pytest.approx(known_w + 132e3)


@FAILURES
def test_from_less_than_design_the_devices_ramp_is_quickest(pod, now_s, fault, code, subject):
    """Warmer than design and with less flow when it fails: the devices get the loop back at once."""
    snapshot, at_s = seen(pod, now_s, fault)
    warm = changed(
        snapshot,
        cdu__1_of_effective_supply_temperature_setpoint=36.0,
        cdu__1_of_effective_differential_pressure_setpoint=60e3,
        cdu__1_of_fws_supply_temperature=29.0,
    )
    result = step(initial_state(), warm, (), at_s, pod)
    assert subject in {c.subject for c in result.conditions if c.code == code}
    assert result.plans == ()
    assert set(result.let_go) == {"tcs-1"}


def test_the_reserve_stops_at_the_dew_point(pod, now_s):
    """However much cooling is lost, supply stays above the room's dew point and its margin."""
    snapshot, at_s = seen(pod, now_s, "stop cdu-2")
    damp = changed(snapshot, cdu__1_of_room_dew_point=27.0, cdu__2_of_room_dew_point=27.0)
    (plan,) = step(initial_state(), damp, (), at_s, tighter(pod, 45.0)).plans
    assert plan.setpoints[0].target >= 30.0


@pytest.mark.parametrize("where", ["cdu-2", "rack-03"])
def test_a_leak_never_gets_more_flow(pod, now_s, where):
    """Nothing moves, also when a pump trips beside the leak."""
    for fault in (f"leak {where}", f"stop cdu-1\nleak {where}"):
        plant = MemoryPlant(pod, now_s, faults=Faults())
        for line in fault.splitlines():
            plant.plant.faults.command(line, {})
        plant.advance(240.0)
        live = LiveTable(pod.points.values(), plant.clock)
        live.update(plant.batch())
        result = step(initial_state(), live.snapshot(), (), plant.clock.now(), pod)
        assert "leak_found" in codes(result)
        (plan,) = result.plans
        assert plan.reason.code == "plan_hold"
        assert all(s.value == pytest.approx(s.current, abs=0.01) for s in plan.setpoints)


@pytest.mark.parametrize(
    ("points", "code"),
    [
        (("cdu-1/tcs_supply_temperature", "cdu-2/tcs_supply_temperature", "rack-"), "supply_sensor_lost"),
        (("cdu-1/tcs_supply_temperature", "rack-"), "supply_sensor_lost"),
        (("cdu-1/room_dew_point", "cdu-2/room_dew_point"), "dew_point_lost"),
        (("cdu-2/tcs", "cdu-2/fws", "rack-"), "heat_unknown"),
    ],
)
def test_without_a_sense_the_loop_is_let_go(pod, pod_snapshot, now_s, points, code):
    """Supply, dew point or heat not known: no plan, the devices have the loop back at once, and it is said."""
    silent = [p for p in pod_snapshot.readings if p.startswith(points)]
    result = step(initial_state(), stale(pod_snapshot, *silent), (), now_s, pod)
    assert code in codes(result)
    assert result.plans == ()
    assert set(result.let_go) == {"tcs-1"}


def test_a_silent_cdu_is_lost_only_where_its_flow_is_missed(pod, now_s):
    """The racks' own meters tell: silent but pumping is substituted, silent and still is lost."""
    for fault, lost in (("silence cdu-2", False), ("stop cdu-2\nsilence cdu-2", True)):
        plant = MemoryPlant(pod, now_s, faults=Faults())
        for line in fault.splitlines():
            plant.plant.faults.command(line, {})
        plant.advance(240.0)
        live = LiveTable(pod.points.values(), plant.clock)
        live.update(plant.batch())
        result = step(initial_state(), live.snapshot(), (), plant.clock.now(), pod)
        assert ("cdu_lost" in codes(result)) is lost
        assert "heat_substituted" in codes(result)


def test_load_is_shed_where_the_reserve_does_not_suffice(pod, now_s):
    """One CDU left in a plant with a lower limit can't carry the load: so many kilowatts less, and no room for more."""
    snapshot, at_s = seen(pod, now_s, "stop cdu-2")
    assert step(initial_state(), snapshot, (), at_s, tighter(pod, 80.0)).shed == ()
    result = step(initial_state(), snapshot, (), at_s, tighter(pod, 42.0))
    (request,) = result.shed
    assert 0.0 < request.power_w <= request.it_w
    assert request.bearable_w > 0.0
    assert request.reason.params["bearable_kw"] == pytest.approx(request.bearable_w / 1e3)
    assert "shed_load" in codes(result)
    assert all(h.cooling_w == 0.0 for h in result.headrooms if h.rack in request.racks)


def test_without_facility_water_all_load_is_too_much(pod, now_s):
    """Nothing takes the heat away: all of it is asked off, and no CDU promises time that water would give."""
    snapshot, at_s = seen(pod, now_s, "stop fws-pumps", minutes=1)
    result = step(initial_state(), snapshot, (), at_s, pod)
    (request,) = result.shed
    assert request.power_w == pytest.approx(request.it_w)
    assert request.bearable_w == 0.0
    assert all(r.seconds is not None for r in result.ride_throughs)


def test_the_site_file_decides_within_what_is_safe(pod):
    """Its first words choose the effect; no words can make a leak get more flow."""
    group = pod.groups["tcs-1"]

    def said(cause, text):
        return effect_of(replace(group, fallback={cause.value: text}), cause)

    assert said(Cause.PUMP_TRIP, "hold: the BMS acts") is Effect.HOLD
    assert said(Cause.PUMP_TRIP, "Let go, the master knows best") is Effect.LET_GO
    assert said(Cause.LEAK, "use reserve") is Effect.HOLD
    assert said(Cause.HEAT_LOST, "use reserve") is Effect.LET_GO
    assert said(Cause.HEAT_LOST, "hold") is Effect.HOLD
    assert effect_of(replace(group, fallback={}), Cause.CDU_LOST) is Effect.RESERVE
    both = (Found(cause=Cause.PUMP_TRIP, subject="a"), Found(cause=Cause.LEAK, subject="b"))
    assert strictest(group, both)[0] is Effect.HOLD


def swung(pod, pod_snapshot, now_s, period, amplitude_k, minutes=40):
    """The swings after watching a supply temperature that swings with a period of so many minutes."""
    swings, base = {}, pod_snapshot.readings["cdu-1/effective_supply_temperature_setpoint"].value
    for minute in range(minutes):
        up = minute % period < period / 2
        shown = base + (amplitude_k if up else -amplitude_k)
        swings = watched(
            swings, pod, changed(pod_snapshot, cdu__1_of_tcs_supply_temperature=shown), now_s + 60.0 * minute
        )
    return swings


def test_a_loop_that_hunts_is_let_go(pod, pod_snapshot, now_s):
    """A supply that swings for half an hour: let go with a name; calm again, it is driven again."""
    state = replace(initial_state(), swings=swung(pod, pod_snapshot, now_s, 6, 1.5))
    result = step(state, pod_snapshot, (), now_s + 2400, pod)
    assert "hunting" in codes(result)
    assert result.plans == ()
    assert result.let_go == {"tcs-1": "hunting"}
    calm = step(result.state, pod_snapshot, (), now_s + 2400 + WINDOW_S, pod)
    assert calm.plans
    assert calm.let_go == {}


@pytest.mark.parametrize(("period", "amplitude_k"), [(6, 0.5), (30, 3.0)])
def test_small_or_rare_swings_are_no_hunting(pod, pod_snapshot, now_s, period, amplitude_k):
    """Within the band, or a load that steps twice an hour, nothing is let go."""
    assert CHANGES > 2
    assert not hunting(swung(pod, pod_snapshot, now_s, period, amplitude_k), pod.groups["tcs-1"])


def test_a_clock_is_not_needed(pod):
    """Nothing is seen of a plant that never spoke, and nothing is asked."""
    empty = LiveTable(pod.points.values(), ManualClock(epoch_s=0.0)).snapshot()
    result = step(initial_state(), empty, (), 0.0, pod)
    assert result.plans == ()
    assert result.shed == ()
