"""The default memory: one SQLite file, written by one process and readable by others meanwhile."""

from __future__ import annotations

import asyncio
import sqlite3
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

import numpy as np

from plant.clock import Clock, ScaledClock
from plant.errors import ConfigError, StoreError
from plant.points import PointId
from plant.ports import DURABLE_ON_ACK, RECORDS, RETENTION, ROLLUPS, UPSERT, RangeQuery, Series, WriteResult
from plant.samples import Quality, Reason, SampleBatch, quality_code
from store import codec, compaction, reading
from store.connection import HistoryFile
from store.schema import HOT_SERIES_MASK, HOUR_MS, SERIES_SHIFT, SLOT_MS, SLOT_SHIFT

T = TypeVar("T")
_NOT_A_NUMBER = quality_code(Quality.BAD, Reason.NOT_A_NUMBER)
_ROWS_A_STATEMENT = 64  # half the time of one row a statement
_LATEST_TIME_S = 4.0e9
_SMALL_BODY = 200


class EmbeddedStore:
    """plant.ports.Store over one file. Of two samples with the same point and time the one written last is kept.

    Sample times are kept to 1 ms. All work is done in one thread, a transaction a call.
    """

    capabilities = frozenset({DURABLE_ON_ACK, UPSERT, RETENTION, ROLLUPS, RECORDS})

    def __init__(self, file: HistoryFile, retention: Mapping[str, float]) -> None:
        self._file, self._retention = file, dict(retention)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="history")
        self._ids: dict[PointId, int] = {}
        self._generation = -1
        self._closed = False

    @classmethod
    def open(
        cls, path: Path | str, retention: Mapping[str, float], *, read_only: bool = False, clock: Clock | None = None
    ) -> EmbeddedStore:
        """Open or make the file; `retention` [days] as `plant.topology.Site.retention`.

        Raises:
            ConfigError: the file was made by a newer coldplate.
            StoreError: it can't be made.
        """
        file = HistoryFile(Path(path), clock or ScaledClock(), read_only=read_only)
        file.open()
        return cls(file, retention)

    @property
    def recreated(self) -> int:
        """How often the file had vanished while in use and was made anew."""
        return self._file.recreated

    @property
    def incidents(self) -> tuple[str, ...]:
        """What befell the file since it was opened, in words, oldest first."""
        return tuple(self._file.incidents)

    async def write(self, batch: SampleBatch) -> WriteResult:
        """Take a batch, durably; see plant.ports.Store."""
        return await self._do(lambda db: self._write(db, batch), writing=True)

    async def range(self, query: RangeQuery) -> list[Series]:
        """History; a stepped query is widened to whole buckets, which are named by their start."""
        return await self._do(lambda db: [reading.history(db, self._id(db, p), query, p) for p in query.points])

    async def last(self, points: Sequence[PointId]) -> Mapping[PointId, tuple[float, float, int]]:
        """Newest (time_s, value, code) of each point that has any."""
        return await self._do(lambda db: self._last(db, points))

    async def newest_s(self) -> float:
        """Time of the newest sample [s since 1970]; 0 where there is none."""
        return await self._do(reading.newest_s)

    async def started_s(self) -> float | None:
        """No process of its own that could restart and forget."""
        return None

    async def append(self, kind: str, key: str, at_s: float, body: Mapping[str, object]) -> None:
        """Keep a record."""
        row = (kind, key, at_s, _packed(codec.encode(body)))
        insert = "INSERT INTO record(kind, key, at_s, body) VALUES(?, ?, ?, ?)"
        await self._do(lambda db: db.execute(insert, row), writing=True)

    async def latest(self, kind: str, key: str | None = None) -> Mapping[str, object] | None:
        """The newest record of a kind (and key)."""
        where, values = ("kind = ?", (kind,)) if key is None else ("kind = ? AND key = ?", (kind, key))
        query = f"SELECT body FROM record WHERE {where} ORDER BY at_s DESC, id DESC LIMIT 1"  # noqa: S608 - own text
        row = await self._do(lambda db: db.execute(query, values).fetchone())
        return None if row is None else _unpacked(row[0])

    async def since(self, kind: str, at_s: float, limit: int = 1000) -> list[Mapping[str, object]]:
        """Records of a kind from a time on, oldest first."""
        query = "SELECT body FROM record WHERE kind = ? AND at_s >= ? ORDER BY at_s, id LIMIT ?"
        rows = await self._do(lambda db: db.execute(query, (kind, at_s, limit)).fetchall())
        return [_unpacked(body) for (body,) in rows]

    async def maintain(self, now_s: float) -> int:
        """Pack settled hours and forget what is past its retention; returns the rows packed.

        Call it every minute or so. Works in short transactions, so that writes pass in between.
        """
        packed = 0
        groups = await self._do(compaction.series_groups)
        for hour in await self._do(lambda db: compaction.settled_hours(db, now_s)):
            for group in groups:
                job = partial(compaction.pack_hour, hour=hour, group=group)
                packed += await self._do(job, writing=True)
        if await self._do(lambda db: compaction.forget(db, now_s, self._retention), writing=True):
            self._ids = {}
        return packed

    async def close(self) -> None:
        """Let go of everything."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._file.close)
        self._thread.shutdown(wait=True)

    async def _do(self, work: Callable[[sqlite3.Connection], T], *, writing: bool = False) -> T:
        job = partial(self._in_thread, work, writing=writing)
        if self._closed:
            raise StoreError(f"{self._file.path}: closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)

    def _in_thread(self, work: Callable[[sqlite3.Connection], T], *, writing: bool) -> T:
        return self._file.run(work, writing=writing)

    def _id(self, db: sqlite3.Connection, point: PointId) -> int | None:
        if self._generation != self._file.generation:
            self._ids.clear()
            self._generation = self._file.generation
        if point not in self._ids:
            row = db.execute("SELECT id FROM series WHERE name = ?", (point,)).fetchone()
            if row is None or self._file.read_only:  # only who writes knows when a series ends
                return row and int(row[0])
            self._ids[point] = row[0]
        return self._ids[point]

    def _id_or_new(self, db: sqlite3.Connection, point: PointId) -> int:
        known = self._id(db, point)
        if known is not None:
            return known
        insert = "INSERT INTO series(name, gpu) VALUES(?, ?)"
        made = db.execute(insert, (point, int(compaction.GPU_MARK in point))).lastrowid
        if made is None or made > HOT_SERIES_MASK:
            raise ConfigError(f"more than {HOT_SERIES_MASK} points in one history file")
        return made  # not remembered before the transaction has been committed: the next call looks it up

    def _write(self, db: sqlite3.Connection, batch: SampleBatch) -> WriteResult:
        oldest_s = {gpu: hour * HOUR_MS / 1000 for gpu, hour in compaction.horizons(db).items()}
        rejected = _rejections(batch, oldest_s)
        used, row = np.unique(batch.index, return_inverse=True)
        ids = np.array([self._id_or_new(db, batch.names[i]) for i in used.tolist()], dtype=np.int64)
        usable = np.isfinite(batch.time_s)
        slot, ms = np.divmod(np.rint(np.where(usable, batch.time_s, 0) * 1000).astype(np.int64), SLOT_MS)
        finite = np.isfinite(batch.value)
        code = np.where(~finite & ((batch.code & 3) != Quality.BAD), (batch.code & ~3) | _NOT_A_NUMBER, batch.code)
        value = np.where(finite, batch.value, np.nan)  # sqlite keeps NaN as NULL
        key = (slot << SLOT_SHIFT) | (ids[row] << SERIES_SHIFT) | ms
        order = np.argsort(key, kind="stable")  # rows go in where the last went; of equals the last stays
        kept = order[~np.isin(order, list(rejected))] if rejected else order
        columns = (column[kept].tolist() for column in (key, value, code))
        _upsert(db, list(chain.from_iterable(zip(*columns, strict=True))))
        return WriteResult(accepted=len(batch) - len(rejected), rejected=tuple(rejected.values()), rows=tuple(rejected))

    def _last(self, db: sqlite3.Connection, points: Sequence[PointId]) -> dict[PointId, tuple[float, float, int]]:
        ids = {p: self._id(db, p) for p in points}
        found = {p: reading.newest(db, series) for p, series in ids.items() if series is not None}
        return {p: row for p, row in found.items() if row is not None}


def _upsert(db: sqlite3.Connection, flat: list[float]) -> None:
    """Rows (key, value, code), one after the other in one list."""
    step = 3 * _ROWS_A_STATEMENT
    whole = len(flat) // step * step
    for width, start, end in ((step, 0, whole), (3, whole, len(flat))):
        insert = "INSERT OR REPLACE INTO hot VALUES" + ",".join(["(?,?,?)"] * (width // 3))
        db.executemany(insert, (flat[i : i + width] for i in range(start, end, width)))


def _rejections(batch: SampleBatch, oldest_s: Mapping[bool, float]) -> dict[int, str]:
    """Rows that can never be kept, by index, with the reason."""
    suspects = np.flatnonzero(~((batch.time_s >= max(oldest_s.values())) & (batch.time_s < _LATEST_TIME_S)))
    reasons = ((int(i), _why_not(batch.names[batch.index[i]], float(batch.time_s[i]), oldest_s)) for i in suspects)
    return {i: why for i, why in reasons if why}


def _why_not(point: PointId, time_s: float, oldest_s: Mapping[bool, float]) -> str:
    if not 0 <= time_s < _LATEST_TIME_S:
        return f"{point}: time {time_s} is not a time that can be kept; check the device's clock"
    oldest = oldest_s[compaction.GPU_MARK in point]
    return f"{point}: time {time_s} is older than raw samples are kept (from {oldest:.0f})" if time_s < oldest else ""


def _packed(body: bytes) -> bytes | str:
    return zlib.compress(body) if len(body) > _SMALL_BODY else body.decode()


def _unpacked(body: bytes | str) -> Mapping[str, object]:
    plain = body.encode() if isinstance(body, str) else zlib.decompress(body)
    record: Mapping[str, object] = codec.decode(plain)
    return record
