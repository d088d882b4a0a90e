"""The N+1 reserve, judged for everyone alike: by what the plant carries now, whoever drives it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from controller import inputs
from controller.design import LoopDesign, loop_design
from controller.exchange import Array
from controller.facility_plant import facility_owner
from controller.flow_command import translation
from controller.loss import lost_cdu_case_c
from controller.model import Load
from controller.outdoor import Outdoor
from controller.problems import full_gpu_w, limit_values
from plant.errors import ConfigError, StaleError
from plant.live import Snapshot
from plant.topology import CoolingGroup, Site

UNKNOWN_K = 1e3
"""Margin where a site has no loop of CDUs, or a plant does not show its racks' power."""
_ANY_AIR = Outdoor(20.0)


@dataclass(slots=True)
class ReserveWatch:
    """The least margin of a run [K] and how long it was negative [s].

    Case limit less the case of the hottest GPU with the largest CDU and the commanding side lost: the racks' heat of
    this moment, every GPU gone to full power, the supply in force, facility water in force or at design if that is
    warmer. The controller holds the same (`constraints.worst_margin`) at its forecast's upper quantile.
    """

    site: Site
    least_k: float = UNKNOWN_K
    violation_s: float = 0.0
    designs: dict[str, LoopDesign] = field(init=False)

    def __post_init__(self) -> None:
        found = {g.id: _design(self.site, g) for g in self.site.groups.values()}
        self.designs = {group: design for group, design in found.items() if design is not None}

    def see(self, snapshot: Snapshot, seconds: float) -> None:
        """Judge `seconds` [s] by what is shown at their end."""
        margin_k = self.margin_k(snapshot)
        self.least_k = min(self.least_k, margin_k)
        self.violation_s += seconds if margin_k < 0 else 0.0

    def margin_k(self, snapshot: Snapshot) -> float:
        """The least margin of all loops now [K]."""
        by_flow = translation(self.site, snapshot, 1.0)
        site, snapshot = (by_flow.site, by_flow.snapshot) if by_flow else (self.site, snapshot)
        margins = (self._group(snapshot, site.groups[g], site) for g in self.designs)
        return min(margins, default=UNKNOWN_K)

    def _group(self, snapshot: Snapshot, group: CoolingGroup, seen: Site | None = None) -> float:
        """seen: the site as it is planned, where that is not as its file has it."""
        site = seen or self.site
        try:
            now = inputs.current_setpoints(site, snapshot, group)
            heat_w = inputs.racks_heat(site, snapshot, group.racks)
            roles = inputs.roles(site, group)[:3]
        except (ConfigError, StaleError):
            return UNKNOWN_K
        at = (np.array([now[role]]) for role in roles)
        return float(self.margins_k(group.id, heat_w, *at)[0])

    def margins_k(self, group: str, heat_w: float, supply_c: Array, dp_pa: Array, facility_c: Array) -> Array:
        """The margin of a loop [K] at each of many setpoints [°C, Pa], while its racks give heat_w [W] to water."""
        design, owner = self.designs[group], facility_owner(self.site, self.site.groups[group])
        gpu_w = full_gpu_w([rack.gpu_power_w for rack, _ in design.racks], math.nan)
        load = Load(heat_w=heat_w, it_w=heat_w, gpu_w=gpu_w, air=_ANY_AIR)
        warmest_c = np.maximum(facility_c, owner.design.get(inputs.FACILITY, -np.inf))
        case_c = lost_cdu_case_c(design, load, supply_c, dp_pa, warmest_c)
        return np.asarray(limit_values(self.site)[0]["case_temperature"] - case_c, dtype=np.float64)


def _design(site: Site, group: CoolingGroup) -> LoopDesign | None:
    """A loop's design where it has CDUs, a case limit and all figures."""
    sidecar = inputs.FLOW in group.commands and not inputs.by_flow(site, group)
    planned = inputs.SUPPLY in group.commands and not sidecar
    if not planned or "case_temperature" not in limit_values(site)[0]:
        return None
    try:
        return loop_design(site, group)
    except ConfigError:
        return None
