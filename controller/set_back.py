"""A clock that was set back: nothing that is remembered may lie ahead of now, or it would hold until time catches up.

A move within its dwell would keep setpoints from answering a fault, a doubt would not come to stand, a unit would be
locked, for as long as the clock was set back. What seems to lie ahead counts as of now: that is late, never early.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from controller.identification.known import Known
from controller.stage_state import Seen
from controller.state import ControlState, Move
from controller.suspects import Doubt
from plant.points import PointId

R = TypeVar("R", Move, Doubt, Seen, Known)
K = TypeVar("K")


def not_ahead(state: ControlState, now_s: float) -> ControlState:
    """The state with moves, doubts, units and looks of now_s [s since 1970] at the latest."""
    return replace(
        state,
        moves=moves_not_ahead(state.moves, now_s),
        doubts=_all(state.doubts, now_s, "since_s", "away_s"),
        seen=_all(state.seen, now_s, "since_s", "idle_s"),
        known=_all(state.known, now_s, "settled_s", "at_s", "plates_s"),
    )


def moves_not_ahead(moves: Mapping[PointId, Move], now_s: float) -> Mapping[PointId, Move]:
    """Moves of now_s [s since 1970] at the latest."""
    return _all(moves, now_s, "at_s")


def _all(records: Mapping[K, R], now_s: float, *times: str) -> Mapping[K, R]:
    return {key: _one(record, now_s, times) for key, record in records.items()}


def _one(record: R, now_s: float, times: tuple[str, ...]) -> R:
    """With the times that lie ahead as of now; inf and NaN stand for never."""
    ahead: dict[str, Any] = {name: now_s for name in times if now_s < getattr(record, name) < math.inf}
    return replace(record, **ahead) if ahead else record
