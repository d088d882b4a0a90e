"""What a year of the demo pod's history takes on disk, measured by really writing some hours of it.

Every point of the site at its period, values as its device would send them (register counts, single floats, JSON
decimals), written through the store and packed by its own maintenance. The limit to compare with is the same samples
in a plain SQLite table of rows. Quarter hours are packed by the day, so a whole day of some points is written for them.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from devices.profiles import ProfilePoint, load_profile
from plant.points import Point, PointId
from plant.quantities import Quantity
from plant.samples import SampleBatch
from plant.topology import Site
from sites import load_site
from store.compaction import GPU_MARK, SETTLE_S
from store.embedded import EmbeddedStore

START_S = 1_767_225_600.0  # 2026-01-01T00:00Z, a whole day
DAY_S = 86_400.0
YEAR_DAYS = 365
BATCH_S = 10.0
HOT_HOURS = 1 + SETTLE_S / 3600
GPU_DECIMALS = {"temperature": 1, "power": 1, "utilisation": 1, "sm_clock": 0, "xid": 0}
DSX_DECIMALS = 3
CLOCK_JITTER_S = 0.02
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Form:
    """How a point's value looks as sent: `decimals` of its unit, or single precision where that is None."""

    factor: float
    offset: float
    decimals: int | None
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One kind of points after packing: bytes a raw point, bytes a minute row."""

    raw: float
    minute: float


def form_of(point: Point, profile: ProfilePoint, wire: str) -> Form:
    """The form in which the simulated devices send it."""
    low = profile.min if profile.min is not None else 0.0
    high = profile.max if profile.max is not None else low + 1000.0
    if wire == "gpu":
        return Form(profile.factor, profile.offset, GPU_DECIMALS[point.name], low, high)
    if wire == "dsx":
        return Form(profile.factor, profile.offset, DSX_DECIMALS, low, high)
    decimals = None if profile.type.startswith("f") else 0
    return Form(profile.factor, profile.offset, decimals, low / profile.scale, high / profile.scale)


def forms(site: Site) -> dict[PointId, Form]:
    """Every point's form, from its equipment's profiles."""
    found: dict[PointId, Form] = {}
    for equipment in site.equipment.values():
        profiles = [load_profile(source.profile) for source in equipment.sources]
        known = {p.name: (p, profile.format) for profile in profiles for p in profile.points}
        found |= {p.id: form_of(p, *known[p.name]) for p in site.points_of(equipment.id) if p.name in known}
    return found


class Signals:
    """Random walks with sensor noise, in the middle of each point's range, quantised as its device does."""

    def __init__(self, points: list[Point], forms: Mapping[PointId, Form], seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self.points = points
        self._names = tuple(p.id for p in points)
        low, high = (np.array([getattr(forms[p.id], name) for p in points]) for name in ("low", "high"))
        self._span = high - low
        self._at = low + self._span * self._rng.uniform(0.3, 0.6, len(points))
        self._factor, self._offset = (np.array([getattr(forms[p.id], n) for p in points]) for n in ("factor", "offset"))
        self._single = np.array([forms[p.id].decimals is None for p in points])
        self._scale = np.array([10.0 ** (forms[p.id].decimals or 0) for p in points])
        self._fixed = np.array([p.quantity is Quantity.STATE for p in points])
        self._counts = np.array([p.quantity in (Quantity.COUNT, Quantity.ENERGY) for p in points])
        self._at[self._fixed | self._counts] = np.rint(low[self._fixed | self._counts])

    def step(self, index: npt.NDArray[np.intp]) -> Floats:
        """Move some points on by one period; their values [SI] as a device would give them."""
        span, noise = self._span[index], self._rng.normal(size=(2, len(index)))
        moving = ~(self._fixed[index] | self._counts[index])
        self._at[index] += np.where(moving, noise[0] * span * 2e-4, 0) + np.where(self._counts[index], 1, 0)
        shown = self._at[index] + np.where(moving, noise[1] * span * 3e-4, 0)
        scale = self._scale[index]
        sent = np.where(self._single[index], shown.astype(np.float32), np.rint(shown * scale) / scale)
        return np.asarray(sent * self._factor[index] + self._offset[index])

    def batches(self, hours: float, batch_s: float, period_s: float | None = None) -> Iterator[SampleBatch]:
        """The samples of some hours, a batch each batch_s [s]; `period_s` replaces the points' own."""
        periods = np.array([period_s or p.period_s for p in self.points])
        rows = {s: np.flatnonzero(periods == s) for s in np.unique(periods).tolist()}
        for begin in np.arange(0, hours * 3600, batch_s).tolist():
            due = [(begin + k * s, index) for s, index in rows.items() for k in _due(begin, batch_s, s)]
            if due:
                yield self._batch(due)

    def _batch(self, due: list[tuple[float, npt.NDArray[np.intp]]]) -> SampleBatch:
        times = [np.full(len(i), START_S + t + self._rng.uniform(0, CLOCK_JITTER_S)) for t, i in due]
        index = np.concatenate([i for _, i in due])
        time_s = np.concatenate(times)
        return SampleBatch(
            names=self._names,
            index=index,
            time_s=time_s,
            received_s=time_s,
            value=np.concatenate([self.step(i) for _, i in due]),
            code=np.zeros(len(index), np.int32),
        )


def _due(begin_s: float, batch_s: float, period_s: float) -> list[float]:
    """Multiples of the period from the batch's begin, inside the batch."""
    first = -(-begin_s // period_s)
    last = -(-(begin_s + batch_s) // period_s)
    return [k - begin_s / period_s for k in np.arange(first, last).tolist()]


async def _fill(path: Path, batches: Iterator[SampleBatch], hours: float, plain: sqlite3.Connection | None) -> float:
    """Write all, then pack all; returns points written a second [1/s], packing apart."""
    store = EmbeddedStore.open(path, {"raw_days": YEAR_DAYS, "gpu_raw_days": YEAR_DAYS})
    written, spent_s = 0, 0.0
    packed_s = START_S
    for batch in batches:
        began = time.perf_counter()
        written += (await store.write(batch)).accepted
        spent_s += time.perf_counter() - began
        if plain is not None:
            _write_plain(plain, batch)
        if batch.time_s[0] >= packed_s + 3600:
            packed_s = float(batch.time_s[0])
            await store.maintain(packed_s)
    await store.maintain(START_S + hours * 3600 + SETTLE_S)
    await store.close()
    return written / spent_s


QUARTER_POINTS = 150
PLAIN = """CREATE TABLE plain(series INTEGER, time_ms INTEGER, value REAL, code INTEGER,
    PRIMARY KEY(series, time_ms)) WITHOUT ROWID"""


def _write_plain(plain: sqlite3.Connection, batch: SampleBatch) -> None:
    ids = plain.execute("CREATE TABLE IF NOT EXISTS name(id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
    ids.executemany("INSERT OR IGNORE INTO name(name) VALUES(?)", ((p,) for p in batch.points))
    rows = zip(batch.points, np.rint(batch.time_s * 1000).astype(np.int64).tolist(), batch.value.tolist(), strict=True)
    plain.executemany("INSERT INTO plain SELECT id, ?2, ?3, 0 FROM name WHERE name = ?1", rows)


def _table_bytes(path: Path, tables: tuple[str, ...]) -> dict[str, int]:
    """What each table takes in a file without free pages [B]: by how much the file shrinks without it."""
    sizes: dict[str, int] = {}
    copy = path.with_suffix(".copy")
    with sqlite3.connect(path) as db:
        db.execute("VACUUM INTO ?", (str(copy),))
    db.close()
    measured = sqlite3.connect(copy, isolation_level=None)
    for table in tables:
        before = copy.stat().st_size
        measured.execute(f"DELETE FROM {table}")  # noqa: S608 - own names
        measured.execute("VACUUM")
        sizes[table] = before - copy.stat().st_size
    measured.close()
    copy.unlink()
    return sizes


def _rows_a_day(points: list[Point], shortest_s: float) -> float:
    return sum(DAY_S / max(p.period_s, shortest_s) for p in points)


def _hours(
    folder: Path, points: list[Point], known: Mapping[PointId, Form], hours: float
) -> tuple[Measured, float, float]:
    """Write some points for some hours: what was measured, bytes a row of the plain table, points written a second."""
    path, plain_path = folder / "hours.sqlite", folder / "plain.sqlite"
    plain = sqlite3.connect(plain_path)
    plain.execute(PLAIN)
    rate = asyncio.run(_fill(path, Signals(points, known, 1).batches(hours, BATCH_S), hours, plain))
    plain.commit()
    count = plain.execute("SELECT count(*) FROM plain").fetchone()[0]
    plain.close()
    plain_bytes = _table_bytes(plain_path, ("plain",))["plain"] / count
    sizes = _table_bytes(path, ("raw_hour", "minute_hour"))
    minutes = _rows_a_day(points, 60.0) * hours / 24
    path.unlink()
    plain_path.unlink()
    return Measured(sizes["raw_hour"] / count, sizes["minute_hour"] / minutes), plain_bytes, rate


def _spread(points: list[Point], count: int) -> list[Point]:
    """About `count` of the points, evenly spread; fewer would hide in the file's page size."""
    return points[:: max(1, len(points) // count)]


def _quarter_bytes(folder: Path, points: list[Point], known: Mapping[PointId, Form]) -> float:
    """Bytes of a quarter-hour row, from a whole day of some points, a sample a minute."""
    path = folder / "day.sqlite"
    asyncio.run(_fill(path, Signals(points, known, 2).batches(24, 600.0, period_s=60.0), 24, None))
    return _table_bytes(path, ("quarter_day",))["quarter_day"] / (len(points) * 96)


def _year(site: Site, gpu: Measured, other: Measured, quarter: float, row: float) -> dict[str, float]:
    """Sizes after a year [B], with and without forgetting, of the site's full set of points."""
    kinds = (
        (gpu, [p for p in site.points.values() if GPU_MARK in p.id], site.retention["gpu_raw_days"]),
        (other, [p for p in site.points.values() if GPU_MARK not in p.id], site.retention["raw_days"]),
    )
    kept = {name: min(YEAR_DAYS, site.retention[f"{name}_days"]) for name in ("minute", "quarter_hour")}
    points_a_day = sum(_rows_a_day(points, 0.0) for _, points, _ in kinds)
    raw_a_day = sum(m.raw * _rows_a_day(points, 0.0) for m, points, _ in kinds)
    minute_a_day = sum(m.minute * _rows_a_day(points, 60.0) for m, points, _ in kinds)
    quarter_a_day = quarter * _rows_a_day(list(site.points.values()), 900.0)
    raw_kept = sum(m.raw * _rows_a_day(points, 0.0) * days for m, points, days in kinds)
    hot = row * points_a_day * HOT_HOURS / 24
    with_retention = hot + raw_kept + minute_a_day * kept["minute"] + quarter_a_day * kept["quarter_hour"]
    return {
        "raw_points_per_day": points_a_day,
        "bytes_per_raw_point": raw_a_day / points_a_day,
        "bytes_per_minute_row": minute_a_day / _rows_a_day(list(site.points.values()), 60.0),
        "bytes_per_quarter_hour_row": quarter,
        "bytes_per_plain_row": row,
        "year_bytes_plain_rows": row * points_a_day * YEAR_DAYS,
        "year_bytes_no_retention": (raw_a_day + minute_a_day + quarter_a_day) * YEAR_DAYS,
        "year_bytes_with_retention": with_retention,
        "kept_raw_bytes": raw_kept,
        "kept_hot_bytes": hot,
        "kept_minute_bytes": minute_a_day * kept["minute"],
        "kept_quarter_hour_bytes": quarter_a_day * kept["quarter_hour"],
    }


def run(quick: bool, data: Path | None) -> dict[str, float | str]:  # noqa: ARG001 - every benchmark is given both
    """Bytes of state per raw point and per rollup row, and what a year takes; `quick` writes an hour of fewer GPUs."""
    site = load_site(_demo_pod())
    known = forms(site)
    hours, every = (1.0, 24) if quick else (4.0, 6)
    gpus = [p for p in site.points.values() if GPU_MARK in p.id and _gpu_number(p.id) % every == 0]
    others = [p for p in site.points.values() if GPU_MARK not in p.id]
    with tempfile.TemporaryDirectory(prefix="coldplate-store-year-") as work:
        gpu, gpu_row, gpu_rate = _hours(Path(work), gpus, known, hours)
        other, other_row, other_rate = _hours(Path(work), others, known, hours)
        quarter = _quarter_bytes(Path(work), _spread([*gpus, *others], QUARTER_POINTS), known)
    year = _year(site, gpu, other, quarter, (gpu_row + other_row) / 2)
    return {
        "site": site.id,
        "hours_written": hours,
        "gpu_points_written": len(gpus),
        "other_points_written": len(others),
        "write_points_per_s": min(gpu_rate, other_rate),
        "bytes_per_gpu_raw_point": gpu.raw,
        "bytes_per_other_raw_point": other.raw,
        **year,
        "packed_to_plain_ratio": year["bytes_per_raw_point"] / year["bytes_per_plain_row"],
        "year_to_plain_ratio": year["year_bytes_with_retention"] / year["year_bytes_plain_rows"],
    }


def _gpu_number(point: PointId) -> int:
    return int(point.partition(GPU_MARK)[2].partition("/")[0])


def _demo_pod() -> Path:
    """The shipped site file, in the wheel or beside the sources."""
    checkout = Path(__file__).parents[1] / "site-configs" / "demo-pod.yaml"
    return checkout if checkout.exists() else Path(str(resources.files("sites") / "examples" / "demo-pod.yaml"))
