"""The live table: the newest sample of every point, and immutable snapshots of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from plant.clock import Clock
from plant.errors import StaleError
from plant.points import Point, PointId
from plant.samples import FUTURE_S, Quality, Reason, SampleBatch, quality_code, split_code
from plant.slots import UNKNOWN, Slots


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
    """Newest sample of each declared point, in columns; ages run on the monotonic clock and are judged at use."""

    def __init__(self, points: Iterable[Point], clock: Clock) -> None:
        declared = list(points)
        self._clock = clock
        self._names = tuple(p.id for p in declared)
        self._slot = {name: i for i, name in enumerate(self._names)}
        self._slots = Slots(self._slot)
        self._max_age_s = np.array([p.max_age_s for p in declared])
        self._time_s = np.full(len(declared), -np.inf)
        self._mono_s = np.full(len(declared), -np.inf)
        self._value = np.full(len(declared), np.nan)
        self._code = np.zeros(len(declared), dtype=np.int32)

    def update(self, batch: SampleBatch) -> None:
        """Take the batch; a sample older than the one held is for history only, and so is backfill.

        What is held from so far ahead that no honest sample is dated so was taken before the clock was set back.
        """
        slot = self._slots.of(batch.names)[batch.index]
        if not self._names:
            return
        backfill = (batch.code >> 2) & int(Reason.BACKFILL) != 0
        held_s = self._time_s[slot]
        newer = (batch.time_s >= held_s) | (held_s > batch.received_s + FUTURE_S)
        rows = np.flatnonzero((slot != UNKNOWN) & ~backfill & newer)
        rows = rows[np.argsort(batch.time_s[rows], kind="stable")]  # the last of a repeated index stays
        slot = slot[rows]
        self._time_s[slot] = batch.time_s[rows]
        self._mono_s[slot] = self._clock.monotonic()
        self._value[slot] = batch.value[rows]
        self._code[slot] = batch.code[rows]

    def snapshot(self) -> Snapshot:
        """Everything as it stands now, stale points marked."""
        return self._snapshot(np.flatnonzero(np.isfinite(self._time_s)))

    def select(self, points: Iterable[PointId]) -> Snapshot:
        """Only these points, for who needs a few of them often."""
        slots = [self._slot[p] for p in points if p in self._slot]
        return self._snapshot(np.array([i for i in slots if math.isfinite(self._time_s[i])], dtype=np.intp))

    def missing(self) -> list[PointId]:
        """Points that were never heard of, or not within their age."""
        stale = ~(self._clock.monotonic() - self._mono_s <= self._max_age_s)
        return [self._names[i] for i in np.flatnonzero(stale).tolist()]

    def _snapshot(self, slot: npt.NDArray[np.intp]) -> Snapshot:
        age_s = self._clock.monotonic() - self._mono_s[slot]
        code = self._code[slot]
        code = np.where(age_s > self._max_age_s[slot], (code & ~3) | _STALE, code)
        columns = (self._value[slot], self._time_s[slot], age_s, code)
        rows = zip(slot.tolist(), *(column.tolist() for column in columns), strict=True)
        readings = {self._names[i]: Reading(v, t, age, *split_code(c)) for i, v, t, age, c in rows}
        return Snapshot(at_s=self._clock.now(), readings=MappingProxyType(readings))

    def __len__(self) -> int:
        return int(np.isfinite(self._time_s).sum())


_STALE = quality_code(Quality.BAD, Reason.STALE)
