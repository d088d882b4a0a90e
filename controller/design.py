"""What the model must know of a loop, from the site file. Nothing is invented: a missing figure is an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from controller.fluids import Fluid, fluid
from plant.errors import ConfigError
from plant.topology import CoolingGroup, Equipment, Site

_FACILITY_MEAN_C = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RackDesign:
    """One kind of rack, at design."""

    power_w: float
    liquid_fraction: float
    flow_m3_s: float
    dp_pa: float
    gpu_power_w: float
    case_resistance_k_w: float
    gpus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CduDesign:
    """One CDU, at design."""

    flow_m3_s: float
    facility_flow_m3_s: float
    ua_w_k: float
    heat_w: float
    internal_dp_pa: float
    pump_efficiency: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopDesign:
    """A loop of CDUs on one manifold with its facility water and heat rejection. racks: kinds and how many of each."""

    racks: tuple[tuple[RackDesign, int], ...]
    cdus: tuple[CduDesign, ...]
    coolant: Fluid
    water: Fluid
    facility_head_pa: float
    facility_efficiency: float
    cooler_ua_w_k: float
    cooler_air_w_k: float
    fan_power_w: float
    free_convection_fraction: float
    chiller_heat_w: float
    chiller_cop: float

    @property
    def rack_power_w(self) -> float:
        """Design power of all racks [W]."""
        return sum(n * r.power_w for r, n in self.racks)

    @property
    def liquid_heat_w(self) -> float:
        """Design heat of all racks into the liquid [W]."""
        return sum(n * r.power_w * r.liquid_fraction for r, n in self.racks)

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
    def cdu_internal_dp_pa(self) -> float:
        """Pressure drop inside a CDU at design flow [Pa]."""
        return max(c.internal_dp_pa for c in self.cdus)

    @property
    def cdu_pump_efficiency(self) -> float:
        """Mean pump and drive efficiency [1]."""
        return sum(c.pump_efficiency for c in self.cdus) / len(self.cdus)

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


def _figure(equipment: Equipment, key: str) -> float:
    try:
        return float(equipment.design[key])
    except KeyError:
        raise ConfigError(f"design.{key} of {equipment.id}", remedy="add it to the site file") from None


def upstream(site: Site, start: Iterable[str], kind: str) -> list[Equipment]:
    """Equipment of a kind that feeds `start`, directly or through others."""
    seen: list[str] = []
    queue = list(start)
    while queue:
        for source in site.fed_by.get(queue.pop(0), ()):
            if source not in seen:
                seen.append(source)
                queue.append(source)
    return [site.equipment[e] for e in seen if site.equipment[e].kind == kind]


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
    return RackDesign(**{k: _figure(equipment, k) for k in keys}, gpus=site.gpus_per_rack)


def _cdu(equipment: Equipment) -> CduDesign:
    keys = ("flow_m3_s", "facility_flow_m3_s", "ua_w_k", "heat_w", "internal_dp_pa", "pump_efficiency")
    return CduDesign(**{k: _figure(equipment, k) for k in keys})


def _cooler_ua(cooler: Equipment, water: Fluid) -> tuple[float, float]:
    """UA and full air capacity rate [W/K] that give design heat at design approach, air and water rates being equal."""
    heat_w, water_w_k = _figure(cooler, "heat_w"), _figure(cooler, "flow_m3_s") * water.heat_j_m3_k
    range_k = heat_w / water_w_k
    effectiveness = range_k / (range_k + _figure(cooler, "approach_k"))
    return water_w_k * effectiveness / (1 - effectiveness), water_w_k


def loop_design(site: Site, group: CoolingGroup) -> LoopDesign:
    """A CDU loop's design.

    Raises:
        ConfigError: a figure is missing; the message names it.
    """
    water = fluid("water", 0.0, _FACILITY_MEAN_C)
    coolers, pumps = (upstream(site, group.members, kind) for kind in ("dry-cooler", "pump"))
    if not coolers or not pumps:
        raise ConfigError("a dry cooler and a facility pump that feed its CDUs")
    chillers = upstream(site, group.members, "chiller")
    ua_w_k, air_w_k = _cooler_ua(coolers[0], water)
    return LoopDesign(
        racks=_racks(site, group),
        cdus=tuple(_cdu(site.equipment[m]) for m in group.members),
        coolant=fluid(site.coolant, site.glycol_percent),
        water=water,
        facility_head_pa=_figure(pumps[0], "head_pa"),
        facility_efficiency=_figure(pumps[0], "efficiency"),
        cooler_ua_w_k=ua_w_k,
        cooler_air_w_k=air_w_k,
        fan_power_w=_figure(coolers[0], "fan_power_w"),
        free_convection_fraction=coolers[0].design.get("free_convection_fraction", 0.0),
        chiller_heat_w=sum(_figure(c, "heat_w") for c in chillers),
        chiller_cop=_figure(chillers[0], "cop") if chillers else 1.0,
    )


def sidecar_design(site: Site, group: CoolingGroup) -> SidecarDesign:
    """A sidecar's design.

    Raises:
        ConfigError: a figure is missing; the message names it.
    """
    sidecar = site.equipment[group.master]
    keys = ("heat_w", "flow_m3_s", "ua_w_k", "fan_power_w", "pump_power_w")
    figures = {k: _figure(sidecar, k) for k in keys}
    return SidecarDesign(racks=_racks(site, group), coolant=fluid(site.coolant, site.glycol_percent), **figures)
