"""How a batch lies in the spool: length, CRC-32 and a zlib-packed body of columns."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from plant.errors import PermanentError
from plant.samples import SampleBatch

HEADER = struct.Struct("<III")
"""Body length [bytes], CRC-32 of the body, samples in it."""
_MAX_BODY = 64 * 1024 * 1024


class _Columns(msgspec.Struct, array_like=True):
    names: list[str]
    index: bytes
    time_s: bytes
    received_s: bytes
    value: bytes
    code: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Columns)


def encode_frame(batch: SampleBatch) -> bytes:
    """Header and body of one batch."""
    used, index = np.unique(batch.index, return_inverse=True)
    columns = _Columns(
        [batch.names[i] for i in used.tolist()],
        index.astype("<u4").tobytes(),
        batch.time_s.astype("<f8").tobytes(),
        batch.received_s.astype("<f8").tobytes(),
        batch.value.astype("<f8").tobytes(),
        batch.code.astype("<i4").tobytes(),
    )
    body = zlib.compress(_encoder.encode(columns), 1)
    return HEADER.pack(len(body), zlib.crc32(body), len(batch)) + body


def decode_body(body: bytes) -> SampleBatch:
    """The batch of a checked body.

    Raises:
        PermanentError: the body is not of this form.
    """
    try:
        columns = _decoder.decode(zlib.decompress(body))
        return SampleBatch(
            names=tuple(columns.names),
            index=_indices(columns),
            time_s=_column(columns.time_s, "<f8", np.float64),
            received_s=_column(columns.received_s, "<f8", np.float64),
            value=_column(columns.value, "<f8", np.float64),
            code=_column(columns.code, "<i4", np.int32),
        )
    except (msgspec.MsgspecError, zlib.error, IndexError, ValueError) as error:
        raise PermanentError(f"spool frame of {len(body)} bytes: {error}") from error


def scan(data: bytes, start: int = 0) -> Iterator[tuple[int, int, int]]:
    """(start, end, samples) of each whole frame; ends at the first torn or damaged one."""
    while (frame := frame_at(data, start)) is not None:
        yield start, *frame
        start = frame[0]


def frame_at(data: bytes, start: int) -> tuple[int, int] | None:
    """(end, samples) of the frame at `start`; None if torn or damaged."""
    if start + HEADER.size > len(data):
        return None
    length, crc, samples = HEADER.unpack_from(data, start)
    end = start + HEADER.size + length
    if length > _MAX_BODY or end > len(data) or zlib.crc32(data[start + HEADER.size : end]) != crc:
        return None
    return end, samples


def _indices(columns: _Columns) -> Any:
    index = np.frombuffer(columns.index, dtype="<u4").astype(np.intp)
    if index.size and int(index.max()) >= len(columns.names):
        raise ValueError("a row of a point that is not named")
    return index


def _column(data: bytes, wire: str, dtype: Any) -> Any:
    return np.frombuffer(data, dtype=wire).astype(dtype)
