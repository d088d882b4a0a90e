"""Powers of this moment, from meters: site, IT, cooling, and their ratio.

Instantaneous PUE = site power / IT power, after ISO/IEC 30134-2 but of one moment:
a reading, not a figure for a report.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from api.answers import InstantaneousPue
from plant.points import PointId
from plant.topology import Equipment, Site
from reports.boundary import NOT_IT, RACKS, it_places_of
from reports.pue import ReportError

COOLING_KINDS = NOT_IT | {"fws-loop"}
Read = Callable[[PointId], float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Powers:
    """Powers [W], None where a meter is missing or not good; `category` is where IT power is metered."""

    site_w: float | None
    it_w: float | None
    cooling_w: float | None
    category: int
    it_place: str

    @property
    def pue(self) -> InstantaneousPue | None:
        """The ratio, where both powers are known and IT draws any."""
        if self.site_w is None or not self.it_w or self.it_w <= 0:
            return None
        note = f"IT power metered at {self.it_place}"
        value = round(self.site_w / self.it_w, 4)
        return InstantaneousPue(value=value, label="instantaneous", category=self.category, note=note)


def power_point(site: Site, equipment: Equipment) -> PointId | None:
    """The point that meters an equipment's power: of its meter, else its own."""
    meters = [m for m in site.of_kind("meter") if m.meters == equipment.id]
    places = [*(f"{m.id}/active_power" for m in meters), f"{equipment.id}/active_power", f"{equipment.id}/power"]
    return next((p for p in places if p in site.points), None)


def powers(site: Site, read: Read) -> Powers:
    """Powers now; `read` gives the value [W] of a good point."""
    category, places = _it_places(site)
    metered = [site.equipment[place] for place in places]
    cooling = [e for e in site.equipment.values() if e.kind in COOLING_KINDS and power_point(site, e)]
    return Powers(
        site_w=_sum(site, site.of_kind("utility"), read),
        it_w=_sum(site, metered, read),
        cooling_w=_sum(site, cooling, read),
        category=category,
        it_place=", ".join(places) if len(places) < 4 else _counted(metered),
    )


def _counted(places: list[Equipment]) -> str:
    kind = places[0].kind
    return f"{len(places)} {'racks' if kind == 'rack' else f'{kind.upper()}s'}"


def _it_places(site: Site) -> tuple[int, list[str]]:
    """As a report sorts them, by power in place of energy; where there is no meter, what the racks themselves tell."""
    has_meter = {m.meters for m in site.of_kind("meter")}
    known = {e.id for e in site.equipment.values() if power_point(site, e) and (e.kind != "rack" or e.id in has_meter)}
    try:
        return it_places_of(site, known)
    except ReportError:
        return RACKS, [e.id for e in site.of_kind("rack")]


def _sum(site: Site, equipment: list[Equipment], read: Read) -> float | None:
    points = [power_point(site, e) for e in equipment]
    values = [None if point is None else read(point) for point in points]
    known = [v for v in values if v is not None]
    return math.fsum(known) if values and len(known) == len(values) else None
