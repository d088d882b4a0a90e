"""Faults of simulated instruments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from plant.points import Point, PointId
from sites.form import SiteForm
from sites.problem import Fault, one_of


def sensor_faults(form: SiteForm, points: Mapping[PointId, Point]) -> Iterator[Fault]:
    """Rows that fit no point."""
    for index, row in enumerate(form.sensors):
        if not any(fnmatchcase(point, row.points) for point in points):
            message = f"sensors: no point fits {row.points!r}"
            yield Fault(place=("sensors", index, "points"), message=message, remedy=one_of(row.points, list(points)))
