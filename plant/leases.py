"""Leases: the only thing that is ever written to a device."""

from __future__ import annotations

from dataclasses import dataclass

from plant.points import PointId
from plant.records import Message

CONTROLLER = "controller"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A setpoint that ends by itself.

    value: SI; epoch: fencing number of the writing process, grows with every start; seq: grows within an epoch;
    issued_s: [s since 1970]; issued_mono_s: site clock's monotonic [s]; ttl_s: life [s];
    holder: `controller` or `operator:NAME` (an operator outranks the controller); why: the reason's code and numbers,
    for translation, where it has them.
    """

    point: PointId
    value: float
    epoch: int
    seq: int
    issued_s: float
    issued_mono_s: float
    ttl_s: float
    holder: str = CONTROLLER
    reason: str = ""
    why: Message | None = None

    @property
    def expires_s(self) -> float:
        """End [s since 1970]."""
        return self.issued_s + self.ttl_s

    @property
    def expires_mono_s(self) -> float:
        """End on the monotonic clock [s]; this one decides."""
        return self.issued_mono_s + self.ttl_s

    def live(self, mono_s: float) -> bool:
        """Whether it still holds."""
        return mono_s < self.expires_mono_s

    @property
    def by_operator(self) -> bool:
        """Whether a person holds it."""
        return self.holder.startswith("operator:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What may be written to one point, independent of any optimiser.

    minimum, maximum [SI]; max_step [SI] in one write; min_dwell_s [s] between two different values;
    dew_point_margin_k [K]: where given, the value is a temperature that must stay above the dew point by it;
    inputs: points that must be GOOD for a controller's lease, or two of their stand_ins, which show the same quantity
    elsewhere (`sight`); source: where the limits come from.
    min_off_s: where given, the point is a switch: 0 and 1 are all that may be written, min_dwell_s is how long it stays
    at 1 at least, and this how long at 0 [s].
    """

    point: PointId
    minimum: float
    maximum: float
    max_step: float
    min_dwell_s: float
    dew_point_margin_k: float | None = None
    dew_point_points: tuple[PointId, ...] = ()
    inputs: tuple[PointId, ...] = ()
    source: str = ""
    min_off_s: float | None = None
    stand_ins: tuple[PointId, ...] = ()
