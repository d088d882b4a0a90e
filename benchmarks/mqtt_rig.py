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
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiomqtt

from collector.collector import Collector
from collector.spool import Spool
from devices import dsx
from devices.profiles import load_profile
from plant.clock import ScaledClock
from plant.errors import ConfigError
from plant.live import LiveTable
from plant.points import Point
from plant.samples import SampleBatch
from plant.topology import Climate, Equipment, Link, Site, Source, Tariff, Workload

HOST = "127.0.0.1"
LINK = "bms"
PROFILE = "dsx-cdu"
CDUS = 50
POINTS = (
    "bms_fws_supply_temperature",
    "bms_fws_return_temperature",
    "bms_tcs_supply_temperature",
    "bms_tcs_return_temperature",
)
BUS = CDUS * len(POINTS)
"""Points on the bus; message i is of point i mod BUS, measured i // BUS ms after BEGIN [s since 1970]."""
SPOOL_BYTES = 4 * 1024**3
IN_FLIGHT = 1000
CHUNK = 100
IDLE_S = 1.5
PEER_BATCH = 1000
PEER_CLIENT = "plain-loop"
STOP = signal.SIGTERM


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


def point_and_ms(number: int) -> tuple[str, int]:
    """Point and source time [ms after the begin] of message `number`."""
    slot = number % BUS
    return f"cdu-{slot // len(POINTS):02d}/{POINTS[slot % len(POINTS)]}", number // BUS


def bench_site(port: int) -> Site:
    """A site whose CDUs are known from the bus only."""
    link = Link(id=LINK, transport="mqtt", host=HOST, port=port, options={"client_id": "bench", "protocol": 5})
    profile = load_profile(PROFILE)
    equipment = [
        Equipment(id=f"cdu-{n:02d}", kind="cdu", sources=(Source(profile=PROFILE, link=LINK),)) for n in range(CDUS)
    ]
    points = [
        Point(id=f"{e.id}/{p.name}", quantity=p.quantity, equipment=e.id, link=LINK, period_s=10, max_age_s=1e9)
        for e in equipment
        for p in profile.points
    ]
    return Site(
        id="bench",
        name="Bench",
        name_zh="",
        path="",
        timezone="UTC",
        coolant="water",
        glycol_percent=0,
        gpus_per_rack=1,
        links={LINK: link},
        equipment={e.id: e for e in equipment},
        points={p.id: p for p in points},
        groups={},
        drives={},
        envelopes={},
        limits={},
        tariff=Tariff(currency="EUR", energy_per_kwh=(0.2,) * 24),
        carbon_kg_per_kwh=0,
        carbon_source="",
        climate=Climate(mean_c=10, annual_amplitude_k=10, daily_amplitude_k=5, dew_point_depression_k=6),
        workload=Workload(seed=1, racks={}),
        retention={},
    )


# --- the publisher ---


def bus_topics() -> list[tuple[str, str, bytes]]:
    """Value topic, metadata topic and metadata of each point on the bus."""
    profile = load_profile(PROFILE)
    found = []
    for number in range(BUS):
        name, _, point = point_and_ms(number)[0].partition("/")
        value, metadata = dsx.point_topics(profile.point(point), f"hall/{name}/{point}/feedback/value")
        found.append((str(value), str(metadata), dsx.encode_metadata(profile.point(point), name)))
    return found


class RawPublisher:
    """Publishes at QoS 1 over a bare socket: a client library costs more than the broker, and would set the pace.

    Source: MQTT 3.1.1, sections 3.1 (CONNECT), 3.3 (PUBLISH) and 3.4 (PUBACK).
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((HOST, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(bytes([0x10, 12, 0, 4, *b"MQTT", 4, 2, 0, 0, 0, 0]))
        self._take(4)  # CONNACK
        self._sent = self._acknowledged = 0
        self._rest = b""

    def _take(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += self._socket.recv(size - len(data))
        return data

    def send(self, messages: list[tuple[str, bytes]], *, retain: bool = False) -> None:
        """Publish some, and wait while too many are not acknowledged."""
        packets = bytearray()
        for topic, payload in messages:
            self._sent += 1
            name = topic.encode()
            body = struct.pack(">H", len(name)) + name + struct.pack(">H", self._sent % 65_535 + 1) + payload
            packets += bytes([0x33 if retain else 0x32]) + _length(len(body)) + body
        self._socket.sendall(packets)
        self.settle(IN_FLIGHT)

    def settle(self, open_at_most: int) -> None:
        """Until all but so many are acknowledged by the broker."""
        while self._sent - self._acknowledged > open_at_most:
            self._rest += self._socket.recv(65_536)
            whole = len(self._rest) // 4  # each PUBACK has four bytes, and nothing else comes
            self._acknowledged += whole
            self._rest = self._rest[4 * whole :]

    def close(self) -> None:
        """Say goodbye."""
        self._socket.sendall(bytes([0xE0, 0]))
        self._socket.close()


def _length(size: int) -> bytes:
    out = bytearray()
    while True:
        size, low = divmod(size, 128)
        out.append(low | 0x80 if size else low)
        if not size:
            return bytes(out)


def publish(port: int, begin_s: float, first: int, count: int, rate: float) -> dict[str, float]:
    """Publish `count` values (0: until told to stop) at QoS 1; returns when the broker has them all."""
    client, going, topics = RawPublisher(port), _until_told(), bus_topics()
    client.send([(metadata, payload) for _, metadata, payload in topics], retain=True)
    began, number, end = time.perf_counter(), first, first + count if count else sys.maxsize
    while going() and number < end:
        due = end if not rate else min(first + int((time.perf_counter() - began) * rate), end)
        some = range(number, min(due, number + CHUNK))
        if not some:
            time.sleep(0.002)
            continue
        client.send(
            [(topics[n % BUS][0], dsx.encode_value(20 + n % 1000 / 100, begin_s + n // BUS / 1000)) for n in some]
        )
        number = some.stop
    client.settle(0)
    spent_s = time.perf_counter() - began
    client.close()
    return {"published": number - first, "rate": (number - first) / spent_s}


def _until_told() -> Callable[[], bool]:
    told: list[int] = []
    signal.signal(STOP, lambda number, _frame: told.append(number))
    return lambda: not told


# --- the collectors ---


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
