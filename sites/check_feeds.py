"""Faults of what feeds what."""

from __future__ import annotations

from collections.abc import Iterator

from sites.form import EquipmentForm, SiteForm
from sites.network import FACILITY_KINDS, POWER_KINDS, RACK_COOLERS, feeds_of, loop_in, reached, turned
from sites.problem import Fault, one_of


def feed_faults(form: SiteForm) -> Iterator[Fault]:
    """Unknown ids, circles, racks without power or cooling, CDUs without facility water."""
    yield from _unknown_targets(form)
    yield from _circles(form)
    yield from _unfed(form)


def _unknown_targets(form: SiteForm) -> Iterator[Fault]:
    known = [e.id for e in form.equipment]
    for index, equipment in enumerate(form.equipment):
        for number, target in enumerate(equipment.feeds):
            if target not in known:
                yield Fault(
                    place=("equipment", index, "feeds", number),
                    message=f"{equipment.id}: feeds unknown equipment {target!r}",
                    remedy=one_of(target, known),
                )


def _circles(form: SiteForm) -> Iterator[Fault]:
    circle = loop_in(feeds_of(form.equipment))
    if circle:
        index = max(i for i, e in enumerate(form.equipment) if e.id in circle)
        yield Fault(
            place=("equipment", index, "feeds"),
            message=f"feeds run in a circle: {' > '.join(circle)}",
            remedy="let `feeds` point only from source to user, never back (no return lines)",
        )


def _unfed(form: SiteForm) -> Iterator[Fault]:
    feeders = turned(feeds_of(form.equipment))
    by_kind = {e.id: e.kind for e in form.equipment}

    def fed_from(equipment: EquipmentForm, through: frozenset[str], wanted: frozenset[str]) -> bool:
        allowed = {name for name, kind in by_kind.items() if kind in through}
        return any(by_kind[s] in wanted for s in reached([equipment.id], feeders, allowed))

    for index, equipment in enumerate(form.equipment):
        place = ("equipment", index)
        if equipment.kind == "rack" and not fed_from(equipment, POWER_KINDS, frozenset({"utility"})):
            remedy = f"add {equipment.id!r} to the `feeds` of a PDU, UPS or utility feed"
            yield Fault(place=place, message=f"{equipment.id}: the rack is fed by no power", remedy=remedy)
        if equipment.kind == "rack" and not fed_from(equipment, RACK_COOLERS | {"manifold"}, RACK_COOLERS):
            remedy = f"add {equipment.id!r} to the `feeds` of a manifold, CDU, sidecar or rear door"
            yield Fault(place=place, message=f"{equipment.id}: the rack is fed by no cooling source", remedy=remedy)
        if equipment.kind == "cdu" and not fed_from(equipment, FACILITY_KINDS, FACILITY_KINDS):
            remedy = f"add {equipment.id!r} to the `feeds` of a pump, dry cooler, chiller or fws-loop"
            yield Fault(place=place, message=f"{equipment.id}: the CDU is fed by no facility water", remedy=remedy)
