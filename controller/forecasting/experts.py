"""The experts: each guesses the change of heat from now to each horizon. Vectorised over the series."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

NAMES = ("persistence", "jobs", "reversion", "ridge", "daily", "state-space")
PERSISTENCE, JOBS, REVERSION, RIDGE, DAILY, STATE_SPACE = range(len(NAMES))
_LAGS = (1, 3, 6, 15)
_MEANS = (10, 30, 120)
FEATURES = 1 + len(_LAGS) + len(_MEANS)
REACH = 1 + max(*_LAGS, *_MEANS)
"""Minutes of the past that the features of one moment need."""
RIDGE_SHARE = 0.02
FORGET = 1.0 - 1.0 / 2880.0
BINS = 288
"""The daily shape has five-minute bins."""
_DAYS = 7.0
_FARTHEST, _RAMPING = 3.0, 1.0
"""Standard deviations of the changes that have come; what is guessed beyond is extrapolation. More of them at a minute,
since ramps are rare, large and go on: with three, skill at a minute fell from 39 to 27 % on Frontier's day."""


def features(ring: Array, ago: tuple[int, ...], unit: Array) -> Array:
    """What the ridge knew `ago` minutes ago: recent differences and distances from means, (len(ago), n, FEATURES).

    ring (minutes, n), newest last; unit (n,) makes them of order one.
    """
    total = np.concatenate([np.zeros((1, ring.shape[1])), np.cumsum(ring, axis=0)])
    end = len(ring) - 1 - np.asarray(ago)
    now = ring[end]
    columns = [np.full_like(now, 0.1)]
    edge = now
    for lag in _LAGS:
        earlier = ring[end - lag]
        columns.append((edge - earlier) / unit)
        edge = earlier
    columns += [(now - (total[end + 1] - total[end + 1 - m]) / m) / unit for m in _MEANS]
    return np.stack(columns, axis=-1)


def ridge_change(gram: Array, cross: Array, known: Array, unit: Array) -> Array:
    """Change by recursive ridge regression on differences, (n, horizons): no data means no change."""
    weight = RIDGE_SHARE * np.trace(gram, axis1=1, axis2=2) / FEATURES + 1e-9
    solved = np.linalg.solve(gram + weight[:, None, None] * np.eye(FEATURES), cross)
    return np.asarray(np.einsum("nd,ndk->nk", known, solved) * unit[:, None])


def daily_change(shape: Array, minute: int, horizons: Array) -> Array:
    """Change along the learnt daily shape (n, BINS), between bin centres, (n, horizons)."""
    return _at(shape, minute + horizons) - _at(shape, np.array([minute]))


def _at(shape: Array, minutes: Array) -> Array:
    place = (minutes * BINS / 1440.0 - 0.5) % BINS
    low = np.floor(place).astype(int) % BINS
    part = place - np.floor(place)
    return np.asarray(shape[:, low] * (1 - part) + shape[:, (low + 1) % BINS] * part)


def daily_learnt(shape: Array, minute: int, base: Array, days: Array) -> Array:
    """The shape with one more value; NaN where none came. A bin takes five values a day and remembers a week."""
    place = (minute * BINS // 1440) % BINS
    rate = 1.0 - (1.0 - 1.0 / np.clip(days + 1.0, 1.0, _DAYS)) ** (BINS / 1440.0)
    fresh = np.isfinite(base)
    learnt = shape.copy()
    learnt[fresh, place] += rate[fresh] * (base[fresh] - shape[fresh, place])
    return learnt


def arma_change(arma: Array, base: Array, before: Array, innovation: Array, horizons: tuple[int, ...]) -> Array:
    """Change by an ARMA(2,1) with mean, (n, horizons); NaN parameters give NaN. arma (n, 4): c, phi1, phi2, theta."""
    constant, phi1, phi2, theta = arma.T
    last, older = constant + phi1 * base + phi2 * before + theta * innovation, base
    found = []
    for minute in range(1, max(horizons) + 1):
        if minute in horizons:
            found.append(last - base)
        last, older = constant + phi1 * last + phi2 * older, last
    return np.stack(found, axis=1)


def believed(change: Array, came2: Array, horizons: Array) -> Array:
    """Guessed changes (experts, n, horizons), less the farther they go beyond what has come; came2: its mean square.

    A step after a long flat load lies outside of all that was learnt from: experts that had seen only noise around one
    level guessed that it would all come back at once, with a band so narrow that it lay below the heat just measured.
    """
    seen2 = np.square(_FARTHEST * (1.0 + _RAMPING / horizons)) * came2
    return np.asarray(change * (seen2 / np.maximum(np.square(change), np.maximum(seen2, 1e-12))) ** 3)
