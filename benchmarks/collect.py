"""Modbus collection from the socket to the fsynced spool: many devices once a second, and as fast as one core goes.

The peer is the plain library path in the same run: pymodbus, a value at a time, `Point` objects, influxdb-client's own
batching. The devices are served by another process, on the other core.
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks import fast_modbus, library_path
from collector.conditions import Ledger
from collector.intake import Intake
from collector.memory import collect_garbage
from collector.modbus_link import ModbusLink
from collector.rules import Rule
from collector.spool import Spool
from collector.spool_writer import SpoolWriter
from collector.wiring import Wire
from devices.modbus import ModbusEndpoint
from devices.profiles import Fallback, Profile, ProfilePoint, ReadableRange
from plant.clock import ScaledClock
from plant.live import LiveTable
from plant.points import Point, PointId
from plant.quantities import Quantity
from plant.samples import SampleBatch

DEVICES, BLOCKS = 2000, 2
POINTS_A_BLOCK = 20
WIDE_POINTS = 100
WARM_UP_S, AFTER_SETTLING_S = 6.0, 3.0
SPOOL_BYTES = 256 * 1024 * 1024


@contextmanager
def devices(*, faulty: bool) -> Iterator[int]:
    """The served devices' port, while the block lasts."""
    command = [sys.executable, "-m", "benchmarks.fast_modbus", *(["--faulty"] if faulty else [])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:  # noqa: S603 - ours
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.terminate()


def profile(points_a_block: int, blocks: int, period_s: float) -> Profile:
    """A device of `blocks` readable ranges of u16 and s16 registers, scaled as devices do."""
    spans = [range(128 * b, 128 * b + points_a_block) for b in range(blocks)]
    return Profile(
        profile="bench",
        kind="meter",
        transport="modbus-tcp",
        revision="1",
        source="benchmark",
        fallback=Fallback(kind="none"),
        readable=tuple(ReadableRange(table="holding", first=span[0], last=span[-1]) for span in spans),
        points=tuple(_register(address, period_s) for span in spans for address in span),
    )


def _register(address: int, period_s: float) -> ProfilePoint:
    return ProfilePoint(
        name=f"p{address}",
        quantity=Quantity.POWER,
        unit="W",
        period_s=period_s,
        table="holding",
        address=address,
        type="u16",
        scale=0.1,
    )


@dataclass
class Heard:
    """What came out of the intake: wrong values, and when each device's values arrived."""

    right: npt.NDArray[np.float64]
    slots: dict[int, npt.NDArray[np.intp]] = field(default_factory=dict)
    ids: dict[PointId, int] = field(default_factory=dict)
    wrong: int = 0
    points: int = 0
    good: int = 0

    def take(self, batch: SampleBatch) -> None:
        """Compare a judged batch with what the devices hold."""
        known = self.slots.get(id(batch.names))
        if known is None or len(known) != len(batch.names):
            known = np.array([self.ids[n] for n in batch.names], dtype=np.intp)
            self.slots[id(batch.names)] = known
        usable = np.isfinite(batch.value)
        right = self.right[known[batch.index]]
        self.wrong += int((np.abs(batch.value - right)[usable] > 1e-6).sum())
        self.points += len(batch)
        self.good += int(usable.sum())


@dataclass
class Rig:
    """A collector's parts over some devices."""

    links: list[ModbusLink]
    intake: Intake
    writer: SpoolWriter
    spool: Spool
    heard: Heard
    taker: _Timed

    async def run(self, seconds: float, warm_up_s: float) -> Cost:
        """Collect for some seconds, after a warm-up; conditions are judged once a second as the edge does."""
        tasks = [asyncio.create_task(link.run()) for link in self.links] + [asyncio.create_task(self.writer.run())]
        try:
            await asyncio.sleep(warm_up_s)
            collect_garbage()
            await asyncio.sleep(AFTER_SETTLING_S)
            self.taker.arrivals.clear()
            before, cpu_s, began_s = self.spool.accepted_samples, time.process_time(), time.monotonic()
            while time.monotonic() < began_s + seconds:
                await asyncio.sleep(1.0)
                self.intake.judge({}, lambda _: True)
            spent_s, took_s = time.process_time() - cpu_s, time.monotonic() - began_s
            return Cost(self.spool.accepted_samples - before, spent_s, took_s)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(link.endpoint.close() for link in self.links))


@dataclass(frozen=True)
class Cost:
    """Samples in the spool, and what they took: CPU of this process [s], real time [s]."""

    samples: int
    cpu_s: float
    real_s: float


class _Timed:
    """The intake, with a note of when each device's reading came."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self.arrivals: dict[str, list[float]] = defaultdict(list)

    def take_values(self, points: Sequence[PointId], values: npt.NDArray[np.float64]) -> None:
        """Note the time and pass on."""
        self.arrivals[points[0]].append(time.monotonic())
        self._intake.take_values(points, values)

    def take_silence(self, points: Sequence[PointId]) -> None:
        """Pass on."""
        self._intake.take_silence(points)

    def jitter_p99_ms(self, wanted: Callable[[int], bool], period_s: float) -> float:
        """How far apart from the period two readings of a device are, at most, in 99 of 100 cases [ms]."""
        series = [t for point, t in self.arrivals.items() if wanted(int(point[1:5])) and len(t) > 2]
        off_s = np.abs(np.concatenate([np.diff(t) for t in series]) - period_s)
        return 1000 * float(np.percentile(off_s, 99))


def rig(folder: Path, port: int, count: int, model: Profile) -> Rig:
    """Links, intake and spool for `count` devices of a model."""
    clock = ScaledClock()
    names = [f"d{d:04d}/{p.name}" for d in range(count) for p in model.points]
    points = [Point(id=n, quantity=Quantity.POWER, equipment=n[:5], link=n[:5], period_s=1.0) for n in names]
    live, spool, ledger = LiveTable(points, clock), Spool(folder, SPOOL_BYTES, clock), Ledger()
    writer = SpoolWriter(spool, clock, ledger)
    addresses = np.array([p.address or 0 for p in model.points])
    right = np.concatenate([fast_modbus.words(d)[addresses] * 0.1 for d in range(count)])
    heard = Heard(right, ids={n: i for i, n in enumerate(names)})
    rules = dict.fromkeys(names, Rule(0.0, 6000.0, 5000.0, 1.0, max_age_s=3.0, quantum=0.1, natural_run_s=1e9))
    intake = Intake(live, writer, rules, clock, ledger, heard.take)
    taker = _Timed(intake)

    def link(device: int) -> ModbusLink:
        name, endpoint = f"d{device:04d}", ModbusEndpoint(fast_modbus.host(device), port)
        return ModbusLink(name, endpoint, [Wire(name, model, 1, "")], taker, clock, ledger)

    links = [link(device) for device in range(count)]
    return Rig(links, intake, writer, spool, heard, taker)


def healthy(device: int) -> bool:
    """Neither silent nor slow."""
    return not fast_modbus.silent(device) and not fast_modbus.slow(device)


def many_devices(folder: Path, count: int, seconds: float) -> dict[str, float]:
    """2,000 devices, two blocks each once a second, one in twenty silent and one in twenty slow."""
    with devices(faulty=True) as port:
        parts = rig(folder, port, count, profile(POINTS_A_BLOCK, BLOCKS, 1.0))
        cost = asyncio.run(parts.run(seconds, WARM_UP_S))
    expected = sum(map(healthy, range(count))) * cost.real_s
    heard = sum(len(t) for point, t in parts.taker.arrivals.items() if healthy(int(point[1:5])))
    return {
        "devices": float(count),
        "blocks_per_device": float(BLOCKS),
        "points_per_s": cost.samples / cost.real_s,
        "healthy_readings_share": heard / expected,
        "healthy_jitter_p99_ms": parts.taker.jitter_p99_ms(healthy, 1.0),
        "wrong_values": float(parts.heard.wrong),
        "compared_values": float(parts.heard.good),
        "collector_core_share": cost.cpu_s / cost.real_s,
        "resident_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def full_speed(folder: Path, seconds: float) -> dict[str, float]:
    """A few devices of wide blocks, read again and again: what one core carries, and the library path beside it."""
    with devices(faulty=False) as port:
        parts = rig(folder, port, 8, profile(WIDE_POINTS, 1, 0.001))
        cost = asyncio.run(parts.run(seconds, 1.0))
        peer = library_path.points_per_s_per_core(fast_modbus.host(0), port, WIDE_POINTS, seconds)
    ours = cost.samples / cost.cpu_s
    return {
        "points_per_block": float(WIDE_POINTS),
        "points_per_s_per_core": ours,
        "full_speed_wrong_values": float(parts.heard.wrong),
        "library_path_points_per_s_per_core": peer,
        "ratio_to_library_path": ours / peer,
    }


def run(quick: bool, data: Path | None) -> dict[str, float | str]:  # noqa: ARG001 - every benchmark takes the same
    """All figures."""
    seconds = 8.0 if quick else 60.0
    with tempfile.TemporaryDirectory() as folder:
        many = many_devices(Path(folder) / "many", DEVICES, seconds)
        wide = full_speed(Path(folder) / "wide", seconds / 2)
    return {**many, **wide}
