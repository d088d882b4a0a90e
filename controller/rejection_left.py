"""What heat rejection can still take when part of it has failed."""

from __future__ import annotations

from collections.abc import Collection

from controller.facility_plant import upstream
from controller.losses import WATER
from plant.live import Snapshot
from plant.topology import CoolingGroup, Equipment, Site

LEAST_DISTANCE_K = 2.0
"""Closer to the air than this, a sensor's error is too much of a dry cooler's distance to it."""


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


def taken_w_k(site: Site, snapshot: Snapshot, group: CoolingGroup, failed: Collection[str]) -> float:
    """Heat that dry coolers take beside what they take now, for each kelvin that their water warms [W/K].

    What they show over their distance to the air (a heat exchanger's effectiveness does not hang on temperatures); of
    one that has failed, or does not tell its water, flow and air, nothing.
    """
    coolers = upstream(site, group.members, "dry-cooler")
    return sum(_taken_w_k(snapshot, c.id) for c in coolers if c.id not in failed)


def _taken_w_k(snapshot: Snapshot, cooler: str) -> float:
    names = ("entering_temperature", "leaving_temperature", "outdoor_dry_bulb", "flow")
    entering_c, leaving_c, air_c, flow = (snapshot.get(f"{cooler}/{name}") for name in names)
    if not (entering_c > leaving_c and entering_c - air_c > LEAST_DISTANCE_K):  # NaN too
        return 0.0
    found = WATER.heat_j_m3_k * flow * (entering_c - leaving_c) / (entering_c - air_c)
    return found if found > 0 else 0.0


def _free_w(snapshot: Snapshot, cooler: Equipment) -> float:
    free = cooler.design.get("free_convection_fraction", 0.0)
    if free <= 0.0:
        return 0.0
    entering_c, air_c = (snapshot.value(f"{cooler.id}/{n}") for n in ("entering_temperature", "outdoor_dry_bulb"))
    heat_w = cooler.design["heat_w"]
    design_k = cooler.design["approach_k"] + heat_w / (cooler.design["flow_m3_s"] * WATER.heat_j_m3_k)
    return free * heat_w * max(entering_c - air_c, 0.0) / design_k
