"""Which meter counts for what: read from the site's graph, nothing by name."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from plant.points import PointId
from plant.quantities import Quantity
from plant.topology import Equipment, Site
from reports.pue import ReportError

PARTS: dict[str, str] = {
    "cdu": "cdu_pumps",
    "sidecar": "cdu_pumps",
    "pump": "facility_pumps",
    "dry-cooler": "heat_rejection",
    "cooling-tower": "heat_rejection",
    "economiser": "heat_rejection",
    "chiller": "heat_rejection",
    "air-unit": "air_cooling",
    "rear-door": "air_cooling",
}
"""Part of the cooling that a metered equipment belongs to."""
NOT_IT = frozenset(PARTS)
PASS_POWER = frozenset({"ups", "pdu", "power-shelf"})
IMPORT, EXPORT = "energy_import", "export"
"""Name of the register that is read where a meter has several, and how that of the other direction ends."""
RACKS = 3
"""The category of a site whose racks are all metered."""
CATEGORY_PLACE = {1: "ups_output", 2: "pdu_output", 3: "it_input"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """Meters by what they count. it_less: non-IT equipment behind the IT meters that has a meter of its own.

    it_beside: racks that lie behind none of the IT meters.
    """

    category: int
    total: tuple[str, ...]
    it: tuple[str, ...]
    it_less: tuple[str, ...]
    parts: dict[str, tuple[str, ...]]
    unmetered_behind_it: tuple[str, ...]
    it_beside: tuple[str, ...] = ()

    @property
    def essential(self) -> tuple[str, ...]:
        """The meters without which there is no PUE."""
        return tuple(dict.fromkeys((*self.total, *self.it, *self.it_less)))


def register_point(site: Site, meter: str) -> PointId | None:
    """A meter's register of what was drawn, None if it has none; what it counts the other way is no use of energy."""
    found = [p.id for p in site.points_of(meter) if p.quantity is Quantity.ENERGY and not p.name.endswith(EXPORT)]
    return next((p for p in found if p.endswith(f"/{IMPORT}")), found[0] if found else None)


def boundary(site: Site) -> Boundary:
    """Sort the site's meters.

    The category is the innermost place where all IT energy is metered: rack input 3, PDU output 2, UPS output 1
    (ISO/IEC 30134-2).

    Raises:
        ReportError: the utility feed or the IT energy has no energy register, or one of them has two.
    """
    meter_of: dict[str, str] = {}
    for meter in (m for m in site.of_kind("meter") if register_point(site, m.id)):
        meter_of.setdefault(meter.meters, meter.id)
    total = _all_metered(site.of_kind("utility"), meter_of)
    if not total:
        raise ReportError(
            "no energy register at every utility feed, so there is no total; add a meter to the site file"
        )
    category, it_places = it_places_of(site, meter_of)
    below = _behind(site, it_places)
    behind = [site.equipment[e] for e in sorted(below) if site.equipment[e].kind in NOT_IT]
    _refuse_two(site, [*(site.equipment[m].meters for m in total), *it_places, *(e.id for e in behind)])
    racks = [e.id for e in site.of_kind("rack")] if category != RACKS else []
    return Boundary(
        category=category,
        total=total,
        it=tuple(meter_of[e] for e in it_places),
        it_less=tuple(meter_of[e.id] for e in behind if e.id in meter_of),
        parts=_parts(site, meter_of),
        unmetered_behind_it=tuple(e.id for e in behind if e.id not in meter_of),
        it_beside=tuple(r for r in racks if r not in below) if below.intersection(racks) else (),
    )


def _refuse_two(site: Site, counted: Iterable[str]) -> None:
    """Two meters may count two halves, or the same twice: nobody can know, and either guess is a wrong PUE.

    Raises:
        ReportError: names the equipment and its meters.
    """
    for equipment in counted:
        meters = [m.id for m in site.of_kind("meter") if m.meters == equipment and register_point(site, m.id)]
        if len(meters) > 1:
            remedy = "give each feed an equipment of its own with `meters:`, or leave the spare meter's register out"
            raise ReportError(f"{equipment} is measured by {' and '.join(meters)}; {remedy}")


def _all_metered(equipment: Iterable[Equipment], meter_of: dict[str, str]) -> tuple[str, ...]:
    """The meters of all of them, or none if one is missing."""
    ids = [e.id for e in equipment]
    return tuple(meter_of[i] for i in ids) if all(i in meter_of for i in ids) else ()


def it_places_of(site: Site, metered: Collection[str]) -> tuple[int, list[str]]:
    """PUE category, and the equipment where the IT energy is metered: of the places that feed most racks the innermost.

    metered: ids of equipment that has a meter.

    Raises:
        ReportError: neither every rack nor every PDU nor every UPS is metered.
    """
    racks = {e.id for e in site.of_kind("rack")}
    found: list[tuple[int, list[str]]] = []
    for category, kind in ((RACKS, "rack"), (2, "pdu"), (1, "ups")):
        places = [e.id for e in site.of_kind(kind)]
        if places and all(p in metered for p in places):
            found.append((category, places))
    if not found:
        text = "no energy register at every UPS output, PDU output or rack, so the IT energy is not known"
        raise ReportError(f"{text}; add a meter to the site file")
    return min(found, key=lambda at: len(racks.difference(at[1], _behind(site, at[1]))))


def _behind(site: Site, places: list[str]) -> set[str]:
    """What a UPS or PDU feeds with power, directly or through another of them or a power shelf."""
    found: set[str] = set()
    todo = [p for p in places if site.equipment[p].kind in PASS_POWER]
    while todo:
        for target in site.equipment[todo.pop()].feeds:
            if target not in found:
                found.add(target)
                todo += [target] if site.equipment[target].kind in PASS_POWER else []
    return found


def _parts(site: Site, meter_of: dict[str, str]) -> dict[str, tuple[str, ...]]:
    parts: dict[str, tuple[str, ...]] = {}
    for equipment in site.equipment.values():
        part = PARTS.get(equipment.kind)
        if part and equipment.id in meter_of:
            parts[part] = (*parts.get(part, ()), meter_of[equipment.id])
    return parts


def unmetered_cooling(site: Site) -> list[str]:
    """Cooling equipment without an energy register: its energy hides in the rest."""
    metered = {m.meters for m in site.of_kind("meter") if register_point(site, m.id)}
    return [e.id for e in site.equipment.values() if e.kind in PARTS and e.id not in metered]


def pump_side(site: Site, equipment: str, limits: Boundary) -> str:
    """Whether a CDU's pumps lie on the `it` side of the IT meter or on the `facility` side."""
    places = [site.equipment[m].meters for m in limits.it]
    return "it" if equipment in _behind(site, places) else "facility"
