"""Bad input and a plant that does not react: named, let go, its own default, no further writes until it is over."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

import pytest

from benchmarks.fault_scenarios import Scenario
from benchmarks.faults import CALM_CYCLES, _controlled, calm
from controller.causes import Cause
from controller.loops import plan_loop
from controller.step import initial_state, step
from controller.suspects import doubted, suspects
from plant.live import Snapshot

SETPOINT = "cdu-1/effective_supply_temperature_setpoint"
DEFAULTS = {SETPOINT: 32.0, "cdu-1/effective_differential_pressure_setpoint": 110e3}


def off(pod, snapshot, error_k, minute):
    """The pod with supply off by error_k while valves move: not jammed, only without effect."""
    values = {f"{m}/tcs_supply_temperature": snapshot.value(SETPOINT) + error_k for m in ("cdu-1", "cdu-2")}
    values |= {f"{m}/fws_valve_position": 0.3 + 0.02 * minute for m in ("cdu-1", "cdu-2")}
    facility_c = snapshot.value("dry-coolers/effective_leaving_temperature_setpoint")
    values |= {f"{m}/fws_supply_temperature": facility_c for m in ("cdu-1", "cdu-2")}
    new = {p: replace(snapshot.readings[p], value=v) for p, v in values.items()}
    return Snapshot(at_s=snapshot.at_s, readings={**snapshot.readings, **new})


def watched(pod, snapshot, errors_k, now_s):
    """The doubts after a look a minute, each with its own error."""
    doubts = {}
    for minute, error_k in enumerate(errors_k):
        doubts = doubted(doubts, pod, off(pod, snapshot, error_k, minute), now_s + 60.0 * minute)
    return doubts


def causes(pod, doubts):
    """What stands."""
    return {f.cause for f in suspects(doubts, pod.groups["tcs-1"])}


@pytest.mark.parametrize("error_k", [3.0, -3.0])
def test_no_answer_for_a_quarter_of_an_hour_is_named(pod, pod_snapshot, now_s, error_k):
    """Let go with the cause, no plan; half back is not back; within the band coldplate drives again."""
    doubts = watched(pod, pod_snapshot, [error_k] * 17, now_s)
    assert Cause.NOT_REACTING in causes(pod, doubts)
    state, later_s = replace(initial_state(), doubts=doubts), now_s + 17 * 60.0
    for still_k, silent in ((error_k, True), (error_k / 2, True), (0.1, False)):
        result = step(state, off(pod, pod_snapshot, still_k, 17), (), later_s, pod)
        assert (result.let_go == {"tcs-1": "not_reacting"}) is silent
        assert (result.plans == ()) is silent
        assert ("not_reacting" in {c.code for c in result.conditions}) is silent


@pytest.mark.parametrize(
    "errors_k", [[3.0] * 14, [3.0 - 0.1 * n for n in range(17)], [1.9] * 60], ids=["soon", "nearer", "small"]
)
def test_a_plant_on_its_way_is_left_its_time(pod, pod_snapshot, now_s, errors_k):
    """Less than a quarter of an hour, ever nearer, or a small error: no reason to let go."""
    assert Cause.NOT_REACTING not in causes(pod, watched(pod, pod_snapshot, errors_k, now_s))


def test_an_optimiser_of_nan_lets_go(pod, monkeypatch):
    """From the second cycle on every plan is NaN: named, devices at their default, nothing written any more."""
    cycles = []

    def spoilt(*args):
        decision = plan_loop(*args)
        cycles.append(decision)
        if len(cycles) <= CALM_CYCLES:
            return decision
        bad = tuple(replace(s, value=math.nan, target=math.nan) for s in decision.plan.setpoints)
        return replace(decision, plan=replace(decision.plan, setpoints=bad))

    before = calm(pod)
    monkeypatch.setattr("controller.step.plan_loop", spoilt)
    run = asyncio.run(_controlled(pod, Scenario(name="nan", strike=lambda _: None), before, 900.0))
    assert set(run.said) >= {"optimiser_failed", "let go: optimiser_failed"}
    shown = run.plant.plant.measured()
    assert {p: shown[p] for p in DEFAULTS} == pytest.approx(DEFAULTS, rel=0.01)


def test_limits_that_cannot_be_met_leave_the_plant_at_design(pod, pod_snapshot, now_s):
    """A case limit below the supply: said with its margin, and no setpoint but design."""
    site = replace(pod, limits={**pod.limits, "case": replace(pod.limits["case"], maximum=30.0)})
    result = step(initial_state(), pod_snapshot, (), now_s, site)
    assert "reserve_gone" in {c.code for c in result.conditions}
    assert all(s.target == s.design for plan in result.plans for s in plan.setpoints)


def block(plant):
    """Hardly any heat passes the exchangers, though valves and facility water do as they are told."""
    for cdu in plant.cdus:
        cdu.fouling_k_w = 8e-5


def test_the_devices_are_left_alone_until_it_follows(pod):
    """Through controller, guard and leases: accepted setpoints, water that does not follow, and defaults at the end."""
    scenario = Scenario(name="exchangers blocked", strike=block, loads=(0.6, 0.6))
    run = asyncio.run(_controlled(pod, scenario, calm(pod), 1700.0))
    assert "not_reacting" in run.said
    assert "let go: not_reacting" in run.said
    shown = run.plant.plant.measured()
    assert {p: shown[p] for p in DEFAULTS} == pytest.approx(DEFAULTS, rel=0.01)
