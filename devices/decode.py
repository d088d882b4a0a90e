"""Registers to SI and back, in columns.

A decoder is compiled once for a block or a group of blocks. It gathers the octets of all points into one column of
64-bit words, whatever their type and order, and goes on with whole columns; no step visits a point on its own.

Integers of 64 bits become floats of 53: a counter beyond 9e15 keeps a relative precision of 1e-16 (1 Wh in 9 PWh).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from devices.profiles import ProfilePoint, RegisterType
from plant.quantities import Quantity

DTYPE: dict[RegisterType, str] = {
    "u16": ">u2",
    "s16": ">i2",
    "u32": ">u4",
    "s32": ">i4",
    "u64": ">u8",
    "s64": ">i8",
    "f32": ">f4",
    "f64": ">f8",
}
_UNSCALED = (Quantity.COUNT, Quantity.STATE)
_U64, _S64, _F32, _F64 = np.dtype("<u8"), np.dtype("<i8"), np.dtype("<f4"), np.dtype("<f8")
_COLUMN_OCTETS = 8
_ZERO = 0
"""The first octet of what is gathered from is a zero of our own, to widen short registers with."""
MAX_EXPONENT = 10
"""SunSpec's scale factors go from 10^-10 to 10^10."""

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Words = Sequence[int] | npt.NDArray[np.uint16] | bytes


@dataclass(frozen=True)
class _Scales:
    """SunSpec scale factors: which rows are scaled, and for each the row of its exponent."""

    rows: Indices
    given: Indices


@dataclass(frozen=True)
class _States:
    """Rows of enumerations and what they may hold; allowed: shape (rows, most states)."""

    rows: Indices
    allowed: Floats


@dataclass(frozen=True)
class _Invalid:
    """Raw words, as they lie in the column, that mean "no value"."""

    rows: Indices
    words: npt.NDArray[np.uint64]


@dataclass(frozen=True)
class BlockDecoder:
    """Turns the words of some blocks into the SI values of their points, NaN where the device gives none.

    Inside, rows are sorted: integers up to 64 signed bits, then u64, f32, f64; `places` puts them back in order.
    """

    size: int
    octets: Indices
    splits: tuple[int, int, int]
    shift: npt.NDArray[np.int64] | None
    mask: npt.NDArray[np.int64] | None
    factor: Floats
    offset: Floats | None
    places: Indices | None
    invalid: _Invalid | None
    states: _States | None
    scales: _Scales | None

    def decode(self, words: Words) -> Floats:
        """Values [SI], shape (points,), in the order of the points. words: numbers, or big-endian bytes."""
        octets = words if isinstance(words, bytes) else np.asarray(words, dtype=np.uint16).astype(">u2").tobytes()
        column = np.frombuffer(b"\0" + octets, dtype=np.uint8).take(self.octets).view(_U64)
        if self.splits[1] == self.size:
            values = self._values(column)
        else:
            with np.errstate(over="ignore", invalid="ignore"):  # only floats can be infinite, or signal
                values = self._values(column)
            values[~np.isfinite(values)] = math.nan
        return values if self.places is None else values.take(self.places)

    def _values(self, column: npt.NDArray[np.uint64]) -> Floats:
        plain = self._plain(column)
        values = plain * (self.factor if self.scales is None else self._scaled(plain, self.scales))
        if self.offset is not None:
            values += self.offset
        if self.invalid is not None:
            hit = column.take(self.invalid.rows) == self.invalid.words
            if hit.any():
                values[self.invalid.rows[hit]] = math.nan
        if self.states is not None:
            known = (plain.take(self.states.rows)[:, np.newaxis] == self.states.allowed).any(axis=1)
            if not known.all():
                values[self.states.rows[~known]] = math.nan
        return values

    def _plain(self, column: npt.NDArray[np.uint64]) -> Floats:
        """What the registers say, before any scale."""
        wide, single, double = self.splits
        numbers = column.view(_S64)
        if self.shift is not None:
            numbers = numbers >> self.shift
        if self.mask is not None:
            numbers = numbers & self.mask
        plain: Floats = numbers.astype(np.float64)
        if wide < single:
            plain[wide:single] = column[wide:single]
        if single < double:
            plain[single:double] = column[single:double].view(_F32)[::2]
        if double < self.size:
            plain[double:] = column[double:].view(_F64)
        return plain

    def _scaled(self, plain: Floats, scales: _Scales) -> Floats:
        exponents = plain[scales.given]
        exponents[~(np.abs(exponents) <= MAX_EXPONENT)] = math.nan
        factor = self.factor.copy()
        factor[scales.rows] *= 10.0**exponents
        return factor


def compile_points(points: Sequence[ProfilePoint], words: Sequence[int], *, sunspec: bool = False) -> BlockDecoder:
    """A decoder for points of which each starts at the given word.

    A point with `scale_from` needs the point of that name among `points`; without it, it has no value.
    sunspec: also counts and states have the not-implemented words of their type.
    """
    order = sorted(range(len(points)), key=lambda i: _kind(points[i]))
    rows = [points[i] for i in order]
    kinds = [_kind(p) for p in rows]
    names = {"", *(p.name for p in rows)}
    shift = np.array([_shift(p) for p in rows], dtype=np.int64)
    mask = np.array([_mask(p) for p in rows], dtype=np.int64)
    places = np.argsort(np.array(order, dtype=np.intp))
    offset = np.array([p.offset for p in rows])
    octets = [_gather(p, words[i]) for p, i in zip(rows, order, strict=True)]
    return BlockDecoder(
        size=len(points),
        octets=np.array(octets, dtype=np.intp).reshape(-1),
        splits=(kinds.count(0), kinds.count(0) + kinds.count(1), len(rows) - kinds.count(3)),
        shift=shift if shift.any() else None,
        mask=mask if (mask != -1).any() else None,
        factor=np.array([p.factor if p.scale_from in names else math.nan for p in rows]),
        offset=offset if offset.any() else None,
        places=None if np.array_equal(places, np.arange(len(rows))) else places,
        invalid=_invalid_words(rows, sunspec=sunspec),
        states=_known_states(rows),
        scales=_scale_rows(rows),
    )


def decode_words(point: ProfilePoint, words: Sequence[int], *, exponent: int = 0, sunspec: bool = False) -> float:
    """One point's value [SI]; NaN if the device gives none. exponent: of ten, where it has `scale_from`."""
    alone = point.model_copy(update={"scale": point.scale * 10.0**exponent, "scale_from": ""})
    return float(compile_points([alone], [0], sunspec=sunspec).decode(words)[0])


def _kind(point: ProfilePoint) -> int:
    """The stretch of rows that a point belongs to."""
    whole_u64 = point.type == "u64" and point.bit is None
    return {"f32": 2, "f64": 3}.get(point.type, 1 if whole_u64 else 0)


def octets_of(point: ProfilePoint) -> list[int]:
    """Where its octets lie in its own words, most significant first."""
    size = 2 * point.words
    found = list(range(size))
    if point.order in ("BADC", "DCBA"):
        found = [i ^ 1 for i in found]
    if point.order in ("CDAB", "DCBA"):
        found = [size - 2 - (i & ~1) + (i & 1) for i in found]
    return found


def _gather(point: ProfilePoint, word: int) -> list[int]:
    """Octets of its row in the column, least significant first.

    Signed integers lie at the upper end, so that a shift brings their sign along.
    """
    own = [1 + 2 * word + i for i in reversed(octets_of(point))]
    padding = [_ZERO] * (_COLUMN_OCTETS - len(own))
    return padding + own if point.type.startswith("s") else own + padding


def _shift(point: ProfilePoint) -> int:
    return 64 - 16 * point.words if point.type.startswith("s") else point.bit or 0


def _mask(point: ProfilePoint) -> int:
    return -1 if point.bit is None else (1 << point.bit_width) - 1


def _invalid_words(rows: Sequence[ProfilePoint], *, sunspec: bool) -> _Invalid | None:
    pairs = [
        (row, (word & (1 << 16 * point.words) - 1) << (_shift(point) if point.type.startswith("s") else 0))
        for row, point in enumerate(rows)
        for word in (*point.invalid, *no_value(point, sunspec=sunspec))
    ]
    if not pairs:
        return None
    return _Invalid(np.array([r for r, _ in pairs], dtype=np.intp), np.array([w for _, w in pairs], dtype=np.uint64))


def _known_states(rows: Sequence[ProfilePoint]) -> _States | None:
    chosen = [row for row, point in enumerate(rows) if point.states]
    if not chosen:
        return None
    most = max(len(rows[row].states) for row in chosen)
    allowed = [(list(rows[row].states) * most)[:most] for row in chosen]
    return _States(np.array(chosen, dtype=np.intp), np.array(allowed, dtype=np.float64))


def _scale_rows(rows: Sequence[ProfilePoint]) -> _Scales | None:
    names = {point.name: row for row, point in enumerate(rows)}
    chosen = [row for row, point in enumerate(rows) if point.scale_from in names]
    if not chosen:
        return None
    return _Scales(
        rows=np.array(chosen, dtype=np.intp),
        given=np.array([names[rows[row].scale_from] for row in chosen], dtype=np.intp),
    )


def reorder(words: npt.NDArray[np.uint16], order: str) -> npt.NDArray[np.uint16]:
    """Between the device's order and big-endian; each order is its own inverse."""
    if order in ("CDAB", "DCBA"):
        words = words[:, ::-1]
    return words.byteswap() if order in ("BADC", "DCBA") else words


def no_value(point: ProfilePoint, *, sunspec: bool) -> tuple[int, ...]:
    """What most devices put for a missing measurement: all ones, or of signed numbers the smallest.

    All ones of a signed register are -1, which most devices mean so; what another means its profile names (`invalid`).
    Counts and states may use every word, so they have only what their profile names; SunSpec has a word for each type.
    """
    bits = 16 * point.words
    ones, smallest = (1 << bits) - 1, 1 << (bits - 1)
    if point.type.startswith("f"):
        return ()
    if point.quantity in _UNSCALED and not sunspec:
        return ()
    return (smallest,) if point.type.startswith("s") else (ones,)
