"""What one cycle promises."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from controller.step import initial_state, seed_history, step
from plant.live import Snapshot
from plant.samples import Quality, Reason


def without(snapshot, *points):
    """A snapshot that never heard of some points."""
    return Snapshot(at_s=snapshot.at_s, readings={k: v for k, v in snapshot.readings.items() if k not in points})


def staled(snapshot, point):
    """A snapshot in which a point is stale."""
    bad = replace(snapshot.readings[point], quality=Quality.BAD, reason=Reason.STALE)
    return Snapshot(at_s=snapshot.at_s, readings={**snapshot.readings, point: bad})


def changed(snapshot, point, value):
    """A snapshot in which a point shows something else."""
    reading = replace(snapshot.readings[point], value=value)
    return Snapshot(at_s=snapshot.at_s, readings={**snapshot.readings, point: reading})


def silenced(snapshot, *starts):
    """A snapshot without anything measured at some equipment; setpoints in force are still told."""
    gone = [p for p in snapshot.readings if p.startswith(starts) and not p.endswith("_setpoint")]
    return without(snapshot, *gone)


def test_plan_is_within_envelopes_and_one_step(pod, pod_snapshot, now_s):
    """Each value asked lies in its envelope and at most one step from where the device is."""
    (plan,) = step(initial_state(), pod_snapshot, (), now_s, pod).plans
    for setpoint in plan.setpoints:
        envelope = pod.envelopes[setpoint.point]
        assert envelope.minimum <= setpoint.value <= envelope.maximum
        assert abs(setpoint.value - setpoint.current) <= envelope.max_step + 1e-6
    assert plan.predicted_cooling_w + plan.predicted_it_extra_w < plan.predicted_design_cooling_w
    assert plan.worst_case_margin_k > 0
    assert plan.predicted_case_c < plan.case_limit_c


def test_cold_start_says_so(pod, pod_snapshot, now_s):
    """The first forecast is persistence with a band, marked as a cold start, two hours in one-minute steps."""
    forecast = step(initial_state(), pod_snapshot, (), now_s, pod).forecast
    assert {h.subject for h in forecast.heats} == {"cdu-1", "cdu-2", "tcs-1"}
    assert forecast.note.text == "persistence, 1 min of data"
    for heat in forecast.heats:
        assert heat.cold_start
        assert heat.model == "persistence"
        assert len(heat.times_s) == 120
        assert heat.times_s[1] - heat.times_s[0] == 60
        assert all(low < high for low, high in zip(heat.at(0.05), heat.at(0.95), strict=True))


def test_step_is_pure(pod, pod_snapshot, now_s):
    """The same arguments give the same result, and the state survives pickling."""
    state = step(initial_state(), pod_snapshot, (), now_s, pod).state
    again = pickle.loads(pickle.dumps(state))
    first = step(state, pod_snapshot, (), now_s + 60, pod)
    second = step(again, pod_snapshot, (), now_s + 60, pod)
    assert first.plans == second.plans
    assert first.forecast == second.forecast


@pytest.mark.parametrize(
    "point",
    [
        "cdu-1/effective_supply_temperature_setpoint",
        "dry-coolers/effective_leaving_temperature_setpoint",
    ],
)
def test_missing_input_means_no_plan(pod, pod_snapshot, now_s, point):
    """Without an input there is no plan, but a condition that names the point and a remedy."""
    for snapshot in (without(pod_snapshot, point), staled(pod_snapshot, point)):
        result = step(initial_state(), snapshot, (), now_s, pod)
        assert result.plans == ()
        (found,) = result.conditions
        assert found.code == "inputs_missing"
        assert point in found.cause.text
        assert found.remedy.text


def test_silent_cdu_is_substituted(pod, pod_snapshot, now_s):
    """A silent CDU's heat comes from what is around it, and a condition says so."""
    snapshot = staled(pod_snapshot, "cdu-2/tcs_flow")
    result = step(initial_state(), snapshot, (), now_s, pod)
    full = step(initial_state(), pod_snapshot, (), now_s, pod)
    assert [c.code for c in result.conditions] == ["heat_substituted"]
    assert result.plans

    def heat(r):
        return next(h for h in r.forecast.heats if h.subject == "cdu-2").at(0.5)[0]

    assert heat(result) == pytest.approx(heat(full), rel=0.1)


def test_unknown_heat_means_no_move(pod, pod_snapshot, now_s):
    """When neither a CDU nor its racks tell the heat, nothing is planned."""
    snapshot = silenced(pod_snapshot, "cdu-2/", "rack-")
    result = step(initial_state(), snapshot, (), now_s, pod)
    assert result.plans == ()
    assert [(c.code, c.subject) for c in result.conditions] == [("heat_unknown", "cdu-2")]
    assert not any(h.known for h in result.headrooms)


def test_dew_point_keeps_supply_up(pod, pod_snapshot, now_s):
    """A damp room keeps the supply target above dew point plus the envelope's margin."""
    snapshot = changed(pod_snapshot, "cdu-1/room_dew_point", 31.0)
    (plan,) = step(initial_state(), snapshot, (), now_s, pod).plans
    assert plan.setpoints[0].target >= 31.0 + 3.0
    assert plan.setpoints[0].value >= 32.0


def test_design_when_nothing_is_safe(pod, pod_snapshot, now_s):
    """With a case limit that no candidate keeps in reserve, the target is design and the reason says so."""
    limits = {**pod.limits, "case": replace(pod.limits["case"], maximum=60.0)}
    hot = replace(pod, limits=limits)
    snapshot = changed(pod_snapshot, "cdu-1/effective_supply_temperature_setpoint", 36.0)
    result = step(initial_state(), snapshot, (), now_s, hot)
    (plan,) = result.plans
    assert plan.setpoints[0].target == 32.0
    assert plan.setpoints[0].value == 35.0
    assert plan.reason.code == "plan_design"
    assert "reserve_gone" in {c.code for c in result.conditions}


def test_dwell_repeats_the_last_value(pod, pod_snapshot, now_s):
    """Within the dwell after a move the same value is asked again, after it the next step."""
    first = step(initial_state(), pod_snapshot, (), now_s, pod)
    asked = first.plans[0].setpoints[0].value
    snapshot = changed(pod_snapshot, "cdu-1/effective_supply_temperature_setpoint", asked)
    soon = step(first.state, snapshot, (), now_s + 60, pod)
    late = step(soon.state, snapshot, (), now_s + 360, pod)
    assert soon.plans[0].setpoints[0].value == asked
    assert late.plans[0].setpoints[0].value == pytest.approx(asked + 1.0)


def test_seeded_history_ends_the_cold_start(pod, pod_snapshot, now_s):
    """With hours of history the model is fitted at once and the forecast is no cold start."""
    times = now_s - 60.0 * np.arange(300, 0, -1)
    rng = np.random.default_rng(3)
    heat = np.full(300, 7e5)
    for i in range(1, 300):
        heat[i] = 7e5 + 0.7 * (heat[i - 1] - 7e5) + rng.normal() * 2e4
    state = seed_history(
        initial_state(), {s: (times, heat / (1 if s == "tcs-1" else 2)) for s in ("cdu-1", "cdu-2", "tcs-1")}
    )
    for minute in range(3):
        result = step(state, pod_snapshot, (), now_s + 60 * minute, pod)
        state = result.state
    assert not any(h.cold_start for h in result.forecast.heats)
    assert any(h.model in {"ridge", "state-space"} for h in result.forecast.heats)


def test_small_lab_gets_both_plans(lab, lab_snapshot, now_s):
    """A site with one CDU and a sidecar works without a code change: two plans, the sidecar's without facility water."""
    result = step(initial_state(), lab_snapshot, (), now_s, lab)
    assert {p.loop for p in result.plans} == {"tcs", "air-assisted"}
    sidecar = next(p for p in result.plans if p.loop == "air-assisted")
    assert [s.point for s in sidecar.setpoints] == ["sidecar/supply_temperature_setpoint", "sidecar/flow_setpoint"]
    assert all(h.known for h in result.headrooms)
    for plan in result.plans:
        for setpoint in plan.setpoints:
            envelope = lab.envelopes[setpoint.point]
            assert abs(setpoint.value - setpoint.current) <= envelope.max_step + 1e-6


def test_headroom_is_bounded_by_design_and_costs_something(pod, pod_snapshot, now_s):
    """Headroom in power is what is left to design power; each watt of IT costs cooling watts."""
    for headroom in step(initial_state(), pod_snapshot, (), now_s, pod).headrooms:
        power_w = pod_snapshot.value(f"{headroom.rack}/power")
        assert headroom.power_w == pytest.approx(max(132000 - power_w, 0.0))
        assert headroom.cooling_w > 0
        assert 0 < headroom.marginal_w_per_w < 1


def test_headroom_tells_what_limits_it_now_and_within_the_hour(pod, pod_snapshot, now_s):
    """A forecast that has learnt makes `ahead_w`; a rating above the racks, and N+1 in a tight plant, take room away."""
    times = now_s - np.arange(3 * 24 * 60, 0, -1) * 60.0
    shares = {"cdu-1": 0.5, "cdu-2": 0.5, "tcs-1": 1.0}
    state = seed_history(initial_state(), {s: (times, np.full(times.shape, 8e5) * f) for s, f in shares.items()})
    for minute in range(3):
        result = step(state, pod_snapshot, (), now_s + 60 * minute, pod)
        state = result.state
    for found in result.headrooms:
        assert found.limiting == "pdu"
        assert 0.0 <= found.ahead_w <= min(found.power_w, found.cooling_w) + 1e-6
        assert found.horizon_s == 3600.0
        assert 0.0 <= found.risk <= 1.0
        assert found.shared_w > 0.0
    ups = replace(
        pod.equipment["ups"],
        design={"power_w": sum(pod_snapshot.value(f"{r.id}/power") for r in pod.of_kind("rack")) + 2e3},
    )
    fed = replace(pod, equipment={**pod.equipment, "ups": ups})
    for found in step(initial_state(), pod_snapshot, (), now_s, fed).headrooms:
        own_w = 132e3 - pod_snapshot.value(f"{found.rack}/power")
        assert found.limiting == ("feed" if own_w > 2e3 else "pdu")
        assert found.power_w == pytest.approx(min(own_w, 2e3))


def test_a_loop_that_cannot_lose_a_cdu_has_no_room(pod, pod_snapshot, now_s):
    """N+1 at a lower case limit than one CDU can hold: no cooling left; without the reserve there is."""
    case = replace(pod.limits["case"], maximum=62.0)
    tight = replace(pod, limits={**pod.limits, "case": case})
    group = tight.groups["tcs-1"]
    bare = replace(tight, groups={**tight.groups, "tcs-1": replace(group, reserve="none")})
    with_reserve, without = (step(initial_state(), pod_snapshot, (), now_s, s).headrooms[0] for s in (tight, bare))
    assert (with_reserve.limiting, with_reserve.cooling_w) == ("n+1", 0.0)
    assert without.cooling_w > 0.0
