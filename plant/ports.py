"""The seams: protocols that floors below implement and floors above use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from plant.points import PointId
from plant.samples import SampleBatch

DURABLE_ON_ACK = "durable_on_ack"
"""What `write` has accepted outlives a crash of the store."""
UPSERT = "upsert"
"""Of two different samples with the same point and time the one written last is kept; without it, the same sample
twice is one sample still, but which of two different ones is read is the store's choice."""
RETENTION = "retention"
"""Forgets by the site's own tiers; without it the server's settings say what is kept."""
ROLLUPS = "rollups"
"""Answers stepped queries for longer than raw samples are kept."""
RECORDS = "records"
"""Keeps records (append, latest, since) beside samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteResult:
    """What a store took; `rejected` names rows that it will never take, with the reason; `rows`: their places."""

    accepted: int
    rejected: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()


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

    @property
    def capabilities(self) -> frozenset[str]:
        """What this store can do beyond taking and giving samples: the constants above."""
        ...

    async def started_s(self) -> float | None:
        """When the store's server last started [s since 1970]; None where it has none or does not say."""
        ...

    async def write(self, batch: SampleBatch) -> WriteResult:
        """Take a batch; durably where `capabilities` has DURABLE_ON_ACK."""
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


FrameCheck = Callable[[float], None]
"""Told what a frame says [SI], before it leaves; raises to keep it back."""


def any_frame(said: float) -> None:
    """A `FrameCheck` that lets everything leave, for tests and tools."""


class DeviceLink(Protocol):
    """One endpoint's hands, for the actuator: by point, in SI."""

    async def write(self, point: PointId, value: float, check: FrameCheck = any_frame) -> float:
        """Write one value; returns what the frame says, decoded from its bytes by another way than it was made [SI].

        check: called with that before the frame leaves; what it raises keeps the frame back and comes out of here.
        Raises: RefusedError (the device said no), SilentError (no answer in time).
        """
        ...

    async def read_back(self, point: PointId) -> float:
        """Read one writable point's register now [SI]. Raises: RefusedError, SilentError."""
        ...
