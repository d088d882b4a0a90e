"""What the controller remembers between cycles: small, frozen, picklable, and complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.forecasting.cycle import Memory
from controller.learning import Learnt
from plant.points import PointId
from plant.records import Condition, Forecast, Headroom, Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """The last value proposed for a point [SI], the one before, and when it changed [s since 1970]."""

    value: float
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlState:
    """What forecasting has learnt, targets and the model's factors by loop, moves by point, and the last plans."""

    memory: Memory = field(default_factory=Memory)
    targets: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    moves: Mapping[PointId, Move] = field(default_factory=dict)
    learnt: Mapping[str, Learnt] = field(default_factory=dict)
    plans: tuple[Plan, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What one cycle gives."""

    state: ControlState
    forecast: Forecast
    plans: tuple[Plan, ...]
    headrooms: tuple[Headroom, ...]
    conditions: tuple[Condition, ...]


def initial_state() -> ControlState:
    """Nothing known yet: the first forecasts are persistence."""
    return ControlState()
