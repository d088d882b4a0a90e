"""How batches lie in the spool: a segment's mark, then frames of a header and a body of columns.

Every frame stands alone: it starts with a magic word, so that damage costs one frame and reading goes on behind it, and
it names its own points, so that no other frame's damage can cost it. Times, codes and indices go as runs, values with
their bytes transposed: little is left for zlib to do, which is what makes it cheap. Frames of the first format (no
magic, a body packed whole) are still read.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from plant.errors import PermanentError
from plant.points import PointId
from plant.samples import SampleBatch

SEGMENT_MARK = b"CPSPOOL2"
"""The first bytes of a segment of the present format."""
MAGIC = b"\xf5CP\x02"
HEADER = struct.Struct("<4sIIId")
"""Magic word, CRC-32 of all that follows, body length [bytes], samples, newest receive time [s since 1970]."""
_CHECKED_FROM = 8
_OLD_HEADER = struct.Struct("<III")
_OLD_BODY = 0x78  # the first byte of zlib's data; the present body is a list, which starts otherwise
_MAX_BODY = 64 * 1024 * 1024
_MAX_CACHED_NAMES = 500_000
_SPARSE = 4


class Found(NamedTuple):
    """A whole frame in some bytes: where it and its body start, where it ends, what it holds."""

    start: int
    body: int
    end: int
    samples: int
    newest_s: float


class _Column(msgspec.Struct, array_like=True):
    """values: one a run where `lengths` are given, else one a row with the bytes transposed."""

    values: bytes
    lengths: bytes


class _Columns(msgspec.Struct, array_like=True):
    index_step: _Column
    time_s: _Column
    received_s: _Column
    value: _Column
    code: _Column


class _Body(msgspec.Struct, array_like=True):
    tables: list[bytes]
    columns: bytes


class _OldColumns(msgspec.Struct, array_like=True):
    names: list[str]
    index: bytes
    time_s: bytes
    received_s: bytes
    value: bytes
    code: bytes


_encoder = msgspec.msgpack.Encoder()
_names_decoder = msgspec.msgpack.Decoder(list[str])
_columns_decoder = msgspec.msgpack.Decoder(_Columns)
_body_decoder = msgspec.msgpack.Decoder(_Body)
_old_decoder = msgspec.msgpack.Decoder(_OldColumns)


class FrameEncoder:
    """Makes frames. Remembers the tables of names it has packed: links send the same ones over and over."""

    def __init__(self) -> None:
        self._packed: dict[int, tuple[tuple[PointId, ...], bytes]] = {}
        self._cached_names = 0

    def encode(self, batches: Sequence[SampleBatch]) -> bytes:
        """Some batches as one frame, rows in order."""
        tables, index = self._tables(batches)
        received_s = _joined([b.received_s for b in batches], "<f8")
        columns = _Columns(
            _pack(np.diff(index, prepend=0).astype("<i4")),
            _pack(_joined([b.time_s for b in batches], "<f8")),
            _pack(received_s),
            _pack(_joined([b.value for b in batches], "<f8")),
            _pack(_joined([b.code for b in batches], "<i4")),
        )
        body = _encoder.encode(_Body(tables, zlib.compress(_encoder.encode(columns), 1)))
        finite = received_s[np.isfinite(received_s)]
        newest_s = float(finite.max()) if finite.size else np.inf
        checked = HEADER.pack(MAGIC, 0, len(body), len(index), newest_s)[_CHECKED_FROM:]
        return MAGIC + struct.pack("<I", zlib.crc32(body, zlib.crc32(checked))) + checked + body

    def _tables(self, batches: Sequence[SampleBatch]) -> tuple[list[bytes], Any]:
        """The tables of names that occur, packed, and each row's place in all of them together."""
        rows = Counter[int]()
        for batch in batches:
            rows[id(batch.names)] += len(batch)
        tables: list[bytes] = []
        places: dict[int, Any] = {}
        offset = 0
        for key, names in {id(b.names): b.names for b in batches}.items():
            if _SPARSE * rows[key] >= len(names):
                tables.append(self._table(names))
                places[key], count = offset, len(names)
            else:
                used = np.unique(np.concatenate([b.index for b in batches if b.names is names]))
                tables.append(_pack_names([names[i] for i in used.tolist()]))
                place = np.zeros(len(names), np.intp)
                place[used] = np.arange(offset, offset + len(used))
                places[key], count = place, len(used)
            offset += count
        index = [b.index + at if isinstance(at := places[id(b.names)], int) else at[b.index] for b in batches]
        return tables, np.concatenate(index)

    def _table(self, names: tuple[PointId, ...]) -> bytes:
        known = self._packed.get(id(names))
        if known is None:  # the tuple is kept with it, so that its id stays its own
            if self._cached_names > _MAX_CACHED_NAMES:
                self._packed.clear()
                self._cached_names = 0
            known = self._packed[id(names)] = (names, _pack_names(names))
            self._cached_names += len(names)
        return known[1]


class FrameDecoder:
    """Reads bodies of both formats. Remembers the tables of names it has unpacked."""

    def __init__(self) -> None:
        self._unpacked: dict[bytes, tuple[PointId, ...]] = {}
        self._cached_names = 0

    def decode(self, body: bytes) -> SampleBatch:
        """The batch of a checked body.

        Raises:
            PermanentError: the body is not of this form.
        """
        try:
            return _even(_old_batch(body) if body[:1] == bytes([_OLD_BODY]) else self._batch(body))
        except (msgspec.MsgspecError, zlib.error, IndexError, ValueError) as error:
            raise PermanentError(f"spool frame of {len(body)} bytes: {error}") from error

    def _batch(self, body: bytes) -> SampleBatch:
        outer = _body_decoder.decode(body)
        columns = _columns_decoder.decode(zlib.decompress(outer.columns))
        names, place = self._names(outer.tables)
        index = np.cumsum(_unpack(columns.index_step, "<i4"), dtype=np.intp)
        _require_named(index, len(names) if place is None else len(place))
        return SampleBatch(
            names=names,
            index=index if place is None else place[index],
            time_s=_unpack(columns.time_s, "<f8"),
            received_s=_unpack(columns.received_s, "<f8"),
            value=_unpack(columns.value, "<f8"),
            code=_unpack(columns.code, "<i4"),
        )

    def _names(self, tables: list[bytes]) -> tuple[tuple[PointId, ...], Any]:
        """All names, each once, and the place of each table row among them (None: its own)."""
        if len(tables) == 1:
            return self._table(tables[0]), None
        every = [name for table in tables for name in self._table(table)]
        slot = {name: i for i, name in enumerate(dict.fromkeys(every))}
        place = None if len(slot) == len(every) else np.array([slot[name] for name in every], dtype=np.intp)
        return tuple(slot), place

    def _table(self, packed: bytes) -> tuple[PointId, ...]:
        known = self._unpacked.get(packed)
        if known is None:
            if self._cached_names > _MAX_CACHED_NAMES:
                self._unpacked.clear()
                self._cached_names = 0
            known = self._unpacked[packed] = tuple(_names_decoder.decode(zlib.decompress(packed)))
            self._cached_names += len(known)
        return known


def frame_at(data: bytes, start: int) -> Found | None:
    """The frame at `start`; None if torn or damaged."""
    body = start + HEADER.size
    if body > len(data) or data[start : start + len(MAGIC)] != MAGIC:
        return None
    _, crc, length, samples, newest_s = HEADER.unpack_from(data, start)
    end = body + length
    if length > _MAX_BODY or end > len(data) or zlib.crc32(memoryview(data)[start + _CHECKED_FROM : end]) != crc:
        return None
    return Found(start, body, end, samples, newest_s)


def old_frame_at(data: bytes, start: int) -> Found | None:
    """The frame of the first format at `start`; None if torn or damaged. Its age is not known."""
    body = start + _OLD_HEADER.size
    if body > len(data):
        return None
    length, crc, samples = _OLD_HEADER.unpack_from(data, start)
    end = body + length
    if length > _MAX_BODY or end > len(data) or zlib.crc32(memoryview(data)[body:end]) != crc:
        return None
    return Found(start, body, end, samples, np.inf)


def next_frame(data: bytes, start: int, *, old: bool = False) -> Found | None:
    """The first whole frame at `start` or, past damage, behind it; the first format has no way past damage."""
    if old:
        return old_frame_at(data, start)
    while start >= 0:
        frame = frame_at(data, start)
        if frame is not None:
            return frame
        start = data.find(MAGIC, start + 1)
    return None


def scan(data: bytes, start: int = 0, *, old: bool = False) -> Iterator[Found]:
    """Each whole frame from `start` on; a gap between two of them is damage."""
    while (frame := next_frame(data, start, old=old)) is not None:
        yield frame
        start = frame.end


def is_old(data: bytes) -> bool:
    """Whether a segment is of the first format. One whose mark is damaged is not taken for it."""
    return not data.startswith(SEGMENT_MARK) and old_frame_at(data, 0) is not None


def _joined(columns: list[Any], wire: str) -> Any:
    return np.ascontiguousarray(columns[0] if len(columns) == 1 else np.concatenate(columns), dtype=wire)


def _pack_names(names: Sequence[PointId]) -> bytes:
    return zlib.compress(_encoder.encode(names), 1)


def _pack(column: Any) -> _Column:
    bits = column.view(f"<i{column.itemsize}")  # NaN equals itself, and 0.0 is not -0.0
    change = np.flatnonzero(bits[1:] != bits[:-1]) + 1
    if 4 * len(change) > len(column) or not len(column):
        return _Column(column.view(np.uint8).reshape(-1, column.itemsize).T.tobytes(), b"")
    starts = np.concatenate([[0], change])
    lengths = np.diff(starts, append=len(column)).astype("<u4")
    return _Column(column[starts].tobytes(), lengths.tobytes())


def _unpack(column: _Column, wire: str) -> Any:
    dtype = np.dtype(wire)
    if column.lengths:
        values = np.frombuffer(column.values, dtype=dtype)
        return np.repeat(values, np.frombuffer(column.lengths, dtype="<u4")).astype(dtype.newbyteorder("="))
    planes = np.frombuffer(column.values, dtype=np.uint8).reshape(dtype.itemsize, -1)
    return np.ascontiguousarray(planes.T).view(dtype).reshape(-1).astype(dtype.newbyteorder("="))


def _require_named(index: Any, names: int) -> None:
    if index.size and not 0 <= int(index.min()) <= int(index.max()) < names:
        raise ValueError("a row of a point that is not named")


def _even(batch: SampleBatch) -> SampleBatch:
    if len({len(column) for column in (batch.index, batch.time_s, batch.received_s, batch.value, batch.code)}) > 1:
        raise ValueError("columns of different lengths")
    return batch


def _old_batch(body: bytes) -> SampleBatch:
    columns = _old_decoder.decode(zlib.decompress(body))
    index = np.frombuffer(columns.index, dtype="<u4").astype(np.intp)
    _require_named(index, len(columns.names))
    return SampleBatch(
        names=tuple(columns.names),
        index=index,
        time_s=np.frombuffer(columns.time_s, dtype="<f8").astype(np.float64),
        received_s=np.frombuffer(columns.received_s, dtype="<f8").astype(np.float64),
        value=np.frombuffer(columns.value, dtype="<f8").astype(np.float64),
        code=np.frombuffer(columns.code, dtype="<i4").astype(np.int32),
    )
