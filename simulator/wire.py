"""A Modbus TCP server for simulated units: functions 1-4, 6 and 16 on loopback.

Source: MODBUS Application Protocol 1.1b3 and MODBUS Messaging on TCP/IP 1.0b.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from plant.errors import ConfigError
from simulator.registers import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, ILLEGAL_VALUE, ModbusFault

MBAP = struct.Struct(">HHHB")
TABLES = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
MOST_WORDS, MOST_BITS, MOST_WRITTEN = 125, 2000, 123
NO_UNIT_ANSWERS = 11  # gateway target device failed to respond


class Image(Protocol):
    """The tables of one unit; both raise `ModbusFault` for what the unit does not have."""

    equipment: str

    def read(self, table: str, address: int, count: int) -> list[int]:
        """Words of a table."""

    def write(self, address: int, words: Sequence[int]) -> None:
        """Holding registers."""


class ModbusServer:
    """One port with many units. `silent` says which equipment answers nobody."""

    def __init__(self, units: Mapping[int, Image], silent: Callable[[str], bool]) -> None:
        self._units, self._silent = units, silent
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.requests = 0

    async def start(self, host: str, port: int, *, fallback: bool = False, where: str = "") -> tuple[str, int]:
        """Listen; returns the address. With `fallback` a free port is taken where `port` is in use.

        Raises:
            ConfigError: the port is in use.
        """
        try:
            self._server = await asyncio.start_server(self._serve, host, port)
        except OSError as error:
            if fallback and port and error.errno == errno.EADDRINUSE:
                return await self.start(host, 0, where=where)
            remedy = "stop the program that holds it, or change the link's port in the site file"
            raise ConfigError(f"port {port} can't be opened: {error.strerror}", where=where, remedy=remedy) from error
        found: tuple[str, int] = self._server.sockets[0].getsockname()[:2]
        return found

    async def close(self) -> None:
        """Stop listening and hang up."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.close()
        if self._server is not None:
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._one(reader, writer):
                    pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        transaction, protocol, length, unit = MBAP.unpack(await reader.readexactly(MBAP.size))
        if protocol != 0 or not 2 <= length <= 254:
            return False
        pdu = await reader.readexactly(length - 1)
        self.requests += 1
        answer = self.answer(unit, pdu)
        if answer is not None:
            writer.write(MBAP.pack(transaction, 0, len(answer) + 1, unit) + answer)
            await writer.drain()
        return True

    def answer(self, unit: int, pdu: bytes) -> bytes | None:
        """The answer to one request, None where the device keeps silent."""
        image = self._units.get(unit)
        if image is not None and self._silent(image.equipment):
            return None
        if image is None:
            return bytes((pdu[0] | 0x80, NO_UNIT_ANSWERS))
        try:
            return _execute(image, pdu)
        except ModbusFault as fault:
            return bytes((pdu[0] | 0x80, fault.code))


def _execute(image: Image, pdu: bytes) -> bytes:
    function = pdu[0]
    if function in TABLES:
        return _read(image, function, pdu)
    if function == 6:
        address, word = _fields(pdu, 5)
        image.write(address, [word])
        return pdu
    if function == 16:
        return _write_many(image, pdu)
    raise ModbusFault(ILLEGAL_FUNCTION, f"function {function} is not supported")


def _read(image: Image, function: int, pdu: bytes) -> bytes:
    address, count = _fields(pdu, 5)
    if not 1 <= count <= (MOST_BITS if function < 3 else MOST_WORDS):
        raise ModbusFault(ILLEGAL_VALUE, f"count {count}")
    if address + count > 0x10000:
        raise ModbusFault(ILLEGAL_ADDRESS, "beyond the last address")
    words = image.read(TABLES[function], address, count)
    data = _packed_bits(words) if function < 3 else struct.pack(f">{count}H", *words)
    return bytes((function, len(data))) + data


def _write_many(image: Image, pdu: bytes) -> bytes:
    if len(pdu) < 6:
        raise ModbusFault(ILLEGAL_VALUE, "request too short")
    address, count = struct.unpack_from(">HH", pdu, 1)
    if not 1 <= count <= MOST_WRITTEN or pdu[5] != 2 * count or len(pdu) != 6 + 2 * count:
        raise ModbusFault(ILLEGAL_VALUE, f"count {count} does not fit the request")
    image.write(address, struct.unpack_from(f">{count}H", pdu, 6))
    return pdu[:5]


def _fields(pdu: bytes, size: int) -> tuple[int, int]:
    if len(pdu) != size:
        raise ModbusFault(ILLEGAL_VALUE, "request of a wrong length")
    first, second = struct.unpack_from(">HH", pdu, 1)
    return first, second


def _packed_bits(bits: list[int]) -> bytes:
    found = bytearray((len(bits) + 7) // 8)
    for index, bit in enumerate(bits):
        found[index // 8] |= (bit & 1) << index % 8
    return bytes(found)
