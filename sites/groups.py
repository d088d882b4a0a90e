"""Cooling groups, drives and envelopes of a site."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from devices.profiles import load_profile
from plant.leases import Envelope
from plant.points import Point, PointId
from plant.topology import CoolingGroup, Drive
from sites.form import EquipmentForm, GroupDesignForm, GroupForm, Role, SiteForm, WritableForm
from sites.network import feeds_of, reached

DESIGN_KEYS: dict[Role, str] = {
    "supply_temperature": "supply_temperature_c",
    "differential_pressure": "differential_pressure_pa",
    "facility_supply_temperature": "facility_supply_temperature_c",
    "tower_temperature": "tower_temperature_c",
    "flow": "flow_m3_s",
}
DEW_POINT = "room_dew_point"
SUPPLY = "tcs_supply_temperature"


def design_setpoints(design: GroupDesignForm) -> dict[str, float]:
    """Role to the designer's setpoint [SI], of the roles that have one."""
    given = {role: getattr(design, key) for role, key in DESIGN_KEYS.items()}
    return {role: value for role, value in given.items() if value is not None}


def drive_of(equipment: EquipmentForm) -> Drive | None:
    """How the equipment is driven, from the first of its profiles that has a fallback."""
    for source in equipment.sources:
        fallback = load_profile(source.profile).fallback
        if fallback.kind != "none":
            return Drive(
                equipment=equipment.id,
                kind=fallback.kind,
                heartbeat=_full(equipment.id, fallback.heartbeat),
                timeout_s=fallback.timeout_s,
                enable=_full(equipment.id, fallback.enable),
                owner=_full(equipment.id, fallback.owner),
            )
    return None


def _full(equipment: str, name: str) -> PointId:
    return f"{equipment}/{name}" if name else ""


def drives_of(form: SiteForm) -> dict[str, Drive]:
    """Equipment id to its drive, of all that can be driven."""
    return {e.id: drive for e in form.equipment if (drive := drive_of(e)) is not None}


def racks_of(form: SiteForm, group: GroupForm) -> tuple[str, ...]:
    """The racks that a group's members reach through feeds, in the file's order."""
    below = reached(group.members, feeds_of(form.equipment))
    return tuple(e.id for e in form.equipment if e.kind == "rack" and e.id in below)


def drivable(group: GroupForm, drives: Mapping[str, Drive]) -> bool:
    """Whether every commanded device lets go by itself when leases stop."""
    devices = {point.partition("/")[0] for point in group.commands.values()}
    return bool(devices) and all(device in drives for device in devices)


def group_of(form: SiteForm, group: GroupForm, drives: Mapping[str, Drive]) -> CoolingGroup:
    """The group with its racks found and its roles in SI."""
    design = design_setpoints(group.design)
    return CoolingGroup(
        id=group.id,
        members=tuple(group.members),
        master=group.master,
        racks=racks_of(form, group),
        commands=dict(group.commands.items()),
        design={role: design[role] for role in group.commands},
        drivable=drivable(group, drives),
        fallback=dict(group.fallback),
    )


def envelopes_of(group: GroupForm, points: Mapping[PointId, Point]) -> Iterator[Envelope]:
    """One envelope for each commanded point of a group."""
    for role, point in group.commands.items():
        yield _envelope(point, group.writable[role], group, points)


def _envelope(point: PointId, given: WritableForm, group: GroupForm, points: Mapping[PointId, Point]) -> Envelope:
    supply = f"{group.master}/{SUPPLY}"
    return Envelope(
        point=point,
        minimum=given.min,
        maximum=given.max,
        max_step=given.max_step,
        min_dwell_s=given.min_dwell_s,
        dew_point_margin_k=given.dew_point_margin_k,
        dew_point_points=dew_points(group, points) if given.dew_point_margin_k is not None else (),
        inputs=(supply,) if supply in points else (),
        source=given.source,
    )


def dew_points(group: GroupForm, points: Mapping[PointId, Point]) -> tuple[PointId, ...]:
    """The members' measured dew points of the room."""
    names = (f"{member}/{DEW_POINT}" for member in group.members)
    return tuple(name for name in names if name in points)
