"""Packing settled hours into column chunks with their rollups, and forgetting what is past its retention."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from itertools import groupby

from store.reading import HOT, HOT_SLOTS, newest_s, samples_of
from store.rollups import Rollup, Samples, of_samples, regroup
from store.schema import (
    HOT_SERIES_MASK,
    HOUR_MS,
    MINUTE_MS,
    MS_MASK,
    QUARTER_MS,
    SERIES_BITS,
    SERIES_MASK,
    SERIES_SHIFT,
    SLOT_MS,
    SLOT_SHIFT,
)

SETTLE_S = 3600.0
"""How long an hour stays hot after its end [s], for late rows."""
SERIES_AT_ONCE = 128
CLOCK_AHEAD_S = 2 * 86_400.0
"""A clock that is further ahead of the newest sample or record [s] is not believed: it would forget everything."""
JUMP_S = 30 * 86_400.0
"""Samples that come so long [s] after all others are of a site that stood still, or of a clock that is set wrong."""
SLOTS_AN_HOUR = HOUR_MS // SLOT_MS
DEFAULT_DAYS: Mapping[str, float] = {
    "raw_days": 7.0,
    "minute_days": 90.0,
    "quarter_hour_days": 3660.0,
    "gpu_raw_days": 2.0,
    "record_days": 366.0,
}
GPU_MARK = "/gpu-"


def settled_hours(db: sqlite3.Connection, now_s: float) -> list[int]:
    """Hours [h since 1970] with hot rows that ended at least SETTLE_S ago, oldest first."""
    end_hour = int((now_s - SETTLE_S) * 1000) // HOUR_MS
    span = {"first": 0, "last": end_hour * SLOTS_AN_HOUR - 1}
    return sorted({slot // SLOTS_AN_HOUR for (slot,) in db.execute(HOT_SLOTS, span)})


def series_groups(db: sqlite3.Connection) -> list[tuple[int, int]]:
    """Ranges of series ids, each small enough for one short transaction."""
    newest = db.execute("SELECT max(id) FROM series").fetchone()[0] or 0
    return [(low, low + SERIES_AT_ONCE - 1) for low in range(1, newest + 1, SERIES_AT_ONCE)]


def pack_hour(db: sqlite3.Connection, hour: int, group: tuple[int, int]) -> int:
    """Pack one hour's hot rows of some series; returns how many rows. In a transaction of the caller's."""
    first = hour * SLOTS_AN_HOUR
    span = {"first": first, "last": first + SLOTS_AN_HOUR - 1, "low": group[0], "high": group[1]}
    rows = db.execute(HOT, span).fetchall()
    for series, own in groupby(rows, key=lambda row: int(row[0])):
        _pack_series(db, series, hour, samples_of(row[1:] for row in own))
    slots = sorted({row[1] // SLOT_MS for row in rows})
    low, high = group[0] << SERIES_SHIFT, group[1] << SERIES_SHIFT | MS_MASK
    spans = [(s << SLOT_SHIFT | low, s << SLOT_SHIFT | high) for s in slots]
    db.executemany("DELETE FROM hot WHERE key BETWEEN ? AND ?", spans)
    return len(rows)


def _pack_series(db: sqlite3.Connection, series: int, hour: int, fresh: Samples) -> None:
    key, day_key = hour << SERIES_BITS | series, (hour // 24) << SERIES_BITS | series
    held = db.execute("SELECT data FROM raw_hour WHERE key = ?", (key,)).fetchone()
    day = db.execute("SELECT data FROM quarter_day WHERE key = ?", (day_key,)).fetchone()
    known = Rollup.unpack(day[0]) if day else None
    span_ms = hour * HOUR_MS, (hour + 1) * HOUR_MS
    if not held and known is not None and len(known.between(*span_ms).time_ms):
        return  # its raw samples are gone, so its rollups are final: a late row alone would replace them
    samples = Samples.unpack(held[0]).merged(fresh) if held else fresh
    rows = of_samples(samples)
    quarters = regroup(rows, QUARTER_MS)
    if known is not None:
        quarters = known.replaced(quarters, *span_ms)
    _put(db, "raw_hour", key, samples.pack())
    _put(db, "minute_hour", key, regroup(rows, MINUTE_MS).pack())
    _put(db, "quarter_day", day_key, quarters.pack())
    newest = (
        int(samples.time_ms[-1]),
        float(samples.value[-1]),
        int(samples.code[-1]),
        series,
    )  # sqlite keeps NaN as NULL
    later = """UPDATE series SET packed_ms = ?1, packed_value = ?2, packed_code = ?3
        WHERE id = ?4 AND ?1 >= ifnull(packed_ms, 0)"""
    db.execute(later, newest)


def _put(db: sqlite3.Connection, table: str, key: int, blob: bytes) -> None:
    db.execute(f"INSERT INTO {table} VALUES(?, ?) ON CONFLICT(key) DO UPDATE SET data = excluded.data", (key, blob))


def horizons(db: sqlite3.Connection) -> dict[bool, int]:
    """First hour of which raw samples are still kept: of GPU points (True) and of all others."""
    found = dict(db.execute("SELECT name, hour FROM horizon").fetchall())
    return {True: found.get("gpu_raw", 0), False: found.get("raw", 0)}


def forget(db: sqlite3.Connection, now_s: float, retention: Mapping[str, float]) -> int:
    """Delete what is past its retention, in a caller's transaction; GPU points never outlive others.

    Returns how many series have ended: nothing of them is left.
    """
    days = {**DEFAULT_DAYS, **retention}
    sampled_s = min(now_s, _sampled_s(db) + CLOCK_AHEAD_S)
    oldest = {name: max(0, int((sampled_s - kept * 86_400) * 1000) // HOUR_MS) for name, kept in days.items()}
    raw_hour = oldest["raw_days"]
    gpu_hour = max(raw_hour, oldest["gpu_raw_days"])
    _forget_packed(db, "raw_hour", raw_hour)
    _forget_gpu(db, horizons(db)[True], gpu_hour)
    _forget_packed(db, "minute_hour", oldest["minute_days"])
    _forget_packed(db, "quarter_day", oldest["quarter_hour_days"] // 24)
    _forget_records(db, now_s, days["record_days"])
    now_hour = max(0, int(now_s * 1000) // HOUR_MS)  # a horizon of a clock that was ahead would refuse all that comes
    keep = "INSERT INTO horizon VALUES(?1, ?2) ON CONFLICT DO UPDATE SET hour = min(max(hour, excluded.hour), ?3)"
    db.executemany(keep, [("raw", raw_hour, now_hour), ("gpu_raw", gpu_hour, now_hour)])
    return _end_series(db, min(raw_hour, oldest["minute_days"], oldest["quarter_hour_days"] // 24 * 24))


def _sampled_s(db: sqlite3.Connection) -> float:
    """Until when samples came [s since 1970]; those after a jump count once they have come for CLOCK_AHEAD_S."""
    newest = newest_s(db)
    first_hour = max(0, int((newest - CLOCK_AHEAD_S) * 1000) // HOUR_MS)
    query = "SELECT MAX(key) FROM minute_hour WHERE key < ?"
    (key,) = db.execute(query, (first_hour << SERIES_BITS,)).fetchone()
    if key is None:
        return newest
    before_s = ((key >> SERIES_BITS) + 1) * HOUR_MS / 1000
    return before_s if newest - before_s > JUMP_S else newest


def _forget_records(db: sqlite3.Connection, now_s: float, days: float) -> None:
    newest = db.execute("SELECT at_s FROM record ORDER BY id DESC LIMIT 1").fetchone()
    if newest:
        recorded_s = min(now_s, newest[0] + CLOCK_AHEAD_S)
        db.execute("DELETE FROM record WHERE at_s < ?", (recorded_s - days * 86_400,))


def _end_series(db: sqlite3.Connection, before_hour: int) -> int:
    """Forget the names of points that are no longer sent; never the newest name, so that no id is given twice."""
    query = "SELECT id FROM series WHERE packed_ms < ? AND id < (SELECT max(id) FROM series)"
    silent = {row[0] for row in db.execute(query, (before_hour * HOUR_MS,))}
    if silent:  # seldom; a point that has just come back has rows among the hot ones
        silent -= {
            row[0] for row in db.execute("SELECT DISTINCT key >> ? & ? FROM hot", (SERIES_SHIFT, HOT_SERIES_MASK))
        }
    db.executemany("DELETE FROM series WHERE id = ?", [(series,) for series in silent])
    return len(silent)


def _forget_packed(db: sqlite3.Connection, table: str, before: int) -> None:
    db.execute(f"DELETE FROM {table} WHERE key < ?", (max(0, before) << SERIES_BITS,))  # noqa: S608 - own names


def _forget_gpu(db: sqlite3.Connection, since_hour: int, before_hour: int) -> None:
    """Only hours that have newly expired are looked at: older ones hold no GPU points any more."""
    span = (max(0, since_hour - 1) << SERIES_BITS, max(0, before_hour) << SERIES_BITS, SERIES_MASK)
    db.execute("DELETE FROM raw_hour WHERE key >= ? AND key < ? AND key & ? IN (SELECT id FROM series WHERE gpu)", span)
