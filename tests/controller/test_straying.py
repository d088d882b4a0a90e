"""A loop whose valves follow late keeps its limits further away, by what was seen of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.constraints import CASE_TOLERANCE, ranges
from controller.model import full_load_case_c
from controller.optimise import judge, search
from controller.problems import build_problem
from controller.step import initial_state, step
from controller.straying import FADES_S, MOST_K, STEADY, looked
from plant.live import Snapshot

SUPPLY = "cdu-1/tcs_supply_temperature"
ASKED = "cdu-1/effective_supply_temperature_setpoint"


def shown(snapshot, values):
    """A snapshot in which points show something else."""
    new = {p: replace(snapshot.readings[p], value=v) for p, v in values.items()}
    return Snapshot(at_s=snapshot.at_s, readings={**snapshot.readings, **new})


def test_a_peak_is_remembered_and_fades():
    """1.6 K over its setpoint counts with half as much again, half of it after three days; a fault's excess only so far."""
    peak = looked(STEADY, 40.0, 41.6, 0.0)
    assert peak.kept_k == pytest.approx((0.0, 2.4))
    calm = looked(peak, 40.0, 39.9, FADES_S)
    assert calm.kept_k == pytest.approx((0.15, 1.2))
    assert looked(STEADY, 40.0, 50.0, 0.0).kept_k[1] == MOST_K


def test_supply_on_its_way_between_setpoints_does_not_stray():
    """Three steps down within ten minutes: supply is still near the first; ten minutes later it should have come."""
    stray = STEADY
    for minute, asked_c in enumerate((40.0, 39.0, 38.0)):
        stray = looked(stray, asked_c, 40.0, 300.0 * minute)
    assert stray.over_k == 0.0
    assert looked(stray, 38.0, 39.5, 1500.0).over_k == pytest.approx(1.5)


def test_limits_are_kept_further_away(pod, pod_snapshot, now_s):
    """Case, dew point and the range of the supply, once it went 2 K over and 1.6 K under its setpoint."""
    asked_c, state = pod_snapshot.value(ASKED), initial_state()
    for look, off_k in enumerate((2.0, -1.6, 0.0)):
        state = step(state, shown(pod_snapshot, {SUPPLY: asked_c + off_k}), (), now_s + 60.0 * look, pod).state
    stray = state.strays["tcs-1"]
    assert stray.kept_k == pytest.approx((2.4, 3.0), abs=0.01)
    forecasts = {h.subject: h for h in step(initial_state(), pod_snapshot, (), now_s, pod).forecast.heats}
    calm, wild = (
        build_problem(pod, pod_snapshot, pod.groups["tcs-1"], forecasts["tcs-1"], (), strays_k=kept_k)
        for kept_k in ((0.0, 0.0), stray.kept_k)
    )
    top = next(limit.maximum for limit in pod.limits.values() if limit.quantity == "tcs_supply_temperature")
    assert ranges(calm)[0, 1] == top - 2.0
    assert ranges(wild)[0, 1] == pytest.approx(top - 3.0, abs=0.01)
    points = np.array([calm.current])
    before, after = (judge(problem, points).margins for problem in (calm, wild))
    case_c = full_load_case_c(calm.design, points[:, 0], points[:, 1], calm.upper.gpu_w)
    tolerance_k = (1 - 1 / CASE_TOLERANCE) * (float(case_c[0]) - points[0, 0])
    assert 1.0 < tolerance_k < 4.0
    assert before["case_temperature"] - after["case_temperature"] == pytest.approx(max(3.0 - tolerance_k - 0.8, 0.0))
    further = replace(wild, bounds=replace(wild.bounds, strays_k=(0.0, 6.0)))
    kept_k = before["case_temperature"] - judge(further, points).margins["case_temperature"]
    assert kept_k == pytest.approx(6.0 - tolerance_k - 0.8)
    assert before["dew_point"] - after["dew_point"] == pytest.approx(2.4 - 0.5, abs=0.01)


def test_a_setpoint_outside_its_range_is_moved_back(pod, pod_snapshot, now_s):
    """Once a supply strayed by 3 K, a setpoint 2 K below its alarm moves down, though that costs; before it stays."""
    heat = next(h for h in step(initial_state(), pod_snapshot, (), now_s, pod).forecast.heats if h.subject == "tcs-1")
    plain = build_problem(pod, pod_snapshot, pod.groups["tcs-1"], heat, ())
    supply, *others = zip(plain.envelopes, plain.current, strict=True)
    fixed = (replace(envelope, minimum=at, maximum=at) for envelope, at in others)
    wide = (replace(supply[0], minimum=supply[1] - 1.5, maximum=supply[1] + 5.0), *fixed)
    found = {}
    for over_k in (0.0, 3.0):
        limits = replace(plain.bounds, case_c=200.0, rack_return_c=200.0, reserve=False)
        bounds = replace(limits, supply_c=(-np.inf, supply[1] + 2.0), strays_k=(0.0, over_k))
        here = replace(plain, bounds=bounds, envelopes=wide, target=plain.current)
        assert judge(here, np.array([here.current])).feasible.all()
        found[over_k] = search(here)
    assert not found[0.0].worth_moving
    assert found[3.0].worth_moving
    assert found[3.0].target[0] <= supply[1] - 1.0


def test_nothing_is_relaxed_while_the_supply_is_not_held(pod, pod_snapshot, now_s):
    """A supply 1.5 K above its setpoint: where a calm plant gets warmer water it is to get design's, and is told why."""
    asked_c = pod_snapshot.value(ASKED)
    calm, unheld = (
        step(initial_state(), shown(pod_snapshot, {SUPPLY: asked_c + k}), (), now_s, pod).plans[0] for k in (0.5, 1.5)
    )
    raised = {s.point for s in calm.setpoints if s.value > s.current and "pressure" not in s.point}
    assert "dry-coolers/leaving_temperature_setpoint" in raised
    assert any(s.point.startswith("air-unit") for s in calm.setpoints)
    assert not any(s.point.startswith("air-unit") for s in unheld.setpoints)  # its device's own again
    for s in unheld.setpoints:
        assert s.value >= s.current if "pressure" in s.point else s.value <= s.current
    facility = next(s for s in unheld.setpoints if s.point == "dry-coolers/leaving_temperature_setpoint")
    assert facility.target <= facility.design
    assert unheld.reason.code == "plan_unheld"
    assert unheld.reason.params["over_k"] == pytest.approx(1.5)
