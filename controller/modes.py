"""Modes of the loops and the intents that change them. Pure: every change gives a new table and an answer in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

from controller.asking import setpoints_to_ask
from plant.intents import Answer, Intent, IntentKind, Mode, ModeState
from plant.points import PointId
from plant.records import Plan
from plant.topology import CoolingGroup, Site

Modes = Mapping[str, ModeState]
MAX_HOLD_S = 24 * 3600.0
DRIVING = frozenset({Mode.CONFIRM, Mode.LIMITED, Mode.AUTO, Mode.HOLD})
"""Modes in which something may be written."""


def initial_modes(site: Site, auto: bool = False, now_s: float = 0.0) -> dict[str, ModeState]:
    """Advisory for every loop; with `auto` (demo, after its own commissioning) auto for those that can be driven."""
    return {
        group.id: ModeState(
            loop=group.id,
            mode=Mode.AUTO if auto and group.drivable else Mode.ADVISORY,
            since_s=now_s,
            actor="coldplate",
            reason="started by the demo" if auto and group.drivable else "the mode after every start",
        )
        for group in site.groups.values()
    }


def apply_intent(
    modes: Modes, intent: Intent, site: Site, plans: Iterable[Plan], writable_groups: Collection[str], now_s: float
) -> tuple[dict[str, ModeState], Answer]:
    """What an operator's wish does to the modes. A refused wish changes nothing and says why.

    writable_groups: loops whose every device was commissioned for writing in this run.
    """
    modes = dict(modes)
    if not intent.actor.strip() or not intent.reason.strip():
        return modes, Answer(accepted=False, text="an intent needs an actor and a reason; give both")
    if intent.kind is IntentKind.ALL_TO_DEFAULT:
        return _all_to_default(modes, intent, now_s)
    group = site.groups.get(intent.loop)
    if group is None:
        known = ", ".join(site.groups)
        return modes, Answer(accepted=False, text=f"there is no loop {intent.loop!r}; use one of {known}")
    handlers: dict[IntentKind, Callable[[], ModeState | str]] = {
        IntentKind.SET_MODE: lambda: _set_mode(modes, intent, group, writable_groups, now_s),
        IntentKind.HOLD: lambda: _hold(modes, intent, group, site, plans, writable_groups, now_s),
        IntentKind.CONFIRM: lambda: _confirm(modes, intent, group, plans, now_s),
        IntentKind.ACKNOWLEDGE: lambda: _acknowledge(modes, group),
    }
    result = handlers[intent.kind]()
    if isinstance(result, str):
        return modes, Answer(accepted=False, text=result)
    if intent.kind is not IntentKind.ACKNOWLEDGE:
        result = _still_let_go(result, modes.get(group.id))
    return {**modes, group.id: result}, Answer(accepted=True, text=_accepted(intent, result))


def expire(modes: Modes, now_s: float) -> dict[str, ModeState]:
    """Holds whose time is over go back to the mode before them."""
    return {loop: _expired(state, now_s) for loop, state in modes.items()}


def _expired(state: ModeState, now_s: float) -> ModeState:
    if state.mode is not Mode.HOLD or state.expires_s is None or now_s < state.expires_s:
        return state
    ended = ModeState(
        loop=state.loop, mode=state.back_to, since_s=now_s, actor="coldplate", reason=f"the hold of {state.actor} ended"
    )
    return _still_let_go(ended, state)


def _still_let_go(state: ModeState, before: ModeState | None) -> ModeState:
    """No change of mode acknowledges anything."""
    return state if before is None else replace(state, let_go=before.let_go, let_go_s=before.let_go_s)


def _all_to_default(modes: Modes, intent: Intent, now_s: float) -> tuple[dict[str, ModeState], Answer]:
    text = f"all to default: {intent.reason}"
    cleared = {
        loop: _still_let_go(
            ModeState(loop=loop, mode=Mode.ADVISORY, since_s=now_s, actor=intent.actor, reason=text), before
        )
        for loop, before in modes.items()
    }
    return cleared, Answer(
        accepted=True, text=f"{len(cleared)} loops are advisory; every device returns to its default"
    )


def _undrivable(group: CoolingGroup, writable_groups: Collection[str], wish: str) -> str:
    """Why a loop may not be driven; empty if it may."""
    if not group.drivable:
        return (
            f"{group.id} can't be set to {wish}: one of its devices has no fallback of its own when coldplate dies, "
            "so it stays advisory"
        )
    if group.id not in writable_groups:
        return (
            f"{group.id} can't be set to {wish}: writing is not commissioned for all of its devices in this run; "
            "commission them first"
        )
    return ""


def _set_mode(
    modes: Modes, intent: Intent, group: CoolingGroup, writable_groups: Collection[str], now_s: float
) -> ModeState | str:
    if intent.mode is None:
        return "set_mode needs a mode; give one of off, advisory, confirm, limited, auto"
    if intent.mode is Mode.HOLD:
        return "a hold needs values and an end; ask with kind hold"
    refused = _undrivable(group, writable_groups, intent.mode) if intent.mode in DRIVING else ""
    if refused:
        return refused
    fresh = ModeState(loop=group.id, mode=intent.mode, since_s=now_s, actor=intent.actor, reason=intent.reason)
    present = modes.get(group.id)
    if present is not None and present.mode is intent.mode and not present.hold:
        return replace(fresh, since_s=present.since_s)
    return fresh


def _hold(
    modes: Modes,
    intent: Intent,
    group: CoolingGroup,
    site: Site,
    plans: Iterable[Plan],
    writable_groups: Collection[str],
    now_s: float,
) -> ModeState | str:
    refused = _undrivable(group, writable_groups, "hold") or _bad_values(intent.values, group, site)
    if refused:
        return refused
    if intent.expires_s is None or not now_s < intent.expires_s <= now_s + MAX_HOLD_S:
        return f"a hold needs an end in the next {MAX_HOLD_S / 3600:.0f} h; give expires_s"
    present = modes.get(group.id)
    before = Mode.ADVISORY if present is None else present.back_to if present.mode is Mode.HOLD else present.mode
    return ModeState(
        loop=group.id,
        mode=Mode.HOLD,
        since_s=now_s,
        actor=intent.actor,
        reason=intent.reason,
        expires_s=intent.expires_s,
        hold={**_as_it_is(group, plans, present), **intent.values},
        back_to=before,
    )


def _as_it_is(group: CoolingGroup, plans: Iterable[Plan], present: ModeState | None) -> dict[PointId, float]:
    """What the loop's setpoints are asked to be now [SI]: a hold freezes what it does not name.

    A device goes to its default as a whole, so a setpoint that nobody holds would end the hold on its neighbours.
    """
    plan = next((p for p in plans if p.loop == group.id), None)
    asked = {s.point: s.value for s in setpoints_to_ask(plan, present)} if present is not None else {}
    followed = {s.point: s.current for s in plan.setpoints if math.isfinite(s.current)} if plan is not None else {}
    return followed | asked


def _bad_values(values: Mapping[PointId, float], group: CoolingGroup, site: Site) -> str:
    if not values:
        return f"a hold needs a value for at least one of {', '.join(group.commands.values())}"
    for point, value in values.items():
        if point not in group.commands.values():
            return f"{point} is not a setpoint of {group.id}; use one of {', '.join(group.commands.values())}"
        envelope = site.envelopes[point]
        if not envelope.minimum <= value <= envelope.maximum:  # also catches NaN
            return f"{point}: {value:g} is outside {envelope.minimum:g}..{envelope.maximum:g} ({envelope.source})"
        if envelope.min_off_s is not None and value not in {0.0, 1.0}:
            return f"{point}: {value:g} is no position of a switch; give 0 (stop) or 1 (may run)"
    return ""


def _confirm(modes: Modes, intent: Intent, group: CoolingGroup, plans: Iterable[Plan], now_s: float) -> ModeState | str:
    present = modes.get(group.id)
    if present is None or present.mode is not Mode.CONFIRM:
        return f"{group.id} is not in confirm mode; set it first"
    if present.let_go:
        return f"{group.id} was let go ({present.let_go.replace('_', ' ')}); acknowledge that first"
    plan = next((p for p in plans if p.loop == group.id), None)
    if plan is None or plan.id != intent.plan:
        newest = plan.id if plan is not None else "none"
        return f"plan {intent.plan!r} is no longer current; the current plan of {group.id} is {newest}"
    if now_s > plan.valid_until_s:
        return f"plan {plan.id} ran out; wait for the next one"
    return replace(
        present,
        since_s=now_s,
        actor=intent.actor,
        reason=f"confirmed {plan.id}: {intent.reason}",
        hold={s.point: s.value for s in plan.setpoints},
    )


def _acknowledge(modes: Modes, group: CoolingGroup) -> ModeState | str:
    present = modes.get(group.id)
    if present is None or not present.let_go:
        return f"{group.id} was not let go; there is nothing to acknowledge"
    return replace(present, let_go="", let_go_s=0.0)


def _accepted(intent: Intent, state: ModeState) -> str:
    if intent.kind is IntentKind.ACKNOWLEDGE:
        return (
            f"{state.loop}: acknowledged; driven again in mode {state.mode}, and let go again if the cause still stands"
        )
    if intent.kind is IntentKind.CONFIRM:
        return f"{state.loop}: plan {intent.plan} is asked of the devices"
    if intent.kind is IntentKind.HOLD and state.expires_s is not None:
        minutes = (state.expires_s - state.since_s) / 60
        return f"{state.loop}: held by hand for {minutes:.0f} min, then {state.back_to} again"
    return f"{state.loop} is in mode {state.mode}"
