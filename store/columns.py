"""Columns in few bytes: integers by difference and byte plane, decimals as integers of their resolution, then zlib.

Everything here is lossless, apart from means, which `rounded` to 1/32 of the series' own resolution.
"""

from __future__ import annotations

import zlib
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from plant.errors import StoreError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# value = count / divisor * factor: how device counts become SI (devices.profiles, plant.quantities)
_FACTORS = (3.6e6, 1e6, 3.6e3, 1e3, 100.0, 1.0, 1 / 60, 0.1, 0.01, 1e-3, 1e-4, 1 / 60_000)
_DIVISORS = (1.0, 10.0, 100.0, 1000.0)
RESOLUTIONS = sorted(((d, f) for f in _FACTORS for d in _DIVISORS), key=lambda r: (-r[1] / r[0], r[0]))
_MAX_COUNT = 2.0**52
_LEVEL = 6

Resolution = tuple[float, float]


def pack(columns: list[Any]) -> bytes:
    """One blob of plain lists and bytes."""
    return zlib.compress(msgspec.msgpack.encode(columns), _LEVEL)


def unpack(blob: bytes) -> list[Any]:
    """The inverse of `pack`.

    Raises:
        StoreError: the blob is damaged.
    """
    try:
        return msgspec.msgpack.decode(zlib.decompress(blob), type=list[Any])
    except (zlib.error, msgspec.DecodeError) as error:
        raise StoreError(f"history: a packed hour is damaged ({error}); restore it from a backup") from error


def pack_ints(values: Ints) -> list[Any]:
    """Differences from the usual difference, in the narrowest integers, byte planes apart."""
    steps = np.diff(values)
    usual = int(np.median(steps)) if len(steps) else 0
    rest = steps - usual
    width = next(w for w in (1, 2, 4, 8) if not len(rest) or _fits(rest, w))
    planes = rest.astype(f"<i{width}").view(np.uint8).reshape(-1, width).T
    return [len(values), int(values[0]) if len(values) else 0, usual, width, planes.tobytes()]


def _fits(values: Ints, width: int) -> bool:
    limit = np.iinfo(f"i{width}")
    return bool(values.min() >= limit.min and values.max() <= limit.max)


def unpack_ints(packed: list[Any]) -> Ints:
    """The inverse of `pack_ints`."""
    count, first, usual, width, data = packed
    if not count:
        return np.empty(0, np.int64)
    planes = np.frombuffer(data, np.uint8).reshape(width, count - 1)
    rest = np.ascontiguousarray(planes.T).view(f"<i{width}").reshape(-1).astype(np.int64)
    values: Ints = first + np.concatenate((np.zeros(1, np.int64), np.cumsum(rest + usual)))
    return values


def resolution_of(values: Floats) -> Resolution | None:
    """The coarsest known resolution of which every value is exactly a multiple; None if there is none."""
    for resolution in RESOLUTIONS:
        if _is_multiple(values[:16], resolution) and _is_multiple(values, resolution):
            return resolution
    return None


def _counts(values: Floats, resolution: Resolution) -> Floats:
    divisor, factor = resolution
    with np.errstate(over="ignore"):  # infinite counts are no multiples
        return np.rint(values / factor * divisor)


def _is_multiple(values: Floats, resolution: Resolution) -> bool:
    divisor, factor = resolution
    counts = _counts(values, resolution)
    return bool(np.all(np.abs(counts) < _MAX_COUNT) and np.array_equal(_bits(counts / divisor * factor), _bits(values)))


def _bits(values: Floats) -> Ints:
    bits: Ints = np.ascontiguousarray(values).view(np.int64)
    return bits


def rounded(values: Floats, resolution: Resolution | None) -> tuple[Floats, Resolution | None]:
    """Means at 1/32 of the series' resolution, or in single precision where that is unknown (or too fine to count)."""
    if resolution is None:
        return values.astype(np.float32).astype(np.float64), None
    finer = (resolution[0] * 32, resolution[1])
    means = _counts(values, finer) / finer[0] * finer[1]
    return (means, finer) if _is_multiple(means[np.isfinite(means)], finer) else (values, None)


def pack_floats(values: Floats, resolution: Resolution | None = None) -> list[Any]:
    """Exact values; NaN by a bit mask. As counts of a resolution, else single, else double precision."""
    missing = np.isnan(values)
    mask = np.packbits(missing).tobytes() if missing.any() else b""
    present = values[~missing]
    known = resolution if resolution and _is_multiple(present, resolution) else resolution_of(present)
    if known is not None:
        return [len(values), mask, list(known), pack_ints(_counts(present, known).astype(np.int64))]
    with np.errstate(over="ignore"):
        single = present.astype("<f4")
    plain = single if np.array_equal(single.astype(np.float64), present) else present.astype("<f8")
    width = plain.dtype.itemsize
    return [len(values), mask, width, plain.view(np.uint8).reshape(-1, width).T.tobytes()]


def unpack_floats(packed: list[Any]) -> Floats:
    """The inverse of `pack_floats`."""
    count, mask, form, data = packed
    present = _present(form, data)
    if not mask:
        return present
    missing = np.unpackbits(np.frombuffer(mask, np.uint8), count=count).astype(bool)
    values = np.full(count, np.nan)
    values[~missing] = present
    return values


def _present(form: list[float] | int, data: Any) -> Floats:
    if isinstance(form, int):
        planes = np.frombuffer(data, np.uint8).reshape(form, -1)
        return np.ascontiguousarray(planes.T).view(f"<f{form}").reshape(-1).astype(np.float64)
    divisor, factor = form
    values: Floats = unpack_ints(data) / divisor * factor
    return values
