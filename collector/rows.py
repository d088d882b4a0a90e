"""What the joins make of messages: rows on their way to a batch."""

from __future__ import annotations

from plant.points import PointId
from plant.samples import Quality, Reason, quality_code

Row = tuple[PointId, float, float, int]
"""point, source time [s since 1970], value [SI], quality code."""

GOOD = quality_code(Quality.GOOD)
BACKFILL = quality_code(Quality.GOOD, Reason.BACKFILL)
DISTRUSTED = quality_code(Quality.BAD, Reason.DEVICE_FAULT)
SILENT = quality_code(Quality.BAD, Reason.NO_COMM | Reason.STALE)
