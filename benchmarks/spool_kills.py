"""A collector's spool writer killed in the middle of its work, over and over: is what it had accepted still there?

A kernel takes a whole write before it lets a process die, so a kill would hardly ever tear one. The writer's disk is
therefore a slow one that takes a page at a time, as it may: many kills leave half a write behind.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import numpy.typing as npt

from collector.conditions import Ledger
from collector.spool import Spool
from collector.spool_writer import SpoolWriter
from plant.clock import ScaledClock
from plant.samples import SampleBatch

MAX_BYTES = 500_000_000
POINTS = 2000
LONGEST_LIFE_S = 0.15
PAGE_BYTES = 4096
PAGE_TAKES_S = 0.001


@dataclass(frozen=True, slots=True)
class Killed:
    """torn: kills that left half a write behind; acknowledged, lost, halved: batches."""

    kills: int
    torn: int
    acknowledged: int
    lost: int
    halved: int


def kill_over_and_over(folder: Path, kills: int, seed: int) -> Killed:
    """Start a writer, kill it at a random moment, open its spool as a restart does; and again, in the same folder.

    A batch counts as acknowledged once the writer's `commit` returned and it said so; it is lost if no reader ever
    sees it, and halved if it is seen with a part of its samples.
    """
    chance = random.Random(seed)
    acknowledged, seen, torn, halved = -1, set[int](), 0, 0
    for kill in range(kills):
        acknowledged = max(acknowledged, _life(folder, acknowledged + 1, chance.uniform(0.0, LONGEST_LIFE_S)))
        spool = Spool(folder, MAX_BYTES, ScaledClock())
        torn += spool.damaged_frames
        found = _drained(spool, keep=kill % 2 == 1 and kill + 1 < kills)
        halved += sum(rows % POINTS != 0 for rows in found.values())
        seen |= found.keys()
        spool.close()
    lost = set(range(acknowledged + 1)) - seen
    return Killed(kills, torn, acknowledged + 1, len(lost), halved)


def _life(folder: Path, first: int, life_s: float) -> int:
    """One writer from start to kill; the number of the last batch that it acknowledged."""
    command = [sys.executable, "-c", "from benchmarks.spool_kills import work; work()", str(folder), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]) as process:  # noqa: S603 - ourselves
        assert process.stdout is not None
        told = [process.stdout.readline()]
        time.sleep(life_s)
        process.kill()
        told += process.stdout.read().split(b"\n")[:-1]
    return max(int(line) for line in told if line.strip())


def _drained(spool: Spool, *, keep: bool) -> dict[int, int]:
    """Rows by batch of all that a reader finds; `keep` leaves them for the next one."""
    found: dict[int, int] = {}
    frames = spool.read_on(None, sys.maxsize)
    for frame in frames:
        if frame.batch is not None:
            numbers, rows = np.unique(frame.batch.time_s, return_counts=True)
            for number, count in zip(numbers.tolist(), rows.tolist(), strict=True):
                found[int(number)] = found.get(int(number), 0) + count
    if frames and not keep:
        spool.commit(frames[-1].end)
    return found


def work() -> None:
    """The writer's own process: argv is the folder and the number of its first batch; tells what was acknowledged."""
    write = os.write

    def write_a_page(file: int, data: bytes) -> int:
        time.sleep(PAGE_TAKES_S)
        return write(file, data[:PAGE_BYTES])

    with mock.patch.object(os, "write", write_a_page):
        asyncio.run(_write(Path(sys.argv[1]), int(sys.argv[2])))


async def _write(folder: Path, number: int) -> None:
    clock, rng = ScaledClock(), np.random.default_rng(number)
    writer = SpoolWriter(Spool(folder, MAX_BYTES, clock), clock, Ledger())
    names = tuple(f"rack-{i // 100:02d}/gpu-{i % 100:02d}/power" for i in range(POINTS))
    while True:
        writer.put(_numbered(names, number, rng.random(POINTS), clock.now()))
        await writer.commit()
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        number += 1


def _numbered(names: tuple[str, ...], number: int, values: npt.NDArray[np.float64], now_s: float) -> SampleBatch:
    """A batch whose source time is its number."""
    return SampleBatch(
        names=names,
        index=np.arange(len(names)),
        time_s=np.full(len(names), float(number)),
        received_s=np.full(len(names), now_s),
        value=values,
        code=np.zeros(len(names), np.int32),
    )
