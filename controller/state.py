"""What the controller remembers between cycles: small, frozen, picklable, and complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.billing import Billing
from controller.forecasting.cycle import Memory
from controller.hunting import Swing
from controller.identification.known import Known
from controller.learning import Learnt
from controller.own_sequence import Sequences
from controller.power_swings import Jump
from controller.stage_state import Seen
from controller.straying import Stray
from controller.suspects import Doubts
from plant.points import PointId
from plant.records import Condition, Forecast, Headroom, ModelParameter, Plan, RideThrough, ShedRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """The last value proposed for a point [SI], and when it changed [s since 1970]."""

    value: float
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlState:
    """What forecasting has learnt; targets, the model's factors, what is known and swings by loop; moves; plans.

    doubts: what can't be right, by cause and subject; billing: the month's peak; jumps: of racks' power.
    seen: units of the plant as they last showed themselves; strays: how far supplies strayed, by loop;
    sequences: how units that nobody here switches follow their load.
    """

    memory: Memory = field(default_factory=Memory)
    targets: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    moves: Mapping[PointId, Move] = field(default_factory=dict)
    learnt: Mapping[str, Learnt] = field(default_factory=dict)
    plans: tuple[Plan, ...] = ()
    swings: Mapping[str, Swing] = field(default_factory=dict)
    doubts: Doubts = field(default_factory=dict)
    known: Mapping[str, Known] = field(default_factory=dict)
    billing: Billing = field(default_factory=Billing)
    jumps: Mapping[str, Jump] = field(default_factory=dict)
    seen: Mapping[str, Seen] = field(default_factory=dict)
    strays: Mapping[str, Stray] = field(default_factory=dict)
    sequences: Sequences = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What one cycle gives. let_go: loops that their devices are to have back at once, with the cause."""

    state: ControlState
    forecast: Forecast
    plans: tuple[Plan, ...]
    headrooms: tuple[Headroom, ...]
    conditions: tuple[Condition, ...]
    ride_throughs: tuple[RideThrough, ...] = ()
    shed: tuple[ShedRequest, ...] = ()
    let_go: Mapping[str, str] = field(default_factory=dict)
    parameters: tuple[ModelParameter, ...] = ()


def initial_state() -> ControlState:
    """Nothing known yet: the first forecasts are persistence."""
    return ControlState()
