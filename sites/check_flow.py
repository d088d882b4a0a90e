"""Faults of loops that are commanded by flow or pump speed: who takes it, and whether its figures are the loop's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from plant.points import Point, PointId
from sites.check_groups import QUANTITY
from sites.form import SiteForm
from sites.form_groups import GroupForm, Role
from sites.groups import LEVERS, followers, racks_of
from sites.problem import Fault

PUMPS: tuple[Role, ...] = ("differential_pressure", *LEVERS)
LIKELY = 0.6, 1.6
"""A loop's design flow over what its racks take at theirs; outside it is the flow of something else."""


def flow_faults(form: SiteForm, points: Mapping[PointId, Point]) -> Iterator[Fault]:
    """All of them."""
    kinds = {e.id: e.kind for e in form.equipment}
    for index, group in enumerate(form.cooling_groups):
        place = ("cooling_groups", index)
        commanded = [role for role in PUMPS if role in group.commands]
        if len(commanded) > 1:
            message = f"{group.id}: {' and '.join(commanded)} are commanded, but pumps can hold only one of them"
            yield Fault(place=(*place, "commands"), message=message, remedy="command one")
        if kinds.get(group.master) == "sidecar" and "pump_speed" in group.commands:
            message = f"{group.id}: only CDUs are planned by their pumps' speed, a sidecar by its flow"
            yield Fault(place=(*place, "commands", "pump_speed"), message=message, remedy="command `flow`")
        if group.flow_by == "each":
            yield from _each(group, points, place)
        elif kinds.get(group.master) == "cdu":
            yield from _unlikely(form, group, place)


def _each(group: GroupForm, points: Mapping[PointId, Point], place: tuple[str | int, ...]) -> Iterator[Fault]:
    if not any(role in group.commands for role in LEVERS):
        message = f"{group.id}: `flow_by: each`, but neither flow nor pump_speed is commanded"
        yield Fault(place=(*place, "flow_by"), message=message, remedy="command one of them, or leave flow_by out")
    for role, name in followers(group).items():
        lever, _, member = role.partition(":")
        point = points.get(name)
        if point is None or not point.writable or point.quantity is not QUANTITY[_lever(lever)]:
            message = f"{group.id}: `flow_by: each`, but {member} takes no {name.partition('/')[2]}"
            remedy = "give it a source that has this point, or leave it out of `members`"
            yield Fault(place=(*place, "flow_by"), message=message, remedy=remedy)


def _lever(name: str) -> Role:
    return next(role for role in LEVERS if role == name)


def _unlikely(form: SiteForm, group: GroupForm, place: tuple[str | int, ...]) -> Iterator[Fault]:
    """A flow of one CDU that was taken for the loop's would be planned with a part of what flows."""
    asked, by_id = group.design.flow_m3_s, {e.id: e for e in form.equipment}
    racks_m3_s = sum(by_id[rack].design.get("flow_m3_s", 0.0) for rack in racks_of(form, group))
    if asked is None or not racks_m3_s or LIKELY[0] <= asked / racks_m3_s <= LIKELY[1]:
        return
    message = (
        f"{group.id}: flow_m3_s {asked:g} is {asked / racks_m3_s:.2f} of what its racks take at design, "
        f"{racks_m3_s:g}; with one setpoint of the master it is the flow of the whole loop"
    )
    remedy = "where each CDU holds its own, write `flow_by: each`; else correct the figure"
    yield Fault(place=(*place, "design", "flow_m3_s"), message=message, remedy=remedy, warning=True)
