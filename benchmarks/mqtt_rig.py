"""Parts of `bench mqtt`: a mosquitto, a bus of CDU values, a publisher, and the collector as processes of their own.

    python -m benchmarks.mqtt_rig publish PORT BEGIN FIRST COUNT RATE   RATE 0 for as fast as it goes
    python -m benchmarks.mqtt_rig collect PORT FOLDER COUNT             ends when COUNT samples are spooled
    python -m benchmarks.mqtt_rig peer PORT FOLDER COUNT                the plain aiomqtt loop, likewise

Each ends with one JSON line. With a COUNT of 0 a publisher goes on until it is told, a collector until nothing comes.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiomqtt

from benchmarks.mqtt_bus import HOST, bench_site
from benchmarks.mqtt_publisher import IN_FLIGHT, publish
from collector.collector import Collector
from collector.spool import Spool
from devices import dsx
from plant.clock import ScaledClock
from plant.errors import ConfigError
from plant.live import LiveTable
from plant.samples import SampleBatch

SPOOL_BYTES = 4 * 1024**3
IDLE_S = 1.5
PEER_BATCH = 1000
PEER_CLIENT = "plain-loop"


class Mosquitto:
    """The real broker with packaging/mosquitto/coldplate.conf's limits, in a folder, on a free loopback port."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("mosquitto", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
        if program is None:
            raise ConfigError("mosquitto is not installed", remedy="install the Debian package mosquitto")
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.port = int(probe.getsockname()[1])
        lines = [
            f"listener {self.port} {HOST}",
            "allow_anonymous true",
            "persistence true",
            f"persistence_location {folder}/",
            "max_queued_messages 2000000",
            "max_queued_bytes 1073741824",
            f"max_inflight_messages {IN_FLIGHT}",
            *(["user root"] if os.geteuid() == 0 else []),
        ]
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        command = [program, "-c", str(folder / "mosquitto.conf")]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
        self._wait()

    def _wait(self) -> None:
        for _ in range(200):
            with suppress(OSError), socket.create_connection((HOST, self.port), timeout=0.2):
                return
            time.sleep(0.05)
        raise ConfigError("mosquitto did not start", remedy="run it by hand to see why")

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)


def start(part: str, *arguments: object) -> subprocess.Popen[str]:
    """A part as a process of its own."""
    command = [sys.executable, "-m", "benchmarks.mqtt_rig", part, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own program


def result(process: subprocess.Popen[str], timeout_s: float = 300.0) -> dict[str, float]:
    """What a part said at its end."""
    out, _ = process.communicate(timeout=timeout_s)
    if process.returncode:
        raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
    found: dict[str, float] = json.loads(out.splitlines()[-1])
    return found


async def collect(port: int, folder: Path, count: int) -> dict[str, float]:
    """The collector as `coldplate run` has it, from the broker to the spool on disk."""
    site = bench_site(port)
    clock = ScaledClock()
    spool = Spool(folder / "spool", SPOOL_BYTES, clock)
    collector = Collector(site, {}, LiveTable(site.points.values(), clock), spool, clock)
    running = asyncio.create_task(collector.run())
    figures = await _watch(count, lambda: spool.accepted_samples)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    spool.close()
    return figures


async def peer(port: int, folder: Path, count: int) -> dict[str, float]:
    """What is usually written: `async for` over aiomqtt, decode, write batches. aiomqtt acknowledges on its own."""
    spool = Spool(folder / "spool", SPOOL_BYTES, ScaledClock())
    running = asyncio.create_task(_peer_loop(port, spool))
    figures = await _watch(count, lambda: spool.accepted_samples)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    spool.close()
    return figures


async def _peer_loop(port: int, spool: Spool) -> None:
    rows: list[tuple[str, float, float, float, int]] = []
    async with aiomqtt.Client(HOST, port, identifier=PEER_CLIENT, clean_session=False) as client:
        await client.subscribe(f"{dsx.VALUE_PREFIX}#", qos=1)
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            value = dsx.decode_value(message.payload)
            point = "/".join(str(message.topic).split("/")[-4:-2])
            rows.append((point, value.time_s, time.time(), value.value, 0))
            if len(rows) >= PEER_BATCH or not len(client.messages):
                await asyncio.to_thread(spool.append, [SampleBatch.of(rows)])
                rows = []


async def _watch(count: int, spooled: Callable[[], int]) -> dict[str, float]:
    """CPU and time from the first sample until `count` are spooled, or until nothing more comes."""
    while not spooled():  # noqa: ASYNC110 - it measures from outside what has no event
        await asyncio.sleep(0.002)
    first, cpu_s, wall_s = spooled(), time.process_time(), time.perf_counter()
    seen, moved_s = first, wall_s
    while seen < count if count else time.perf_counter() - moved_s < IDLE_S:
        await asyncio.sleep(0.01)
        if spooled() != seen:
            seen, moved_s = spooled(), time.perf_counter()
    return {
        "samples": float(seen),
        "measured": float(seen - first),
        "cpu_s": time.process_time() - cpu_s,
        "wall_s": time.perf_counter() - wall_s,
    }


def main(arguments: list[str]) -> None:
    """Run one part."""
    part, port, *rest = arguments
    figures: Any
    if part == "publish":
        figures = publish(int(port), float(rest[0]), int(rest[1]), int(rest[2]), float(rest[3]))
    else:
        run = collect if part == "collect" else peer
        figures = asyncio.run(run(int(port), Path(rest[0]), int(rest[1])))
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1:])
