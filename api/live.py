"""Live values and GPU summaries, as read from the mirror at one moment."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import cache

from api.answers import LiveValue, PointValue, RackGpus
from api.mirror import Mirror, Row
from plant.points import Point, PointId
from plant.samples import Quality, Reason, quality_code, split_code
from plant.topology import Site

_QUALITY_BITS = 3
_STALE = quality_code(Quality.BAD, Reason.STALE)
_STALE_BIT = quality_code(Quality.GOOD, Reason.STALE)


def per_gpu(point: PointId) -> bool:
    """Whether a point belongs to one GPU: `rack-01/gpu-00/temperature`."""
    return point.count("/") > 1


@cache
def told(code: int) -> tuple[str, tuple[str, ...]]:
    """The names of a code's quality and reasons, in lower case."""
    quality, reason = split_code(code)
    names = (str(flag.name).lower() for flag in Reason if flag in reason and flag is not Reason.NONE)
    return quality.name.lower(), tuple(names)


def judged(mirror: Mirror, point: Point, row: Row) -> int:
    """The code of a row as of now; plain integers, as thousands of points are judged at a time."""
    return row.code & ~_QUALITY_BITS | _STALE if mirror.is_stale(row, point.max_age_s) else row.code


def live_value(mirror: Mirror, point: Point) -> LiveValue:
    """One point's newest value; never heard of is bad, for want of communication."""
    row = mirror.rows.get(point.id)
    if row is None:
        return LiveValue(id=point.id, value=None, time_s=None, age_s=None, quality="bad", reasons=("no_comm",))
    age_s = mirror.age_s(row)
    quality, reasons = told(judged(mirror, point, row))
    return LiveValue(
        id=point.id,
        value=row.value,
        time_s=row.time_s,
        age_s=round(age_s, 3),
        quality=quality,
        reasons=reasons,
    )


def point_value(mirror: Mirror, point: Point) -> PointValue:
    """A live value with its quantity and unit."""
    live = live_value(mirror, point)
    return PointValue(
        id=live.id,
        value=live.value,
        time_s=live.time_s,
        age_s=live.age_s,
        quality=live.quality,
        reasons=live.reasons,
        quantity=point.quantity.value,
        unit=point.unit,
    )


def chosen(site: Site, prefix: str = "", equipment: str = "", name: str = "") -> Iterator[Point]:
    """The points asked for; those per GPU only when the prefix reaches into them."""
    into_gpus = "/gpu-" in prefix
    for point in site.points.values():
        if not point.id.startswith(prefix) or (equipment and point.equipment != equipment):
            continue
        if name and point.id.rpartition("/")[2] != name:
            continue
        if into_gpus or not per_gpu(point.id):
            yield point


def good_value(mirror: Mirror, site: Site, point: PointId) -> float | None:
    """The value [SI] of a point that is good now, else None."""
    row, declared = mirror.rows.get(point), site.points.get(point)
    if row is None or declared is None or row.value is None:
        return None
    code = judged(mirror, declared, row)
    return row.value if code & _QUALITY_BITS == Quality.GOOD else None


def live_count(mirror: Mirror, site: Site) -> int:
    """How many points have a value that is not stale."""
    return sum(
        row.value is not None and not judged(mirror, point, row) & _STALE_BIT
        for point in site.points.values()
        if (row := mirror.rows.get(point.id)) is not None
    )


def gpu_points(site: Site) -> dict[str, dict[str, dict[str, PointId]]]:
    """For each rack and GPU, its points by name; made once, as there are thousands."""
    found: dict[str, dict[str, dict[str, PointId]]] = {}
    for point in filter(per_gpu, site.points):
        rack, gpu, name = point.split("/", 2)
        found.setdefault(rack, {}).setdefault(gpu, {})[name] = point
    return found


def _known(values: Iterable[float | None]) -> list[float]:
    return [v for v in values if v is not None]


def rack_gpus(mirror: Mirror, site: Site, rack: str, gpus: dict[str, dict[str, PointId]]) -> RackGpus:
    """The GPUs of one rack, summed up over those that are heard."""

    def named(name: str) -> dict[str, float | None]:
        return {g: good_value(mirror, site, points[name]) for g, points in gpus.items() if name in points}

    degrees = {gpu: value for gpu, value in named("temperature").items() if value is not None}
    power_w = _known(named("power").values())
    utilisation = _known(named("utilisation").values())
    hottest = max(degrees, key=degrees.__getitem__, default=None)
    return RackGpus(
        rack=rack,
        gpus=len(gpus),
        live=len(degrees),
        max_temperature_c=None if hottest is None else degrees[hottest],
        mean_temperature_c=math.fsum(degrees.values()) / len(degrees) if degrees else None,
        hottest=hottest,
        power_w=math.fsum(power_w) if power_w else None,
        mean_utilisation=math.fsum(utilisation) / len(utilisation) if utilisation else None,
        xid_gpus=tuple(gpu for gpu, code in named("xid").items() if code),
    )
