"""What of a loop's cooling has failed, from what its devices tell. Names are those of the site file's `fallback`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from controller import inputs
from controller.device_state import faulty, flagged, stands, switched_off
from controller.facility_plant import plant_stages, upstream
from controller.stage_state import is_warm
from plant.errors import StaleError
from plant.live import Snapshot
from plant.sight import unseen
from plant.topology import CoolingGroup, Equipment, Site

STILL_SHARE = 0.02
"""Below this share of design flow nothing moves."""
SAME_FLOW = 0.10
"""Racks and CDUs tell the same flow when they agree within this share."""
UNHELD_K, CARRIED_K = 4.0, 1.5
"""Facility water so far above its setpoint, and supply so far above its own with it, are held by nothing [K]."""
LEAK_POINTS = ("leak_detect", "bms_leak_detect")


class Cause(StrEnum):
    """What was lost."""

    LEAK = "leak"
    PUMP_TRIP = "pump_trip"
    CDU_LOST = "cdu_lost"
    REJECTION_LOST = "rejection_lost"
    CHILLER_TRIP = "chiller_trip"
    FACILITY_LOST = "facility_pump_lost"
    WATER_UNHELD = "facility_water_unheld"
    HEAT_LOST = "heat_signal_lost"
    SUPPLY_LOST = "supply_sensor_lost"
    DEW_POINT_LOST = "dew_point_lost"
    HUNTING = "hunting"
    SUPPLY_STUCK = "supply_sensor_stuck"
    VALVE_STUCK = "valve_stuck"
    FLOW_BIASED = "flow_meter_biased"
    OUTDOOR_WRONG = "outdoor_sensor_wrong"
    FOULED = "exchanger_fouled"
    NOT_REACTING = "not_reacting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A cause, the equipment or loop that it struck, and what shows it; `acts` False where it is told, no more."""

    cause: Cause
    subject: str
    detail: str = ""
    acts: bool = True


def find_causes(site: Site, snapshot: Snapshot, group: CoolingGroup, *, heat_known: bool) -> tuple[Found, ...]:
    """Everything that has failed around one loop."""
    return (
        *_leaks(site, snapshot, group),
        *_members(site, snapshot, group),
        *_rejection(site, snapshot, group),
        *_facility(site, snapshot, group),
        *_unheld(site, snapshot, group),
        *_sensors(site, snapshot, group, heat_known=heat_known),
    )


def stopped_members(found: tuple[Found, ...]) -> set[str]:
    """Members that carry no heat any more."""
    return {f.subject for f in found if f.cause in {Cause.PUMP_TRIP, Cause.CDU_LOST}}


def _leaks(site: Site, snapshot: Snapshot, group: CoolingGroup) -> Iterator[Found]:
    for name in (*group.members, *group.racks):
        wet = any(snapshot.get(f"{name}/{point}", 0.0) >= 1.0 for point in LEAK_POINTS)
        if wet or flagged(snapshot, site.equipment[name], "leak"):
            yield Found(cause=Cause.LEAK, subject=name)


def _members(site: Site, snapshot: Snapshot, group: CoolingGroup) -> Iterator[Found]:
    for name in group.members:
        member, flow = site.equipment[name], snapshot.get(f"{name}/tcs_flow")
        still = flow < STILL_SHARE * member.design.get("flow_m3_s", math.inf)  # never of NaN
        if still and (faulty(snapshot, member) or flagged(snapshot, member, "pump fault")):
            yield Found(cause=Cause.PUMP_TRIP, subject=name)
        elif math.isnan(flow) and _missed(site, snapshot, group, name):
            yield Found(cause=Cause.CDU_LOST, subject=name)


def _missed(site: Site, snapshot: Snapshot, group: CoolingGroup, silent: str) -> bool:
    """Whether the racks get no more flow than the members that still talk send out; without any: whether it stands."""
    if any(math.isfinite(snapshot.get(f"{silent}/{n}")) for n in ("status", "tcs_supply_temperature")):
        return False
    flows = [snapshot.get(f"{m}/tcs_flow") for m in group.members if m != silent]
    heard = sum(f for f in flows if math.isfinite(f))
    nothing = STILL_SHARE * sum(site.equipment[m].design.get("flow_m3_s", 0.0) for m in group.members)
    received = sum(snapshot.get(f"{r}/liquid_flow") for r in group.racks)
    return received <= max((1 + SAME_FLOW) * heard, nothing) and f"{silent}/tcs_flow" in site.points


def _rejection(site: Site, snapshot: Snapshot, group: CoolingGroup) -> Iterator[Found]:
    replaceable = {stage.kind for stage in plant_stages(site, group)} | {"chiller"}
    for kind in ("dry-cooler", "cooling-tower", "chiller"):
        for device in upstream(site, group.members, kind):
            hot = kind != "chiller" and _stands_hot(snapshot, device)
            if faulty(snapshot, device) or (hot and not switched_off(snapshot, device.id)):
                cause = Cause.CHILLER_TRIP if kind == "chiller" else Cause.REJECTION_LOST
                # one that nobody misses, or that another one replaces, is only worth telling
                acts = kind not in replaceable or is_warm(site, snapshot, group)
                yield Found(cause=cause, subject=device.id, acts=acts)


def _facility(site: Site, snapshot: Snapshot, group: CoolingGroup) -> Iterator[Found]:
    """Facility pumps that stand, all of them, while a member of the loop still has flow to cool."""
    pumps = upstream(site, group.members, "pump")
    if any(snapshot.get(f"{m}/tcs_flow") > 0 for m in group.members) and all(stands(snapshot, p) for p in pumps):
        yield from (Found(cause=Cause.FACILITY_LOST, subject=p.id) for p in pumps)


def _unheld(site: Site, snapshot: Snapshot, group: CoolingGroup) -> Iterator[Found]:
    """Facility water that nothing holds, whoever is to blame: a chiller within its shortest time off says no fault."""
    points = inputs.setpoint_points(site, group)
    excess_k: dict[str, float] = {}
    for role, name in ((inputs.FACILITY, "fws_supply_temperature"), (inputs.SUPPLY, "tcs_supply_temperature")):
        asked = snapshot.get(inputs.effective_point(site, points[role])) if role in points else math.nan
        if role in group.commands:
            # colder than design is only asked as the reserve: that it is not reached is no reason to go on asking
            asked = max(asked, inputs.design_value(group, role))
        seen = [t for m in group.members if math.isfinite(t := snapshot.get(f"{m}/{name}"))]
        excess_k[role] = min(seen) - asked if seen else math.nan
    if excess_k[inputs.FACILITY] > UNHELD_K and excess_k[inputs.SUPPLY] > CARRIED_K:
        yield Found(cause=Cause.WATER_UNHELD, subject=group.id, detail=f"{excess_k[inputs.FACILITY]:.1f} K")


def _stands_hot(snapshot: Snapshot, device: Equipment) -> bool:
    """A bank that says it stands while its water leaves well above its setpoint."""
    leaving, asked, status = (
        snapshot.get(f"{device.id}/{n}")
        for n in ("leaving_temperature", "effective_leaving_temperature_setpoint", "status")
    )
    return status == 0 and leaving > asked + 1.0


def _sensors(site: Site, snapshot: Snapshot, group: CoolingGroup, *, heat_known: bool) -> Iterator[Found]:
    if not heat_known:
        yield Found(cause=Cause.HEAT_LOST, subject=group.id)
    if inputs.FLOW in group.commands or inputs.SUPPLY not in group.commands:
        return
    for point in unseen(site.envelopes[group.commands[inputs.SUPPLY]], snapshot):
        yield Found(cause=Cause.SUPPLY_LOST, subject=group.id, detail=_why(snapshot, point))
    try:
        inputs.dew_point(site, snapshot, group)
    except StaleError as error:
        yield Found(cause=Cause.DEW_POINT_LOST, subject=group.id, detail=str(error))


def _why(snapshot: Snapshot, point: str) -> str:
    try:
        return f"{snapshot.value(point):g}"
    except StaleError as error:
        return str(error)
