"""What heat rejection can still take when part of it has failed."""

from __future__ import annotations

import math
from collections.abc import Collection

from controller.facility_plant import upstream
from controller.losses import WATER
from plant.live import Snapshot
from plant.topology import CoolingGroup, Equipment, Site

LEAST_DISTANCE_K = 2.0
"""Closer to the air than this, errors are too much of a dry cooler's distance to it: its design tells its coil."""


def rejection_left_w(site: Site, snapshot: Snapshot, group: CoolingGroup, failed: Collection[str]) -> float | None:
    """Heat [W] that dry coolers without their fans and the chillers that are left can take; None where all run.

    Free convection takes its share of design heat, in proportion to how far the entering water lies above the air.

    Raises:
        StaleError: the water or the air at a failed dry cooler is not known.
    """
    coolers = [e for kind in ("dry-cooler", "cooling-tower") for e in upstream(site, group.members, kind)]
    if not any(c.id in failed for c in coolers):
        return None
    chillers = [c for c in upstream(site, group.members, "chiller") if c.id not in failed]
    still = sum(_free_w(snapshot, c) if c.id in failed else c.design.get("heat_w", 0.0) for c in coolers)
    return still + sum(c.design.get("heat_w", 0.0) for c in chillers)


def taken_now(
    site: Site, snapshot: Snapshot, group: CoolingGroup, failed: Collection[str]
) -> tuple[float, float] | None:
    """Heat that is taken from the facility water now [W], and more of it for each kelvin that it warms [W/K].

    Of one dry cooler in series with at most one chiller that has not failed. A cooler takes the heat that it shows over
    its distance to the air (an exchanger's effectiveness does not hang on temperatures), a chiller at full load no
    more than it does. None for other plants, and where the water, its flow or the air is not told.
    """
    coolers = [c for c in upstream(site, group.members, "dry-cooler") if c.id not in failed]
    chillers = [c.id for c in upstream(site, group.members, "chiller") if c.id not in failed]
    if len(coolers) != 1 or len(chillers) > 1:
        return None
    names = ("entering_temperature", "leaving_temperature", "outdoor_dry_bulb", "flow")
    entering_c, leaving_c, air_c, flow = (snapshot.get(f"{coolers[0].id}/{name}") for name in names)
    sent_c = snapshot.get(f"{chillers[0]}/leaving_temperature") if chillers else leaving_c
    distance_k, stream_w_k = entering_c - air_c, WATER.heat_j_m3_k * flow
    taken_w = stream_w_k * (entering_c - min(sent_c, leaving_c))
    if not math.isfinite(taken_w + distance_k):
        return None
    if distance_k > LEAST_DISTANCE_K:
        return taken_w, stream_w_k * max(entering_c - leaving_c, 0.0) / distance_k
    return taken_w, stream_w_k * _design_effectiveness(coolers[0])


def _design_effectiveness(cooler: Equipment) -> float:
    """Its range at design over the distance to the air that this takes [1]; 0 where the site file lacks a figure."""
    heat_w, flow_m3_s, approach_k = (cooler.design.get(n, math.nan) for n in ("heat_w", "flow_m3_s", "approach_k"))
    range_k = heat_w / (flow_m3_s * WATER.heat_j_m3_k)
    share = range_k / (range_k + approach_k)
    return share if math.isfinite(share) else 0.0


def _free_w(snapshot: Snapshot, cooler: Equipment) -> float:
    free = cooler.design.get("free_convection_fraction", 0.0)
    if free <= 0.0:
        return 0.0
    entering_c, air_c = (snapshot.value(f"{cooler.id}/{n}") for n in ("entering_temperature", "outdoor_dry_bulb"))
    heat_w = cooler.design["heat_w"]
    design_k = cooler.design["approach_k"] + heat_w / (cooler.design["flow_m3_s"] * WATER.heat_j_m3_k)
    return free * heat_w * max(entering_c - air_c, 0.0) / design_k
