"""VictoriaMetrics killed after it acknowledged: its memory is gone, and the replay leaves no gap."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from benchmarks import store_servers
from collector.forwarder import Forwarder
from collector.spool import Spool
from plant.clock import ScaledClock
from plant.ports import DURABLE_ON_ACK, RangeQuery
from plant.samples import SampleBatch
from store.open import open_samples, store_url

POINTS = tuple(f"rack-{i}/power" for i in range(10))
SAMPLES = 200
HURRY = 20.0


def batch(start_s):
    """Some hundred samples of each point, a second apart."""
    index = np.tile(np.arange(len(POINTS)), SAMPLES)
    time_s = np.repeat(start_s + np.arange(SAMPLES), len(POINTS))
    value = time_s % 1000
    code = np.zeros(len(index), np.int32)
    return SampleBatch(names=POINTS, index=index, time_s=time_s, received_s=time_s, value=value, code=code)


class Believed:
    """A store whose acknowledgement is believed, as if it were durable."""

    capabilities = frozenset({DURABLE_ON_ACK})

    def __init__(self, store):
        self.write, self.started_s = store.write, store.started_s


async def until(what, wanted, seconds=30):
    """Ask again until it is so; the last answer."""
    for _ in range(seconds * 10):
        found = await what()
        if found == wanted:
            break
        await asyncio.sleep(0.1)
    return found


async def after_kills(server, folder, *, believed, kills):
    """Acknowledge, kill, restart, go on: samples that each point should have, and that it has in the end."""
    store = open_samples(store_url(f"vm+{server.url}?measurement={'b' if believed else 'a'}", {}), "", ScaledClock())
    spool = Spool(folder, 10_000_000, ScaledClock())
    used = Believed(store) if believed else store
    forwarder = Forwarder(spool, used, ScaledClock(), replay_s=60 * HURRY, monotonic=lambda: HURRY * time.monotonic())
    start_s = time.time() // 60 * 60 - 7200
    end_s = start_s + (kills + 1) * SAMPLES

    async def pending():
        return spool.pending_samples

    async def held():
        await asyncio.to_thread(server.get, "/internal/force_flush")
        series = await store.range(RangeQuery(points=POINTS, start_s=start_s, end_s=end_s))
        return [len(s.value) for s in series]

    running = asyncio.create_task(forwarder.run())
    for number in range(kills + 1):
        spool.append([batch(start_s + number * SAMPLES)])
        assert await until(pending, 0) == 0
        if number < kills:
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(1.1)  # a start time has whole seconds
            await asyncio.to_thread(server.start)
    expected = [SAMPLES * (kills + 1)] * len(POINTS)
    found = await until(held, expected, 3 if believed else 30)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    spool.close()
    await store.close()
    return expected, found


@pytest.mark.real
async def test_a_kill_after_the_acknowledgement_leaves_no_gap(real_program, tmp_path):
    """Three times killed at once after its 204: what it forgot is sent again, and nothing is there twice.

    The same with an acknowledgement that is believed loses samples, so the test can fail.
    """
    program = real_program("victoria-metrics")
    server = store_servers.victoria(program, tmp_path / "vm", "-dedup.minScrapeInterval=1ms")
    await asyncio.to_thread(server.start)
    try:
        expected, found = await after_kills(server, tmp_path / "spool", believed=False, kills=3)
        assert found == expected
        expected, found = await after_kills(server, tmp_path / "spool-2", believed=True, kills=1)
        assert sum(found) < sum(expected)
    finally:
        server.kill()
