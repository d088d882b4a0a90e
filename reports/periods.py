"""Intervals in the site's own calendar: notation and hours."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

NOTATION_YEAR = "PUE{category}({last})"
NOTATION_INTERIM = "iPUE{category}({first}:{last})"
"""One place for the standard's notation: an interval other than twelve months is interim."""


def local(at_s: float, zone: str) -> datetime:
    """A time [s since 1970] in the site's zone."""
    return datetime.fromtimestamp(at_s, ZoneInfo(zone))


def is_year(start_s: float, end_s: float, zone: str) -> bool:
    """Whether [start_s, end_s) is twelve whole months of the site's calendar."""
    start, end = local(start_s, zone), local(end_s, zone)
    same = (start.month, start.day, start.time()) == (end.month, end.day, end.time())
    return same and end.year == start.year + 1


def notation(category: int, start_s: float, end_s: float, zone: str) -> str:
    """`iPUE1(2026-11-01:2026-11-24)`, or `PUE1(2026-11-24)` for twelve months; dates of the site, both included."""
    first, last = local(start_s, zone).date(), local(end_s, zone).date()
    if last > first and local(end_s, zone).time() == datetime.min.time():
        last -= timedelta(days=1)
    form = NOTATION_YEAR if is_year(start_s, end_s, zone) else NOTATION_INTERIM
    return form.format(category=category, first=first.isoformat(), last=last.isoformat())


def hours(start_s: float, end_s: float, zone: str) -> list[tuple[int, float, float]]:
    """[start_s, end_s) cut at the full hours: (hour of the site's day, start, end [s since 1970]).

    Cut at full hours of UTC and of the zone alike, so that clock changes and half-hour zones come out right.
    """
    pieces: list[tuple[int, float, float]] = []
    at_s = start_s
    while at_s < end_s:
        here = local(at_s, zone)
        into_s = here.minute * 60 + here.second + here.microsecond / 1e6
        next_s = min(max(at_s + 3600 - into_s, at_s + 1e-3), end_s)
        pieces.append((here.hour, at_s, next_s))
        at_s = next_s
    return pieces


def iso(at_s: float, zone: str) -> str:
    """With the zone's offset, to the second."""
    return local(at_s, zone).isoformat(timespec="seconds")
