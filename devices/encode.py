"""SI to registers: what is written to a device, and what a simulated one shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from devices.decode import DTYPE, no_value, octets_of, reorder
from devices.profiles import ProfilePoint
from plant.errors import RefusedError


def encode_words(
    point: ProfilePoint, value_si: float, *, exponent: int = 0, onto: Sequence[int] | None = None
) -> list[int]:
    """The words that carry a value [SI], rounded to the device's resolution.

    exponent: of ten, where the point has `scale_from`; onto: what the register holds now, for a bit field.

    Raises:
        RefusedError: not a number, too large, or a part of a register whose other bits are not given.
    """
    raw = (value_si - point.offset) / (point.factor * 10.0**exponent)
    if not math.isfinite(raw):
        raise RefusedError(f"{point.name}: {value_si!r} can't be written, give a finite number")
    dtype = np.dtype(DTYPE[point.type])
    if point.bit is not None:
        return _words(np.array([_merged(point, round(raw), onto)], dtype=dtype), point.order)
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


def no_value_words(point: ProfilePoint, *, sunspec: bool = False) -> list[int]:
    """The words by which the device says that it has no value, e.g. for a broken sensor."""
    dtype = np.dtype(DTYPE[point.type])
    raw = np.array([0], dtype=dtype)
    if dtype.kind == "f":
        raw[0] = np.nan
    else:
        invalid = (*point.invalid, *no_value(point, sunspec=sunspec), 0)[0]
        raw = np.array([invalid], dtype=dtype.str.replace("i", "u"))
    return _words(raw, point.order)


def _merged(point: ProfilePoint, whole: int, onto: Sequence[int] | None) -> int:
    bit, ones, size = point.bit or 0, (1 << point.bit_width) - 1, 16 * point.words
    if not 0 <= whole <= ones:
        raise RefusedError(f"{point.name}: {whole} does not fit {point.bit_width} bits")
    if onto is None and point.bit_width < size:
        raise RefusedError(f"{point.name}: is a part of its register, write the whole register")
    rest = 0 if onto is None else _unsigned(point, onto)
    return rest & ~(ones << bit) | whole << bit


def _unsigned(point: ProfilePoint, words: Sequence[int]) -> int:
    octets = np.array(words, dtype=np.uint16).astype(">u2").tobytes()
    return int.from_bytes(bytes(octets[i] for i in reversed(octets_of(point))), "little")


def _words(raw: npt.NDArray[Any], order: str) -> list[int]:
    return [int(word) for word in reorder(raw.view(">u2").astype(np.uint16)[np.newaxis, :], order)[0]]
