"""How much heat a loop may have so that the loss of its largest CDU still leaves every case below its limit (N+1).

Reckoned where the devices go by themselves, at design supply and facility water with the remaining pumps at full speed:
what the optimiser saves on today's setpoints takes nothing away from what the loop can carry.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from controller import inputs
from controller.cold_plates import hottest_plates
from controller.design import rack_design
from controller.losses import FACILITY_RESERVE_K, losses_of, stacked, tiled
from controller.transient import COARSE_S, Array, Losses, seconds_to_limit, steady_case_c
from plant.errors import ConfigError, StaleError
from plant.live import Snapshot
from plant.pumping import WhenLost
from plant.topology import CoolingGroup, Site

SHARES = tuple(np.linspace(0.125, 1.0, 8).tolist())
"""Heats that are looked at, as shares of the racks' nameplates; the answer is one of them."""


def has_reserve(group: CoolingGroup) -> bool:
    """Whether the site asks for N+1 here, and there is something to lose."""
    return group.reserve == "n+1" and len(group.members) > 1 and inputs.FLOW not in group.commands


def reserve_heats_w(
    site: Site, snapshot: Snapshot, groups: Iterable[CoolingGroup], upper_w: Mapping[str, float]
) -> dict[str, float]:
    """Group -> the most heat into the liquid [W] that it carries without its largest CDU, GPUs at full power.

    inf where it carries its racks' nameplates; a group of which an input or a design figure is missing is absent.
    upper_w: expected heat by subject [W]. All groups are looked at in one go: that costs hardly more than one of them.
    """
    grids: dict[str, Losses] = {}
    for group in groups:
        with contextlib.suppress(StaleError, ConfigError):
            grids[group.id] = _grid(site, snapshot, group, upper_w)
    if not grids:
        return {}
    holds = np.isinf(seconds_to_limit(stacked(list(grids.values())), COARSE_S))
    ends = np.cumsum([len(grid.heat_w) for grid in grids.values()])[:-1]
    parts = zip(grids, np.split(holds, ends), strict=True)
    return {name: _carried(part) * _nameplate_w(site, site.groups[name]) for name, part in parts}


def _carried(holds: npt.NDArray[np.bool_]) -> float:
    """The largest share that holds for every kind of rack, with all smaller ones; inf if all do."""
    by_share = holds.reshape(len(SHARES), -1).all(axis=1)
    if by_share.all():
        return math.inf
    first = int(np.argmin(by_share))
    return SHARES[first - 1] if first else 0.0


def _grid(site: Site, snapshot: Snapshot, group: CoolingGroup, upper_w: Mapping[str, float]) -> Losses:
    """For each share of the nameplate, the loss as each kind of rack feels it."""
    plates = [
        replace(p, gpu_w=max(p.gpu_w, p.kind.gpu_power_w)) for p in hottest_plates(site, snapshot, group, upper_w)
    ]
    largest = max(group.members, key=lambda m: site.equipment[m].design.get("heat_w", 0.0))
    rows = losses_of(site, snapshot, group, plates, upper_w, {largest})
    scale = _nameplate_w(site, group) / max(upper_w[group.id], 1.0)
    return _carrying(tiled(stacked(rows), len(SHARES)), np.repeat(SHARES, len(rows)) * scale, group)


def _nameplate_w(site: Site, group: CoolingGroup) -> float:
    """Heat of all racks at design power into the liquid [W]."""
    return sum(d.power_w * d.liquid_fraction for d in (rack_design(site, r) for r in group.racks))


def _carrying(losses: Losses, share: Array, group: CoolingGroup) -> Losses:
    """The same losses with shares of their heat [1], from where the devices go by themselves."""
    supply_c = np.minimum(losses.least_supply_c, inputs.design_value(group, inputs.SUPPLY))
    facility_c = losses.facility_c
    if inputs.FACILITY in group.commands:
        facility_c = np.minimum(facility_c, inputs.design_value(group, inputs.FACILITY) + FACILITY_RESERVE_K)
    heat_w = share * losses.heat_w
    kept = losses.flow_most if group.when_lost is WhenLost.MAKES_UP else losses.flow_last
    flow = np.maximum(kept, 1e-9)
    started = replace(
        losses,
        heat_w=heat_w,
        supply_c=supply_c,
        least_supply_c=supply_c,
        return_c=supply_c + heat_w / (flow * losses.coolant_j_m3_k),
        facility_c=facility_c,
        flow_first=kept,
        flow_last=kept,
        plate_tau_s=np.zeros_like(heat_w),
    )
    return replace(started, case_c=steady_case_c(started, supply_c, flow))
