"""Answers of coldplate's own HTTP API that no record is the form of; what a client does not need is left out."""

from __future__ import annotations

import msgspec

from placement.scheduler_reports import SchedulerState


class Point(msgspec.Struct):
    """A point: value and quality."""

    id: str
    value: float | None
    quality: str


class Points(msgspec.Struct):
    """`GET /v1/points`."""

    points: list[Point]


class Status(msgspec.Struct):
    """`GET /v1/status`: the site's clock [s since 1970], what IT and all draw [W], None where not metered."""

    now_s: float
    it_w: float | None
    site_w: float | None


class Headrooms(msgspec.Struct):
    """`GET /v1/headroom`."""

    headroom: list[dict[str, str | float | bool | None]]


class Schedulers(msgspec.Struct):
    """`GET /v1/schedulers`."""

    schedulers: list[SchedulerState]
