"""How far racks' power jumps faster than any loop answers, learned from telemetry, and what of it must be carried.

Of each rack the highest reading above its own running mean is kept, forgotten over weeks. A job that starts counts
like a swing of one that runs: whatever came unannounced once may come again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from controller.constraints import CASE_TOLERANCE
from controller.design import rack_design
from plant.live import Snapshot
from plant.records import HeatForecast
from plant.topology import CoolingGroup, Site

MEAN_S, FORGOTTEN_S = 300.0, 14 * 86400.0
KNOWN_S = 86400.0
"""Younger knowledge than a day's is none."""
LEARNED = "learned"


@dataclass(frozen=True, slots=True)
class Jump:
    """One rack: running mean and highest reading above it [W], first and last seen [s since 1970]."""

    mean_w: float
    above_w: float
    since_s: float
    at_s: float


def jumped(before: Mapping[str, Jump], site: Site, snapshot: Snapshot) -> Mapping[str, Jump]:
    """One cycle's readings more, of the racks of groups that go by learned swings."""
    found = dict(before)
    for group in site.groups.values():
        if group.swing == LEARNED:
            for rack in group.racks:
                power_w = snapshot.get(f"{rack}/power")
                if math.isfinite(power_w):
                    found[rack] = _one(before.get(rack), power_w, snapshot.at_s)
    return found


def _one(before: Jump | None, power_w: float, now_s: float) -> Jump:
    if before is None:
        return Jump(power_w, 0.0, now_s, now_s)
    since_s = max(now_s - before.at_s, 0.0)
    above_w = max(power_w - before.mean_w, before.above_w * math.exp(-since_s / FORGOTTEN_S))
    mean_w = before.mean_w + (power_w - before.mean_w) * -math.expm1(-since_s / MEAN_S)
    return Jump(mean_w, above_w, before.since_s, now_s)


def carried_gpu_w(
    site: Site, group: CoolingGroup, known: Mapping[str, Jump], ahead: Iterable[HeatForecast], now_s: float
) -> float:
    """Power of the hottest GPU that must be carried at any moment [W]; inf where it is the nameplate's.

    Of each rack: the highest quantile of its forecast, which knows of jobs, and on top its largest jump so far; never
    above its rating. One rack without a forecast, or without a day of readings, and all count as full.
    """
    if group.swing != LEARNED:
        return math.inf
    upper_w = {h.subject: float(np.max(h.heat_w[-1])) for h in ahead}
    most_w = 0.0
    for rack in group.racks:
        jump, kind = known.get(rack), rack_design(site, rack)
        if jump is None or now_s - jump.since_s < KNOWN_S or rack not in upper_w:
            return math.inf
        share = (upper_w[rack] / kind.liquid_fraction + jump.above_w) / kind.power_w
        most_w = max(most_w, CASE_TOLERANCE * kind.gpu_power_w * min(share, 1.0))
    return most_w
