"""Peers for tests over a wire: raw Modbus TCP devices, as faulty as real ones, and a real broker."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion


@dataclass
class Peer:
    """A device written against the bytes of the specification, not against a library.

    registers[unit][table][address]; a missing address answers exception 2. Faults: silent units never answer,
    `zero_tid` always answers transaction id 0, `delay(n)` is how late the n-th answer is [s], `wrong_tid` adds one.
    """

    registers: dict[int, dict[str, dict[int, int]]]
    silent: set[int] = field(default_factory=set)
    zero_tid: bool = False
    wrong_tid: bool = False
    delay: Callable[[int], float] = lambda _n: 0.0
    requests: list[tuple[int, int, int, int]] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    async def serve(self, reader, writer):
        """One connection."""
        self.connections += 1
        tasks = set()
        try:
            while True:
                head = await reader.readexactly(7)
                tid, _, length, unit = struct.unpack(">HHHB", head)
                pdu = await reader.readexactly(length - 1)
                task = asyncio.create_task(self.reply(writer, tid, unit, pdu, len(self.requests)))
                tasks.add(task)
                self.requests.append((unit, *struct.unpack(">BHH", pdu[:5])))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for task in tasks:
                task.cancel()
            writer.close()

    async def reply(self, writer, tid, unit, pdu, number):
        """Answer one request, with its faults."""
        if unit in self.silent:
            return
        answer = self.answer(unit, pdu)
        await asyncio.sleep(self.delay(number))
        tid = 0 if self.zero_tid else tid + self.wrong_tid
        writer.write(struct.pack(">HHHB", tid, 0, len(answer) + 1, unit) + answer)

    def answer(self, unit, pdu):
        """The PDU that answers a PDU."""
        function, address, count = struct.unpack(">BHH", pdu[:5])
        tables = self.registers.get(unit, {})
        if function in (3, 4):
            table = tables.get("holding" if function == 3 else "input", {})
            wanted = range(address, address + count)
            if any(a not in table for a in wanted):
                return bytes([function | 0x80, 2])
            return bytes([function, 2 * count]) + b"".join(struct.pack(">H", table[a]) for a in wanted)
        holding = tables.get("holding", {})
        values = [count] if function == 6 else list(struct.unpack(f">{count}H", pdu[6:]))
        if function not in (6, 16) or any(address + i not in holding for i in range(len(values))):
            return bytes([function | 0x80, 2 if function in (6, 16) else 1])
        holding.update({address + i: value for i, value in enumerate(values)})
        return pdu[:5]


@asynccontextmanager
async def serving(peer: Peer):
    """The peer on a free loopback port."""
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()


def free_port():
    """A loopback port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Broker:
    """A real mosquitto on a loopback port; without limits on what it queues. persistent: survives its own restart."""

    def __init__(self, program: str, folder: Path, *, persistent: bool = False):
        self.program, self.folder, self.port = program, folder, free_port()
        self.process = None
        lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 0"]
        if persistent:
            lines += [
                "persistence true",
                f"persistence_location {folder}/",
                "autosave_on_changes true",
                "autosave_interval 1",
            ]
        else:
            lines.append("persistence false")
        if os.geteuid() == 0:
            lines.append("user root")
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def start(self):
        """Start it and wait until it listens."""
        self.process = subprocess.Popen(
            [self.program, "-c", str(self.folder / "mosquitto.conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=0.2):
                return self
            time.sleep(0.05)
        raise RuntimeError("mosquitto did not start")

    def stop(self):
        """End it."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def publish(self, messages):
        """Publish (topic, payload, retain) at QoS 1 and wait until the broker has them all."""
        client = paho.Client(CallbackAPIVersion.VERSION2)
        client.max_inflight_messages_set(1000)
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        sent = [client.publish(topic, payload, qos=1, retain=retain) for topic, payload, retain in messages]
        for info in sent:
            info.wait_for_publish(30)
        client.disconnect()
        client.loop_stop()


async def until(condition, timeout_s=10.0):
    """Wait until it holds; says so if it never does."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout_s} s")
        await asyncio.sleep(0.02)


@asynccontextmanager
async def running(coroutine):
    """A coroutine as a task, cancelled at the end; what it raised before is raised."""
    task = asyncio.create_task(coroutine)
    try:
        yield task
        if task.done():
            task.result()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
