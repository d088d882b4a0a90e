"""What the model must know of a loop, from the site file. Nothing is invented: a missing figure is an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace

from controller.curves import UNTAUGHT, Curve
from controller.exchange import Array
from controller.facility_plant import FacilityPumps, facility_m3, facility_side, figure
from controller.fluids import Fluid, fluid
from controller.outdoor import Rejection
from controller.plates import Plate
from plant.pumping import WhenLost
from plant.topology import CoolingGroup, Equipment, Site

_FACILITY_MEAN_C = 30.0
PUMP_RAMP_S, VALVE_STROKE_S, PLATE_TAU_S = 30.0, 120.0, 10.0
"""Where the site file tells none: a CDU's pump from stop to full speed, its facility valve, a cold plate's lag."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What meters add to a predicted power: its curve, over shares of full_w [W]. See `learning`."""

    curve: Curve = UNTAUGHT
    full_w: float = 1.0

    def __call__(self, predicted_w: Array) -> Array:
        """The power as it will be [W]."""
        return self.curve.corrected(predicted_w, self.full_w)


UNCORRECTED = Correction()


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrections:
    """One for each component that draws power; fans have theirs in `Rejection`."""

    tcs_pump: Correction = UNCORRECTED
    facility_pump: Correction = UNCORRECTED
    tower_pump: Correction = UNCORRECTED
    chiller: Correction = UNCORRECTED


NO_CORRECTIONS = Corrections()


@dataclass(frozen=True, slots=True, kw_only=True)
class RackDesign:
    """One kind of rack, at design. leakage_per_k: share by which its power grows per kelvin of case [1/K].

    server_fan_w_per_k: power of its own fans per kelvin of case [W/K].
    """

    power_w: float
    liquid_fraction: float
    flow_m3_s: float
    dp_pa: float
    gpu_power_w: float
    case_resistance_k_w: float
    leakage_per_k: float
    server_fan_w_per_k: float
    gpus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CduDesign:
    """One CDU, at design. most_flow_m3_s: what its pump moves at full speed when it has the loop to itself.

    ua_w_k: by the site file, or as it was identified; told_ua_w_k: by the site file.
    """

    flow_m3_s: float
    facility_flow_m3_s: float
    ua_w_k: float
    told_ua_w_k: float
    heat_w: float
    internal_dp_pa: float
    pump_efficiency: float
    most_flow_m3_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lags:
    """How slowly a loop answers: coolant in loop and manifold [m³], pumps from stop to full, valves, plates [s].

    facility_m3: facility water, 0 where nobody tells.
    """

    volume_m3: float
    pump_ramp_s: float
    valve_stroke_s: float
    plate_tau_s: float
    facility_m3: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopDesign:
    """CDUs on one manifold, facility water, heat rejection. racks: kinds, how many; when_lost: what CDUs left hold."""

    racks: tuple[tuple[RackDesign, int], ...]
    cdus: tuple[CduDesign, ...]
    coolant: Fluid
    water: Fluid
    pumps: FacilityPumps
    rejection: Rejection
    lags: Lags
    corrections: Corrections = NO_CORRECTIONS
    least_flow_share: float = 1.0
    """Flow of the worst rack of its kind over the kind's mean [1]."""
    when_lost: WhenLost = WhenLost.MAKES_UP
    grown: LoopDesign | None = None
    """What limits are judged with, where a sequence of its own runs more under their heat; None: itself."""

    @property
    def rack_power_w(self) -> float:
        """Design power of all racks [W]."""
        return sum(n * r.power_w for r, n in self.racks)

    @property
    def liquid_heat_w(self) -> float:
        """Design heat of all racks into the liquid [W]."""
        return sum(n * r.power_w * r.liquid_fraction for r, n in self.racks)

    @property
    def leakage_per_k(self) -> float:
        """Share by which the racks' power together grows per kelvin of case [1/K]."""
        return sum(n * r.power_w * r.leakage_per_k for r, n in self.racks) / self.rack_power_w

    @property
    def server_fan_w_per_k(self) -> float:
        """Power of all servers' fans per kelvin of case [W/K]."""
        return sum(n * r.server_fan_w_per_k for r, n in self.racks)

    @property
    def index_rack(self) -> RackDesign:
        """The rack with the least flow for its heat."""
        return min((r for r, _ in self.racks), key=lambda r: r.flow_m3_s / (r.power_w * r.liquid_fraction))

    @property
    def cdu_flow_m3_s(self) -> float:
        """TCS flow of all CDUs at design [m³/s]."""
        return sum(c.flow_m3_s for c in self.cdus)

    @property
    def cdu_facility_flow_m3_s(self) -> float:
        """Facility flow of all CDUs at design [m³/s]."""
        return sum(c.facility_flow_m3_s for c in self.cdus)

    @property
    def cdu_ua_w_k(self) -> float:
        """UA of all CDUs at design [W/K]."""
        return sum(c.ua_w_k for c in self.cdus)

    @property
    def plate(self) -> Plate:
        """All CDUs' exchangers as one; their facility valves pass 2 % more than design."""
        water_w_k = self.cdu_facility_flow_m3_s * self.water.heat_j_m3_k
        return Plate(
            ua_w_k=self.cdu_ua_w_k,
            hot_w_k=self.cdu_flow_m3_s * self.coolant.heat_j_m3_k,
            cold_w_k=water_w_k,
            most_w_k=1.02 * water_w_k,
        )

    @property
    def cdu_internal_dp_pa(self) -> float:
        """Pressure drop inside a CDU at design flow [Pa]."""
        return max(c.internal_dp_pa for c in self.cdus)

    @property
    def cdu_pump_efficiency(self) -> float:
        """Mean pump and drive efficiency [1]."""
        return sum(c.pump_efficiency for c in self.cdus) / len(self.cdus)

    @property
    def facility_flow_m3_s(self) -> float:
        """Of all facility pumps together, also those that stand [m³/s]."""
        return self.pumps.flow_m3_s

    @property
    def pumps_share(self) -> float:
        """Share of it that the pumps which run can give [1]."""
        return self.pumps.running_share

    def facility_pump_w(self, flow_m3_s: Array) -> Array:
        """Electric power of the facility pumps [W]."""
        return self.pumps.power_w(flow_m3_s)

    def without_largest(self) -> LoopDesign:
        """The loop after the loss of its largest CDU; itself if it has but one."""
        if len(self.cdus) == 1:
            return self
        rest = list(self.cdus)
        rest.remove(max(rest, key=lambda c: c.heat_w))
        return replace(self, cdus=tuple(rest))


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarDesign:
    """A liquid-to-air sidecar, at design: fans and pumps follow their cube laws."""

    racks: tuple[tuple[RackDesign, int], ...]
    coolant: Fluid
    heat_w: float
    flow_m3_s: float
    ua_w_k: float
    fan_power_w: float
    pump_power_w: float

    @property
    def rack_power_w(self) -> float:
        """Design power of all racks [W]."""
        return sum(n * r.power_w for r, n in self.racks)


def _racks(site: Site, group: CoolingGroup) -> tuple[tuple[RackDesign, int], ...]:
    kinds = Counter(rack_design(site, rack) for rack in group.racks)
    return tuple(kinds.items())


def rack_design(site: Site, rack: str) -> RackDesign:
    """One rack's design figures.

    Raises:
        ConfigError: one is missing.
    """
    equipment = site.equipment[rack]
    keys = ("power_w", "liquid_fraction", "flow_m3_s", "dp_pa", "gpu_power_w", "case_resistance_k_w")
    figures, leakage = {k: figure(equipment, k) for k in keys}, float(equipment.design.get("leakage_per_k", 0.0))
    fans = float(equipment.design.get("server_fan_w_per_k", 0.0))
    return RackDesign(**figures, leakage_per_k=leakage, server_fan_w_per_k=fans, gpus=site.gpus_per_rack)


def _cdu(equipment: Equipment) -> CduDesign:
    keys = ("flow_m3_s", "facility_flow_m3_s", "ua_w_k", "heat_w", "internal_dp_pa", "pump_efficiency")
    figures, most_m3_s = {k: figure(equipment, k) for k in keys}, float(equipment.design.get("most_flow_m3_s", 0.0))
    return CduDesign(**figures, told_ua_w_k=figures["ua_w_k"], most_flow_m3_s=max(most_m3_s, figures["flow_m3_s"]))


def _lags(site: Site, group: CoolingGroup) -> Lags:
    members = [site.equipment[m] for m in group.members]
    below = {f for m in members for f in m.feeds if site.equipment[f].kind == "manifold"}
    taus = [t for r in group.racks if (t := site.equipment[r].design.get("plate_tau_s", 0.0)) > 0]
    return Lags(
        volume_m3=sum(site.equipment[e].design.get("volume_m3", 0.0) for e in (*group.members, *sorted(below))),
        pump_ramp_s=max(m.design.get("pump_ramp_s", PUMP_RAMP_S) for m in members),
        valve_stroke_s=max(m.design.get("valve_stroke_s", VALVE_STROKE_S) for m in members),
        plate_tau_s=min(taus, default=PLATE_TAU_S),
        facility_m3=facility_m3(site, group),
    )


def loop_design(
    site: Site, group: CoolingGroup, off: Collection[str] = (), waiting: Collection[str] | None = None
) -> LoopDesign:
    """A CDU loop's design. off: units of its plant that stand; waiting: see `facility_side`.

    Raises:
        ConfigError: a figure is missing; the message names it.
    """
    water = fluid("water", 0.0, _FACILITY_MEAN_C)
    pumps, rejection = facility_side(site, group, water, off, waiting)
    return LoopDesign(
        racks=_racks(site, group),
        cdus=tuple(_cdu(site.equipment[m]) for m in group.members),
        coolant=fluid(site.coolant, site.glycol_percent),
        water=water,
        pumps=pumps,
        lags=_lags(site, group),
        rejection=rejection,
        when_lost=group.when_lost,
    )


def without(
    design: LoopDesign, site: Site, group: CoolingGroup, off: Collection[str], waiting: Collection[str] | None = None
) -> LoopDesign:
    """The same loop while some units of its plant stand; waiting: see `facility_side`.

    Raises:
        ConfigError: nothing is left of heat rejection.
    """
    pumps, rejection = facility_side(site, group, design.water, off, waiting)
    return replace(design, pumps=pumps, rejection=rejection)


def sidecar_design(site: Site, group: CoolingGroup) -> SidecarDesign:
    """A sidecar's design.

    Raises:
        ConfigError: a figure is missing; the message names it.
    """
    sidecar = site.equipment[group.master]
    figures = {k: figure(sidecar, k) for k in ("heat_w", "flow_m3_s", "ua_w_k", "fan_power_w", "pump_power_w")}
    return SidecarDesign(racks=_racks(site, group), coolant=fluid(site.coolant, site.glycol_percent), **figures)
