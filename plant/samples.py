"""Samples in columns; a value never travels without its time and quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from functools import cache

import numpy as np
import numpy.typing as npt

from plant.points import PointId

FUTURE_S = 300.0
"""A source time further ahead of its arrival than this [s] is taken for a wrong clock."""


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
    OUT_OF_SERVICE = 4096
    DUPLICATE = 8192


def quality_code(quality: Quality, reason: Reason = Reason.NONE) -> int:
    """Both in one integer, the form that is stored: quality in bits 0-1, reasons above."""
    return int(quality) | int(reason) << 2


@cache
def split_code(code: int) -> tuple[Quality, Reason]:
    """The inverse of `quality_code`."""
    return Quality(code & 3), Reason(code >> 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleBatch:
    """n samples as columns.

    names: the points that occur (or may occur), each once; index: row → name, shape (n,) integers;
    time_s: source time [s since 1970, UTC], shape (n,); received_s: receive time, shape (n,);
    value: SI, shape (n,), NaN where BAD unless out of service; code: `quality_code`, shape (n,) int32.
    """

    names: tuple[PointId, ...]
    index: npt.NDArray[np.intp]
    time_s: npt.NDArray[np.float64]
    received_s: npt.NDArray[np.float64]
    value: npt.NDArray[np.float64]
    code: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.index)

    @property
    def points(self) -> tuple[PointId, ...]:
        """The point of each row; an object per row, so not for the hot path."""
        names = self.names
        return tuple([names[i] for i in self.index.tolist()])

    @classmethod
    def of(cls, rows: Sequence[tuple[PointId, float, float, float, int]]) -> SampleBatch:
        """From (point, time_s, received_s, value, code) rows."""
        points, time_s, received_s, value, code = zip(*rows, strict=True) if rows else ((), (), (), (), ())
        names, index = indexed(points)
        return cls(
            names=names,
            index=index,
            time_s=np.asarray(time_s, dtype=np.float64),
            received_s=np.asarray(received_s, dtype=np.float64),
            value=np.asarray(value, dtype=np.float64),
            code=np.asarray(code, dtype=np.int32),
        )

    @classmethod
    def joined(cls, batches: Sequence[SampleBatch]) -> SampleBatch:
        """Several batches as one, rows in order."""
        if len({id(batch.names) for batch in batches}) == 1:
            names, index = batches[0].names, np.concatenate([b.index for b in batches])
        else:
            names, index = _joined_names(batches)
        return cls(
            names=names,
            index=index,
            time_s=np.concatenate([b.time_s for b in batches]),
            received_s=np.concatenate([b.received_s for b in batches]),
            value=np.concatenate([b.value for b in batches]),
            code=np.concatenate([b.code for b in batches]),
        )

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> SampleBatch:
        """The rows named by an index or mask."""
        return SampleBatch(
            names=self.names,
            index=self.index[rows],
            time_s=self.time_s[rows],
            received_s=self.received_s[rows],
            value=self.value[rows],
            code=self.code[rows],
        )


def indexed(points: Sequence[PointId]) -> tuple[tuple[PointId, ...], npt.NDArray[np.intp]]:
    """The points that occur, each once, and the place of each row's point among them."""
    slot: dict[PointId, int] = {}
    index = np.array([slot.setdefault(p, len(slot)) for p in points], dtype=np.intp)
    return tuple(slot), index


def _joined_names(batches: Sequence[SampleBatch]) -> tuple[tuple[PointId, ...], npt.NDArray[np.intp]]:
    slot: dict[PointId, int] = {}
    maps: dict[int, npt.NDArray[np.intp]] = {}
    for batch in batches:
        if id(batch.names) not in maps:
            maps[id(batch.names)] = np.array([slot.setdefault(n, len(slot)) for n in batch.names], dtype=np.intp)
    index = np.concatenate([maps[id(b.names)][b.index] for b in batches])
    return tuple(slot), index
