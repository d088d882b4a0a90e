"""What still answers but can't be right: found by name, never where a plant is merely at its limits, and answered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.causes import Cause
from controller.design import rack_design
from controller.fluids import fluid
from controller.model import case_resistance
from controller.step import initial_state, step
from controller.suspects import doubted, suspects, trusted
from plant.live import Snapshot

SUPPLY, OTHER = "cdu-1/tcs_supply_temperature", "cdu-2/tcs_supply_temperature"
AIR = "dry-coolers/outdoor_dry_bulb"


def shown(snapshot, values):
    """A snapshot in which points show something else."""
    new = {p: replace(snapshot.readings[p], value=v) for p, v in values.items()}
    return Snapshot(at_s=snapshot.at_s, readings={**snapshot.readings, **new})


def watch(pod, snapshot, minute_values, now_s, every_s=60.0):
    """The doubts after a look a minute, or every_s [s], each with its own values."""
    doubts = {}
    for minute, values in enumerate(minute_values):
        doubts = doubted(doubts, pod, shown(snapshot, values), now_s + every_s * minute)
    return doubts


def named(pod, doubts):
    """Cause and subject of what stands, with whether it acts."""
    return {(f.cause, f.subject): f.acts for f in suspects(doubts, pod.groups["tcs-1"])}


def test_a_supply_that_stays_while_the_other_moves_is_stuck(pod, pod_snapshot, now_s):
    """Three minutes at one value while the manifold warms: named, and the loop is let go; it moves: believed again."""
    base = pod_snapshot.value(SUPPLY)
    warm = [{SUPPLY: base, OTHER: base + 0.3 * minute} for minute in range(6)]
    doubts = watch(pod, pod_snapshot, warm, now_s)
    assert named(pod, doubts)[Cause.SUPPLY_STUCK, "cdu-1"]
    assert (Cause.SUPPLY_STUCK, "cdu-2") not in named(pod, doubts)
    state = replace(initial_state(), doubts=doubts)
    result = step(state, shown(pod_snapshot, warm[-1]), (), now_s + 360.0, pod)
    assert result.plans == ()
    assert result.let_go == {"tcs-1": "supply_sensor_stuck"}
    assert "supply_sensor_stuck" in {c.code for c in result.conditions}
    moved = doubted(doubts, pod, shown(pod_snapshot, {SUPPLY: base + 0.1}), now_s + 420.0)
    assert not named(pod, moved)


def test_a_supply_that_was_stuck_before_its_neighbours_told_anything_is_found(pod, pod_snapshot, now_s):
    """A cold start: at the first look only the stuck sensor has told a value; what moves after that still counts."""
    base, told = pod_snapshot.value(SUPPLY), ("power", "tcs_supply_temperature")
    first = {p: r for p, r in pod_snapshot.readings.items() if p == SUPPLY or p.rpartition("/")[2] not in told}
    doubts = doubted({}, pod, Snapshot(at_s=pod_snapshot.at_s, readings=first), now_s)
    for minute in range(1, 8):
        warm = {SUPPLY: base, OTHER: base + 0.3 * minute}
        doubts = doubted(doubts, pod, shown(pod_snapshot, warm), now_s + 60.0 * minute)
    assert named(pod, doubts)[Cause.SUPPLY_STUCK, "cdu-1"]


@pytest.mark.parametrize("apart_s", [60.0, 600.0])
def test_a_supply_that_tells_tenths_is_not_stuck_while_a_load_step_goes_round(pod, pod_snapshot, now_s, apart_s):
    """Well held it reads the same for hours; racks' power is ahead of the return water at one look, not at the next."""
    racks = {f"{rack}/power": pod_snapshot.value(f"{rack}/power") for rack in pod.groups["tcs-1"].racks}
    step_up = {point: 1.6 * power_w for point, power_w in racks.items()}
    doubts = {}
    for look, values in enumerate([racks] * 8 + [step_up] * (2 if apart_s > 300.0 else 1) + [racks] * 2):
        doubts = doubted(doubts, pod, shown(pod_snapshot, values), now_s + apart_s * look)
        assert not named(pod, doubts)
    for look in range(11, 20):
        doubts = doubted(doubts, pod, shown(pod_snapshot, step_up), now_s + apart_s * look)
    assert Cause.SUPPLY_STUCK in {cause for cause, _ in named(pod, doubts)}, "it never comes back: then it is stuck"


def test_a_quiet_plant_has_no_stuck_sensor(pod, pod_snapshot, now_s):
    """All values the same for an hour: nothing is doubted."""
    assert not named(pod, watch(pod, pod_snapshot, [{}] * 60, now_s))


@pytest.mark.parametrize(("error_k", "acts"), [(2.0, True), (-2.0, False)])
def test_a_valve_that_stays_while_supply_is_off_is_stuck(pod, pod_snapshot, now_s, error_k, acts):
    """Too warm it asks for the reserve; too cold it is told. A valve at its end has done what it can."""
    asked = pod_snapshot.value("cdu-1/effective_supply_temperature_setpoint")
    valve = "cdu-1/fws_valve_position"
    off = [{SUPPLY: asked + error_k + 0.01 * n, OTHER: asked, valve: 0.5} for n in range(6)]
    assert named(pod, watch(pod, pod_snapshot, off, now_s)) == {(Cause.VALVE_STUCK, "cdu-1"): acts}
    end = 1.0 if error_k > 0 else 0.0
    assert not named(pod, watch(pod, pod_snapshot, [{**v, valve: end} for v in off], now_s))
    moving = [{**v, valve: 0.5 + 0.02 * n} for n, v in enumerate(off)]
    assert not named(pod, watch(pod, pod_snapshot, moving, now_s))


def test_a_load_step_shows_a_jammed_valve_at_the_next_look(pod, pod_snapshot, now_s):
    """Supply leaves its setpoint by 2 K within a minute and the valve has not moved: named; one that moved is not."""
    asked, valve = pod_snapshot.value("cdu-1/effective_supply_temperature_setpoint"), "cdu-1/fws_valve_position"
    calm, off = {SUPPLY: asked + 0.3, OTHER: asked, valve: 0.5}, {SUPPLY: asked + 2.3, OTHER: asked, valve: 0.5}
    assert named(pod, watch(pod, pod_snapshot, [calm, calm, off], now_s)) == {(Cause.VALVE_STUCK, "cdu-1"): True}
    assert not named(pod, watch(pod, pod_snapshot, [calm, calm, {**off, valve: 0.6}], now_s))
    rare = watch(pod, pod_snapshot, [calm, calm, off], now_s, every_s=600.0)
    assert not named(pod, rare), "in ten minutes it may have moved and come back"
    stuck = (Cause.VALVE_STUCK, "cdu-1")
    few, many = (watch(pod, pod_snapshot, [calm, *[off] * n], now_s, every_s=600.0) for n in (3, 4))
    assert stuck not in named(pod, few), "and twice more it may have"
    assert stuck in named(pod, many)
    slow = [{**calm, SUPPLY: asked + 0.5 * n, OTHER: asked + 0.1 * n} for n in range(5)]
    assert not named(pod, watch(pod, pod_snapshot, slow, now_s)), "slowly is no sign before four minutes"
    back = watch(pod, pod_snapshot, [calm, off, off, calm], now_s)
    assert not named(pod, back)


def test_with_every_valve_jammed_flow_stays(pod, pod_snapshot, now_s):
    """More coolant would only come back warmer: colder facility water alone, and the devices do not get the loop back."""
    asked = pod_snapshot.value("cdu-1/effective_supply_temperature_setpoint")
    valves = {f"{m}/fws_valve_position": 0.5 for m in ("cdu-1", "cdu-2")}
    low = {"cdu-1/effective_differential_pressure_setpoint": 50e3}
    calm, off = ({SUPPLY: asked + k, OTHER: asked + k, **valves, **low} for k in (0.3, 2.5))
    state = replace(initial_state(), doubts=watch(pod, pod_snapshot, [calm, off], now_s))
    result = step(state, shown(pod_snapshot, off), (), now_s + 120.0, pod)
    (plan,) = result.plans
    moved = {s.point: s.value - s.current for s in plan.setpoints}
    assert moved["cdu-1/differential_pressure_setpoint"] == pytest.approx(0.0, abs=0.01)
    assert moved["dry-coolers/leaving_temperature_setpoint"] < 0
    assert result.let_go == {}


def test_a_jammed_valve_gets_the_reserve(pod, pod_snapshot, now_s):
    """Too warm by a valve that stays: colder facility water and more flow, one step of the envelope at a time."""
    asked = pod_snapshot.value("cdu-1/effective_supply_temperature_setpoint")
    off = [{SUPPLY: asked + 2.0 + 0.01 * n, "cdu-1/fws_valve_position": 0.5} for n in range(6)]
    state = replace(initial_state(), doubts=watch(pod, pod_snapshot, off, now_s))
    result = step(state, shown(pod_snapshot, off[-1]), (), now_s + 360.0, pod)
    assert "valve_stuck" in {c.code for c in result.conditions}
    (plan,) = result.plans
    assert plan.reason.code == "plan_reserve"
    moved = {s.point: s.value - s.current for s in plan.setpoints}
    assert moved["dry-coolers/leaving_temperature_setpoint"] < 0
    assert moved["cdu-1/differential_pressure_setpoint"] > 0


@pytest.mark.parametrize("share", [0.95, 1.05])
def test_meters_that_disagree_are_told_and_the_larger_heat_counts(pod, pod_snapshot, now_s, share):
    """5 % between CDUs and racks for five minutes: named; heat is never less than what the racks draw."""
    points = {f"{m}/tcs_flow": share * pod_snapshot.value(f"{m}/tcs_flow") for m in ("cdu-1", "cdu-2")}
    doubts = watch(pod, pod_snapshot, [points] * 7, now_s)
    assert named(pod, doubts) == {(Cause.FLOW_BIASED, "tcs-1"): False}
    snapshot = shown(pod_snapshot, points)
    result = step(replace(initial_state(), doubts=doubts), snapshot, (), now_s + 420.0, pod)
    assert result.plans
    assert "flow_meter_biased" in {c.code for c in result.conditions}
    told = next(h for h in result.forecast.heats if h.subject == "tcs-1")
    drawn_w = sum(
        pod_snapshot.value(f"{r}/power") * rack_design(pod, r).liquid_fraction for r in pod.groups["tcs-1"].racks
    )
    assert told.at(0.5)[0] >= 0.99 * drawn_w
    assert not named(pod, watch(pod, pod_snapshot, [points] * 4, now_s))


@pytest.mark.parametrize("jump_k", [-10.0, 10.0])
def test_of_an_outdoor_sensor_that_jumps_the_warmer_value_counts(pod, pod_snapshot, now_s, jump_k):
    """Air does not change by 10 K in a minute: named until it comes back, and the warmer of both is reckoned with."""
    true_c = pod_snapshot.value(AIR)
    wrong = shown(pod_snapshot, {AIR: true_c + jump_k})
    doubts = watch(pod, pod_snapshot, [{}, *[{AIR: true_c + jump_k}] * 30], now_s)
    assert named(pod, doubts) == {(Cause.OUTDOOR_WRONG, AIR): False}
    assert trusted(doubts, wrong).value(AIR) == max(true_c, true_c + jump_k)
    assert not named(pod, doubted(doubts, pod, pod_snapshot, now_s + 2000.0))


def test_weather_is_believed(pod, pod_snapshot, now_s):
    """A front of 1 K a minute, and what changed while nobody looked, are weather."""
    assert not named(pod, watch(pod, pod_snapshot, [{AIR: 30.0 - n} for n in range(15)], now_s))
    before = doubted({}, pod, shown(pod_snapshot, {AIR: 10.0}), now_s)
    assert not named(pod, doubted(before, pod, shown(pod_snapshot, {AIR: 20.0}), now_s + 3600.0))


def test_a_fouled_exchanger_is_told(pod, pod_snapshot, now_s):
    """The film at half of design for ten minutes: named; setpoints are the optimiser's."""
    cold = {"cdu-1/fws_supply_temperature": 12.0, "cdu-1/fws_return_temperature": 18.0}
    doubts = watch(pod, pod_snapshot, [cold] * 12, now_s)
    assert named(pod, doubts) == {(Cause.FOULED, "cdu-1"): False}
    assert not named(pod, watch(pod, pod_snapshot, [cold] * 8, now_s))


def test_a_case_lies_above_the_coolant_that_leaves_its_plate(pod):
    """At any flow the resistance is at least what the stream's own rise asks for, and the OCP fit at design flow."""
    rack, heat = rack_design(pod, "rack-01"), fluid("propylene-glycol", 25.0).heat_j_m3_k
    flow = rack.flow_m3_s * np.array([1e-4, 1e-3, 0.01, 0.1, 0.5, 1.0, 2.0])
    found = case_resistance(rack, flow, heat)
    per_gpu_w = rack.power_w * rack.liquid_fraction / (rack.gpu_power_w * rack.gpus)
    assert (found * 0.95 * flow / rack.gpus * heat >= per_gpu_w * (1 - 1e-12)).all()
    assert (np.diff(found) < 0).all()
    assert found[5] == pytest.approx(rack.case_resistance_k_w)
