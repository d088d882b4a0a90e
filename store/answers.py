"""What stores behind a server have in common: spans in whole milliseconds, and fields of a point as its history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from plant.errors import ConfigError
from plant.points import PointId
from plant.ports import RangeQuery, Series, WriteResult
from plant.samples import Reason, SampleBatch
from store.columns import Floats, Ints
from store.line_protocol import LATEST_S, code_of
from store.reading import AGGREGATES, series_of, stepped_series
from store.rollups import Samples, of_samples, regroup

POINTS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Span:
    """[start_ms, end_ms), of whole buckets of step_ms where there is one."""

    start_ms: int
    end_ms: int
    step_ms: int | None

    @classmethod
    def of(cls, query: RangeQuery) -> Span:
        """What a query asks for.

        Raises:
            ConfigError: an aggregate that nobody knows.
        """
        if query.aggregate not in AGGREGATES:
            raise ConfigError(f"unknown aggregate {query.aggregate!r}", remedy=f"use one of {', '.join(AGGREGATES)}")
        start_ms, end_ms = (round(min(max(t, 0.0), LATEST_S) * 1000) for t in (query.start_s, query.end_s))
        if query.step_s is None:
            return cls(start_ms, end_ms, None)
        step_ms = max(1, round(query.step_s * 1000))
        return cls(start_ms // step_ms * step_ms, -(-end_ms // step_ms) * step_ms, step_ms)


def written(batch: SampleBatch, rejected: Mapping[int, str]) -> WriteResult:
    """All of a batch but the rejected rows, by place in order."""
    rows = tuple(sorted(rejected))
    return WriteResult(accepted=len(batch) - len(rows), rejected=tuple(rejected[i] for i in rows), rows=rows)


def in_groups(points: Sequence[PointId]) -> Iterator[Sequence[PointId]]:
    """The points, some at a time."""
    return (points[i : i + POINTS_AT_ONCE] for i in range(0, len(points), POINTS_AT_ONCE))


def samples_from(time_ms: Floats | Ints, value: Floats, stored: Floats, unused: Floats) -> Samples:
    """Fields as samples: a number that was called none is none, and a value that is unused is a value again."""
    code = code_of(stored)
    reasons = code >> 2
    used = np.where(reasons & int(Reason.OUT_OF_SERVICE) != 0, unused, value)
    return Samples(
        np.asarray(time_ms).astype(np.int64),
        np.where(reasons & int(Reason.NOT_A_NUMBER) != 0, np.nan, used),
        code.astype(np.int64),
    )


def answer_from(point: PointId, samples: Samples, span: Span, aggregate: str) -> Series:
    """Raw samples, or what they come to a bucket."""
    if span.step_ms is None or not len(samples.time_ms):
        return series_of(point, samples)
    return stepped_series(point, regroup(of_samples(samples), span.step_ms), aggregate)


def bucketed(point: PointId, time_ms: Floats | Ints, value: Floats, stored: Floats, aggregate: str) -> Series:
    """Buckets as a server made them; one without a number counts none."""
    numbers = np.nan_to_num(value) if aggregate == "count" else value
    return series_of(point, Samples(np.asarray(time_ms).astype(np.int64), numbers, code_of(stored).astype(np.int64)))


def nothing(point: PointId) -> Series:
    """No history."""
    return series_of(point, Samples.empty())
