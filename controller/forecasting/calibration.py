"""Bands that cover what they say: quantiles of the normalised error, followed online, whatever the errors look like.

Score = error / scale, where the scale knows the recent errors and the uncertainty of announced jobs. Each quantile is
moved up when a score lies above it and down when below, so that in the long run the right share lies above it
(adaptive conformal inference as quantile tracking: Gibbs and Candès 2021; Angelopoulos, Candès and Tibshirani 2023).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

Array = npt.NDArray[np.float64]

LOWER = (0.025, 0.05, 0.1)
UPPER = (0.9, 0.95, 0.975)
QUANTILES = (*LOWER, 0.5, *UPPER)
LEVELS = np.array([*LOWER, *UPPER])[:, None, None]
PRIOR_MINUTES = 60.0
"""The ramp band counts as this many minutes of errors, for the first hour has not seen the rare steps of load."""
_YOUNG_MINUTES = 4 * PRIOR_MINUTES
"""Until errors count four times as much as the ramp band: a day of it narrowed outdoor bands to 94.4 % for 95."""
MEMORY_MINUTES = 720.0
_FAST, _SLOW, _SETTLE_MINUTES = 0.20, 0.02, 160.0
_SETTLED_MINUTES = _SETTLE_MINUTES * (_FAST / _SLOW - 1.0)
_NEAR_MINUTES = 15.0
"""Up to here a first day has many errors to learn from, and steps of load make most of them small and a few large.

There a normal quantile is far too wide for the middle 80 %: it covered 82 to 89 % of the first day of loads with steps,
until the first moves were twice as large. At an hour or two a day shows too little: larger moves there cover Frontier's
day better, and the same day backwards, random walks and switching loads worse (70 to 75 %).
"""


def first_scores(series: int, horizons: int) -> Array:
    """Quantiles of a normal score, (6, series, horizons): where the tracking starts."""
    return np.broadcast_to(ndtri(LEVELS), (len(LEVELS), series, horizons)).copy()


def followed(scores: Array, score: Array, told: Array, seen: Array, horizons: Array) -> Array:
    """The tracked quantiles after one more score (series, horizons), NaN where none came; seen: scores so far.

    told: the quantiles that the forecast was made with. It is they that must cover: judged by today's instead, which
    have learnt meanwhile from errors much like this one, outdoor bands of 80 % covered 77 %. Only while steps are
    still large is a score judged by today's: an answer that comes hours late would make them overshoot.
    Errors of far horizons come late and resemble one another, so their quantiles take smaller steps: with steps of one
    size an 80 % band covered 70 % at two hours, chasing what had passed.
    """
    first = _FAST * (1.0 + 1.0 / (1.0 + horizons / _NEAR_MINUTES))
    rate = np.maximum(first / (1.0 + seen / _SETTLE_MINUTES), _SLOW) / np.sqrt(horizons)
    judged = np.where(seen < _SETTLED_MINUTES, nested(scores), told)
    step = rate * ((score > judged) - (1.0 - LEVELS))
    tails = np.abs(scores) + 0.1  # a tail far out must come back as fast as it went
    moved = scores + np.where(np.isfinite(score), step * tails, 0.0)
    half = len(LOWER)
    moved[:half], moved[half:] = np.minimum(moved[:half], 0.0), np.maximum(moved[half:], 0.0)
    return moved


def measure(today2: Array, then2: Array, seen: Array) -> Array:
    """What a score is measured in, squared: the scale that its forecast was made with, or today's while that is young.

    A young scale grows by the very errors that come hours late. Measured in what it was before them, they would widen
    the quantiles as well: on loads that switch between two levels, 80 % at two hours covered 87 % for the whole day.
    """
    return np.where(seen < _YOUNG_MINUTES, today2, then2)


def rescaled(scale2: Array, error: Array, job_variance: Array, seen: Array) -> Array:
    """The squared scale of errors that no job explains, after one more error; shapes (series, horizons)."""
    rate = np.maximum(1.0 / (PRIOR_MINUTES + seen), 1.0 / MEMORY_MINUTES)
    own = error**2 * (scale2 / (scale2 + job_variance))
    return np.asarray(np.where(np.isfinite(error), scale2 + rate * (own - scale2), scale2))


def nested(scores: Array) -> Array:
    """The quantiles as told, (6, ...): the inner ones as they are tracked, the outer ones never inside of them.

    They cross when errors of much the same size come for an hour. Sorted, the inner band became too narrow (78 % for
    80 %) and the outer one too wide.
    """
    half = len(LOWER)
    lower = np.minimum.accumulate(scores[:half][::-1], axis=0)[::-1]
    return np.concatenate([lower, np.maximum.accumulate(scores[half:], axis=0)])


def band(scores: Array, sigma: Array) -> Array:
    """Offsets from the middle, (7, ...), in order; scores (6, ...), sigma (...)."""
    half, ordered = len(LOWER), nested(scores)
    middle = np.zeros((1, *sigma.shape))
    return np.concatenate([ordered[:half] * sigma, middle, ordered[half:] * sigma])
