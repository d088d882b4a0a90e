"""Structured queries as InfluxQL, which InfluxDB 1, 2 and 3 all answer on /query, and its answers as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from plant.errors import StoreError
from plant.points import PointId
from store.columns import Floats

FUNCTIONS = {"mean": "MEAN", "min": "MIN", "max": "MAX", "last": "LAST", "sum": "SUM", "count": "COUNT"}


@dataclass(frozen=True, slots=True)
class Source:
    """Where samples stand: a measurement and, where several sites share it, the site."""

    measurement: str
    site: str = ""


class _Row(msgspec.Struct):
    values: list[list[float | None]]
    tags: dict[str, str] = {}


class _Result(msgspec.Struct):
    series: list[_Row] = []
    error: str = ""


class _Answer(msgspec.Struct):
    results: list[_Result] = []
    error: str = ""


def raw(source: Source, points: Sequence[PointId], start_ms: int, end_ms: int) -> str:
    """Samples of [start_ms, end_ms): columns time, value, code, unused."""
    return f'{_select(source)} WHERE {_span(start_ms, end_ms)} AND {_whose(source, points)} GROUP BY "point"'


def stepped(source: Source, points: Sequence[PointId], start_ms: int, end_ms: int, step_ms: int, aggregate: str) -> str:
    """One row a bucket: columns time, aggregate, worst code."""
    wanted = f'{FUNCTIONS[aggregate]}("value"), MAX("code")'
    where = f"{_span(start_ms, end_ms)} AND {_whose(source, points)}"
    return f'{_select(source, wanted)} WHERE {where} GROUP BY time({step_ms}ms), "point" fill(none)'


def newest(source: Source, points: Sequence[PointId]) -> str:
    """The newest row of each point: columns as `raw`."""
    return f'{_select(source)} WHERE {_whose(source, points)} GROUP BY "point" ORDER BY time DESC LIMIT 1'


def _select(source: Source, wanted: str = '"value", "code", "unused"') -> str:
    return f"SELECT {wanted} FROM {_name(source.measurement)}"  # noqa: S608 - names and texts are quoted


def _span(start_ms: int, end_ms: int) -> str:
    return f"time >= {start_ms}ms AND time < {end_ms}ms"


def _whose(source: Source, points: Sequence[PointId]) -> str:
    these = " OR ".join(f'"point" = {_text(p)}' for p in points)
    return f"({these})" + (f' AND "site" = {_text(source.site)}' if source.site else "")


def _name(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def columns(body: bytes, url: str) -> dict[PointId, list[Floats]]:
    """Each point's columns, missing values NaN.

    Raises:
        StoreError: the server answered with an error, or with something else.
    """
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"{url}: the answer is not InfluxQL's: {error}") from error
    fault = answer.error or next((r.error for r in answer.results if r.error), "")
    if fault.startswith("database not found"):
        return {}  # nothing has been written yet
    if fault:
        raise StoreError(f"{url}: {fault}")
    rows = [row for result in answer.results for row in result.series]
    return {row.tags.get("point", ""): _columns(row.values) for row in rows}


def _columns(values: list[list[Any]]) -> list[Floats]:
    return list(np.array(values, dtype=np.float64).T)
