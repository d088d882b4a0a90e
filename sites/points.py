"""From device profiles to points: names, SI bounds and resolutions."""

from __future__ import annotations

from collections.abc import Iterator

from devices.profiles import Profile, ProfilePoint, load_profile
from plant.points import Point, PointId
from sites.form import EquipmentForm, SourceForm


def points_of(equipment: EquipmentForm, gpus: int) -> dict[PointId, Point]:
    """All points of one equipment; of two sources that name a point the first owns it."""
    points: dict[PointId, Point] = {}
    for source in equipment.sources:
        for point in _points_from(source, equipment.id, gpus):
            points.setdefault(point.id, point)
    return points


def _points_from(source: SourceForm, equipment: str, gpus: int) -> Iterator[Point]:
    profile = load_profile(source.profile)
    for prefix in _prefixes(profile, equipment, source.gpus or gpus):
        for point in profile.points:
            yield _point(point, f"{prefix}/{point.name}", equipment, source.link)


def _prefixes(profile: Profile, equipment: str, gpus: int) -> list[str]:
    return [f"{equipment}/gpu-{gpu:02d}" for gpu in range(gpus)] if profile.per_gpu else [equipment]


def _point(point: ProfilePoint, name: PointId, equipment: str, link: str) -> Point:
    return Point(
        id=name,
        quantity=point.quantity,
        equipment=equipment,
        link=link,
        period_s=point.period_s,
        minimum=point.bound(point.min),
        maximum=point.bound(point.max),
        quantum=_quantum(point),
        writable=point.writable,
        max_age_s=point.max_age_s,
    )


def _quantum(point: ProfilePoint) -> float | None:
    """The SI value of one raw count; None where the device sends floating point or text."""
    return None if point.table is None or point.type.startswith("f") else abs(point.factor)
