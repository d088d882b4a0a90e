"""The facility plant behind a loop, from the site file: what feeds it, whose it is, its pumps, what some units give.

Nothing is invented: a missing figure is an error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from controller.exchange import Array
from controller.fluids import Fluid
from controller.outdoor import Rejection
from controller.pumps import SHUT_OFF, efficiency_share, full_speed_share
from controller.rejection import rejection_of
from plant.errors import ConfigError
from plant.topology import CoolingGroup, Equipment, Site, Stage

FACILITY = "facility_supply_temperature"
"""Role of the facility water's setpoint."""
REJECTION_KINDS = ("dry-cooler", "cooling-tower", "economiser", "chiller")
"""From outside to inside."""
STATIC_SHARE = 0.5
"""Of a facility pump's design head that part which its users keep at any flow; the rest goes with flow²."""
RUNOUT = 1.1
"""Of its design flow what a pump that is left alone is counted on for: within the preferred region of ANSI/HI 9.6.3,
which ends at 1.2 of the best point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FacilityPumps:
    """All facility pumps of a plant as one, at design.

    flow_m3_s: of all together; running_share: share of it that those which run can give; staged: whether it is known
    how many there are, so that their curve tells; users_m3_s: flow at which the system asks for head_pa [Pa]; falls: of
    head_pa what falls in economisers and in evaporators, each share at the design flow of those that water goes through
    [m³/s], inf where it goes past all of them; fixed_share: of those that run what has no drive, with an efficiency of
    its own.
    """

    flow_m3_s: float
    head_pa: float
    static_share: float
    efficiency: float
    running_share: float = 1.0
    staged: bool = False
    users_m3_s: float
    falls: tuple[tuple[float, float], ...] = ()
    fixed_share: float = 0.0
    fixed_efficiency: float = 1.0

    @property
    def most_m3_s(self) -> float:
        """What those that run give at full speed [m³/s]: where their curve meets the system's, within `RUNOUT`."""
        running_m3_s = self.running_share * self.flow_m3_s
        if not self.staged:
            return running_m3_s
        rises = float(self._head_share(np.array(running_m3_s))) - self.static_share
        met = np.sqrt((1 + SHUT_OFF - self.static_share) / (SHUT_OFF + rises))
        return running_m3_s * float(min(met, RUNOUT))

    def _head_share(self, flow_m3_s: Array) -> Array:
        """What the system asks for, of head_pa [1]."""
        pipes = 1 - self.static_share - sum(share for share, _ in self.falls)
        head_share = self.static_share + pipes * (flow_m3_s / self.users_m3_s) ** 2
        for share, through_m3_s in self.falls:
            head_share = head_share + share * (flow_m3_s / through_m3_s) ** 2
        return np.asarray(head_share, dtype=np.float64)

    def power_w(self, flow_m3_s: Array) -> Array:
        """Electric power [W]: what the system asks for, at their efficiency."""
        head_share = self._head_share(flow_m3_s)
        power_w = flow_m3_s * self.head_pa * head_share / self.efficiency
        share = flow_m3_s / (self.running_share * self.flow_m3_s)
        if self.staged:
            power_w = power_w / efficiency_share(share, head_share)
        if not self.fixed_share:
            return power_w
        fixed_w = self.fixed_share * flow_m3_s * self.head_pa / self.fixed_efficiency * full_speed_share(share)
        return np.asarray((1 - self.fixed_share) * power_w + fixed_w, dtype=np.float64)


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


def facility_owner(site: Site, group: CoolingGroup) -> CoolingGroup:
    """The group that sets a group's facility water: itself, or the one that commands it on a plant they share."""
    if FACILITY in group.commands:
        return group
    behind = _plant(site, group)
    owners = (g for g in site.groups.values() if FACILITY in g.commands)
    return next((g for g in owners if behind & _plant(site, g)), group)


def plant_stages(site: Site, group: CoolingGroup) -> tuple[Stage, ...]:
    """What of a group's plant may be switched, by whichever group."""
    return facility_owner(site, group).stages


def _plant(site: Site, group: CoolingGroup) -> set[str]:
    return {e.id for kind in (*REJECTION_KINDS, "pump") for e in upstream(site, group.members, kind)}


def figure(equipment: Equipment, key: str) -> float:
    """A design figure.

    Raises:
        ConfigError: the site file has none.
    """
    try:
        return float(equipment.design[key])
    except KeyError:
        raise ConfigError(f"design.{key} of {equipment.id}", remedy="add it to the site file") from None


def facility_m3(site: Site, group: CoolingGroup) -> float:
    """Facility water [m³] as far as the site file tells it, at the pumps."""
    return sum(e.design.get("volume_m3", 0.0) for e in upstream(site, group.members, "pump"))


def facility_side(
    site: Site, group: CoolingGroup, water: Fluid, off: Collection[str] = (), waiting: Collection[str] | None = None
) -> tuple[FacilityPumps, Rejection]:
    """Pumps and heat rejection of a group's plant. off: units that stand; waiting: see `Plant.waiting`.

    Raises:
        ConfigError: a figure is missing; the message names it.
    """
    stages = plant_stages(site, group)
    found = {k: [e for e in upstream(site, group.members, k) if e.id not in off] for k in REJECTION_KINDS}
    rejection = rejection_of(
        found["dry-cooler"],
        found["cooling-tower"],
        found["economiser"],
        found["chiller"],
        water,
        staged=any(s.kind == "chiller" for s in stages),
        direct=not any(upstream(site, group.members, kind) for kind in ("economiser", "chiller")),
    )
    pumps = {e.id for e in upstream(site, group.members, "pump")}
    staged = any(s.kind == "pump" for s in stages) or not pumps.isdisjoint(off)
    return _pumps(site, group, {*off, *(waiting or ())}, staged=staged), rejection


def _pumps(site: Site, group: CoolingGroup, off: Collection[str], *, staged: bool) -> FacilityPumps:
    pumps = upstream(site, group.members, "pump")
    if not pumps:
        raise ConfigError("a facility pump that feeds its CDUs")
    pump, flow_m3_s = pumps[0], sum(figure(p, "flow_m3_s") for p in pumps)
    on = [p for p in pumps if p.id not in off]
    fixed, driven = (
        [p for p in on or pumps if (p.design.get("variable_speed", 1.0) == 0.0) is kind] for kind in (True, False)
    )
    head_pa = figure(pump, "head_pa")
    exchangers = (upstream(site, group.members, kind) for kind in ("economiser", "chiller"))
    return FacilityPumps(
        flow_m3_s=flow_m3_s,
        head_pa=head_pa,
        static_share=float(pump.design.get("static_head_fraction", STATIC_SHARE)),
        efficiency=_efficiency(driven or fixed),
        running_share=sum(figure(p, "flow_m3_s") for p in on) / flow_m3_s,
        staged=staged,
        users_m3_s=min(flow_m3_s, _users_m3_s(site, pump)) if staged else flow_m3_s,
        falls=tuple(fall for units in exchangers if (fall := _fall(units, off, head_pa))),
        fixed_share=sum(figure(p, "flow_m3_s") for p in fixed) / sum(figure(p, "flow_m3_s") for p in fixed + driven),
        fixed_efficiency=_efficiency(fixed or driven),
    )


def _fall(units: list[Equipment], off: Collection[str], head_pa: float) -> tuple[float, float] | None:
    """Of the pumps' head what falls in exchangers side by side at design, and the design flow of those that run.

    Where none runs water goes past them [m³/s]. None where one does not tell both `dp_pa` and `flow_m3_s`: then it is a
    part of the system's curve.
    """
    told = [u for u in units if u.design.get("dp_pa") and u.design.get("flow_m3_s")]
    if not told or len(told) < len(units):
        return None
    through_m3_s = sum(u.design["flow_m3_s"] for u in told if u.id not in off)
    return min(u.design["dp_pa"] for u in told) / head_pa, through_m3_s or np.inf


def _efficiency(pumps: list[Equipment]) -> float:
    """Of pumps that share a flow in proportion to their design."""
    flows = [figure(p, "flow_m3_s") for p in pumps]
    return sum(flows) / sum(f / figure(p, "efficiency") for f, p in zip(flows, pumps, strict=True))


def _users_m3_s(site: Site, pump: Equipment) -> float:
    """Facility flow at design of all CDUs that a pump feeds; where some of several pumps are spare, it is less."""
    users = [site.equipment[e].design.get("facility_flow_m3_s", 0.0) for e in pump.feeds if e in site.equipment]
    return sum(users) if users and min(users) > 0 else np.inf
