"""What the modes promise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.asking import leases_to_ask, setpoints_to_ask
from controller.modes import apply_intent, expire, initial_modes
from controller.step import initial_state, step
from plant.clock import ManualClock
from plant.intents import Intent, IntentKind, Mode

SUPPLY = "cdu-1/supply_temperature_setpoint"
ALL = {"tcs-1"}


@pytest.fixture(scope="module")
def plans(pod, pod_snapshot, now_s):
    """The plans of one cycle."""
    return step(initial_state(), pod_snapshot, (), now_s, pod).plans


def intent(kind, **more):
    """An intent of an operator for the one loop."""
    return Intent(kind=kind, actor="ann", reason="test", at_s=0.0, loop="tcs-1", **more)


def set_mode(mode):
    """A wish for a mode."""
    return intent(IntentKind.SET_MODE, mode=mode)


def test_every_loop_starts_advisory(pod, lab):
    """No site file makes anything write; the demo's auto is for drivable loops only."""
    assert {s.mode for s in initial_modes(lab).values()} == {Mode.ADVISORY}
    assert initial_modes(lab, auto=True)["air-assisted"].mode is Mode.ADVISORY
    assert initial_modes(pod, auto=True)["tcs-1"].mode is Mode.AUTO


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.LIMITED, Mode.CONFIRM])
def test_driving_needs_commissioning(pod, plans, mode):
    """A loop that is not commissioned for writing can't be driven; the answer says why and nothing changes."""
    before = initial_modes(pod)
    modes, answer = apply_intent(before, set_mode(mode), pod, plans, set(), 0.0)
    assert not answer.accepted
    assert "commission" in answer.text
    assert modes == before
    modes, answer = apply_intent(before, set_mode(mode), pod, plans, ALL, 0.0)
    assert answer.accepted
    assert modes["tcs-1"].mode is mode


def test_undrivable_loop_stays_advisory(lab, plans):
    """A device without fallback is advisory for ever, commissioned or not."""
    wish = replace(set_mode(Mode.AUTO), loop="air-assisted")
    _, answer = apply_intent(initial_modes(lab), wish, lab, plans, {"air-assisted"}, 0.0)
    assert not answer.accepted
    assert "fallback" in answer.text


def test_hold_ends_by_itself(pod, plans):
    """A hold asks its value in any case, and goes back to the mode before it when its time is over."""
    modes = initial_modes(pod, auto=True)
    wish = intent(IntentKind.HOLD, values={SUPPLY: 33.0}, expires_s=600.0)
    modes, answer = apply_intent(modes, wish, pod, (), ALL, 0.0)
    assert answer.accepted
    (asked,) = setpoints_to_ask(None, modes["tcs-1"])
    assert (asked.point, asked.value) == (SUPPLY, 33.0)
    (lease,) = leases_to_ask((asked,), modes["tcs-1"], ManualClock(), epoch=1, first_seq=5, ttl_s=60)
    assert lease.by_operator
    assert expire(modes, 599.0)["tcs-1"].mode is Mode.HOLD
    assert expire(modes, 600.0)["tcs-1"].mode is Mode.AUTO


def test_a_hold_freezes_what_it_does_not_name(pod, plans):
    """Setpoints that a hold leaves out stay as they were asked, by the operator too: none runs out under the hold."""
    wish = intent(IntentKind.HOLD, values={SUPPLY: 33.0}, expires_s=600.0)
    modes, _ = apply_intent(initial_modes(pod, auto=True), wish, pod, plans, ALL, 0.0)
    asked = {s.point: s.value for s in setpoints_to_ask(None, modes["tcs-1"])}
    (plan,) = (p for p in plans if p.loop == "tcs-1")
    assert asked == {s.point: s.value for s in plan.setpoints} | {SUPPLY: 33.0}
    advisory, _ = apply_intent(initial_modes(pod), wish, pod, plans, ALL, 0.0)
    assert advisory["tcs-1"].hold == {s.point: s.current for s in plan.setpoints} | {SUPPLY: 33.0}


@pytest.mark.parametrize(
    ("values", "expires_s", "word"),
    [
        ({SUPPLY: 60.0}, 600.0, "outside"),
        ({SUPPLY: float("nan")}, 600.0, "outside"),
        ({"fan/x": 1.0}, 600.0, "not a setpoint"),
        ({}, 600.0, "needs a value"),
        ({SUPPLY: 33.0}, None, "needs an end"),
        ({SUPPLY: 33.0}, -5.0, "needs an end"),
    ],
)
def test_bad_holds_are_refused(pod, plans, values, expires_s, word):
    """A hold outside the envelope, of a foreign point, or without an end is refused in words."""
    wish = intent(IntentKind.HOLD, values=values, expires_s=expires_s)
    _, answer = apply_intent(initial_modes(pod), wish, pod, plans, ALL, 0.0)
    assert not answer.accepted
    assert word in answer.text


def test_confirm_asks_exactly_the_confirmed_plan(pod, plans, now_s):
    """In confirm mode nothing is asked until the current plan is confirmed, and then only its values."""
    modes, _ = apply_intent(initial_modes(pod), set_mode(Mode.CONFIRM), pod, plans, ALL, now_s)
    assert setpoints_to_ask(plans[0], modes["tcs-1"]) == ()
    _, answer = apply_intent(modes, intent(IntentKind.CONFIRM, plan="old"), pod, plans, ALL, now_s)
    assert not answer.accepted
    modes, answer = apply_intent(modes, intent(IntentKind.CONFIRM, plan=plans[0].id), pod, plans, ALL, now_s)
    assert answer.accepted
    moved = replace(plans[0], id="next", setpoints=tuple(replace(s, value=s.value + 1) for s in plans[0].setpoints))
    asked = setpoints_to_ask(moved, modes["tcs-1"])
    assert [s.value for s in asked] == [s.value for s in plans[0].setpoints]
    _, answer = apply_intent(modes, intent(IntentKind.CONFIRM, plan=plans[0].id), pod, plans, ALL, now_s + 1e4)
    assert not answer.accepted


def test_all_to_default_clears_everything(pod, plans):
    """One intent makes every loop advisory and ends every hold."""
    modes = initial_modes(pod, auto=True)
    modes, _ = apply_intent(
        modes, intent(IntentKind.HOLD, values={SUPPLY: 33.0}, expires_s=600.0), pod, plans, ALL, 0.0
    )
    wish = replace(intent(IntentKind.ALL_TO_DEFAULT), loop="")
    modes, answer = apply_intent(modes, wish, pod, plans, set(), 1.0)
    assert answer.accepted
    assert modes["tcs-1"].mode is Mode.ADVISORY
    assert not modes["tcs-1"].hold
    assert setpoints_to_ask(plans[0], modes["tcs-1"]) == ()


def test_limited_stays_near_design(pod, plans):
    """Limited mode asks nothing further than 1 K or 10 % from design."""
    modes, _ = apply_intent(initial_modes(pod), set_mode(Mode.LIMITED), pod, plans, ALL, 0.0)
    far = replace(plans[0], setpoints=tuple(replace(s, value=s.design * 1.3) for s in plans[0].setpoints))
    supply, dp, facility, air = setpoints_to_ask(far, modes["tcs-1"])
    assert supply.value == pytest.approx(33.0)
    assert facility.value == pytest.approx(28.0)
    assert air.value == pytest.approx(air.design + 1.0)
    assert dp.value == pytest.approx(121000.0)
    assert air.value == pytest.approx(26.0)


def test_no_plan_asks_nothing(pod):
    """Without a plan auto mode asks nothing, so that leases end and devices return to default."""
    assert setpoints_to_ask(None, initial_modes(pod, auto=True)["tcs-1"]) == ()


def test_actor_and_reason_are_needed(pod, plans):
    """An intent without a person or a reason is refused."""
    _, answer = apply_intent(initial_modes(pod), replace(set_mode(Mode.OFF), reason=" "), pod, plans, ALL, 0.0)
    assert not answer.accepted
