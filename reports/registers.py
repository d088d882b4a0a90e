"""Reads meter registers from the store, and fingerprints what was read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from plant.points import PointId
from plant.ports import RangeQuery, Series, Store
from plant.samples import Quality
from plant.topology import Site

RAW_S = 2 * 86400.0
"""How much of an interval's end is read as raw samples [s]; what lies before comes as last values of a bucket."""
BUCKET_S = 900.0
LEAST_GAP_S = 60.0


@dataclass(frozen=True, slots=True)
class Register:
    """One register's readings; before raw_from_s [s since 1970] they are last values of buckets."""

    series: Series
    raw_from_s: float = -np.inf


async def read_registers(
    store: Store, points: Sequence[PointId], start_s: float, end_s: float, margin_s: float
) -> dict[PointId, Register]:
    """Register readings of [start_s, end_s) and a margin [s] on both sides, for interpolating at the ends.

    Raises:
        StoreError: the store can't give data now.
    """
    raw_from_s = max(start_s - margin_s, end_s - RAW_S)
    raw = await store.range(RangeQuery(points=tuple(points), start_s=raw_from_s, end_s=end_s + margin_s))
    found = {s.point: Register(s) for s in raw}
    old = [p for p in points if p not in found or _begins(found[p].series) > start_s]
    if not old:
        return found
    first_s = np.floor((start_s - margin_s) / BUCKET_S) * BUCKET_S
    query = RangeQuery(points=tuple(old), start_s=first_s, end_s=end_s + margin_s, step_s=BUCKET_S, aggregate="last")
    for stepped in await store.range(query):
        fine = found[stepped.point].series if stepped.point in found else None
        found[stepped.point] = Register(_joined(stepped, fine), np.inf if fine is None else _begins(fine))
    return found


def _begins(series: Series) -> float:
    return float(series.time_s[0]) if len(series.time_s) else np.inf


def _joined(stepped: Series, raw: Series | None) -> Series:
    """Buckets up to where raw samples begin. A bucket is named by its start, its last value stands at its end."""
    ends_s = stepped.time_s + BUCKET_S
    # a bucket tells its worst sample, but a BAD one has no number: the last number is of one that was read
    code = np.where((stepped.code & 3 == Quality.BAD) & np.isfinite(stepped.value), Quality.GOOD, stepped.code)
    if raw is None or not len(raw.time_s):
        # the newest bucket may not be over, so its last value has no known time
        keep = np.arange(len(ends_s)) < len(ends_s) - 1
        return Series(point=stepped.point, time_s=ends_s[keep], value=stepped.value[keep], code=code[keep])
    keep = ends_s < raw.time_s[0]
    return Series(
        point=stepped.point,
        time_s=np.concatenate((ends_s[keep], raw.time_s)),
        value=np.concatenate((stepped.value[keep], raw.value)),
        code=np.concatenate((code[keep], raw.code)),
    )


def max_gap_s(site: Site, point: PointId) -> float:
    """The longest time between good raw readings [s] that is no gap: three periods."""
    return max(3 * site.points[point].period_s, LEAST_GAP_S)


def fingerprint(registers: Mapping[PointId, Register]) -> str:
    """SHA-256 over every reading used, points in order of their ids."""
    digest = hashlib.sha256()
    for point in sorted(registers):
        series = registers[point].series
        digest.update(point.encode() + b"\0")
        for column, kind in ((series.time_s, "<f8"), (series.value, "<f8"), (series.code, "<i4")):
            digest.update(np.ascontiguousarray(column, dtype=kind).tobytes())
    return digest.hexdigest()
