"""Faults of cooling groups: members, commands and what may be written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from plant.points import Point, PointId
from plant.quantities import Quantity
from sites.form import SiteForm
from sites.form_groups import GroupForm, Role, WritableForm
from sites.groups import DESIGN_KEYS, design_setpoints, dew_points, drivable, drives_of
from sites.network import COOLING_KINDS
from sites.problem import Fault, one_of

QUANTITY: Mapping[Role, Quantity] = {
    "supply_temperature": Quantity.TEMPERATURE,
    "differential_pressure": Quantity.DIFFERENTIAL_PRESSURE,
    "facility_supply_temperature": Quantity.TEMPERATURE,
    "tower_temperature": Quantity.TEMPERATURE,
    "air_temperature": Quantity.TEMPERATURE,
    "flow": Quantity.VOLUME_FLOW,
    "pump_speed": Quantity.FRACTION,
}
LIMITED_BY: Mapping[str, str] = {
    "supply_temperature": "tcs_supply_temperature",
    "differential_pressure": "tcs_differential_pressure",
    "facility_supply_temperature": "fws_supply_temperature",
    "air_temperature": "air_inlet_temperature",
}
FACILITY_ROLES = frozenset({"facility_supply_temperature", "tower_temperature", "air_temperature"})
"""Roles whose points belong to the heat rejection or the hall; all others to the group's master."""
ONLY_OF: Mapping[Role, str] = {"tower_temperature": "cooling-tower", "air_temperature": "air-unit"}
"""Roles that only equipment of one kind can take."""
Points = Mapping[PointId, Point]


@dataclass(frozen=True, kw_only=True)
class Writable:
    """One role of one group, with where it stands in the file."""

    group: GroupForm
    role: Role
    given: WritableForm
    place: tuple[str | int, ...]

    def fault(self, key: str, message: str, remedy: str) -> Fault:
        """A fault of one of its keys."""
        return Fault(place=(*self.place, key), message=f"{self.group.id}: {self.role}: {message}", remedy=remedy)


def group_faults(form: SiteForm, points: Points) -> Iterator[Fault]:
    """All faults of the cooling groups."""
    yield from _shared_members(form)
    for index, group in enumerate(form.cooling_groups):
        place = ("cooling_groups", index)
        yield from _bad_members(form, group, place)
        yield from _bad_commands(group, points, place)
        for role, kind in ONLY_OF.items():
            yield from _of_another_kind(form, group, role, kind, place)
        yield from _bad_roles(group, place)
        for role, given in group.writable.items():
            writable = Writable(group=group, role=role, given=given, place=(*place, "writable", role))
            yield from _bad_envelope(form, writable, points)
            yield from _bad_dew_point(form, writable, points)


def _shared_members(form: SiteForm) -> Iterator[Fault]:
    ids: set[str] = set()
    owners: dict[str, str] = {}
    for index, group in enumerate(form.cooling_groups):
        if group.id in ids:
            message = f"cooling group id {group.id!r} is used twice"
            yield Fault(place=("cooling_groups", index, "id"), message=message, remedy="give each group its own id")
        ids.add(group.id)
        for point in group.commands.values():
            owner = owners.setdefault(point, group.id)
            if owner != group.id:
                message = f"{group.id}: {point} is already commanded by group {owner!r}"
                remedy = "let one group command it"
                yield Fault(place=("cooling_groups", index, "commands"), message=message, remedy=remedy)
        for member in group.members:
            owner = owners.setdefault(member, group.id)
            if owner != group.id:
                message = f"{group.id}: {member} is already a member of group {owner!r}"
                remedy = "let each CDU or sidecar be in one group"
                yield Fault(place=("cooling_groups", index, "members"), message=message, remedy=remedy)


def _bad_members(form: SiteForm, group: GroupForm, place: tuple[str | int, ...]) -> Iterator[Fault]:
    fit = [e.id for e in form.equipment if e.kind in COOLING_KINDS]
    for number, member in enumerate(group.members):
        if member not in fit:
            message = f"{group.id}: member {member!r} is no CDU or sidecar of this site"
            yield Fault(place=(*place, "members", number), message=message, remedy=one_of(member, fit))
    if group.master not in group.members:
        message = f"{group.id}: master {group.master!r} is not a member"
        yield Fault(place=(*place, "master"), message=message, remedy=one_of(group.master, group.members))


def _bad_commands(group: GroupForm, points: Points, place: tuple[str | int, ...]) -> Iterator[Fault]:
    for role, name in group.commands.items():
        here = (*place, "commands", role)
        point = points.get(name)
        fit = [p.id for p in points.values() if p.writable and p.quantity is QUANTITY[role]]
        if point is None:
            message = f"{group.id}: {role} names unknown point {name!r}"
            yield Fault(place=here, message=message, remedy=one_of(name, fit))
        elif not point.writable or point.quantity is not QUANTITY[role]:
            message = f"{group.id}: {role} can't be written to {name} ({_nature(point)})"
            yield Fault(place=here, message=message, remedy=one_of(name, fit))
        elif role not in FACILITY_ROLES and point.equipment != group.master:
            message = f"{group.id}: {role} goes to {point.equipment}, but the master is {group.master}"
            yield Fault(place=here, message=message, remedy="name a point of the master, which leads the others")


def _of_another_kind(
    form: SiteForm, group: GroupForm, role: Role, kind: str, place: tuple[str | int, ...]
) -> Iterator[Fault]:
    name = group.commands.get(role, "")
    fit = [e.id for e in form.equipment if e.kind == kind]
    if name and name.partition("/")[0] not in fit:
        message = f"{group.id}: {role} goes to {name}, which belongs to no {kind.replace('-', ' ')}"
        yield Fault(place=(*place, "commands", role), message=message, remedy=one_of(name.partition("/")[0], fit))


def _nature(point: Point) -> str:
    return f"{'a writable' if point.writable else 'a read-only'} {point.quantity.replace('_', ' ')}"


def _bad_roles(group: GroupForm, place: tuple[str | int, ...]) -> Iterator[Fault]:
    design = design_setpoints(group.design)
    for role in group.commands:
        if role not in group.writable:
            message = f"{group.id}: {role} is commanded, but `writable` does not say within what"
            remedy = f"add `{role}: {{min: , max: , max_step: , min_dwell_s: , source: }}`"
            yield Fault(place=(*place, "writable"), message=message, remedy=remedy)
        if role not in design:
            message = f"{group.id}: {role} is commanded, but has no design setpoint"
            remedy = f"add `{DESIGN_KEYS[role]}: ` with what the device falls back to"
            yield Fault(place=(*place, "design"), message=message, remedy=remedy)
    for role in group.writable:
        if role not in group.commands:
            message = f"{group.id}: {role} is under `writable`, but no command names its point"
            remedy = "add it under `commands`, or remove it"
            yield Fault(place=(*place, "writable", role), message=message, remedy=remedy)


def _bad_envelope(form: SiteForm, writable: Writable, points: Points) -> Iterator[Fault]:
    given = writable.given
    if given.min > given.max:
        yield writable.fault("min", f"min {given.min:g} is above max {given.max:g}", "let min be at most max")
        return
    point = points.get(writable.group.commands.get(writable.role, ""))
    if point is not None:
        source = f"the range of {point.id} in its profile"
        yield from _outside(writable, point.minimum, point.maximum, source)
        if point.quantum is not None and given.max_step < point.quantum * 0.999:
            message = f"max_step {given.max_step:g} is below the device's resolution {point.quantum:g}"
            yield writable.fault("max_step", message, f"give at least {point.quantum:g}")
    for limit in form.limits:
        if limit.quantity == LIMITED_BY.get(writable.role):
            yield from _outside(writable, limit.min, limit.max, f"limit {limit.id!r}")
    yield from _design_outside(writable)


def _outside(writable: Writable, low: float | None, high: float | None, source: str) -> Iterator[Fault]:
    given = writable.given
    if low is not None and _below(given.min, low):
        message = f"min {given.min:g} is below {low:g}, {source}"
        yield writable.fault("min", message, f"raise it to {low:g} or more")
    if high is not None and _below(high, given.max):
        message = f"max {given.max:g} is above {high:g}, {source}"
        yield writable.fault("max", message, f"lower it to {high:g} or less")


def _below(value: float, bound: float) -> bool:
    """Whether really below, not by a rounding of unit conversion."""
    return value < bound - 1e-9 * max(1.0, abs(bound))


def _design_outside(writable: Writable) -> Iterator[Fault]:
    given, key = writable.given, DESIGN_KEYS[writable.role]
    value = design_setpoints(writable.group.design).get(writable.role)
    if value is not None and not given.min <= value <= given.max:
        yield Fault(
            place=(*writable.place[:2], "design", key),
            message=f"{writable.group.id}: design {key} {value:g} is outside what may be written, "
            f"{given.min:g} to {given.max:g}",
            remedy="widen `writable`, or correct the design setpoint",
        )


def _bad_dew_point(form: SiteForm, writable: Writable, points: Points) -> Iterator[Fault]:
    margin = writable.given.dew_point_margin_k
    if margin is not None and QUANTITY[writable.role] is not Quantity.TEMPERATURE:
        yield writable.fault("dew_point_margin_k", "only a temperature has a dew point margin", "remove it")
    elif margin is not None and not dew_points(writable.group, points):
        message = "no member measures the room's dew point, so the margin can't be kept"
        yield writable.fault("dew_point_margin_k", message, "add a source that has `room_dew_point` to a member")
    if writable.role == "supply_temperature":
        yield from _thin_margin(form, writable, margin)


def _thin_margin(form: SiteForm, writable: Writable, margin: float | None) -> Iterator[Fault]:
    for limit in form.limits:
        if limit.quantity != "dew_point_margin" or limit.min is None:
            continue
        if margin is None and drivable(writable.group, drives_of(form)):
            message = f"no dew_point_margin_k, although limit {limit.id!r} asks for {limit.min:g} K"
            yield writable.fault("dew_point_margin_k", message, f"add `dew_point_margin_k: {limit.min:g}` or more")
        elif margin is not None and margin < limit.min:
            message = f"dew_point_margin_k {margin:g} is below {limit.min:g}, limit {limit.id!r}"
            yield writable.fault("dew_point_margin_k", message, f"raise it to {limit.min:g} or more")
