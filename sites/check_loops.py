"""What a loop of CDUs needs of a site file before anybody can plan it: told before it runs, not by a loop at design.

A file whose CDUs and racks have no design figures at all is one for looking only, and is let be.
"""

from __future__ import annotations

from collections.abc import Iterator

from sites.form import EquipmentForm, SiteForm
from sites.form_groups import GroupForm
from sites.groups import racks_of
from sites.network import feeds_of, reached, turned
from sites.problem import Fault

RACK_FIGURES = ("power_w", "liquid_fraction", "flow_m3_s", "dp_pa", "gpu_power_w", "case_resistance_k_w")
CDU_FIGURES = ("heat_w", "flow_m3_s", "facility_flow_m3_s", "ua_w_k", "internal_dp_pa", "pump_efficiency")


def loop_faults(form: SiteForm) -> Iterator[Fault]:
    """A warning for each thing without which a loop stays at its devices' default."""
    kinds = {e.id: e.kind for e in form.equipment}
    drawn = {e.id for e in form.equipment if e.design}
    loops = [g for g in form.cooling_groups if drawn & {*g.members, *racks_of(form, g)}]
    loops = [g for g in loops if g.commands and all(kinds.get(m) == "cdu" for m in g.members)]
    for group in loops:
        yield from _commands(form, group)
    if loops and not any(limit.quantity == "case_temperature" and limit.max is not None for limit in form.limits):
        message = "no limit of case_temperature, by which every loop is planned"
        yield _told(("limits",), message, "add `{id: case, quantity: case_temperature, max: , source: }`")
    yield from _mixed(form, loops)
    members = {member for group in loops for member in group.members}
    racks = {rack for group in loops for rack in racks_of(form, group)}
    for index, equipment in enumerate(form.equipment):
        if equipment.id in members:
            yield from _figures(equipment, CDU_FIGURES, index)
        elif equipment.id in racks:
            yield from _figures(equipment, RACK_FIGURES, index)


def _commands(form: SiteForm, group: GroupForm) -> Iterator[Fault]:
    place = ("cooling_groups", form.cooling_groups.index(group), "commands")
    if "supply_temperature" not in group.commands:
        message = f"{group.id}: no supply_temperature is commanded, so nothing of it can be planned"
        yield _told(place, message, "name the point of the master that takes it")


def _mixed(form: SiteForm, loops: list[GroupForm]) -> Iterator[Fault]:
    above = turned(feeds_of(form.equipment))
    kinds = {e.id: e.kind for e in form.equipment}
    for group in loops:
        behind = {kinds[name] for name in reached(group.members, above)}
        if {"dry-cooler", "cooling-tower"} <= behind:
            message = f"{group.id}: of dry coolers and towers on one loop only the dry coolers are reckoned with"
            yield _told(
                ("cooling_groups", form.cooling_groups.index(group)), message, "leave out `feeds` of the others"
            )


def _figures(equipment: EquipmentForm, keys: tuple[str, ...], index: int) -> Iterator[Fault]:
    missing = [key for key in keys if key not in equipment.design]
    if missing:
        message = f"{equipment.id}: its loop can't be planned without {', '.join(missing)}"
        yield _told(("equipment", index), message, "add it under `design`")


def _told(place: tuple[str | int, ...], message: str, remedy: str) -> Fault:
    return Fault(place=place, message=message, remedy=remedy, warning=True)
