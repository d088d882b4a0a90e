"""Faults of what may be switched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import get_args

from plant.points import Point, PointId
from plant.quantities import Quantity
from plant.topology import ENABLE_COMMAND, RUNNING
from sites.form import SiteForm
from sites.form_groups import GroupForm
from sites.form_stages import StageKind
from sites.network import feeds_of, reached, turned
from sites.problem import Fault, one_of

KINDS: tuple[str, ...] = get_args(StageKind)
Place = tuple[str | int, ...]
Points = Mapping[PointId, Point]
FACILITY = "facility_supply_temperature"


def stage_faults(form: SiteForm, points: Points) -> Iterator[Fault]:
    """All of them."""
    owners: dict[str, str] = {}
    for index, group in enumerate(form.cooling_groups):
        place = ("cooling_groups", index)
        yield from _no_facility(group, place)
        for number, stage in enumerate(group.stages):
            here = (*place, "stages", number, "unit")
            yield from _bad_unit(form, group, stage.unit, here)
            yield from _no_switch(group, stage.unit, points, here)
            owner = owners.setdefault(stage.unit, group.id)
            if owner != group.id or [s.unit for s in group.stages[:number]].count(stage.unit):
                message = f"{group.id}: {stage.unit} is already under the `stages` of {owner!r}"
                yield Fault(place=here, message=message, remedy="name each unit once")
        yield from _too_many(form, group, place)
    yield from _two_owners(form)


def _no_facility(group: GroupForm, place: Place) -> Iterator[Fault]:
    if group.stages and FACILITY not in group.commands:
        message = f"{group.id}: has stages, but does not command the facility water"
        remedy = f"move `stages` to the group that commands {FACILITY}, or command it here"
        yield Fault(place=(*place, "stages"), message=message, remedy=remedy)


def _bad_unit(form: SiteForm, group: GroupForm, unit: str, here: Place) -> Iterator[Fault]:
    behind = reached(group.members, turned(feeds_of(form.equipment)))
    fit = [e.id for e in form.equipment if e.kind in KINDS and e.id in behind]
    if unit not in fit:
        message = f"{group.id}: stage {unit!r} is no {', '.join(KINDS[:-1])} or {KINDS[-1]} that feeds its members"
        yield Fault(place=here, message=message, remedy=one_of(unit, fit))


def _no_switch(group: GroupForm, unit: str, points: Points, here: Place) -> Iterator[Fault]:
    command = points.get(f"{unit}/{ENABLE_COMMAND}")
    if command is None or not command.writable or command.quantity is not Quantity.STATE:
        message = f"{group.id}: {unit} has no {ENABLE_COMMAND} that can be written"
        remedy = f"give it a profile with a writable state `{ENABLE_COMMAND}`, or take it off `stages`"
        yield Fault(place=here, message=message, remedy=remedy)
    if f"{unit}/{RUNNING}" not in points:
        message = f"{group.id}: {unit} does not tell whether it runs"
        yield Fault(place=here, message=message, remedy=f"give it a profile with a state `{RUNNING}`")


def _too_many(form: SiteForm, group: GroupForm, place: Place) -> Iterator[Fault]:
    kinds = {e.id: e.kind for e in form.equipment}
    there = Counter(kinds.get(stage.unit, "") for stage in group.stages)
    for kind, least in group.least_running.items():
        if least > there[kind]:
            message = f"{group.id}: {least} of kind {kind} are to run at least, but `stages` names {there[kind]}"
            yield Fault(place=(*place, "least_running", kind), message=message, remedy=f"give {there[kind]} or less")


def _two_owners(form: SiteForm) -> Iterator[Fault]:
    """Water that several groups share has one setpoint, so one group decides for all of them."""
    feeders = turned(feeds_of(form.equipment))
    owners: dict[str, str] = {}
    for index, group in enumerate(form.cooling_groups):
        if FACILITY not in group.commands:
            continue
        for unit in sorted(reached(group.members, feeders) & _plant(form)):
            owner = owners.setdefault(unit, group.id)
            if owner != group.id:
                message = f"{group.id}: {unit} feeds it and {owner!r}, and both command facility water"
                remedy = f"leave {FACILITY} to one of them: it decides for the sum of their heats"
                yield Fault(place=("cooling_groups", index, "commands", FACILITY), message=message, remedy=remedy)
                break


def _plant(form: SiteForm) -> set[str]:
    return {e.id for e in form.equipment if e.kind in KINDS}
