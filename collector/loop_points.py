"""Which points of a site take part in the balances of a coolant loop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collector.balance import MUTE_BELOW_FLOW, Constants
from collector.culprit import Suspect
from collector.fluids import volume_heat
from plant.points import PointId
from plant.topology import CoolingGroup, Equipment, Site

TWO_PHASE = "two-phase"
"""`tags: {coolant: two-phase}` of a rack or unit: its heat is not flow times temperature difference."""
RACK = ("liquid_flow", "liquid_supply_temperature", "liquid_return_temperature", "power")
UNIT = (
    "tcs_flow",
    "tcs_supply_temperature",
    "tcs_return_temperature",
    "fws_flow",
    "fws_supply_temperature",
    "fws_return_temperature",
    "active_power",
)
SUPPLY_LAG_S = 60.0
"""Lag [s] between racks and units where the site file gives no volume."""


@dataclass(frozen=True, kw_only=True)
class LoopPoints:
    """One cooling group: its racks and units that single-phase balances hold for, and the constants of its loop.

    lag_s: how long the coolant takes from the racks to the units [s].
    """

    group: str
    racks: tuple[str, ...]
    units: tuple[str, ...]
    known: Constants
    lag_s: float

    @property
    def points(self) -> tuple[PointId, ...]:
        """All points, racks first, each with its columns in the order of RACK and UNIT."""
        of_racks = [f"{rack}/{name}" for rack in self.racks for name in RACK]
        return (*of_racks, *(f"{unit}/{name}" for unit in self.units for name in UNIT))

    def culprits(self, suspect: Suspect) -> tuple[PointId, ...]:
        """The points that a suspect stands for; none for the coolant itself."""
        names = {
            "rack_flow": RACK[:1],
            "rack_temperatures": RACK[1:3],
            "rack_power": RACK[3:],
            "unit_flow": UNIT[:1],
            "unit_temperatures": UNIT[1:3],
            "primary": UNIT[3:6],
        }.get(suspect.kind, ())
        return tuple(f"{self.owner(suspect)}/{name}" for name in names)

    def owner(self, suspect: Suspect) -> str:
        """The equipment that a suspect belongs to; the group for the coolant."""
        if suspect.kind == "coolant":
            return self.group
        return (self.racks if suspect.kind.startswith("rack") else self.units)[suspect.number]

    def balances(self) -> tuple[tuple[str, str], ...]:
        """(kind, equipment or group) of each balance, in their order; kind is `heat` or `mass`."""
        loop = [("heat", self.group), ("mass", self.group)]
        return (*(("heat", rack) for rack in self.racks), *loop, *(("heat", unit) for unit in self.units))


def loop_points(site: Site) -> list[LoopPoints]:
    """Every cooling group whose racks and units have what a balance needs.

    A group with a rack or unit that lacks a sensor, or cools in two phases, is left out: its sums would not close.
    """
    return [found for group in site.groups.values() if (found := _loop(site, group)) is not None]


def _loop(site: Site, group: CoolingGroup) -> LoopPoints | None:
    racks = [site.equipment[name] for name in group.racks]
    units = [site.equipment[name] for name in group.members]
    complete = all(_has(site, r, RACK) for r in racks) and all(_has(site, u, UNIT) for u in units)
    single_phase = all(e.tags.get("coolant") != TWO_PHASE for e in (*racks, *units))
    capture = [rack.design.get("liquid_fraction", 0.0) for rack in racks]
    if not (racks and units and complete and single_phase and all(share > 0 for share in capture)):
        return None
    known = Constants(
        coolant=volume_heat(site.coolant, site.glycol_percent),
        water=volume_heat("water", 0.0),
        capture=np.array(capture),
        least_flow=MUTE_BELOW_FLOW * _design_flow(units),
        half_j_k=0.5 * _volume_m3(site, units) * volume_heat(site.coolant, site.glycol_percent),
    )
    names, members = tuple(r.id for r in racks), tuple(u.id for u in units)
    return LoopPoints(group=group.id, racks=names, units=members, known=known, lag_s=_lag_s(site, units))


def _has(site: Site, equipment: Equipment, names: tuple[str, ...]) -> bool:
    return all(f"{equipment.id}/{name}" in site.points for name in names)


def _lag_s(site: Site, units: list[Equipment]) -> float:
    """Half of the loop's volume at design flow [s]: the half that returns."""
    volume_m3, flow_m3_s = _volume_m3(site, units), _design_flow(units)
    return 0.5 * volume_m3 / flow_m3_s if volume_m3 > 0 and flow_m3_s > 0 else SUPPLY_LAG_S


def _volume_m3(site: Site, units: list[Equipment]) -> float:
    """Coolant between racks and units [m³]; 0 where the site file gives none."""
    fed = {target for unit in units for target in unit.feeds}
    return sum(site.equipment[name].design.get("volume_m3", 0.0) for name in fed)


def _design_flow(units: list[Equipment]) -> float:
    """Of the loop [m³/s]; 0 where the site file gives none."""
    return sum(unit.design.get("flow_m3_s", 0.0) for unit in units)
