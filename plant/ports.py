"""The seams: protocols that floors below implement and floors above use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from plant.points import PointId
from plant.samples import SampleBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteResult:
    """What a store took; `rejected` names rows that it will never take, with the reason."""

    accepted: int
    rejected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeQuery:
    """History of some points in [start_s, end_s); `step_s` None gives raw samples, else one row a bucket.

    aggregate: mean | min | max | last | sum | count.
    """

    points: tuple[PointId, ...]
    start_s: float
    end_s: float
    step_s: float | None = None
    aggregate: str = "mean"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One point's history: time_s [s since 1970], value [SI], code; each shape (n,), times ascending."""

    point: PointId
    time_s: npt.NDArray[np.float64]
    value: npt.NDArray[np.float64]
    code: npt.NDArray[np.int32]


class Store(Protocol):
    """The memory. Writes are idempotent on (point, time). Raises StoreError when it can't take or give data now."""

    async def write(self, batch: SampleBatch) -> WriteResult:
        """Take a batch, durably."""
        ...

    async def range(self, query: RangeQuery) -> list[Series]:
        """History, one series a point asked for, in that order."""
        ...

    async def last(self, points: Sequence[PointId]) -> Mapping[PointId, tuple[float, float, int]]:
        """Newest (time_s, value, code) of each point that has any."""
        ...

    async def append(self, kind: str, key: str, at_s: float, body: Mapping[str, object]) -> None:
        """Keep a record."""
        ...

    async def latest(self, kind: str, key: str | None = None) -> Mapping[str, object] | None:
        """The newest record of a kind (and key)."""
        ...

    async def since(self, kind: str, at_s: float, limit: int = 1000) -> list[Mapping[str, object]]:
        """Records of a kind from a time on, oldest first."""
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...


class DeviceLink(Protocol):
    """One endpoint's hands, for the actuator: by point, in SI."""

    async def write(self, point: PointId, value: float) -> float:
        """Write one value; returns the value as the frame that left encodes it, decoded back [SI].

        Raises: RefusedError (the device said no), SilentError (no answer in time).
        """
        ...

    async def read_back(self, point: PointId) -> float:
        """Read one writable point's register now [SI]. Raises: RefusedError, SilentError."""
        ...
