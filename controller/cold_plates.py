"""The hottest cold plates of a loop: what their GPUs may draw within the hour, and how they stand now."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from controller import inputs
from controller.constraints import CASE_TOLERANCE
from controller.design import RackDesign, rack_design
from plant.live import Snapshot
from plant.records import Forecast
from plant.topology import CoolingGroup, Site

HORIZON_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plates:
    """One kind of rack in a loop.

    gpu_w: of its hottest GPU [W]; tau_s: time constant of its plates at design flow [s], 0 where the site file has
    none; case_c: of the loop's hottest GPU now [°C], NaN if unknown; all_racks_m3_s: design flow of the loop's racks.
    """

    kind: RackDesign
    gpu_w: float
    tau_s: float
    case_c: float
    all_racks_m3_s: float


def most_heat_w(ahead: Forecast, quantile: float | None = None) -> dict[str, float]:
    """The most heat within the hour [W] by group, CDU and rack: at one quantile, or at the highest."""
    until_s = ahead.made_s + HORIZON_S
    return {
        h.subject: max(w for w, t in zip(h.at(quantile or max(h.quantiles)), h.times_s, strict=True) if t <= until_s)
        for h in (*ahead.heats, *ahead.racks)
    }


def hottest_plates(
    site: Site, snapshot: Snapshot, group: CoolingGroup, upper_w: Mapping[str, float]
) -> tuple[Plates, ...]:
    """Of each kind of rack in a group. upper_w: heat into the liquid by rack [W]; without it a rack is at full load.

    Raises:
        ConfigError: a rack lacks a design figure.
    """
    hot_c, hot_w = inputs.hottest_gpu(site, snapshot, group)
    most_w: dict[RackDesign, float] = {}
    tau_s: dict[RackDesign, float] = {}
    flow_m3_s = 0.0
    for rack in group.racks:
        kind = rack_design(site, rack)
        most_w[kind] = max(most_w.get(kind, 0.0), _gpu_w(rack, kind, upper_w), hot_w if hot_w > 0 else 0.0)
        own_s = site.equipment[rack].design.get("plate_tau_s", 0.0)
        tau_s[kind] = min(tau_s.get(kind, math.inf), own_s)
        flow_m3_s += kind.flow_m3_s
    return tuple(
        Plates(kind=kind, gpu_w=gpu_w, tau_s=tau_s[kind], case_c=hot_c, all_racks_m3_s=flow_m3_s)
        for kind, gpu_w in most_w.items()
    )


def _gpu_w(rack: str, kind: RackDesign, upper_w: Mapping[str, float]) -> float:
    """The hottest GPU of a rack [W]: the GPUs' part of a rack's power is largest at full load."""
    share = upper_w.get(rack, math.nan) / (kind.power_w * kind.liquid_fraction)
    load = min(share, 1.0) if math.isfinite(share) else 1.0
    return CASE_TOLERANCE * kind.gpu_power_w * load
