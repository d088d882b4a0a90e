"""Campaigns on the way to the store: the writer killed over and over, and a real server killed after it acknowledged."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
import urllib.request

import numpy as np
import pytest

from benchmarks.spool_kills import kill_over_and_over
from collector.forwarder import Forwarder
from collector.spool import Spool
from plant.clock import ScaledClock
from plant.errors import StoreError
from plant.ports import RangeQuery
from plant.samples import SampleBatch
from store.open import open_samples, store_url

POINTS = tuple(f"rack-01/gpu-{i:02d}/power" for i in range(50))


def test_a_writer_killed_at_random_moments_loses_nothing_acknowledged(tmp_path, request):
    """Killed in the middle of writes, time after time: each acknowledged batch is there, whole, and no one repairs anything."""
    kills = 200 if request.config.getoption("--campaign") else 5
    killed = kill_over_and_over(tmp_path, kills, seed=2026)
    assert killed.acknowledged >= kills
    assert (killed.lost, killed.halved) == (0, 0)
    if kills > 50:
        assert killed.torn > 0


class Victoria:
    """A real victoria-metrics on a port and a folder of its own."""

    def __init__(self, program, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._command = [
            program, f"-storageDataPath={folder}", f"-httpListenAddr=127.0.0.1:{self.port}",
            "-dedup.minScrapeInterval=1ms", "-retentionPeriod=1y",
        ]  # fmt: skip
        self._log = folder.with_suffix(".log")
        self.start()

    def start(self):
        """Until it answers."""
        self._started = time.monotonic()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2):
                    return
            except OSError:
                assert time.monotonic() < deadline, self._log.read_text()
                time.sleep(0.05)

    def show_all(self):
        """New samples can be read at once, not some seconds later. That does not make them durable."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/internal/force_flush", timeout=20):
            pass

    def kill(self):
        """At once, without a chance to save anything; but not in the second of its start, which it tells in whole ones."""
        time.sleep(max(0.0, 1.1 - (time.monotonic() - self._started)))
        self._process.kill()
        self._process.wait()


@pytest.fixture
def victoria(tmp_path, real_program):
    """The server."""
    server = Victoria(real_program("victoria-metrics"), tmp_path / "victoria")
    yield server
    server.kill()


def moment(time_s):
    """A sample of each point."""
    when = np.full(len(POINTS), time_s)
    code = np.zeros(len(POINTS), np.int32)
    return SampleBatch(
        names=POINTS, index=np.arange(len(POINTS)), time_s=when, received_s=when, value=when % 1000.0, code=code
    )


async def missing(store, victoria, times, patience_s=0.0):
    """Samples that a reader does not find, once the server was made to show what it has."""
    wanted = {(point, round(t * 1000)) for point in POINTS for t in times}
    deadline = time.monotonic() + patience_s
    while True:
        await asyncio.to_thread(victoria.show_all)
        found = await found_in(store, min(times) - 1, max(times) + 1)
        if wanted <= found or time.monotonic() >= deadline:
            return wanted - found
        await asyncio.sleep(0.2)


async def found_in(store, start_s, end_s):
    """Points and times [ms] that the store gives; the first try may meet a connection of before the kill."""
    query = RangeQuery(points=POINTS, start_s=start_s, end_s=end_s)
    try:
        series = await store.range(query)
    except StoreError:
        series = await store.range(query)
    return {(s.point, round(t * 1000)) for s in series for t in s.time_s.tolist()}


async def forward_all(forwarder, spool):
    """Until the spool is empty; a dead connection may cost some tries."""
    for _ in range(100):
        await forwarder.drain()
        if spool.read() is None:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"still waiting: {forwarder.conditions()}")


@pytest.mark.real
async def test_a_server_killed_after_acknowledging_leaves_no_gap(tmp_path, victoria, request):
    """A real server that is killed forgets what it had acknowledged; afterwards every sample is there, oldest first."""
    kills = 10 if request.config.getoption("--campaign") else 1
    store = open_samples(store_url(f"vm+http://127.0.0.1:{victoria.port}"), "", ScaledClock())
    spool = Spool(tmp_path / "spool", 50_000_000, ScaledClock())
    forwarder = Forwarder(spool, store, ScaledClock())
    times = [round(time.time() - 600.0, 3)]
    forgotten = 0
    try:
        for _ in range(kills):
            for _ in range(10):
                times.append(round(times[-1] + 1.0, 3))
                spool.append([moment(times[-1])])
            await forward_all(forwarder, spool)
            victoria.kill()
            victoria.start()
            forgotten += len(await missing(store, victoria, times[1:]))
            times.append(round(times[-1] + 1.0, 3))
            spool.append([moment(times[-1])])
            await asyncio.sleep(5.1)  # the forwarder looks for restarts every five seconds
            await forward_all(forwarder, spool)
            assert await missing(store, victoria, times[1:], 20.0) == set(), forwarder.counters()
    finally:
        await store.close()
    assert forgotten > 0
    assert forwarder.counters()["store_replays"] == kills + 1
