"""Modbus frames as bytes: requests out, answers checked against the request that they must answer.

Source: MODBUS Application Protocol 1.1b3, MODBUS Messaging on TCP/IP 1.0b, MODBUS over Serial Line 1.02 (CRC, RTU).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np

from devices.profiles import Table
from plant.errors import RefusedError

MAX_WORDS = 125
"""Registers in one read."""
MAX_BITS = 2000
MAX_WRITTEN = 123

_MBAP = struct.Struct(">HHHB")
_ASK = struct.Struct(">BHH")
_READS: dict[Table, int] = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
_WRITE_ONE, _WRITE_MANY = 6, 16
_EXCEPTION = 0x80
_MAX_PDU = 253


class FrameError(Exception):
    """What came is no answer to what was asked; the connection can't be trusted any more."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked, and what a right answer looks like: its first bytes and its whole size."""

    unit: int
    pdu: bytes
    head: bytes
    size: int
    trims: int

    def check(self, pdu: bytes) -> bytes:
        """The payload of the answer; for an exception its PDU of two bytes.

        Raises:
            FrameError: another function, length or echo than was asked for.
        """
        if len(pdu) == self.size and pdu.startswith(self.head):
            return pdu[self.trims :]
        if len(pdu) == 2 and pdu[0] == self.pdu[0] | _EXCEPTION:
            raise ExceptionAnswer(pdu[1])
        if pdu[0] not in (self.pdu[0], self.pdu[0] | _EXCEPTION):
            raise FrameError(f"function {pdu[0]} answers function {self.pdu[0]}")
        if len(pdu) != self.size:
            raise FrameError(f"the answer has {len(pdu)} bytes instead of {self.size}")
        raise FrameError("the answer does not fit the request")


class ExceptionAnswer(Exception):  # noqa: N818 - the field's own word is "exception"
    """The device answered with an exception code."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"exception {code}")


@lru_cache(maxsize=8192)
def read_request(unit: int, table: Table, address: int, count: int) -> Request:
    """Ask for words, or bits, of a table.

    Raises:
        RefusedError: more than one read can hold, or beyond the last address.
    """
    bits = table in ("coil", "discrete")
    if not 1 <= count <= (MAX_BITS if bits else MAX_WORDS) or not 0 <= address <= 0x10000 - count:
        raise RefusedError(f"{table} {address}+{count} can't be read in one request")
    function = _READS[table]
    octets = (count + 7) // 8 if bits else 2 * count
    return Request(unit, _ASK.pack(function, address, count), bytes((function, octets)), 2 + octets, 2)


def write_request(unit: int, address: int, words: Sequence[int]) -> Request:
    """Write holding registers: function 6 for one, 16 for more.

    Raises:
        RefusedError: more than one write can hold, or beyond the last address.
    """
    count = len(words)
    if not 1 <= count <= MAX_WRITTEN or not 0 <= address <= 0x10000 - count:
        raise RefusedError(f"holding {address}+{count} can't be written in one request")
    if count == 1:
        pdu = _ASK.pack(_WRITE_ONE, address, words[0])
        return Request(unit, pdu, pdu, len(pdu), 0)
    head = _ASK.pack(_WRITE_MANY, address, count)
    return Request(unit, head + struct.pack(f">B{count}H", 2 * count, *words), head, len(head), 0)


def bits_as_words(payload: bytes, count: int) -> bytes:
    """Packed bits as big-endian words 0 and 1, so that one decoder serves every table."""
    bits = np.unpackbits(np.frombuffer(payload, dtype=np.uint8), count=count, bitorder="little")
    return bits.astype(">u2").tobytes()


class Frame(NamedTuple):
    """One answer as it came. transaction: None where the framing has no ids."""

    transaction: int | None
    unit: int
    pdu: bytes


class Framing(Protocol):
    """How a PDU travels."""

    has_ids: bool

    def wrap(self, transaction: int, request: Request) -> bytes:
        """The bytes of a request."""
        ...

    def take(self, data: bytes, request: Request | None) -> tuple[Frame | None, bytes]:
        """The first whole frame of `data`, None if it is not complete yet, and the rest.

        Raises:
            FrameError: these bytes never become a frame.
        """
        ...


class TcpFraming:
    """Modbus TCP, with or without TLS: a header with transaction id and length."""

    has_ids = True

    def wrap(self, transaction: int, request: Request) -> bytes:
        """The bytes of a request."""
        return _MBAP.pack(transaction, 0, len(request.pdu) + 1, request.unit) + request.pdu

    def take(self, data: bytes, request: Request | None) -> tuple[Frame | None, bytes]:  # noqa: ARG002 - the seam's
        """The first whole frame of `data`, and the rest."""
        if len(data) < _MBAP.size:
            return None, data
        transaction, protocol, length, unit = _MBAP.unpack_from(data)
        if protocol or not 3 <= length <= _MAX_PDU + 1:
            raise FrameError("the answer is not Modbus TCP")
        end = 6 + length
        if len(data) < end:
            return None, data
        return Frame(transaction, unit, data[7:end]), data[end:]


class RtuFraming:
    """RTU frames over TCP, as serial device servers pass them on: no ids, no length, a CRC."""

    has_ids = False

    def wrap(self, transaction: int, request: Request) -> bytes:  # noqa: ARG002 - the seam's
        """The bytes of a request."""
        frame = bytes((request.unit,)) + request.pdu
        return frame + crc16(frame).to_bytes(2, "little")

    def take(self, data: bytes, request: Request | None) -> tuple[Frame | None, bytes]:
        """The first whole frame of `data`, and the rest; without a request nothing tells where a frame ends."""
        if request is None:
            raise FrameError("bytes that nobody asked for")
        if len(data) < 2:
            return None, data
        end = 3 + (2 if data[1] & _EXCEPTION else request.size)
        if len(data) < end:
            return None, data
        if len(data) > end:
            raise FrameError(f"the answer has more than {end} bytes")
        if crc16(data[:-2]) != int.from_bytes(data[-2:], "little"):
            raise FrameError("the answer's CRC is wrong")
        return Frame(None, data[0], data[1:-2]), b""


def crc16(data: bytes) -> int:
    """CRC-16 of the serial line: polynomial 0xA001, from 0xFFFF."""
    crc = 0xFFFF
    for octet in data:
        crc = crc >> 8 ^ _CRC[(crc ^ octet) & 0xFF]
    return crc


def _crc_entry(octet: int) -> int:
    for _ in range(8):
        octet = octet >> 1 ^ (0xA001 if octet & 1 else 0)
    return octet


_CRC = tuple(_crc_entry(octet) for octet in range(256))
