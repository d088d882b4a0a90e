"""What heat rejection can still take when part of it has failed."""

from __future__ import annotations

from collections.abc import Collection

from controller.facility_plant import upstream
from controller.losses import WATER
from plant.live import Snapshot
from plant.topology import CoolingGroup, Equipment, Site


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


def _free_w(snapshot: Snapshot, cooler: Equipment) -> float:
    free = cooler.design.get("free_convection_fraction", 0.0)
    if free <= 0.0:
        return 0.0
    entering_c, air_c = (snapshot.value(f"{cooler.id}/{n}") for n in ("entering_temperature", "outdoor_dry_bulb"))
    heat_w = cooler.design["heat_w"]
    design_k = cooler.design["approach_k"] + heat_w / (cooler.design["flow_m3_s"] * WATER.heat_j_m3_k)
    return free * heat_w * max(entering_c - air_c, 0.0) / design_k
