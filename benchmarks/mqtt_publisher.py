"""The publisher of `bench mqtt`: values of the bus at QoS 1, as fast as the broker or a rate lets it."""

from __future__ import annotations

import signal
import socket
import struct
import sys
import time
from collections.abc import Callable

from benchmarks.mqtt_bus import BUS, HOST, bus_topics
from devices import dsx

IN_FLIGHT = 1000
"""Messages that the broker has not acknowledged."""
CHUNK = 100
STOP = signal.SIGTERM


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
