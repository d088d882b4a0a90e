"""Limits that no setting meets, and tolerances that are none: found in the site file, before anything is driven."""

from __future__ import annotations

from collections.abc import Iterator

from sites.form import EquipmentForm, SiteForm
from sites.form_groups import GroupForm
from sites.groups import racks_of
from sites.problem import Fault

BEST_PLATE = 0.75
"""A cold plate with all the flow in the world keeps about so much of its thermal resistance at design flow.

[source] OCP OAI guidelines 2023 by LBNL Modelica Buildings: 0.0245 K/W at 1 l/min, 0.0197 at 2.4, towards 0.016.
"""


TOLERANCE, MOST_TOLERANCE = "design_tolerance", 0.5


def tolerance_faults(form: SiteForm) -> Iterator[Fault]:
    """Cold plates that may be worse than their figure by no share of it: a percentage, or less than nothing."""
    for number, equipment in enumerate(form.equipment):
        share = equipment.design.get(TOLERANCE, 0.0)
        if not 0.0 <= share <= MOST_TOLERANCE:
            message = f"{equipment.id}: {TOLERANCE} {share:g} is no share between 0 and {MOST_TOLERANCE:g}"
            place = ("equipment", number, "design", TOLERANCE)
            yield Fault(place=place, message=message, remedy="5 % is 0.05")


def unmet_limits(form: SiteForm) -> Iterator[Fault]:
    """Case limits below what the coldest writable supply gives at full load, and least flows above racks' design."""
    by_id = {e.id: e for e in form.equipment}
    groups = [(group, [by_id[rack] for rack in racks_of(form, group)]) for group in form.cooling_groups]
    for place, limit in enumerate(form.limits):
        for group, racks in groups:
            if limit.quantity == "case_temperature" and limit.max is not None:
                yield from _too_cold(limit.id, limit.max, group, racks, ("limits", place, "max"))
            if limit.quantity == "rack_flow_m3_s" and limit.min is not None:
                yield from _too_much(limit.id, limit.min, racks, ("limits", place, "min"))


def _too_cold(
    name: str, limit_c: float, group: GroupForm, racks: list[EquipmentForm], place: tuple[str | int, ...]
) -> Iterator[Fault]:
    supply = group.writable.get("supply_temperature")
    if supply is None:
        return
    for rack in racks:
        resistance, gpu_w = rack.design.get("case_resistance_k_w", 0.0), rack.design.get("gpu_power_w", 0.0)
        least_c = supply.min + BEST_PLATE * resistance * gpu_w
        if least_c > limit_c:
            message = (
                f"limit {name!r}: {limit_c:g} °C can't be met at full load: {rack.id} has at least {least_c:.1f} °C "
                f"with the coldest supply that may be written to {group.id}, {supply.min:g} °C"
            )
            yield Fault(
                place=place, message=message, remedy="correct the limit, `writable` or the rack's design figures"
            )
            return


def _too_much(
    name: str, least_m3_s: float, racks: list[EquipmentForm], place: tuple[str | int, ...]
) -> Iterator[Fault]:
    for rack in racks:
        design_m3_s = rack.design.get("flow_m3_s", least_m3_s)
        if design_m3_s < least_m3_s:
            message = f"limit {name!r}: {rack.id} gets {design_m3_s:g} m³/s by design, its least is {least_m3_s:g}"
            yield Fault(place=place, message=message, remedy="correct the limit or the rack's design flow")
            return
