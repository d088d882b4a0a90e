"""A Modbus TCP server that costs little: many devices behind one socket, each at a loopback address of its own.

Run as `python -m benchmarks.fast_modbus`; prints its port. Register `a` of device `d` holds `word(d, a)`, so that a
reader can tell a wrong value. Its own code rather than the simulator's server: the server must not be the limit.
"""

from __future__ import annotations

import asyncio
import gc
import struct
import sys
from functools import cache

import numpy as np
import numpy.typing as npt

REGISTERS = 512
SILENT_EVERY, SLOW_EVERY = 20, 20
SLOW_S = 0.6
_REQUEST = struct.Struct(">HHHBBHH")
_EXCEPTION = struct.Struct(">HHHBBB")


def words(device: int) -> npt.NDArray[np.uint16]:
    """All registers of a device."""
    address = np.arange(REGISTERS, dtype=np.uint32)
    return ((address * 7919 + device * 104_729) % 50_000).astype(np.uint16)


def host(device: int) -> str:
    """The loopback address of a device."""
    return f"127.1.{device // 250}.{device % 250 + 1}"


def device_at(address: str) -> int:
    """The inverse of `host`."""
    _, _, high, low = map(int, address.split("."))
    return high * 250 + low - 1


def silent(device: int) -> bool:
    """One in twenty answers nobody."""
    return device % SILENT_EVERY == 7


def slow(device: int) -> bool:
    """One in twenty takes 0.6 s for each answer."""
    return device % SLOW_EVERY == 13


@cache
def _table(device: int) -> bytes:
    return words(device).astype(">u2").tobytes()


class _Line(asyncio.Protocol):
    """One connection; requests are answered in order."""

    def __init__(self, faulty: bool) -> None:
        self._faulty = faulty
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        own, peer = transport.get_extra_info("sockname")[0], transport.get_extra_info("peername")[0]
        if not peer.startswith("127."):
            transport.abort()
        device = device_at(own) if own.startswith("127.") else 0
        self._table = _table(device)
        self._silent = self._faulty and silent(device)
        self._delay_s = SLOW_S if self._faulty and slow(device) else 0.0

    def data_received(self, data: bytes) -> None:
        if self._silent:
            return
        data = self._pending + data
        while len(data) >= _REQUEST.size:
            answer = self._answer(data)
            if self._delay_s:
                asyncio.get_running_loop().call_later(self._delay_s, self._write, answer)
            else:
                self._transport.write(answer)
            data = data[_REQUEST.size :]
        self._pending = data

    def _write(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)

    def _answer(self, data: bytes) -> bytes:
        number, _, _, unit, function, address, count = _REQUEST.unpack_from(data)
        if function not in {3, 4} or address + count > REGISTERS:
            return _EXCEPTION.pack(number, 0, 3, unit, function | 0x80, 2)
        size = 2 * count
        head = struct.pack(">HHHBBB", number, 0, size + 3, unit, function, size)
        return head + self._table[2 * address : 2 * address + size]


async def serve(*, faulty: bool) -> None:
    """Until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Line(faulty), "0.0.0.0", 0, backlog=4096)  # noqa: S104 - all of 127/8
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    gc.disable()  # nothing here makes cycles, and the server must not be the one that stutters
    asyncio.run(serve(faulty="--faulty" in sys.argv))
