"""What a loop's plan reckons with because no instrument tells it, as conditions."""

from __future__ import annotations

import math

from controller import inputs
from controller.outdoor import Outdoor
from controller.reasons import condition
from plant.live import Snapshot
from plant.records import Condition, Severity
from plant.sight import lost
from plant.topology import CoolingGroup, Site


def assumptions(
    site: Site, snapshot: Snapshot, group: CoolingGroup, air: Outdoor, now_s: float
) -> tuple[Condition, ...]:
    """Supply by its neighbours; outdoor air that was inferred, or a wet bulb for which the site names no instrument."""
    return _supply(site, snapshot, group, now_s) + _outdoor(site, group, air, now_s)


def _supply(site: Site, snapshot: Snapshot, group: CoolingGroup, now_s: float) -> tuple[Condition, ...]:
    gone = lost(site.envelopes[group.commands[inputs.SUPPLY]], snapshot)
    supply_c = round(inputs.supply(site, snapshot, group), 1)
    return tuple(
        condition("supply_inferred", group.id, now_s, Severity.WARNING, point=p, supply_c=supply_c) for p in gone
    )


def _outdoor(site: Site, group: CoolingGroup, air: Outdoor, now_s: float) -> tuple[Condition, ...]:
    if air.detail:
        air_c = round(air.wet_bulb_c if math.isfinite(air.wet_bulb_c) else air.dry_bulb_c, 1)
        return (condition("outdoor_inferred", group.id, now_s, Severity.WARNING, air_c=air_c, source=air.detail),)
    if inputs.tells_wet_bulb(site, group):
        return ()
    return (condition("wet_bulb_assumed", group.id, now_s, Severity.INFO, wet_c=round(air.wet_bulb_c, 1)),)
