"""The spool's writer: bounded, ordered, and unmoved by a disk that fails or a caller that goes away."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from collector import spool_writer
from collector.conditions import Ledger
from collector.spool import Spool
from collector.spool_writer import SpoolWriter
from plant.clock import ManualClock
from plant.errors import StoreError
from plant.samples import SampleBatch

ROOT = Path(__file__).parents[2]


def batch(start, count=3, point="a/t"):
    """Samples at consecutive seconds."""
    return SampleBatch.of([(point, float(start + i), 0.0, float(start + i), 0) for i in range(count)])


def times(spool):
    """The source times in the order in which they come out."""
    return [t for frame in spool.read_on(None, 10**9) for t in frame.batch.time_s.tolist()]


class Rig:
    """A writer over a spool whose syncs can be held up or made to fail."""

    def __init__(self, folder, monkeypatch, **options):
        self.spool, self.ledger = Spool(folder, 10_000_000, ManualClock()), Ledger()
        self.writer = SpoolWriter(self.spool, ManualClock(), self.ledger, **options)
        self.open, self.entered, self.broken, self.threads = threading.Event(), threading.Event(), False, set()
        self.open.set()
        real = os.fdatasync

        def sync(file):
            self.threads.add(threading.current_thread().name)
            self.entered.set()
            self.open.wait(10)
            if self.broken:
                raise OSError(errno.EIO, "Input/output error")
            real(file)

        monkeypatch.setattr(os, "fdatasync", sync)


@pytest.fixture
def rig(tmp_path, monkeypatch):
    """A writer with a disk in our hands."""
    return Rig(tmp_path, monkeypatch, grace_s=0.3)


async def test_a_failing_disk_stops_nobody(rig):
    """While the disk refuses, samples wait in memory, a condition says so, publishers are let go, and all is kept once it heals."""
    rig.broken = True
    rig.writer.put(batch(0))
    started = time.monotonic()
    await rig.writer.commit_or_give_up()
    assert time.monotonic() - started < 5
    rig.writer.put(batch(10))
    await rig.writer.commit_or_give_up()
    assert [c.code for c in rig.ledger.all()] == ["spool_failing"]
    assert "Input/output error" in rig.ledger.all()[0].cause.text
    assert rig.writer.counters()["spool_waiting_samples"] == 6
    assert rig.writer.counters()["spool_write_failures"] >= 2
    rig.broken = False
    await rig.writer.commit()
    assert rig.ledger.all() == []
    assert times(rig.spool) == [0, 1, 2, 10, 11, 12]


@pytest.mark.parametrize("broken", [False, True])
async def test_a_caller_that_goes_away_takes_nothing_with_it(rig, broken):
    """A commit cancelled in the middle of its write loses and doubles nothing, and what is put later comes later."""
    rig.open.clear()
    rig.writer.put(batch(0))
    caller = asyncio.create_task(rig.writer.commit())
    assert await asyncio.to_thread(rig.entered.wait, 10)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    rig.writer.put(batch(10))
    rig.broken = broken
    rig.open.set()
    if broken:
        with pytest.raises(StoreError):
            await rig.writer.commit()
        rig.broken = False
    await rig.writer.commit()
    assert times(rig.spool) == [0, 1, 2, 10, 11, 12]
    assert rig.writer.lost_samples == 0


@pytest.mark.parametrize("broken", [False, True])
async def test_the_last_commit_at_the_end_of_a_run(rig, broken):
    """What was put, or was just being written, when a run ends is written; if the disk refuses it is counted as lost."""
    rig.open.clear()
    rig.writer.put(batch(0))
    run = asyncio.create_task(rig.writer.run())
    assert await asyncio.to_thread(rig.entered.wait, 10)
    rig.writer.put(batch(10))
    rig.broken = broken
    threading.Timer(0.1, rig.open.set).start()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert times(rig.spool) == ([] if broken else [0, 1, 2, 10, 11, 12])
    assert rig.writer.lost_samples == (6 if broken else 0)
    assert len(rig.threads) == 1


async def test_memory_is_bounded_while_the_disk_fails(rig, monkeypatch):
    """Beyond the limit the oldest samples are lost, and counted; the rest is kept in order."""
    monkeypatch.setattr(spool_writer, "MAX_BACKLOG_SAMPLES", 30)
    rig.broken = True
    for i in range(20):
        rig.writer.put(batch(10 * i))
        with pytest.raises(StoreError):
            await rig.writer.commit()
    rig.broken = False
    await rig.writer.commit()
    assert times(rig.spool)[::3] == [10.0 * i for i in range(10, 20)]
    assert rig.writer.lost_samples == 30


async def test_many_callers_share_syncs_and_each_is_told_in_time(rig):
    """Each of fifty callers finds its batch on disk when its commit returns, with far fewer syncs than callers."""
    syncs = []
    spool = rig.spool
    real = spool.append_groups
    spool.append_groups = lambda groups: syncs.append(1) or real(groups)

    async def call(number):
        rig.writer.put(batch(10 * number))
        await rig.writer.commit()
        assert 10.0 * number in times(spool)

    await asyncio.gather(*(call(i) for i in range(50)))
    assert len(syncs) < 10
    assert times(spool)[::3] == [10.0 * i for i in range(50)]


FAILING = """
import sys
from pathlib import Path
from collector.spool import Spool
from plant.clock import ManualClock
from plant.errors import StoreError
from plant.samples import SampleBatch
spool = Spool(Path(sys.argv[1]), 50_000_000, ManualClock())
for number in range(12):
    try:
        spool.append([SampleBatch.of([("p/1", float(number), 0.0, 1.0, 0)])])
        print("kept", number)
    except StoreError as error:
        assert "Input/output error" in str(error), error
        print("refused", number)
"""


@pytest.mark.real
def test_a_disk_that_really_fails_to_sync(tmp_path, real_program):
    """A kernel that answers EIO to some syncs: those appends are refused, all others are there after a restart."""
    inject = "inject=fdatasync:error=EIO:when=3..6"
    command = [real_program("strace"), "-f", "-qq", "-o", str(tmp_path / "trace"), "-e", inject]
    done = subprocess.run(
        [*command, sys.executable, "-c", FAILING, str(tmp_path / "spool")],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    if "ptrace" in done.stderr.lower() and "not permitted" in done.stderr.lower():
        pytest.skip(f"tracing is not permitted here: {done.stderr.strip()}")
    told = [line.split() for line in done.stdout.splitlines()]
    kept = [float(n) for what, n in told if what == "kept"]
    assert [int(n) for what, n in told if what == "refused"] == [2, 3, 4, 5], done.stderr
    assert times(Spool(tmp_path / "spool", 50_000_000, ManualClock())) == kept
    assert len(kept) == 8
