"""Parts of `bench hints`: a site of ten thousand nodes, an edge that tells headroom, the real server, a raw client."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from ruamel.yaml import YAML

from benchmarks.cycle import site_document
from plant.clock import ScaledClock
from plant.errors import SilentError
from plant.intents import Answer, Intent
from plant.records import Headroom, RideThrough
from store.bus import BusServer
from store.state import StateDir

HOST = "127.0.0.1"
NODES_A_RACK = 18
"""As in an NVL72 rack."""
RACKS_A_CDU = 10
STARTS_WITHIN_S = 120.0
_CHUNK = 1 << 20


def node_name(number: int) -> str:
    """As both servers know it."""
    return f"node-{number:05d}"


def write_site(path: Path, nodes: int) -> list[str]:
    """A site file with that many nodes in racks of 18, ten racks a CDU, two CDUs a loop; its racks."""
    loops = -(-nodes // (NODES_A_RACK * RACKS_A_CDU * 2))
    document = site_document(2 * loops, gpus=False)
    racks = [e["id"] for e in document["equipment"] if e["kind"] == "rack"]
    names = [node_name(i) for i in range(nodes)]
    parts = {r: names[i * NODES_A_RACK : (i + 1) * NODES_A_RACK] for i, r in enumerate(racks)}
    document["jobs"] = {"nodes": {r: held for r, held in parts.items() if held}}
    YAML(typ="safe").dump(document, path)
    return racks


def records(racks: Sequence[str], loops: Sequence[str], now_s: float) -> tuple[list[Headroom], list[RideThrough]]:
    """Headroom of every rack, each with its own figures; every tenth is not known."""
    draw = np.random.default_rng(1)
    rooms = [
        Headroom(
            rack=rack,
            at_s=now_s,
            power_w=float(room_w),
            cooling_w=float(room_w + 5e3),
            marginal_w_per_w=float(cost),
            known=i % 10 != 7,
            reason="rack power is stale" if i % 10 == 7 else "",
            limiting="pdu",
            ahead_w=float(0.8 * room_w),
            ahead_limiting="n+1",
            horizon_s=3600.0,
            shared_w=4e5,
            risk=0.0,
        )
        for i, (rack, room_w, cost) in enumerate(
            zip(racks, draw.uniform(0, 60e3, len(racks)), draw.uniform(0.02, 0.3, len(racks)), strict=True)
        )
    ]
    rides = [RideThrough(cdu=f"{loop}-a", loop=loop, at_s=now_s, seconds=74.0, known=True) for loop in loops]
    return rooms, rides


class EdgeBeside:
    """The edge's end of the bus in a thread of its own, telling headroom, and what it is told to say."""

    def __init__(self, path: Path, racks: Sequence[str], loops: Sequence[str]) -> None:
        self._path, self._racks, self._loops = path, racks, loops
        self.clock = ScaledClock()
        self._ready, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(STARTS_WITHIN_S):
            raise SilentError(f"no bus at {self._path}")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def say(self, kind: str, body: object) -> None:
        """Publish one more record."""
        asyncio.run_coroutine_threadsafe(self._bus.publish(kind, body), self._loop).result(60)

    async def _run(self) -> None:
        self._loop, self._bus = asyncio.get_running_loop(), BusServer(self._path, _refuse)
        bus = self._bus
        await bus.start()
        try:
            await bus.publish("clock", self.clock.spec())
            rooms, rides = records(self._racks, self._loops, self.clock.now())
            await bus.publish("headroom", rooms)
            await bus.publish("ride_through", rides)
            self._ready.set()
            await asyncio.to_thread(self._stop.wait)
        finally:
            await bus.close()


async def _refuse(_: Intent) -> Answer:
    return Answer(accepted=False, text="a benchmark's edge does nothing")


@contextlib.contextmanager
def server(command: Sequence[str], port: int, core: int | None, host: str = HOST) -> Iterator[int]:
    """A server process on a core of its own, once it answers there; its pid.

    Raises:
        SilentError: it does not answer.
    """
    process = subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.DEVNULL)  # noqa: S603 - our own
    try:
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        _wait(host, port, process)
        yield process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)


def serve_command(site: Path, state: Path, port: int) -> list[str]:
    """The real server, as an operator starts it."""
    StateDir(state)
    return ["cli.main", "serve", str(site), "--state", str(state), "--port", str(port)]


def _wait(host: str, port: int, process: subprocess.Popen[bytes]) -> None:
    ends_s = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < ends_s and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1.0):
            return
        time.sleep(0.05)
    raise SilentError(f"{process.args!r}: no answer on port {port}")


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def cores() -> tuple[int | None, int | None]:
    """A core for the server and one for the client; None where there is but one."""
    own = sorted(os.sched_getaffinity(0))
    return (own[0], own[1]) if len(own) > 1 else (None, None)


def cpu_s(pid: int) -> float:
    """CPU time that a process has used [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class RawClient:
    """One kept connection; the request is bytes made before, the answer is read whole: nothing else costs time."""

    connection: socket.socket

    @classmethod
    def to(cls, port: int) -> RawClient:
        """Connect."""
        connection = socket.create_connection((HOST, port), timeout=60.0)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of one answer."""
        self.connection.sendall(request)
        return self.answer()

    def answer(self) -> tuple[int, bytes]:
        """The next answer of a request that was sent."""
        data = self.connection.recv(_CHUNK)
        while b"\r\n\r\n" not in data:
            data += self.connection.recv(_CHUNK)
        head, _, body = data.partition(b"\r\n\r\n")
        parts, length, got = [body], _length(head), len(body)
        while got < length:
            parts.append(self.connection.recv(_CHUNK))
            got += len(parts[-1])
        return int(head.split(b" ", 2)[1]), b"".join(parts)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


def request(method: str, path: str, body: bytes = b"", headers: str = "") -> bytes:
    """A request as bytes."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {len(body)}\r\n"
    return f"{head}Content-Type: application/json\r\n\r\n".encode() + body
