"""The site's own rule: trim and respond by requests, within its range, the dew point and one step at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.rule import RuleState, ruled
from plant.live import Snapshot
from plant.topology import Reset, Rule

DP, WATER = "differential_pressure", "facility_supply_temperature"
SETPOINT = "cdu-1/effective_supply_temperature_setpoint"


def seen(snapshot, **values):
    """The snapshot with some values changed."""
    new = {p: replace(snapshot.readings[p], value=v) for p, v in values.items()}
    return Snapshot(at_s=snapshot.at_s, readings={**snapshot.readings, **new})


def calm(pod, snapshot):
    """No CDU and no rack asks for anything."""
    values = {f"{m}/fws_valve_position": 0.5 for m in ("cdu-1", "cdu-2")}
    values |= {f"{m}/tcs_supply_temperature": snapshot.value(SETPOINT) for m in ("cdu-1", "cdu-2")}
    return seen(snapshot, **values)


def after(pod, snapshot, steps, now_s, state=None):
    """The rule after so many of its own time steps."""
    group, found = pod.groups["tcs-1"], None
    for n in range(steps + 1):
        found = ruled(pod, snapshot, group, state or RuleState(), now_s + 300.0 * n)
        state = found.state
    return found


def test_it_starts_and_trims(pod, pod_snapshot, now_s):
    """Without requests each time step trims once, down to the least; between time steps nothing moves."""
    shown = calm(pod, pod_snapshot)
    first = after(pod, shown, 0, now_s)
    assert first.state.values == {DP: 110e3, WATER: 27.0}
    again = ruled(pod, shown, pod.groups["tcs-1"], first.state, now_s + 299.0)
    assert again.state.values == first.state.values
    assert after(pod, shown, 3, now_s).state.values == pytest.approx({DP: 101e3, WATER: 27.6})
    assert after(pod, shown, 100, now_s).state.values == pytest.approx({DP: 60e3, WATER: 29.0})


@pytest.mark.parametrize(
    ("over_k", "valve", "requests"), [(0.0, 0.5, 0), (0.0, 0.96, 1), (2.5, 0.96, 2), (3.5, 0.5, 3)]
)
def test_a_cdu_asks_for_colder_water(pod, pod_snapshot, now_s, over_k, valve, requests):
    """A nearly open valve, 2 K and 3 K too warm: so many requests, each a response, no more than the most."""
    values = {"cdu-1/tcs_supply_temperature": pod_snapshot.value(SETPOINT) + over_k, "cdu-1/fws_valve_position": valve}
    found = after(pod, seen(calm(pod, pod_snapshot), **values), 1, now_s)
    assert found.requests == requests
    assert found.state.values[WATER] == pytest.approx(27.0 + 0.2 - min(0.3 * requests, 1.0))
    assert found.state.values[DP] == 107e3


def test_a_valve_asks_until_it_has_closed_a_little(pod, pod_snapshot, now_s):
    """Above 95 % it begins, at 90 % it goes on, below 85 % it is over."""
    state, told = None, []
    for step, valve in enumerate((0.90, 0.96, 0.90, 0.84, 0.90)):
        shown = seen(calm(pod, pod_snapshot), **{"cdu-1/fws_valve_position": valve})
        found = ruled(pod, shown, pod.groups["tcs-1"], state or RuleState(), now_s + 300.0 * step)
        state = found.state
        told.append(found.requests)
    assert told == [0, 1, 1, 0, 0]


@pytest.mark.parametrize(("left_k", "requests"), [(4.0, 0), (2.9, 1), (1.9, 2), (0.9, 3), (-1.0, 3)])
def test_a_rack_asks_for_flow(pod, pod_snapshot, now_s, left_k, requests):
    """The nearer its hottest GPU is to the case limit, the more."""
    gpu = "rack-01/gpu-00/temperature"
    shown = calm(pod, pod_snapshot)
    reading = replace(next(iter(shown.readings.values())), value=72.0 - left_k)
    shown = Snapshot(at_s=shown.at_s, readings={**shown.readings, gpu: reading})
    found = after(pod, shown, 1, now_s)
    assert found.requests == requests
    assert found.state.values[DP] == 110e3 - 3000.0 + min(6000.0 * requests, 15000.0)


def test_some_requests_are_ignored(pod, pod_snapshot, now_s):
    """Only those beyond the ignored ones are answered."""
    group = pod.groups["tcs-1"]
    reset = Reset(start=27, minimum=20, maximum=29, trim=0.2, respond=-0.3, respond_max=-1, ignored=2)
    site = replace(pod, groups={"tcs-1": replace(group, rule=Rule(resets={WATER: reset}))})
    hot = seen(calm(pod, pod_snapshot), **{"cdu-1/tcs_supply_temperature": pod_snapshot.value(SETPOINT) + 3.5})
    assert after(site, hot, 1, now_s).state.values[WATER] == pytest.approx(27 + 0.2 - 0.3)


def test_without_a_rule_it_is_design(pod, pod_snapshot, now_s):
    """A site that names none is held at its design setpoints, and so is a role that the rule does not name."""
    site = replace(pod, groups={"tcs-1": replace(pod.groups["tcs-1"], rule=None)})
    plain = after(site, calm(pod, pod_snapshot), 3, now_s)
    assert all(s.target == s.design for s in plain.setpoints)
    with_rule = after(pod, calm(pod, pod_snapshot), 3, now_s)
    supply = next(s for s in with_rule.setpoints if s.point == "cdu-1/supply_temperature_setpoint")
    assert supply.target == supply.design


def test_one_step_at_a_time_and_above_the_dew_point(pod, pod_snapshot, now_s):
    """What is asked is one allowed step from where the device is; a damp room lifts the supply."""
    far = seen(calm(pod, pod_snapshot), **{"cdu-1/effective_differential_pressure_setpoint": 60e3})
    asked = {s.point: s for s in after(pod, far, 0, now_s).setpoints}
    assert asked["cdu-1/differential_pressure_setpoint"].value == 75e3
    dew = {f"{m}/room_dew_point": 31.0 for m in ("cdu-1", "cdu-2")}
    damp = {s.point: s for s in after(pod, seen(calm(pod, pod_snapshot), **dew), 0, now_s).setpoints}
    assert damp["cdu-1/supply_temperature_setpoint"].target >= 34.0


def test_a_clock_set_back_does_not_hold_the_rule_still(pod, pod_snapshot, now_s):
    """An hour back: within one time step and one dwell it answers again, not an hour later."""
    shown = calm(pod, pod_snapshot)
    first = after(pod, shown, 2, now_s)
    back = after(pod, shown, 2, now_s - 3600.0, first.state)
    assert back.state.values[DP] == pytest.approx(first.state.values[DP] - 6e3)
    assert all(move.at_s <= now_s - 3000.0 for move in back.state.moves.values())
