"""What heat rejection is asked with and answers: outdoor air, and powers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from controller.curves import Curve
from controller.exchange import Array


@dataclass(frozen=True, slots=True)
class Outdoor:
    """Outdoor air [°C]; the wet bulb is NaN where nothing needs it. detail: what it is inferred from, if it is."""

    dry_bulb_c: float
    wet_bulb_c: float = float("nan")
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Electric powers [W] and make-up water [m³/s] of heat rejection, of the candidates' shape."""

    fan_w: Array
    tower_pump_w: Array
    chiller_w: Array
    water_m3_s: Array


class Rejection(Protocol):
    """A plant that cools facility water: dry coolers, or a tower with an economiser, each with chillers behind."""

    @property
    def fan_power_w(self) -> float:
        """All fans at full speed [W]."""

    @property
    def tower_pump_power_w(self) -> float:
        """Condenser-water pumps at design flow [W]."""

    @property
    def chiller_power_w(self) -> float:
        """All chillers at their rating point [W]."""

    @property
    def alone(self) -> Rejection | None:
        """The same while chillers that come by themselves may not start yet; None where that is not reckoned."""

    def with_air(self, factor: float) -> Rejection:
        """The same with fans that must move `factor` times as much air for the same heat."""

    def with_fans(self, fans: Curve) -> Rejection:
        """The same with fans whose true speed departs from the model's by a curve."""

    def with_plates(self, plates: Curve) -> Rejection:
        """The same with economisers whose UA departs from the model's by a curve over facility water."""

    def shown_share(self, heat_w: float, flow_m3_s: float, leaving_c: float, air: Outdoor) -> float:
        """Fan speed [1] by the model, without that curve, for heat, flow and leaving water as units show them."""

    def powers(self, heat_w: Array, flow_m3_s: Array, setpoint_c: Array, tower_c: Array, air: Outdoor) -> Rejected:
        """What it costs to hold setpoint_c [°C] with condenser water at tower_c [°C] (NaN: by its own rule)."""

    def unreached_w(self, heat_w: Array, flow_m3_s: Array, setpoint_c: Array, tower_c: Array, air: Outdoor) -> Array:
        """Heat [W] that it can't take, negative is reserve."""

    def warmest_c(self, heat_w: Array, flow_m3_s: Array, setpoint_c: Array, tower_c: Array, air: Outdoor) -> Array:
        """Facility water [°C] that it comes to with all that it can do: the setpoint, or what it can't hold."""
