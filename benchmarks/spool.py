"""The spool: what a point costs to keep, a store's outage and the drain after it, and kills while it is being written.

Peers in the same run, both on SQLite with WAL and synchronous=FULL, which is as durable: a queue of rows, and a queue
of one packed blob a flush. The outage is in virtual time: its samples are a second apart and written at full speed.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.spool_kills import kill_over_and_over
from collector.conditions import Ledger
from collector.forwarder import Forwarder
from collector.frames import FrameEncoder
from collector.spool import Spool
from collector.spool_writer import COMMIT_EVERY_S, SpoolWriter, groups
from plant.clock import ManualClock
from plant.errors import StoreError
from plant.samples import SampleBatch
from store.embedded import EmbeddedStore

SPOOL_BYTES = 2_000_000_000
FULL_RATE = 200_000
DEVICE_POINTS = 40
OUTAGE_RATE = 10_000
SEED = 3


class Plant:
    """Devices of forty points each that are read once a second; values as sensors give them, in single precision."""

    def __init__(self, points: int, begin_s: float) -> None:
        devices = points // DEVICE_POINTS
        self._names = [
            tuple(f"rack-{d:04d}/sensor-{i:02d}/temperature" for i in range(DEVICE_POINTS)) for d in range(devices)
        ]
        self._rng = np.random.default_rng(SEED)
        self._begin_s = begin_s
        self._index = np.arange(DEVICE_POINTS)
        self._code = np.zeros(DEVICE_POINTS, np.int32)

    def flushes(self, seconds: float) -> Iterator[list[SampleBatch]]:
        """The batches of each fifth of a second: every device once in five of them."""
        a_second = round(1 / COMMIT_EVERY_S)
        share = -(-len(self._names) // a_second)
        for flush in range(round(seconds * a_second)):
            at_s = self._begin_s + flush * COMMIT_EVERY_S
            first = flush % a_second * share
            yield [self._batch(names, at_s + k * 1e-4) for k, names in enumerate(self._names[first : first + share])]

    def _batch(self, names: tuple[str, ...], at_s: float) -> SampleBatch:
        when = np.full(DEVICE_POINTS, at_s)
        value = self._rng.normal(300.0, 5.0, DEVICE_POINTS).astype(np.float32).astype(np.float64)
        return SampleBatch(names=names, index=self._index, time_s=when, received_s=when, value=value, code=self._code)


def _encoding(flushes: list[list[SampleBatch]]) -> tuple[float, float]:
    """CPU time [us] and bytes of a point, median over flushes, after a first second in which names are new."""
    encoder, spent, size, samples = FrameEncoder(), [], 0, 0
    for flush in [*flushes[:5], *flushes]:
        count = sum(map(len, flush))
        began = time.thread_time()
        frames = [encoder.encode(group) for group in groups(flush)]
        spent.append((time.thread_time() - began) / count * 1e6)
        size += sum(map(len, frames))
        samples += count
    return statistics.median(spent[5:]), size / samples


def _append_rate(folder: Path, flushes: list[list[SampleBatch]]) -> dict[str, float]:
    """Points a second through the writer to the disk, one sync a flush."""
    clock = ManualClock()
    spool = Spool(folder, SPOOL_BYTES, clock)
    syncs = []

    async def work() -> None:
        writer = SpoolWriter(spool, clock, Ledger())
        for flush in flushes:
            for batch in flush:
                writer.put(batch)
            await writer.commit()
            syncs.append(spool.last_sync_s)

    spent_s, cpu_s = _timed(lambda: asyncio.run(work()))
    spool.close()
    return {
        "append_points_per_s": spool.accepted_samples / spent_s,
        "append_points_per_core_s": spool.accepted_samples / cpu_s,
        "sync_p50_ms": statistics.median(syncs) * 1e3,
        "sync_max_ms": max(syncs) * 1e3,
    }


def _samples(flushes: list[list[SampleBatch]]) -> int:
    return sum(len(batch) for flush in flushes for batch in flush)


def _timed(work: Callable[[], None]) -> tuple[float, float]:
    """Wall and CPU time [s] of this process."""
    began, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - cpu


def _queue(path: Path, table: str) -> sqlite3.Connection:
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute(table)
    return db


def _row_queue_rate(path: Path, flushes: list[list[SampleBatch]]) -> float:
    """Points a second into a queue table of samples, a transaction a flush."""
    db = _queue(path, "CREATE TABLE queue(id INTEGER PRIMARY KEY, point, time_s, received_s, value, code)")
    insert = "INSERT INTO queue(point, time_s, received_s, value, code) VALUES(?, ?, ?, ?, ?)"

    def work() -> None:
        for flush in flushes:
            for b in flush:
                columns = (column.tolist() for column in (b.time_s, b.received_s, b.value, b.code))
                db.executemany(insert, zip(b.points, *columns, strict=True))
            db.commit()

    spent_s, _ = _timed(work)
    db.close()
    return _samples(flushes) / spent_s


def _blob_queue_rate(path: Path, flushes: list[list[SampleBatch]]) -> float:
    """Points a second into a queue table of blobs, one a flush, of names and plain columns."""
    db = _queue(path, "CREATE TABLE queue(id INTEGER PRIMARY KEY, body BLOB)")

    def work() -> None:
        for flush in flushes:
            b = SampleBatch.joined(flush)
            columns = [column.tobytes() for column in (b.index, b.time_s, b.received_s, b.value, b.code)]
            db.execute("INSERT INTO queue(body) VALUES(?)", (msgspec.msgpack.encode((b.names, columns)),))
            db.commit()

    spent_s, _ = _timed(work)
    db.close()
    return _samples(flushes) / spent_s


def _outage(folder: Path, seconds: float) -> dict[str, float]:
    """A store that is away for some time at 10,000 points/s, and then takes what has waited."""
    clock = ManualClock()
    spool = Spool(folder / "spool", SPOOL_BYTES, clock)
    samples = 0
    for number, flush in enumerate(Plant(OUTAGE_RATE, clock.now()).flushes(seconds)):
        spool.append_groups(groups(flush))
        samples += sum(map(len, flush))
        clock.elapsed_s = (number + 1) * COMMIT_EVERY_S
    waiting_bytes = spool.size_bytes
    store = EmbeddedStore.open(folder / "history.sqlite", {})
    forwarder = Forwarder(spool, store, clock)

    async def drain() -> None:
        await forwarder.drain()
        await store.close()

    drain_s, cpu_s = _timed(lambda: asyncio.run(drain()))
    spool.close()
    if forwarder.forwarded_samples + spool.dropped_samples != samples:
        raise StoreError(f"of {samples} samples only {forwarder.forwarded_samples} came through")
    return {
        "outage_s": seconds,
        "outage_samples": samples,
        "outage_spool_bytes": waiting_bytes,
        "outage_bytes_per_point": waiting_bytes / samples,
        "dropped_samples": spool.dropped_samples,
        "drain_s": drain_s,
        "drain_points_per_s": samples / drain_s,
        "drain_points_per_core_s": samples / cpu_s,
        "drain_x_realtime": samples / drain_s / OUTAGE_RATE,
    }


def run(quick: bool, data: Path | None) -> dict[str, float | str]:  # noqa: ARG001 - every benchmark is given both
    """Cost of a point, outage and drain, kills; `quick` takes a short outage and few kills."""
    append_s, outage_s, kills = (2.0, 60.0, 4) if quick else (20.0, 1800.0, 200)
    flushes = list(Plant(FULL_RATE, ManualClock().now()).flushes(append_s))
    encode_us, size = _encoding(flushes)
    with tempfile.TemporaryDirectory(prefix="coldplate-spool-") as work:
        folder = Path(work)
        append = _append_rate(folder / "append", flushes)
        rows = _row_queue_rate(folder / "rows.sqlite", flushes[: len(flushes) // 2])
        blobs = _blob_queue_rate(folder / "blobs.sqlite", flushes)
        outage = _outage(folder, outage_s)
        killed = kill_over_and_over(folder / "killed", kills, SEED)
    return {
        "encode_us_per_point": encode_us,
        "bytes_per_point": size,
        **append,
        "sqlite_row_queue_points_per_s": rows,
        "sqlite_blob_queue_points_per_s": blobs,
        "append_to_sqlite_rows_ratio": append["append_points_per_s"] / rows,
        "append_to_sqlite_blobs_ratio": append["append_points_per_s"] / blobs,
        **outage,
        "kills": killed.kills,
        "kills_that_tore_a_write": killed.torn,
        "acknowledged_batches": killed.acknowledged,
        "acknowledged_lost": killed.lost,
        "batches_halved": killed.halved,
    }
