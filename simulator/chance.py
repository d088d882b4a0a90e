"""Chance without memory: numbers that depend only on a seed and a place in time."""

from __future__ import annotations

import math
import random
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt


@cache
def seed_number(*parts: object) -> int:
    """An integer in [0, 2**31) for any seed parts, the same in every process."""
    return random.Random(":".join(map(str, parts))).getrandbits(31)


@lru_cache(maxsize=4096)
def hashed(seed: int, index: int) -> float:
    """Uniform in [-1, 1), a function of seed and index (an integer mix after Wang and Jenkins)."""
    x = (index * 0x9E3779B1 + seed * 0x85EBCA6B) & 0xFFFFFFFF
    x = ((x ^ (x >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
    x = ((x ^ (x >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
    return (x ^ (x >> 16)) / 2147483648.0 - 1.0


def hashed_all(seeds: npt.NDArray[np.uint64], index: int) -> npt.NDArray[np.float64]:
    """`hashed` of many seeds."""
    word, mask, half = np.uint64(0x45D9F3B), np.uint64(0xFFFFFFFF), np.uint64(16)
    x = (np.uint64(index * 0x9E3779B1 & 0xFFFFFFFF) + seeds * np.uint64(0x85EBCA6B)) & mask
    for _ in range(2):
        x = ((x ^ (x >> half)) * word) & mask
    return np.asarray((x ^ (x >> half)) / 2147483648.0 - 1.0, dtype=np.float64)


def smooth_noise(seed: int, time_s: float, period_s: float) -> float:
    """Noise in [-1, 1] that drifts between a hashed value every period_s [s] by half a cosine."""
    position = time_s / period_s
    index = math.floor(position)
    blend = 0.5 - 0.5 * math.cos(math.pi * (position - index))
    before = hashed(seed, index)
    return before + (hashed(seed, index + 1) - before) * blend
