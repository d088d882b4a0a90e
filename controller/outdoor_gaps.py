"""Outdoor air where the instrument that a loop goes by tells nothing: another one's, or what its coolers' water says.

Errs to the warm side: plans then expect less of the air than it gives.
"""

from __future__ import annotations

import math

import numpy as np

from controller.dry_coolers import dry_coolers
from controller.facility_plant import upstream
from controller.fluids import fluid
from controller.outdoor import Outdoor
from plant.live import Snapshot
from plant.topology import CoolingGroup, Equipment, Site

COIL_SHARE = 0.15
"""What a coil's UA and its fans may be off by together; so much of the difference between water and air is kept."""
WATER_C = 30.0
LEAST_RANGE_K, LEAST_SPEED = 0.5, 0.05
"""Less cooling of the water tells nothing; a fan that is slower moves no more air than a standing one."""


def elsewhere(airs: dict[str, float], *, wet: bool) -> Outdoor | None:
    """What another instrument of the site tells; airs: of all of them by name [°C], NaN while not good."""
    for name, dry_c in airs.items():
        equipment, _, what = name.rpartition("/")
        wet_c = airs.get(f"{equipment}/outdoor_wet_bulb", math.nan)
        if what == "outdoor_dry_bulb" and math.isfinite(dry_c) and (math.isfinite(wet_c) or not wet):
            return Outdoor(dry_c, wet_c, detail=name)
    return None


def by_coolers(site: Site, snapshot: Snapshot, group: CoolingGroup, coolers: list[Equipment]) -> Outdoor | None:
    """The warmest that dry coolers' water tells; None where none does."""
    alone = _plants_flow(site, snapshot, group) if len(coolers) == 1 else math.nan
    found = [_by_coil(snapshot, group, c, alone) for c in coolers]
    air_c = max((c for c in found if math.isfinite(c)), default=math.nan)
    return Outdoor(air_c, detail=", ".join(c.id for c in coolers)) if math.isfinite(air_c) else None


def _by_coil(snapshot: Snapshot, group: CoolingGroup, cooler: Equipment, whole: float) -> float:
    """Air [°C] into a coil that cools its water as shown: entering - heat / (heat per kelvin at this fan speed).

    Temperatures that the cooler does not tell are those of the CDUs, its flow is `whole`; a fan that does not tell
    its speed may run at full.
    """
    into_c = snapshot.get(f"{cooler.id}/entering_temperature", _mean(snapshot, group, "fws_return_temperature"))
    out_c = snapshot.get(f"{cooler.id}/leaving_temperature", _mean(snapshot, group, "fws_supply_temperature"))
    flow, speed = snapshot.get(f"{cooler.id}/flow", whole), snapshot.get(f"{cooler.id}/fan_speed", 1.0)
    water = fluid("water", 0.0, WATER_C)
    if not (flow > 0 and into_c - out_c > LEAST_RANGE_K):  # NaN too
        return math.nan
    stream_w_k = flow * water.heat_j_m3_k
    one = np.array([1.0])
    per_kelvin_w = dry_coolers([cooler], water, None).coil_w(max(speed, LEAST_SPEED) * one, stream_w_k * one, one)
    difference_k = stream_w_k * (into_c - out_c) / float(per_kelvin_w[0])
    return min(into_c - (1.0 - COIL_SHARE) * difference_k, out_c)


def _plants_flow(site: Site, snapshot: Snapshot, group: CoolingGroup) -> float:
    """Facility water of the whole plant [m³/s] by its pumps, else by its CDUs; NaN where one of them does not tell."""
    pumps = [snapshot.get(f"{p.id}/flow") for p in upstream(site, group.members, "pump")]
    fed = [snapshot.get(f"{m}/fws_flow") for g in site.groups.values() for m in g.members]
    return next((flow for rows in (pumps, fed) if (flow := sum(rows)) > 0), math.nan)  # NaN is not above 0


def _mean(snapshot: Snapshot, group: CoolingGroup, name: str) -> float:
    shown = [c for m in group.members if math.isfinite(c := snapshot.get(f"{m}/{name}"))]
    return sum(shown) / len(shown) if shown else math.nan
