"""Samples and rollups of one series as columns, and how rollups are made: pure functions of arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plant.samples import Quality, Reason
from store.columns import (
    Floats,
    Ints,
    pack,
    pack_floats,
    pack_ints,
    resolution_of,
    rounded,
    unpack,
    unpack_floats,
    unpack_ints,
)

_QUALITY_SHIFT = 30
_LONGEST_HOLD_MS = 250_000.0


@dataclass(frozen=True, slots=True)
class Samples:
    """time_ms [ms since 1970] ascending, value [SI] (NaN where none), code; each shape (n,)."""

    time_ms: Ints
    value: Floats
    code: Ints

    @classmethod
    def empty(cls) -> Samples:
        """No samples."""
        return cls(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64))

    def merged(self, newer: Samples) -> Samples:
        """Both, ascending; where both have a time, `newer` wins."""
        time_ms = np.concatenate((newer.time_ms, self.time_ms))
        kept, index = np.unique(time_ms, return_index=True)  # the first of equals: the newer
        value, code = np.concatenate((newer.value, self.value)), np.concatenate((newer.code, self.code))
        return Samples(kept, value[index], code[index])

    def between(self, start_ms: int, end_ms: int) -> Samples:
        """Those in [start_ms, end_ms)."""
        low, high = np.searchsorted(self.time_ms, (start_ms, end_ms))
        return Samples(self.time_ms[low:high], self.value[low:high], self.code[low:high])

    def pack(self) -> bytes:
        """A blob."""
        code = pack_ints(self.code) if self.code.any() else None
        return pack([pack_ints(self.time_ms), pack_floats(self.value), code])

    @classmethod
    def unpack(cls, blob: bytes) -> Samples:
        """The inverse of `pack`."""
        time, value, code = unpack(blob)
        time_ms = unpack_ints(time)
        return cls(time_ms, unpack_floats(value), unpack_ints(code) if code else np.zeros(len(time_ms), np.int64))


@dataclass(frozen=True, slots=True)
class Rollup:
    """One row a bucket: start time_ms, n (samples with a value), mean, low, high, last [SI], worst code, good_ms."""

    time_ms: Ints
    n: Ints
    mean: Floats
    low: Floats
    high: Floats
    last: Floats
    code: Ints
    good_ms: Ints

    def columns(self) -> tuple[Ints, Ints, Floats, Floats, Floats, Floats, Ints, Ints]:
        """All of them, in order."""
        return (self.time_ms, self.n, self.mean, self.low, self.high, self.last, self.code, self.good_ms)

    def take(self, index: npt.NDArray[np.bool_] | npt.NDArray[np.intp] | slice) -> Rollup:
        """Some of the rows."""
        t, n, mean, low, high, last, code, good = self.columns()
        return Rollup(t[index], n[index], mean[index], low[index], high[index], last[index], code[index], good[index])

    def between(self, start_ms: int, end_ms: int) -> Rollup:
        """Rows that start in [start_ms, end_ms)."""
        low, high = np.searchsorted(self.time_ms, (start_ms, end_ms))
        return self.take(slice(int(low), int(high)))

    def replaced(self, rows: Rollup, start_ms: int, end_ms: int) -> Rollup:
        """With [start_ms, end_ms) given by `rows` instead."""
        before, after = self.between(0, start_ms), self.between(end_ms, 2**62)
        return joined([before, rows, after])

    def pack(self) -> bytes:
        """A blob; means lose what is below 1/32 of the series' resolution."""
        extremes = np.concatenate((self.low, self.high, self.last))
        resolution = resolution_of(extremes[~np.isnan(extremes)])
        mean, finer = rounded(self.mean, resolution)
        floats = [pack_floats(c, resolution) for c in (self.low, self.high, self.last)]
        return pack(
            [*map(pack_ints, (self.time_ms, self.n, self.code, self.good_ms)), pack_floats(mean, finer), *floats]
        )

    @classmethod
    def unpack(cls, blob: bytes) -> Rollup:
        """The inverse of `pack`."""
        time, n, code, good, mean, low, high, last = unpack(blob)
        return cls(
            time_ms=unpack_ints(time),
            n=unpack_ints(n),
            mean=unpack_floats(mean),
            low=unpack_floats(low),
            high=unpack_floats(high),
            last=unpack_floats(last),
            code=unpack_ints(code),
            good_ms=unpack_ints(good),
        )


def joined(parts: list[Rollup]) -> Rollup:
    """One after the other."""
    columns = zip(*(p.columns() for p in parts), strict=True)
    t, n, mean, low, high, last, code, good = (np.concatenate(c) for c in columns)
    return Rollup(t, n, mean, low, high, last, code, good)


def of_samples(samples: Samples) -> Rollup:
    """One row a sample: what `regroup` starts from."""
    unused = (samples.code >> 2) & int(Reason.OUT_OF_SERVICE) != 0  # such samples keep their value, for a look
    value = np.where(unused, np.nan, samples.value)
    n = np.isfinite(value).astype(np.int64)
    good = np.where((samples.code & 3) == Quality.GOOD, _held_ms(samples.time_ms), 0)
    return Rollup(samples.time_ms, n, value, value, value, value, samples.code, good)


def _held_ms(time_ms: Ints) -> Ints:
    """How long each sample counts: to the next, at most three usual spacings, and never more than 250 s."""
    if len(time_ms) < 2:
        return np.full(len(time_ms), 1000, np.int64)
    steps = np.diff(time_ms)
    usual = float(np.median(steps))
    held = np.append(np.minimum(steps, 3 * usual), usual)
    return np.asarray(np.minimum(held, _LONGEST_HOLD_MS), np.int64)


def regroup(rows: Rollup, step_ms: int) -> Rollup:
    """Rows of coarser buckets, aligned to multiples of step_ms since 1970; missing values count for nothing."""
    if not len(rows.time_ms):
        return rows
    bucket = rows.time_ms // step_ms
    starts = np.flatnonzero(np.diff(bucket, prepend=bucket[0] - 1))
    n = np.add.reduceat(rows.n, starts)
    total = np.add.reduceat(np.where(rows.n > 0, rows.n * np.nan_to_num(rows.mean), 0.0), starts)
    valued = np.where(rows.n > 0, np.arange(len(rows.n)), -1)
    newest = np.maximum.reduceat(valued, starts)
    worst = np.maximum.reduceat((rows.code & 3) << _QUALITY_SHIFT | rows.code, starts)
    return Rollup(
        time_ms=bucket[starts] * step_ms,
        n=n,
        mean=np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0),
        low=np.fmin.reduceat(rows.low, starts),
        high=np.fmax.reduceat(rows.high, starts),
        last=np.where(newest >= 0, rows.last[newest], np.nan),
        code=worst & ((1 << _QUALITY_SHIFT) - 1),
        good_ms=np.minimum(np.add.reduceat(rows.good_ms, starts), step_ms),
    )
