"""Modes as they were left: what of them still holds in a new process, and after the clock was set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from controller.modes import DRIVING
from plant.errors import ConfigError
from plant.intents import Mode, ModeState
from store.codec import from_plain, to_plain
from store.state import StateDir

KEPT = "modes.json"
CONFIRM_AGAIN = "restarted: what was confirmed before has to be confirmed anew"
Allowed = Callable[[str, Mode], bool]


def keep(state: StateDir, modes: Mapping[str, ModeState]) -> None:
    """Write them down. Raises: StoreError, OSError."""
    state.write_json(KEPT, {m.loop: to_plain(m) for m in modes.values()})


def recalled(state: StateDir, fresh: Mapping[str, ModeState], allowed: Allowed) -> dict[str, ModeState]:
    """Modes as they were left, `fresh` where nothing is known; allowed: whether a loop may be in a mode that writes.

    Raises:
        ConfigError: the file is damaged.
    """
    kept = state.read_json(KEPT)
    if kept is None:
        return dict(fresh)
    try:
        modes = {loop: from_plain(ModeState, row) for loop, row in from_plain(dict, kept).items() if loop in fresh}
    except ConfigError as error:
        remedy = "repair or remove the file; without it every loop starts in advisory"
        raise ConfigError(error.message, where=str(state.path / KEPT), remedy=remedy) from error
    return dict(fresh) | {loop: _today(mode, fresh[loop], allowed) for loop, mode in modes.items()}


def _today(kept: ModeState, fresh: ModeState, allowed: Allowed) -> ModeState:
    """What nobody may do any more is gone, also as what a hold goes back to; a confirmation was about another moment.

    The devices went to their defaults meanwhile, and nobody has agreed to move them away from there.
    """
    if kept.mode in DRIVING and not allowed(fresh.loop, kept.mode):
        return replace(fresh, let_go=kept.let_go, let_go_s=kept.let_go_s)
    if kept.mode is Mode.CONFIRM and kept.hold:
        return replace(kept, hold={}, reason=CONFIRM_AGAIN)
    if kept.back_to in DRIVING and not allowed(fresh.loop, kept.back_to):
        return replace(kept, back_to=Mode.ADVISORY)
    return kept


def holds_moved(modes: Mapping[str, ModeState], by_s: float) -> dict[str, ModeState]:
    """After the clock was set on by so much [s]: a hold lasts as long as it was asked for, by any clock."""
    return {
        loop: m
        if m.mode is not Mode.HOLD or m.expires_s is None
        else replace(m, since_s=m.since_s + by_s, expires_s=m.expires_s + by_s)
        for loop, m in modes.items()
    }
