"""A Modbus TCP device whose registers say their own address, with the faults of real devices on demand.

What a right read of `count` words at `address` of `unit` gives is a function of these alone, so that any answer taken
for another one shows at once.
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

FAULTS = (
    "late",
    "zero_id",
    "foreign_id",
    "next_id",
    "late_zero_id",
    "short",
    "long",
    "length",
    "other_function",
    "other_unit",
    "busy",
    "bytewise",
    "half",
    "garbage",
    "silent",
    "twice",
    "hang_up",
)
_HEAD = struct.Struct(">HHHBBHH")
_MBAP = struct.Struct(">HHHB")
BUSY = 6


def word_at(unit: int, address: int) -> int:
    """What a register holds."""
    return (address * 40_503 + unit * 257) & 0xFFFF


def words_at(unit: int, address: int, count: int) -> list[int]:
    """What a right read gives."""
    return [word_at(unit, address + i) for i in range(count)]


@dataclass
class FaultyPeer:
    """The device. choose: unit -> the fault of its next answer, "" for none; late_s: how late a late answer is [s]."""

    choose: Callable[[int], str]
    late_s: Callable[[], float]
    chance: random.Random
    requests: int = 0
    connections: set[_Session] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> int:
        """Listen on a loopback port; returns which."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Session(self), "127.0.0.1", port)
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    async def close(self) -> None:
        """Stop listening and hang up."""
        if self._server is not None:
            self._server.close()
        while self.connections:
            for session in list(self.connections):
                session.transport.abort()
            await asyncio.sleep(0)  # a connection is gone one turn of the loop later


class _Session(asyncio.Protocol):
    """One connection."""

    transport: asyncio.Transport

    def __init__(self, peer: FaultyPeer) -> None:
        self._peer, self._buffer = peer, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._peer.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's name
        self._peer.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            request, self._buffer = self._buffer[: _HEAD.size], self._buffer[_HEAD.size :]
            self._peer.requests += 1
            fields = _request(request)
            self._answer(self._peer.choose(fields[1]), *fields)

    def _answer(self, fault: str, transaction: int, unit: int, function: int, address: int, count: int) -> None:
        chance, peer = self._peer.chance, self._peer
        pdu = struct.pack(f">BB{count}H", function, 2 * count, *words_at(unit, address, count))
        frame = _frame(transaction, unit, pdu)
        if fault in ("late", "late_zero_id"):
            late = frame if fault == "late" else _frame(0, unit, pdu)
            asyncio.get_running_loop().call_later(peer.late_s(), self._send, late)
        elif fault == "bytewise":
            self._trickle(frame)
        elif fault == "half":
            self._send(frame[: chance.randrange(1, len(frame))])
            self.transport.close()
        elif fault == "hang_up":
            self.transport.abort()
        elif fault != "silent":
            self._send(_spoiled(fault, chance, transaction, unit, pdu) or frame)

    def _trickle(self, frame: bytes) -> None:
        """Byte by byte, each in a turn of the loop of its own."""
        self._send(frame[:1])
        if frame[1:]:
            asyncio.get_running_loop().call_soon(self._trickle, frame[1:])

    def _send(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)


def _request(data: bytes) -> tuple[int, int, int, int, int]:
    transaction, _, _, unit, function, address, count = _HEAD.unpack(data)
    return transaction, unit, function, address, count


def _frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    return _MBAP.pack(transaction & 0xFFFF, 0, len(pdu) + 1, unit) + pdu


def _spoiled(fault: str, chance: random.Random, transaction: int, unit: int, pdu: bytes) -> bytes:
    """The answer with its fault; empty for none."""
    cut = pdu[: -2 * chance.randint(1, max((len(pdu) - 2) // 2, 1))]
    more = pdu + chance.randbytes(2 * chance.randint(1, 4))
    frames: dict[str, Callable[[], bytes]] = {
        "zero_id": lambda: _frame(0, unit, pdu),
        "foreign_id": lambda: _frame(transaction + chance.randint(1, 65_000), unit, pdu),
        "next_id": lambda: _frame(transaction + 1, unit, pdu),
        "short": lambda: _frame(transaction, unit, bytes((cut[0], len(cut) - 2)) + cut[2:]),
        "long": lambda: _frame(transaction, unit, bytes((more[0], len(more) - 2)) + more[2:]),
        "length": lambda: _frame(transaction, unit, more),
        "other_function": lambda: _frame(transaction, unit, bytes((7 - pdu[0],)) + pdu[1:]),
        "other_unit": lambda: _frame(transaction, unit + 1, pdu),
        "busy": lambda: _frame(transaction, unit, bytes((pdu[0] | 0x80, BUSY))),
        "garbage": lambda: chance.randbytes(chance.randint(1, 300)),
        "twice": lambda: 2 * _frame(transaction, unit, pdu),
    }
    return frames[fault]() if fault in frames else b""


async def _serve() -> None:
    peer = FaultyPeer(choose=lambda _: "", late_s=lambda: 0.0, chance=random.Random(0))
    print(await peer.start(), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
