"""The live table: the newest sample of every point, and immutable snapshots of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from plant.clock import Clock
from plant.errors import StaleError
from plant.points import Point, PointId
from plant.samples import Quality, Reason, SampleBatch, split_code


@dataclass(frozen=True, slots=True)
class Reading:
    """One point's newest sample: value [SI], source time [s], age [s] at the snapshot, quality and reasons."""

    value: float
    time_s: float
    age_s: float
    quality: Quality
    reason: Reason

    @property
    def good(self) -> bool:
        """Whether control may act on it."""
        return self.quality is Quality.GOOD


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every point's reading at one moment; points never heard of are absent."""

    at_s: float
    readings: Mapping[PointId, Reading]

    def value(self, point: PointId) -> float:
        """The value [SI] of a GOOD point.

        Raises:
            StaleError: never heard of, stale, or not GOOD.
        """
        reading = self.readings.get(point)
        if reading is None:
            raise StaleError(f"{point}: no value yet")
        if not reading.good:
            reasons = reading.reason.name or "no reason given"
            raise StaleError(f"{point}: {reading.quality.name} ({reasons}), {reading.age_s:.0f} s old")
        return reading.value

    def get(self, point: PointId, default: float = math.nan) -> float:
        """The value [SI] of a GOOD point, else `default`."""
        reading = self.readings.get(point)
        return reading.value if reading is not None and reading.good else default


class LiveTable:
    """Newest sample of each declared point; ages run on the monotonic clock and are judged at use."""

    def __init__(self, points: Iterable[Point], clock: Clock) -> None:
        self._points = {p.id: p for p in points}
        self._clock = clock
        self._rows: dict[PointId, tuple[float, float, float, int]] = {}

    def update(self, batch: SampleBatch) -> None:
        """Take the batch; a sample older than the one held is for history only, and so is backfill."""
        mono_s = self._clock.monotonic()
        columns = zip(batch.points, batch.time_s.tolist(), batch.value.tolist(), batch.code.tolist(), strict=True)
        for point, time_s, value, code in columns:
            held = self._rows.get(point)
            backfill = (code >> 2) & Reason.BACKFILL
            if point in self._points and not backfill and (held is None or time_s >= held[0]):
                self._rows[point] = (time_s, mono_s, value, code)

    def snapshot(self) -> Snapshot:
        """Everything as it stands now, stale points marked."""
        mono_s = self._clock.monotonic()
        readings = {point: self._reading(point, row, mono_s) for point, row in self._rows.items()}
        return Snapshot(at_s=self._clock.now(), readings=MappingProxyType(readings))

    def select(self, points: Iterable[PointId]) -> Snapshot:
        """Only these points, for who needs a few of them often."""
        mono_s = self._clock.monotonic()
        readings = {p: self._reading(p, self._rows[p], mono_s) for p in points if p in self._rows}
        return Snapshot(at_s=self._clock.now(), readings=MappingProxyType(readings))

    def _reading(self, point: PointId, row: tuple[float, float, float, int], mono_s: float) -> Reading:
        time_s, received_mono_s, value, code = row
        quality, reason = split_code(code)
        age_s = mono_s - received_mono_s
        if age_s > self._points[point].max_age_s:
            quality, reason = Quality.BAD, reason | Reason.STALE
        return Reading(value, time_s, age_s, quality, reason)

    def __len__(self) -> int:
        return len(self._rows)
