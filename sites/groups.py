"""Cooling groups, drives and envelopes of a site."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

from devices.profiles import load_profile
from plant.leases import Envelope
from plant.points import Point, PointId
from plant.pumping import WhenLost
from plant.topology import CoolingGroup, Drive, Reset, Rule
from sites.form import EquipmentForm, SiteForm, SourceForm
from sites.form_groups import GroupDesignForm, GroupForm, Role, WritableForm
from sites.network import feeds_of, reached
from sites.stages import enable_envelopes, enables, least_running, stages_of

DESIGN_KEYS: dict[Role, str] = {
    "supply_temperature": "supply_temperature_c",
    "differential_pressure": "differential_pressure_pa",
    "facility_supply_temperature": "facility_supply_temperature_c",
    "tower_temperature": "tower_temperature_c",
    "air_temperature": "air_temperature_c",
    "flow": "flow_m3_s",
    "pump_speed": "pump_speed",
}
LEVERS: tuple[Role, ...] = ("flow", "pump_speed")
"""What CDUs may take in place of a differential pressure."""
DEW_POINT = "room_dew_point"
SUPPLY, RACK_SUPPLY = "tcs_supply_temperature", "liquid_supply_temperature"
"""Of a CDU and of a rack: members of a group feed one manifold, so each of them tells the master's supply."""


def design_setpoints(design: GroupDesignForm) -> dict[str, float]:
    """Role to the designer's setpoint [SI], of the roles that have one."""
    given = {role: getattr(design, key) for role, key in DESIGN_KEYS.items()}
    return {role: value for role, value in given.items() if value is not None}


def drives_of(form: SiteForm) -> dict[str, Drive]:
    """Every drive. A command names its path by the point that it names: Modbus register or request to the BMS.

    The first path of an equipment goes by the equipment's id, another one by `equipment@link`.
    """
    commanded = commanded_points(form)
    drives: dict[str, Drive] = {}
    for equipment in form.equipment:
        for number, source in enumerate(commanded_sources(equipment, commanded)):
            name = f"{equipment.id}@{source.link}" if number else equipment.id
            drives[name] = _drive(equipment.id, source)
    return drives


def commanded_points(form: SiteForm) -> set[PointId]:
    """Every point that a group commands."""
    return {point for group in form.cooling_groups for point in commands_of(group).values()}


def commands_of(group: GroupForm) -> dict[str, PointId]:
    """Role to point, those of members that take their own and the switches of what may be switched among them."""
    return dict(group.commands.items()) | followers(group) | enables(group)


def followers(group: GroupForm) -> dict[str, PointId]:
    """`flow:MEMBER` or `pump_speed:MEMBER` to its point, of members beside the master that take their own."""
    if group.flow_by == "master":
        return {}
    taken = {role: group.commands[role].partition("/")[2] for role in LEVERS if role in group.commands}
    others = [member for member in group.members if member != group.master]
    return {f"{role}:{member}": f"{member}/{name}" for role, name in taken.items() for member in others}


def commanded_sources(equipment: EquipmentForm, commanded: AbstractSet[PointId]) -> list[SourceForm]:
    """The sources whose device lets go by itself and that are commanded; the first such device if none is commanded."""
    able = [source for source in equipment.sources if load_profile(source.profile).fallback.kind != "none"]
    used = [source for source in able if commanded & _writable(equipment.id, source)]
    return used or able[:1]


def _writable(equipment: str, source: SourceForm) -> set[PointId]:
    return {_full(equipment, point.name) for point in load_profile(source.profile).points if point.writable}


def _drive(equipment: str, source: SourceForm) -> Drive:
    fallback = load_profile(source.profile).fallback
    return Drive(
        equipment=equipment,
        kind=fallback.kind,
        link=source.link,
        heartbeat=_full(equipment, fallback.heartbeat),
        timeout_s=fallback.timeout_s,
        enable=_full(equipment, fallback.enable),
        owner=_full(equipment, fallback.owner),
    )


def _full(equipment: str, name: str) -> PointId:
    return f"{equipment}/{name}" if name else ""


def racks_of(form: SiteForm, group: GroupForm) -> tuple[str, ...]:
    """The racks that a group's members reach through feeds, in the file's order."""
    below = reached(group.members, feeds_of(form.equipment))
    return tuple(e.id for e in form.equipment if e.kind == "rack" and e.id in below)


def drivable(group: GroupForm, drives: Mapping[str, Drive]) -> bool:
    """Whether every commanded device lets go by itself when leases stop."""
    devices = {point.partition("/")[0] for point in commands_of(group).values()}
    return bool(devices) and all(device in drives for device in devices)


def group_of(form: SiteForm, group: GroupForm, drives: Mapping[str, Drive]) -> CoolingGroup:
    """The group with its racks found and its roles in SI."""
    design = design_setpoints(group.design)
    return CoolingGroup(
        id=group.id,
        members=tuple(group.members),
        master=group.master,
        racks=racks_of(form, group),
        commands=commands_of(group),
        design={role: design[role] for role in group.commands}
        | {role: design[_alike(role)] for role in followers(group)}
        | dict.fromkeys(enables(group), 1.0),
        drivable=drivable(group, drives),
        fallback=dict(group.fallback),
        excitation=group.excitation,
        reserve=group.reserve,
        swing=group.swing,
        rule=_rule_of(group),
        stages=stages_of(form, group),
        least_running=least_running(group),
        when_lost=_when_lost(group),
    )


def _when_lost(group: GroupForm) -> WhenLost:
    if "pump_speed" in group.commands:
        return WhenLost.KEEPS_SPEED
    return WhenLost.KEEPS_FLOW if group.flow_by == "each" else WhenLost.MAKES_UP


def _alike(role: str) -> Role:
    """The master's role that a member's own goes by."""
    return next(lever for lever in LEVERS if role.startswith(f"{lever}:"))


def _rule_of(group: GroupForm) -> Rule | None:
    """The site's own rule; the form has its figures in SI."""
    given = group.rule
    if given is None:
        return None
    resets = {
        role: Reset(
            start=r.start,
            minimum=r.min,
            maximum=r.max,
            trim=r.trim,
            respond=r.respond,
            respond_max=r.respond_max,
            ignored=r.ignored,
        )
        for role, r in given.resets.items()
    }
    return Rule(every_s=given.every_s, near_k=given.near_k, resets=resets)


def envelopes_of(form: SiteForm, group: GroupForm, points: Mapping[PointId, Point]) -> Iterator[Envelope]:
    """One envelope for each commanded point of a group."""
    others = (f"{member}/{SUPPLY}" for member in group.members if member != group.master)
    named = (*others, *(f"{rack}/{RACK_SUPPLY}" for rack in racks_of(form, group)))
    stand_ins = tuple(name for name in named if name in points)
    own = dict(group.commands.items()) | followers(group)
    for role, point in own.items():
        given = group.writable[role if role in group.commands else _alike(role)]
        yield replace(_envelope(point, given, group, points), stand_ins=stand_ins)
    yield from enable_envelopes(group)


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
