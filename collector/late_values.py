"""Values that were measured so long ago that they are history, such as a broker's backlog."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from collector.rows import BACKFILL
from devices import dsx
from plant.points import Point
from plant.samples import SampleBatch

LATE_S = 2.5 * dsx.REPUBLISH_S
"""A value that was measured longer ago than this, or than its point's greatest age [s], is history, not live."""


class LateValues:
    """Finds values that were measured so long ago that they are no longer live, such as a broker's backlog."""

    def __init__(self, points: Mapping[str, Point]) -> None:
        self._limits = {point.id: max(LATE_S, point.max_age_s) for point in points.values()}
        self.count = 0
        self.point, self.age_s, self.last_s = "", 0.0, -math.inf

    def marked(self, batch: SampleBatch) -> SampleBatch:
        """The batch, with such values as backfill: they are stored, and never drive control."""
        age_s = batch.received_s - batch.time_s
        if not len(batch) or float(age_s.max()) <= LATE_S:
            return batch
        limits = np.array([self._limits.get(name, LATE_S) for name in batch.names])
        late = (age_s > limits[batch.index]) & (batch.code & BACKFILL == 0)
        if not late.any():
            return batch
        row = int(np.flatnonzero(late)[-1])
        self.count += int(late.sum())
        self.point, self.age_s = batch.names[int(batch.index[row])], float(age_s[row])
        self.last_s = float(batch.received_s[row])
        return replace(batch, code=np.where(late, batch.code | BACKFILL, batch.code).astype(np.int32))
