"""History: how much may be asked for, and its shape."""

from __future__ import annotations

import math
from collections.abc import Sequence

from api.answers import History, SeriesInfo
from api.problems import ProblemError
from plant.points import Point
from plant.ports import RangeQuery, Series
from plant.samples import Quality
from plant.topology import Site

MAX_POINTS = 32
MAX_VALUES = 100_000
DEFAULT_SPAN_S = 3600.0
_ROWS = 500
_NICE_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400)
_QUALITY = tuple(q.name.lower() for q in Quality)


def nice_step(step_s: float) -> float:
    """The smallest round step [s] that is not below `step_s` [s]; whole days beyond a day."""
    day_s = _NICE_STEPS_S[-1]
    return float(next((s for s in _NICE_STEPS_S if s >= step_s), math.ceil(step_s / day_s) * day_s))


def points_asked(site: Site, names: Sequence[str]) -> list[Point]:
    """The points of those names.

    Raises:
        ProblemError: none, too many, or unknown.
    """
    if not 1 <= len(names) <= MAX_POINTS:
        raise ProblemError(422, f"point: {len(names)} given", f"name 1 to {MAX_POINTS} points")
    unknown = next((n for n in names if n not in site.points), None)
    if unknown is not None:
        raise ProblemError(404, f"point {unknown!r} is not part of {site.id}", "GET /v1/points lists them")
    return [site.points[n] for n in names]


def range_query(
    points: Sequence[Point], start_s: float, end_s: float, step_s: float | None, aggregate: str
) -> RangeQuery:
    """What to ask of the store; `step_s` None chooses one, 0 means raw samples.

    Raises:
        ProblemError: the span is empty or the answer would be too large.
    """
    span_s = end_s - start_s
    if span_s <= 0:
        raise ProblemError(422, "end_s: not after start_s", "give a span of time")
    step_s = nice_step(span_s / _ROWS) if step_s is None else step_s
    rows = sum(span_s / (step_s or p.period_s) for p in points)
    if rows > MAX_VALUES:
        fits_s = nice_step(span_s * len(points) / MAX_VALUES)
        raise ProblemError(
            422, f"step_s: would give {rows:.0f} values of at most {MAX_VALUES}", f"ask with step_s={fits_s:g}"
        )
    ids = tuple(p.id for p in points)
    return RangeQuery(points=ids, start_s=start_s, end_s=end_s, step_s=step_s or None, aggregate=aggregate)


def shown(site: Site, query: RangeQuery, series: Sequence[Series]) -> History:
    """The store's answer as the API shows it."""
    return History(
        start_s=query.start_s,
        end_s=query.end_s,
        step_s=query.step_s or 0.0,
        aggregate=query.aggregate,
        series=[_series(site, s) for s in series],
    )


def _series(site: Site, series: Series) -> SeriesInfo:
    point = site.points[series.point]
    return SeriesInfo(
        point=point.id,
        quantity=point.quantity.value,
        unit=point.unit,
        times_s=series.time_s.tolist(),
        values=series.value.tolist(),
        quality=[_QUALITY[min(int(code) & 3, 2)] for code in series.code],
    )
