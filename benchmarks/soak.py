"""Memory of a collector that works for half an hour at full rate: 2,000 devices, and a forwarder that empties them."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks import collect
from collector.forwarder import Forwarder
from plant.clock import ScaledClock
from plant.ports import RangeQuery, Series, WriteResult
from plant.samples import SampleBatch

SAMPLED_EVERY_S = 10.0


class Sink:
    """A store that takes everything and keeps the count, so that the collector's own memory is what is measured."""

    capabilities: frozenset[str] = frozenset({"durable_on_ack", "upsert"})

    def __init__(self) -> None:
        self.samples = 0

    async def write(self, batch: SampleBatch) -> WriteResult:
        """Count."""
        self.samples += len(batch)
        return WriteResult(accepted=len(batch))

    async def started_s(self) -> float | None:
        """Never restarts."""
        return None

    async def range(self, query: RangeQuery) -> list[Series]:  # noqa: ARG002
        """Nothing is kept."""
        return []

    async def last(self, points: Sequence[str]) -> Mapping[str, tuple[float, float, int]]:  # noqa: ARG002
        """Nothing is kept."""
        return {}

    async def append(self, kind: str, key: str, at_s: float, body: Mapping[str, object]) -> None:
        """Nothing is kept."""

    async def latest(self, kind: str, key: str | None = None) -> Mapping[str, object] | None:  # noqa: ARG002
        """Nothing is kept."""
        return None

    async def since(self, kind: str, at_s: float, limit: int = 1000) -> list[Mapping[str, object]]:  # noqa: ARG002
        """Nothing is kept."""
        return []

    async def close(self) -> None:
        """Nothing is held."""


def run(quick: bool, data: Path | None) -> dict[str, float | str]:  # noqa: ARG001 - every benchmark takes the same
    """Resident memory at the start, at the end, and how it grows; half an hour, or 20 s when quick."""
    seconds = 20.0 if quick else 1800.0
    with tempfile.TemporaryDirectory() as folder, collect.devices(faulty=True) as port:
        parts = collect.rig(Path(folder), port, collect.DEVICES, collect.profile(collect.POINTS_A_BLOCK, 2, 1.0))
        return asyncio.run(_soak(parts, seconds))


async def _soak(parts: collect.Rig, seconds: float) -> dict[str, float | str]:
    sink, clock = Sink(), ScaledClock()
    forwarder = asyncio.create_task(Forwarder(parts.spool, sink, clock).run())
    watch = asyncio.create_task(_watch(parts))
    cost = await parts.run(seconds, collect.WARM_UP_S)
    for task in (forwarder, watch):
        task.cancel()
    seen = await watch
    return {
        "minutes": cost.real_s / 60,
        "samples": float(cost.samples),
        "forwarded_samples": float(sink.samples),
        "spool_dropped_samples": float(parts.spool.dropped_samples),
        "wrong_values": float(parts.heard.wrong),
        "collector_core_share": cost.cpu_s / cost.real_s,
        **_figures(seen),
    }


async def _watch(parts: collect.Rig) -> list[tuple[float, float]]:
    """(time [s], resident memory [MB]), until cancelled. The rig's own notes of arrivals are thrown away."""
    seen: list[tuple[float, float]] = []
    try:
        while True:
            await asyncio.sleep(SAMPLED_EVERY_S)
            parts.taker.arrivals.clear()
            seen.append((time.monotonic(), _resident_mb()))
    except asyncio.CancelledError:
        return seen


def _figures(seen: list[tuple[float, float]]) -> dict[str, float]:
    """From the second half only: the first one fills caches."""
    late = np.array(seen[len(seen) // 2 :])
    slope = float(np.polyfit(late[:, 0], late[:, 1], 1)[0]) if len(late) > 1 else 0.0
    return {
        "resident_mb_first": seen[0][1],
        "resident_mb_middle": float(late[0, 1]),
        "resident_mb_last": float(late[-1, 1]),
        "growth_mb_per_hour_second_half": slope * 3600,
    }


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
