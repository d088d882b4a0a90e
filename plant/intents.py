"""What an operator asks for, and the mode that a loop is in because of it. Frozen, plain, JSON as they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from plant.points import PointId


class Mode(StrEnum):
    """What a loop is in."""

    OFF = "off"
    ADVISORY = "advisory"
    CONFIRM = "confirm"
    LIMITED = "limited"
    AUTO = "auto"
    HOLD = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeState:
    """A loop's mode and why; `hold` is the values [SI] held by hand, until `expires_s`.

    let_go: why coldplate writes nothing until somebody acknowledges it; empty if it may write; since `let_go_s`.
    """

    loop: str
    mode: Mode
    since_s: float
    actor: str
    reason: str
    expires_s: float | None = None
    hold: dict[PointId, float] = field(default_factory=dict)
    back_to: Mode = Mode.ADVISORY
    let_go: str = ""
    let_go_s: float = 0.0


class IntentKind(StrEnum):
    """What an operator may ask for."""

    SET_MODE = "set_mode"
    HOLD = "hold"
    CONFIRM = "confirm"
    ALL_TO_DEFAULT = "all_to_default"
    ACKNOWLEDGE = "acknowledge"
    RECALIBRATED = "recalibrated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What an operator wants.

    HOLD needs values and expires_s; CONFIRM the plan's id; RECALIBRATED the equipment whose sensors were changed.
    """

    kind: IntentKind
    actor: str
    reason: str
    at_s: float
    loop: str = ""
    mode: Mode | None = None
    values: dict[PointId, float] = field(default_factory=dict)
    expires_s: float | None = None
    plan: str = ""
    equipment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of an intent."""

    accepted: bool
    text: str
