"""Heat to outdoor air by a cooling tower: a water-side economiser first, chillers for what is left."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from controller.chillers import ChillerDesign, chiller_design, chiller_w, running
from controller.curves import UNTAUGHT, Curve
from controller.dry_coolers import dry_coolers
from controller.exchange import Array
from controller.fluids import Fluid
from controller.outdoor import Outdoor, Rejected, Rejection
from controller.plates import Plate
from controller.towers import TowerDesign, coldest_c, fan_share, make_up_m3_s, pump_w, tower_design
from plant.errors import ConfigError
from plant.topology import Equipment

LOCAL_BELOW_K, LOCAL_WET_BULB_K = 2.0, 4.0
"""A tower that nobody commands: it follows the facility water by this, and stays this far from the wet bulb."""
CLOSEST_K = 0.05
"""Nearer than this the water of an economiser does not come to the condenser water: two sensors tell no better, and a
valve that must close the last of the gap stands open for nothing."""
MACHINES = 1.05
"""Heat of pumps and chillers on top of what towers take from the facility water, as a first guess [1]."""
LEAST_SHARE = 1e-3
"""What seeps through an economiser whose condenser water the chillers take [1]."""
HEAT_STEP = 0.1
"""The tower's coldest water is found for heat in steps of these kelvin of range, so that it need not be found anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WetSide:
    """Towers, their pumps, the economisers (if any) and the chillers that they serve; units of a kind share equally."""

    water: Fluid
    tower: TowerDesign
    economiser: Plate | None
    chiller: ChillerDesign | None
    fans: Curve = UNTAUGHT
    sure: Plate | None = None
    """The economiser as limits count on it, where it was learned; costs are reckoned with `economiser`."""

    @property
    def fan_power_w(self) -> float:
        """All fans at full speed [W]."""
        return self.tower.fan_power_w

    @property
    def tower_pump_power_w(self) -> float:
        """Condenser-water pumps at design flow [W]."""
        return self.tower.pump_w

    @property
    def chiller_power_w(self) -> float:
        """All chillers at their rating point [W]."""
        return self.chiller.power_w if self.chiller else 0.0

    @property
    def alone(self) -> None:
        """Not reckoned: an economiser's share of the heat hangs on what its chillers leave it."""
        return None

    def with_air(self, factor: float) -> WetSide:
        """The same with fans that must move `factor` times as much air for the same heat."""
        return replace(self, tower=replace(self.tower, air_kg_s=self.tower.air_kg_s / factor))

    def with_fans(self, fans: Curve) -> WetSide:
        """The same with fans whose true speed departs from the model's by a curve."""
        return replace(self, fans=fans)

    def with_plates(self, plates: Curve) -> WetSide:
        """The same with an economiser whose UA departs from the model's by a curve over facility water."""
        if self.economiser is None:
            return self
        likely, sure = (replace(self.economiser, over_hot=c) for c in (plates.plain, plates.cautious))
        return replace(self, economiser=likely, sure=sure)

    def shown_share(self, heat_w: float, flow_m3_s: float, leaving_c: float, air: Outdoor) -> float:
        """Fan speed [1] by the model, without that curve, for heat, flow and leaving water as towers show them."""
        heat, flow, leaving = (np.array([value]) for value in (heat_w, flow_m3_s, leaving_c))
        return float(fan_share(self.tower, self.water, heat, flow, leaving, air.wet_bulb_c)[0])

    def powers(self, heat_w: Array, flow_m3_s: Array, setpoint_c: Array, tower_c: Array, air: Outdoor) -> Rejected:
        """What it costs to hold setpoint_c [°C] with condenser water asked at tower_c [°C]."""
        tower_c = self._reached_c(heat_w, setpoint_c, tower_c, air)
        eco_w, eco_m3_s = self._economised(heat_w, flow_m3_s, setpoint_c, tower_c)
        chilled_w = np.clip(heat_w - eco_w, 0.0, self.chiller.heat_w if self.chiller else 0.0)
        chilling_w, chiller_m3_s = self._chilled(chilled_w, setpoint_c, tower_c)
        least_m3_s = self.tower.least_flow_share * self.tower.flow_m3_s
        condenser_m3_s = np.clip(eco_m3_s + chiller_m3_s, least_m3_s, self.tower.flow_m3_s)
        pumping_w = pump_w(self.tower, condenser_m3_s)
        into_w = eco_w + chilled_w + chilling_w + pumping_w
        share = fan_share(self.tower, self.water, into_w, condenser_m3_s, tower_c, air.wet_bulb_c)
        return Rejected(
            fan_w=self.tower.fans_w(np.minimum(self.fans.corrected(share, 1.0), 1.0)),
            tower_pump_w=pumping_w,
            chiller_w=chilling_w,
            water_m3_s=make_up_m3_s(self.tower, self.water, into_w),
        )

    def unreached_w(self, heat_w: Array, flow_m3_s: Array, setpoint_c: Array, tower_c: Array, air: Outdoor) -> Array:
        """Heat [W] that economiser and chillers together can't take; negative is reserve."""
        tower_c = self._reached_c(heat_w, setpoint_c, tower_c, air)
        most_w = np.zeros_like(heat_w)
        plate = self.sure or self.economiser
        if plate is not None:
            stream_w_k = flow_m3_s * self.water.heat_j_m3_k
            difference_k = np.maximum(setpoint_c + heat_w / stream_w_k - tower_c - CLOSEST_K, 0.0)
            most_w_k = plate.cold_for(stream_w_k, stream_w_k)[1]
            left_w_k = self._left_w_k(heat_w - most_w_k * difference_k)
            most_w = self._taking(plate, stream_w_k, most_w_k, left_w_k) * difference_k
        return heat_w - most_w - (self.chiller.heat_w if self.chiller else 0.0)

    def warmest_c(self, heat_w: Array, flow_m3_s: Array, setpoint_c: Array, tower_c: Array, air: Outdoor) -> Array:
        """Facility water [°C] that economiser and chillers together hold, no colder than setpoint_c [°C].

        Without an economiser nothing holds what chillers do not take: inf.
        """
        into_w = heat_w + self.tower.pump_w + self.chiller_power_w
        tower_c = self._reached_c(into_w, setpoint_c, tower_c, air, over=1.0)
        cooled_w = np.maximum(heat_w - (self.chiller.heat_w if self.chiller else 0.0), 0.0)
        plate, stream_w_k = self.sure or self.economiser, flow_m3_s * self.water.heat_j_m3_k
        if plate is None:
            return np.where(cooled_w > 0, np.inf, setpoint_c)
        difference_k = np.maximum(setpoint_c + heat_w / stream_w_k - tower_c - CLOSEST_K, 0.0)
        most_w_k = plate.cold_for(stream_w_k, stream_w_k)[1]
        left_w_k = self._left_w_k(heat_w - most_w_k * difference_k)
        taking_w_k = self._taking(plate, stream_w_k, most_w_k, left_w_k)
        return np.maximum(setpoint_c, tower_c + CLOSEST_K + cooled_w / taking_w_k - heat_w / stream_w_k)

    def _reached_c(
        self, heat_w: Array, setpoint_c: Array, tower_c: Array, air: Outdoor, over: float = MACHINES
    ) -> Array:
        """Condenser water [°C] as the tower gives it: its own rule where nothing is asked, never below what it can.

        over: heat into the tower over heat_w [1].
        """
        own_c = np.maximum(setpoint_c - LOCAL_BELOW_K, air.wet_bulb_c + LOCAL_WET_BULB_K)
        step_w = HEAT_STEP * self.tower.flow_m3_s * self.water.heat_j_m3_k
        most = replace(self.tower, air_kg_s=self.tower.air_kg_s * self.fans.full_at())
        highest_w = step_w * np.ceil(over * heat_w.max(axis=-1, keepdims=True) / step_w)
        coldest = np.array([coldest_c(most, self.water, w, air.wet_bulb_c) for w in highest_w.ravel()])
        coldest = coldest.reshape(highest_w.shape)
        return np.asarray(np.maximum(np.where(np.isnan(tower_c), own_c, tower_c), coldest), dtype=np.float64)

    def _economised(self, heat_w: Array, flow_m3_s: Array, setpoint_c: Array, tower_c: Array) -> tuple[Array, Array]:
        """Heat through the economiser [W], and the condenser water [m³/s] that its valve takes for it."""
        if self.economiser is None:
            return np.zeros_like(heat_w), np.zeros_like(heat_w)
        stream_w_k = flow_m3_s * self.water.heat_j_m3_k
        difference_k = np.maximum(setpoint_c + heat_w / stream_w_k - tower_c - CLOSEST_K, 1e-3)
        valve_w_k, most_w_k = self.economiser.cold_for(stream_w_k, heat_w / difference_k)
        left_w_k = self._left_w_k(heat_w - most_w_k * difference_k)
        taken_w_k = self._taking(self.economiser, stream_w_k, most_w_k, left_w_k)
        valve_w_k = np.minimum(valve_w_k, left_w_k)
        return np.minimum(heat_w, taken_w_k * difference_k), valve_w_k / self.water.heat_j_m3_k

    def _left_w_k(self, chilled_w: Array) -> Array:
        """Condenser water that chillers which take chilled_w [W] leave to the economisers, as capacity rate [W/K]."""
        if self.chiller is None:
            return np.full_like(chilled_w, np.inf)
        taken_m3_s = running(self.chiller, np.maximum(chilled_w, 0.0)) * self.chiller.condenser_m3_s
        left_m3_s = np.where(taken_m3_s > 0, np.maximum(self.tower.flow_m3_s - taken_m3_s, 0.0), np.inf)
        return np.asarray(left_m3_s * self.water.heat_j_m3_k, dtype=np.float64)

    def _taking(self, plate: Plate, stream_w_k: Array, most_w_k: Array, left_w_k: Array) -> Array:
        """Heat over the inlets' difference [W/K] of an economiser that has so much condenser water left at most."""
        short = left_w_k < plate.most_w_k
        if not short.any():
            return most_w_k
        cold_w_k = np.clip(left_w_k, LEAST_SHARE * plate.cold_w_k, plate.most_w_k)
        return np.where(short, plate.per_kelvin(stream_w_k, cold_w_k), most_w_k)

    def _chilled(self, chilled_w: Array, setpoint_c: Array, tower_c: Array) -> tuple[Array, Array]:
        """Power of the chillers [W] and their condenser water [m³/s]."""
        if self.chiller is None:
            return np.zeros_like(chilled_w), np.zeros_like(chilled_w)
        power_w = chiller_w(self.chiller, chilled_w, setpoint_c, tower_c)
        return power_w, running(self.chiller, chilled_w) * self.chiller.condenser_m3_s


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTowers(WetSide):
    """Towers whose own water is the facility water, without plates or chillers between; their pumps are the facility's.

    head_pa of their design, where it is told, is what lifts the water to the fill.
    """

    def powers(self, heat_w: Array, flow_m3_s: Array, setpoint_c: Array, tower_c: Array, air: Outdoor) -> Rejected:  # noqa: ARG002 - the tower's setpoint is the facility water's
        """What it costs to hold setpoint_c [°C], or what the towers come to where they can't."""
        leaving_c = self._reached_c(heat_w, setpoint_c, setpoint_c, air)
        through_m3_s = np.clip(flow_m3_s, self.tower.least_flow_share * self.tower.flow_m3_s, self.tower.flow_m3_s)
        pumping_w = pump_w(self.tower, through_m3_s)
        share = fan_share(self.tower, self.water, heat_w + pumping_w, through_m3_s, leaving_c, air.wet_bulb_c)
        return Rejected(
            fan_w=self.tower.fans_w(np.minimum(self.fans.corrected(share, 1.0), 1.0)),
            tower_pump_w=pumping_w,
            chiller_w=np.zeros_like(heat_w),
            water_m3_s=make_up_m3_s(self.tower, self.water, heat_w),
        )

    def unreached_w(self, heat_w: Array, flow_m3_s: Array, setpoint_c: Array, tower_c: Array, air: Outdoor) -> Array:  # noqa: ARG002 - as above
        """Heat [W] for which the water would have to leave colder than it can; negative where warmer would do."""
        coldest_c = self._reached_c(heat_w, setpoint_c, np.full_like(heat_w, -np.inf), air)
        return np.asarray((coldest_c - setpoint_c) * self.tower.flow_m3_s * self.water.heat_j_m3_k, dtype=np.float64)

    def warmest_c(self, heat_w: Array, flow_m3_s: Array, setpoint_c: Array, tower_c: Array, air: Outdoor) -> Array:  # noqa: ARG002 - as above
        """Facility water [°C]: as set, or as cold as the towers can."""
        return self._reached_c(
            heat_w + self.tower.pump_w, setpoint_c, np.broadcast_to(setpoint_c, heat_w.shape), air, over=1.0
        )


def rejection_of(
    coolers: list[Equipment],
    towers: list[Equipment],
    economisers: list[Equipment],
    chillers: list[Equipment],
    water: Fluid,
    *,
    staged: bool = False,
    direct: bool = False,
) -> Rejection:
    """The heat rejection of a loop, from the units that run.

    staged: they were chosen, down to the last chiller; direct: nothing stands between towers and CDUs, neither plates
    nor chillers, run they or not.

    Raises:
        ConfigError: there is none, or a design figure is missing.
    """
    if not coolers and not towers:
        raise ConfigError("a dry cooler or a cooling tower that feeds its CDUs")
    wet = not coolers
    try:
        chiller = chiller_design(chillers, water_cooled=wet, together=staged)
        if not wet:
            return dry_coolers(coolers, water, chiller)
        if direct:
            return OpenTowers(water=water, tower=tower_design(towers, water), economiser=None, chiller=None)
        plate = _plate(economisers, water) if economisers else None
        return WetSide(water=water, tower=tower_design(towers, water), economiser=plate, chiller=chiller)
    except KeyError as error:
        names = ", ".join(e.id for e in (*coolers, *towers, *economisers, *chillers))
        problem, remedy = f"design.{error.args[0]} of one of {names}", "add it to the site file"
        raise ConfigError(problem, remedy=remedy) from None


def _plate(economisers: list[Equipment], water: Fluid) -> Plate:
    """Between facility and condenser water. With equal streams the difference is the approach everywhere: UA = Q/it."""
    designs = [e.design for e in economisers]
    hot_w_k = sum(d["flow_m3_s"] for d in designs) * water.heat_j_m3_k
    cold_w_k = sum(d.get("condenser_flow_m3_s", d["flow_m3_s"]) for d in designs) * water.heat_j_m3_k
    ua_w_k = sum(d.get("ua_w_k") or d["heat_w"] / d["approach_k"] for d in designs)
    return Plate(ua_w_k=ua_w_k, hot_w_k=hot_w_k, cold_w_k=cold_w_k, most_w_k=cold_w_k)
