"""Registers to SI and back, in columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from devices.profiles import ProfilePoint, RegisterType
from plant.errors import RefusedError
from plant.quantities import Quantity

_DTYPE: dict[RegisterType, str] = {
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

Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class _Column:
    """Points of one register type and word order: where their words lie, and how to scale them."""

    slots: npt.NDArray[np.intp]
    words: npt.NDArray[np.intp]
    type: RegisterType
    order: str
    factor: Floats
    offset: Floats
    invalid: tuple[npt.NDArray[np.uint64], ...]
    states: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class BlockDecoder:
    """Turns one block of words into the SI values of its points, NaN where the device gives none."""

    size: int
    columns: tuple[_Column, ...]

    def decode(self, words: Sequence[int]) -> Floats:
        """Values [SI], shape (points,), in the order of the points."""
        block = np.asarray(words, dtype=np.uint16)
        values = np.empty(self.size, dtype=np.float64)
        for column in self.columns:
            values[column.slots] = _decode_column(column, block)
        return values


def compile_block(points: Sequence[ProfilePoint], first: int) -> BlockDecoder:
    """A decoder for a block that starts at address `first` and holds `points`."""
    kinds = list(dict.fromkeys((p.type, p.order) for p in points))
    columns = tuple(_column(points, first, kind, order) for kind, order in kinds)
    return BlockDecoder(size=len(points), columns=columns)


def decode_words(point: ProfilePoint, words: Sequence[int]) -> float:
    """One point's value [SI]; NaN if the device says that there is none."""
    return float(compile_block([point], point.address or 0).decode(words)[0])


def encode_words(point: ProfilePoint, value_si: float) -> list[int]:
    """The words that carry a value [SI], rounded to the device's resolution.

    Raises:
        RefusedError: not a number, or too large for the register.
    """
    raw = (value_si - point.offset) / point.factor
    if not math.isfinite(raw):
        raise RefusedError(f"{point.name}: {value_si!r} can't be written, give a finite number")
    dtype = np.dtype(_DTYPE[point.type])
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            array = np.array([raw], dtype=dtype)
        fits = bool(np.isfinite(array[0]))
    else:
        whole = round(raw)
        bounds = np.iinfo(dtype)
        fits = int(bounds.min) <= whole <= int(bounds.max)
        array = np.array([whole if fits else 0], dtype=dtype)
    if not fits:
        raise RefusedError(f"{point.name}: {value_si!r} does not fit a {point.type} register of scale {point.scale:g}")
    return _words(array, point.order)


def no_value_words(point: ProfilePoint) -> list[int]:
    """The words by which the device says that it has no value, e.g. for a broken sensor."""
    dtype = np.dtype(_DTYPE[point.type])
    raw = np.array([0], dtype=dtype)
    if dtype.kind == "f":
        raw[0] = np.nan
    else:
        raw = np.array([(*point.invalid, *_no_value(point), 0)[0]], dtype=dtype.str.replace("i", "u"))
    return _words(raw, point.order)


def _column(points: Sequence[ProfilePoint], first: int, kind: RegisterType, order: str) -> _Column:
    slots = [i for i, p in enumerate(points) if (p.type, p.order) == (kind, order)]
    chosen = [points[i] for i in slots]
    starts = np.array([(p.address or 0) - first for p in chosen], dtype=np.intp)
    return _Column(
        slots=np.array(slots, dtype=np.intp),
        words=starts[:, np.newaxis] + np.arange(chosen[0].words, dtype=np.intp),
        type=kind,
        order=order,
        factor=np.array([p.factor for p in chosen]),
        offset=np.array([p.offset for p in chosen]),
        invalid=tuple(np.array([*p.invalid, *_no_value(p)], dtype=np.uint64) for p in chosen),
        states=tuple(tuple(p.states) for p in chosen),
    )


def _decode_column(column: _Column, block: Words) -> Floats:
    words = _reorder(block[column.words], column.order)
    dtype = np.dtype(_DTYPE[column.type])
    octets = np.ascontiguousarray(words.astype(">u2"))
    raw = octets.view(dtype)[:, 0].astype(np.float64)
    unsigned = octets.view(f">u{dtype.itemsize}")[:, 0]
    with np.errstate(over="ignore", invalid="ignore"):
        values: Floats = raw * column.factor + column.offset
    for row, (invalid, states) in enumerate(zip(column.invalid, column.states, strict=True)):
        if unsigned[row] in invalid or (states and raw[row] not in states) or not math.isfinite(raw[row]):
            values[row] = math.nan
    return values


def _words(raw: npt.NDArray[Any], order: str) -> list[int]:
    return [int(word) for word in _reorder(raw.view(">u2").astype(np.uint16)[np.newaxis, :], order)[0]]


def _reorder(words: Words, order: str) -> Words:
    """Between the device's order and big-endian; each order is its own inverse."""
    if order in ("CDAB", "DCBA"):
        words = words[:, ::-1]
    return words.byteswap() if order in ("BADC", "DCBA") else words


def _no_value(point: ProfilePoint) -> tuple[int, ...]:
    """What most devices put for a missing measurement: all ones, or the smallest signed number.

    Counts and states may use every word, so they have only what their profile names.
    """
    bits = 16 * point.words
    if point.quantity in _UNSCALED or point.type.startswith("f"):
        return ()
    ones, smallest = (1 << bits) - 1, 1 << (bits - 1)
    return (smallest, ones) if point.type.startswith("s") else (ones,)
