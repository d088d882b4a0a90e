"""Samples in columns; a value never travels without its time and quality."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag

import numpy as np
import numpy.typing as npt

from plant.points import PointId


class Quality(IntEnum):
    """OPC UA's three classes; the worst wins."""

    GOOD = 0
    UNCERTAIN = 1
    BAD = 2


class Reason(IntFlag):
    """Why a sample is not simply GOOD."""

    NONE = 0
    STALE = 1
    RANGE = 2
    STUCK = 4
    JUMP = 8
    BALANCE = 16
    DEVICE_FAULT = 32
    NO_COMM = 64
    OVERRIDE = 128
    SUBSTITUTED = 256
    BACKFILL = 512
    CLOCK = 1024
    NOT_A_NUMBER = 2048


def quality_code(quality: Quality, reason: Reason = Reason.NONE) -> int:
    """Both in one integer, the form that is stored: quality in bits 0-1, reasons above."""
    return int(quality) | int(reason) << 2


def split_code(code: int) -> tuple[Quality, Reason]:
    """The inverse of `quality_code`."""
    return Quality(code & 3), Reason(code >> 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleBatch:
    """n samples as columns.

    points: n point ids; time_s: source time [s since 1970, UTC], shape (n,); received_s: receive time, shape (n,);
    value: SI, shape (n,), NaN where BAD; code: `quality_code`, shape (n,) int32.
    """

    points: tuple[PointId, ...]
    time_s: npt.NDArray[np.float64]
    received_s: npt.NDArray[np.float64]
    value: npt.NDArray[np.float64]
    code: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.points)

    @classmethod
    def of(cls, rows: list[tuple[PointId, float, float, float, int]]) -> SampleBatch:
        """From (point, time_s, received_s, value, code) rows."""
        points, time_s, received_s, value, code = zip(*rows, strict=True) if rows else ((), (), (), (), ())
        return cls(
            points=tuple(points),
            time_s=np.asarray(time_s, dtype=np.float64),
            received_s=np.asarray(received_s, dtype=np.float64),
            value=np.asarray(value, dtype=np.float64),
            code=np.asarray(code, dtype=np.int32),
        )

    def take(self, index: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> SampleBatch:
        """The rows named by an index or mask."""
        rows = np.arange(len(self))[index]
        return SampleBatch(
            points=tuple(self.points[i] for i in rows),
            time_s=self.time_s[rows],
            received_s=self.received_s[rows],
            value=self.value[rows],
            code=self.code[rows],
        )
