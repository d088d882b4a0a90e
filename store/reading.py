"""Reading history: packed hours and hot rows merged, raw or rollup by what there is and the step asked for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import numpy as np

from plant.errors import ConfigError
from plant.ports import RangeQuery, Series
from store.columns import Floats
from store.rollups import Rollup, Samples, joined, of_samples, regroup
from store.schema import DAY_MS, HOUR_MS, LAST_SLOT, MINUTE_MS, QUARTER_MS, SERIES_BITS, SLOT_MS

AGGREGATES = ("mean", "min", "max", "last", "sum", "count", "good_s")

# Every slot that has rows, found by one seek each; then that slot's rows of the series.
_SLOTS = """
WITH RECURSIVE s(slot) AS (
    SELECT min(key) >> 34 FROM hot WHERE key >= (:first << 34)
    UNION ALL SELECT (SELECT min(key) >> 34 FROM hot WHERE key >= ((s.slot + 1) << 34)) FROM s WHERE s.slot < :last)
{}"""
_TIME_MS = "(h.key >> 34) * 10000 + (h.key & 16383)"
_ROWS = f"""
SELECT (h.key >> 14) & 1048575 AS series, {_TIME_MS}, h.value, h.code FROM s CROSS JOIN hot h
    ON h.key BETWEEN (s.slot << 34) | (:low << 14) AND (s.slot << 34) | (:high << 14) | 16383
    WHERE s.slot <= :last ORDER BY series, h.key"""  # noqa: S608 - own text
HOT = _SLOTS.format(_ROWS)
HOT_SLOTS = _SLOTS.format("SELECT slot FROM s WHERE slot <= :last")
_NEWEST_HOT = f"""
WITH RECURSIVE s(slot) AS (
    SELECT max(key) >> 34 FROM hot
    UNION ALL SELECT (SELECT max(key) >> 34 FROM hot WHERE key < (s.slot << 34)) FROM s WHERE s.slot IS NOT NULL)
SELECT {_TIME_MS}, h.value, h.code FROM s CROSS JOIN hot h
    ON h.key BETWEEN (s.slot << 34) | (?1 << 14) AND (s.slot << 34) | (?1 << 14) | 16383
    ORDER BY s.slot DESC, h.key DESC LIMIT 1"""  # noqa: S608 - own text
_NEWEST_MS = f"SELECT max({_TIME_MS}) FROM hot h WHERE h.key >= ((SELECT max(key) >> 34 FROM hot) << 34)"  # noqa: S608


def samples_of(rows: Iterable[tuple[int, float | None, int]]) -> Samples:
    """From (time_ms, value, code) rows, ascending."""
    columns = list(zip(*rows, strict=True))
    if not columns:
        return Samples.empty()
    time_ms, value, code = columns
    return Samples(np.array(time_ms, np.int64), np.array(value, np.float64), np.array(code, np.int64))


def hot_samples(db: sqlite3.Connection, series: int, start_ms: int, end_ms: int) -> Samples:
    """Rows not yet packed, in [start_ms, end_ms)."""
    first, last = min(start_ms // SLOT_MS, LAST_SLOT), min((end_ms - 1) // SLOT_MS, LAST_SLOT)
    span = {"first": first, "last": last, "low": series, "high": series}
    return samples_of(row[1:] for row in db.execute(HOT, span)).between(start_ms, end_ms)


def newest_s(db: sqlite3.Connection) -> float:
    """Time of the newest sample of any series [s since 1970]; 0 where there is none."""
    (hot_ms,) = db.execute(_NEWEST_MS).fetchone()
    (packed_ms,) = db.execute("SELECT MAX(packed_ms) FROM series").fetchone()
    return max(hot_ms or 0, packed_ms or 0) / 1000


def newest(db: sqlite3.Connection, series: int) -> tuple[float, float, int] | None:
    """The newest (time_s, value, code), packed or not; of equal times the hot one, which was written later."""
    packed = db.execute("SELECT packed_ms, packed_value, packed_code FROM series WHERE id = ?", (series,)).fetchone()
    found = [row for row in (_newest_hot(db, series), packed) if row is not None and row[0] is not None]
    if not found:
        return None
    time_ms, value, code = max(found, key=lambda row: row[0])
    return time_ms / 1000, float("nan") if value is None else value, code


def _newest_hot(db: sqlite3.Connection, series: int) -> tuple[int, float | None, int] | None:
    row: tuple[int, float | None, int] | None = db.execute(_NEWEST_HOT, (series,)).fetchone()
    return row


class SeriesReader:
    """One series' history in [start_ms, end_ms), inside a read transaction of the caller's."""

    def __init__(self, db: sqlite3.Connection, series: int, start_ms: int, end_ms: int) -> None:
        self._db, self._series = db, series
        self._start_ms, self._end_ms = start_ms, end_ms
        self._hot = hot_samples(db, series, start_ms, end_ms)

    def raw(self) -> Samples:
        """Samples, packed and hot."""
        parts = [Samples.unpack(blob) for blob in self._blobs("raw_hour", HOUR_MS).values()]
        return _one(parts).merged(self._hot).between(self._start_ms, self._end_ms)

    def bucketed(self, step_ms: int) -> Rollup:
        """One row a bucket, each hour from the best that there is of it."""
        raw, minutes = self._blobs("raw_hour", HOUR_MS), self._blobs("minute_hour", HOUR_MS)
        quarters = self._quarters()
        hot_hours = {int(h) for h in np.unique(self._hot.time_ms // HOUR_MS)}
        hours = sorted(raw.keys() | minutes.keys() | quarters.keys() | hot_hours)
        parts = [self._hour(h, step_ms, (raw.get(h), minutes.get(h), quarters.get(h)), h in hot_hours) for h in hours]
        if not parts:
            return of_samples(Samples.empty())
        return regroup(joined(parts).between(self._start_ms, self._end_ms), step_ms)

    def _hour(
        self, hour: int, step_ms: int, found: tuple[bytes | None, bytes | None, Rollup | None], hot: bool
    ) -> Rollup:
        raw, minute, quarter = found
        if step_ms % QUARTER_MS == 0 and quarter is not None and not hot:
            return quarter
        if minute is not None and not hot and (step_ms % MINUTE_MS == 0 or raw is None):
            return Rollup.unpack(minute)
        if raw is not None or hot:
            held = Samples.unpack(raw) if raw is not None else Samples.empty()
            return of_samples(held.merged(self._hot.between(hour * HOUR_MS, (hour + 1) * HOUR_MS)))
        return quarter if quarter is not None else of_samples(Samples.empty())

    def _quarters(self) -> dict[int, Rollup]:
        hours: dict[int, Rollup] = {}
        for blob in self._blobs("quarter_day", DAY_MS).values():
            day = Rollup.unpack(blob)
            for hour in np.unique(day.time_ms // HOUR_MS).tolist():
                hours[hour] = day.between(hour * HOUR_MS, (hour + 1) * HOUR_MS)
        return hours

    def _blobs(self, table: str, period_ms: int) -> dict[int, bytes]:
        first, last = self._start_ms // period_ms, (self._end_ms - 1) // period_ms
        bounds = self._db.execute(f"SELECT min(key), max(key) FROM {table}").fetchone()  # noqa: S608 - own names
        if bounds[0] is None:
            return {}
        first, last = max(first, bounds[0] >> SERIES_BITS), min(last, bounds[1] >> SERIES_BITS)
        get = f"SELECT data FROM {table} WHERE key = ?"  # noqa: S608 - own names
        keys = ((p, (p << SERIES_BITS | self._series,)) for p in range(first, last + 1))
        found = ((p, self._db.execute(get, key).fetchone()) for p, key in keys)
        return {p: row[0] for p, row in found if row is not None}


def _one(parts: list[Samples]) -> Samples:
    if not parts:
        return Samples.empty()
    columns = zip(*((p.time_ms, p.value, p.code) for p in parts), strict=True)
    return Samples(*(np.concatenate(c) for c in columns))


def history(db: sqlite3.Connection, series: int | None, query: RangeQuery, point: str) -> Series:
    """One point's answer to a query; a stepped query is widened to whole buckets."""
    if query.aggregate not in AGGREGATES:
        raise ConfigError(f"unknown aggregate {query.aggregate!r}", remedy=f"use one of {', '.join(AGGREGATES)}")
    start_ms, end_ms = max(0, _ms(query.start_s)), min(_ms(query.end_s), 2**52)
    step_ms = None if query.step_s is None else max(1, _ms(query.step_s))
    if step_ms is not None:
        start_ms, end_ms = start_ms // step_ms * step_ms, -(-end_ms // step_ms) * step_ms
    if series is None or end_ms <= start_ms:
        return series_of(point, Samples.empty())
    reader = SeriesReader(db, series, start_ms, end_ms)
    if step_ms is None:
        return series_of(point, reader.raw())
    return stepped_series(point, reader.bucketed(step_ms), query.aggregate)


def _ms(seconds: float) -> int:
    return round(min(max(seconds, -1e15), 1e15) * 1000)


def _aggregate(rows: Rollup, name: str) -> Floats:
    values = {"mean": rows.mean, "min": rows.low, "max": rows.high, "last": rows.last, "sum": rows.mean * rows.n}
    plain = {"count": rows.n, "good_s": rows.good_ms / 1000}
    return values[name] if name in values else plain[name].astype(np.float64)


def stepped_series(point: str, rows: Rollup, aggregate: str) -> Series:
    """Buckets as an answer."""
    return series_of(point, Samples(rows.time_ms, _aggregate(rows, aggregate), rows.code))


def series_of(point: str, samples: Samples) -> Series:
    """Samples as an answer."""
    code = samples.code.astype(np.int32)
    return Series(point=point, time_s=samples.time_ms / 1000, value=samples.value, code=code)
