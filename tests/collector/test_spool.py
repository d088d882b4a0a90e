"""The spool: nothing accepted is lost, whatever happens to the process or the disk."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.conditions import Ledger
from collector.forwarder import Forwarder
from collector.frames import HEADER, decode_body, encode_frame
from collector.spool import Spool
from collector.spool_writer import SpoolWriter
from plant.clock import ManualClock, ScaledClock
from plant.errors import StoreError
from plant.samples import SampleBatch

ROOT = Path(__file__).parents[2]


def batch(start, count=3, point="a/t"):
    """Samples at consecutive seconds."""
    return SampleBatch.of([(point, float(start + i), 0.0, float(start + i), 0) for i in range(count)])


def open_spool(folder, max_bytes=10_000_000):
    """A spool as after a start."""
    return Spool(folder, max_bytes, ManualClock())


def times(spool):
    """Drain it; the source times in the order in which they came out."""
    found = []
    while (spooled := spool.read()) is not None:
        found += spooled.batch.time_s.tolist()
        spool.commit(spooled.end)
    return found


@given(st.lists(st.tuples(st.text(min_size=1), st.floats(allow_nan=False), st.floats(), st.integers(0, 2**20))))
def test_frames_round_trip(rows):
    """A batch comes out of its frame as it went in."""
    sent = SampleBatch.of([(p, t, t, v, c) for p, t, v, c in rows])
    got = decode_body(encode_frame(sent)[HEADER.size :])
    assert got.points == sent.points
    for column in ("time_s", "received_s", "value", "code"):
        np.testing.assert_array_equal(getattr(got, column), getattr(sent, column))


def test_first_in_first_out_over_a_restart(tmp_path):
    """What was committed is gone, what was not comes again, in order."""
    spool = open_spool(tmp_path)
    spool.append([batch(0), batch(10)])
    spool.append([batch(20)])
    spool.commit(spool.read().end)
    spool.close()
    assert times(open_spool(tmp_path)) == [10, 11, 12, 20, 21, 22]


@pytest.mark.parametrize("cut", [1, 5, 13, 40])
def test_a_torn_tail_costs_only_the_torn_frame(tmp_path, cut):
    """A crash in the middle of a write loses nothing that was whole, and what follows is kept."""
    spool = open_spool(tmp_path)
    spool.append([batch(0)])
    spool.append([batch(10)])
    spool.close()
    path = next(tmp_path.glob("*.seg"))
    os.truncate(path, path.stat().st_size - cut)
    spool = open_spool(tmp_path)
    assert spool.damaged_frames == 1
    spool.append([batch(20)])
    assert times(spool) == [0, 1, 2, 20, 21, 22]


def test_a_flipped_bit_is_never_read_as_data(tmp_path):
    """Damage inside a frame is found by its checksum; what lies before and what comes after is kept."""
    spool = open_spool(tmp_path)
    spool.append([batch(0)])
    whole = spool.size_bytes
    spool.append([batch(10)])
    spool.close()
    path = next(tmp_path.glob("*.seg"))
    data = bytearray(path.read_bytes())
    data[whole + HEADER.size + 30] ^= 1
    path.write_bytes(data)
    spool = open_spool(tmp_path)
    spool.append([batch(20)])
    assert times(spool) == [0, 1, 2, 20, 21, 22]
    assert spool.damaged_frames == 1


def test_the_oldest_go_first_and_are_counted(tmp_path):
    """A full spool drops its oldest samples, says how many, and stays within its bytes."""
    rng = np.random.default_rng(1)
    spool = open_spool(tmp_path, 200_000)
    for i in range(100):
        rows = [(f"p/{j}", float(i), 0.0, v, 0) for j, v in enumerate(rng.random(500).tolist())]
        spool.append([SampleBatch.of(rows)])
    assert spool.size_bytes <= 200_000
    assert sum(f.stat().st_size for f in tmp_path.glob("*.seg")) == spool.size_bytes
    left = times(spool)
    assert left == sorted(left)
    assert left[-1] == 99
    assert len(left) + spool.dropped_samples == 50_000
    assert spool.dropped_samples > 0


WRITER = """
import sys
from pathlib import Path
from collector.spool import Spool
from plant.clock import ManualClock
from plant.samples import SampleBatch
spool = Spool(Path(sys.argv[1]), 50_000_000, ManualClock())
number = int(sys.argv[2])
while True:
    spool.append([SampleBatch.of([(f"p/{i}", float(number), 0.0, 1.0, 0) for i in range(50)])])
    print(number, flush=True)
    number += 1
"""


def test_kill_minus_nine_loses_nothing_accepted(tmp_path):
    """A process killed at random moments, twelve times: every batch that it had accepted is there, once, in order."""
    rng = random.Random(7)
    folder = tmp_path / "spool"
    accepted = -1
    for _ in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), str(accepted + 1)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        accepted = max(accepted, int(process.stdout.readline()))
        time.sleep(rng.uniform(0.0, 0.15))
        os.kill(process.pid, signal.SIGKILL)
        lines = process.stdout.read().split("\n")
        process.stdout.close()
        process.wait()
        accepted = max([accepted, *(int(line) for line in lines[:-1] if line)])
    found = times(open_spool(folder))
    numbers = list(dict.fromkeys(found))
    assert set(range(accepted + 1)) <= set(numbers)
    assert all(found.count(n) % 50 == 0 for n in numbers[:: max(len(numbers) // 20, 1)])


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 256 KiB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"cannot mount a small file system: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def noise(start):
    """A batch that does not compress."""
    values = np.random.default_rng(start).random(1000)
    return SampleBatch.of([(f"p/{i}", float(start), 0.0, v, 0) for i, v in enumerate(values.tolist())])


def fill(spool):
    """Append until the disk is full; the numbers of the batches that were accepted."""
    for number in range(1000):
        try:
            spool.append([noise(number)])
        except StoreError:
            return list(range(number))
    raise AssertionError("the disk never got full")


def test_a_full_disk_loses_nothing_accepted(tiny_disk):
    """Accepted batches survive a really full disk, refused ones are told, and it goes on when there is space."""
    filler = tiny_disk / "filler"
    filler.write_bytes(b"x" * 150_000)
    spool = open_spool(tiny_disk / "spool")
    accepted = fill(spool)
    for _ in range(20):
        with pytest.raises(StoreError, match="free some space"):
            spool.append([noise(5000)])
    filler.unlink()
    spool.append([noise(1000)])
    spool.close()
    assert list(dict.fromkeys(times(open_spool(tiny_disk / "spool")))) == [*accepted, 1000]


async def test_a_failing_disk_stops_nobody(tmp_path, monkeypatch):
    """While the disk refuses, samples wait in memory, a condition says so, publishers are let go, and all is kept once it heals."""
    spool, ledger = open_spool(tmp_path), Ledger()
    writer = SpoolWriter(spool, ManualClock(), ledger, grace_s=0.3)

    def broken(_file):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        writer.put(batch(0))
        started = time.monotonic()
        await writer.commit_or_give_up()
        assert time.monotonic() - started < 2
        writer.put(batch(10))
        await writer.commit_or_give_up()
        assert [c.code for c in ledger.all()] == ["spool_failing"]
        assert "Input/output error" in ledger.all()[0].cause.text
    await writer.commit()
    assert ledger.all() == []
    assert times(spool) == [0, 1, 2, 10, 11, 12]


async def test_the_store_may_come_and_go(tmp_path, memory_store):
    """While the store fails a condition tells since when; afterwards every sample is stored, oldest first."""
    clock = ManualClock()
    spool = open_spool(tmp_path)
    forwarder = Forwarder(spool, memory_store, clock)
    spool.append([batch(0)])
    memory_store.failing = StoreError("disk is gone")
    await forwarder.drain()
    since = clock.now()
    clock.advance(60)
    await forwarder.drain()
    (lost,) = forwarder.conditions()
    assert (lost.code, lost.since_s) == ("store_lost", since)
    assert "disk is gone" in lost.cause.text
    spool.append([batch(10)])
    memory_store.failing = None
    await forwarder.drain()
    assert forwarder.conditions() == []
    assert [time_s for _, time_s in memory_store.rows] == [0, 1, 2, 10, 11, 12]
    assert spool.read() is None


async def test_a_poison_batch_is_set_aside(tmp_path, memory_store):
    """What the store never takes is kept for a person and counted, and does not stop what follows."""
    spool = open_spool(tmp_path)
    memory_store.poison = {"bad/t"}
    spool.append([batch(0), batch(5, point="bad/t"), batch(10)])
    forwarder = Forwarder(spool, memory_store, ManualClock())
    await forwarder.drain()
    assert [time_s for _, time_s in memory_store.rows] == [0, 1, 2, 10, 11, 12]
    assert forwarder.counters()["set_aside_batches"] == 1
    assert [c.code for c in forwarder.conditions()] == ["samples_set_aside"]
    (kept,) = (tmp_path / "set-aside").glob("*.frame")
    assert decode_body(kept.read_bytes()[HEADER.size :]).points[0] == "bad/t"


async def test_a_crash_before_the_cursor_repeats_but_doubles_nothing(tmp_path, memory_store):
    """A restart between store and cursor writes the frame again, and the store holds it once."""
    spool = open_spool(tmp_path)
    spool.append([batch(0)])
    await memory_store.write(spool.read().batch)
    spool.close()
    await Forwarder(open_spool(tmp_path), memory_store, ScaledClock()).drain()
    assert memory_store.writes == 2
    assert len(memory_store.rows) == 3
