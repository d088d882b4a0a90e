"""How a machine departs from its model over its load: a curve, learned from meters reading by reading.

The logarithm of true over predicted is kept at knots of the predicted share of full load, as a Gaussian process of
which the values at the knots are the state of a Kalman filter: part of what is learned holds at any load, part near
the load at which it was seen. Old knowledge widens towards ignorance, its mean stays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from controller.exchange import Array

KNOTS = tuple(float(share) for share in np.geomspace(0.02, 1.0, 20))
"""Shares of full load; between them in straight lines, beyond them the nearer end."""
COMMON_SD, NEAR_SD, NEAR_LOG = 0.25, 0.25, 0.3
"""Before anything is seen: of what holds at any load, of what holds near a load, and how near that is (a third)."""
FORGOTTEN_S = 2 * 86400.0
"""After it two thirds of what was known of a curve have to be seen again."""
BOUNDS = (0.5, 2.0)
"""No meter misleads the optimiser further than a badly chosen design figure would."""
WILDEST = 0.7
"""A reading further off than this (a factor of two) counts as this far."""
STEP = 0.02
_STEP = math.log(KNOTS[1] / KNOTS[0])


@lru_cache(maxsize=1)
def _ignorance() -> Array:
    """Covariance of the knots before anything is seen."""
    at = np.log(KNOTS)
    far = (at[:, None] - at[None, :]) / NEAR_LOG
    return COMMON_SD**2 + NEAR_SD**2 * np.exp(-0.5 * far**2) + 1e-6 * np.eye(len(KNOTS))


@dataclass(frozen=True, slots=True)
class Curve:
    """logs: log of true over predicted at the knots; spread: their covariance, row by row, () before anything."""

    logs: tuple[float, ...] = (0.0,) * len(KNOTS)
    spread: tuple[float, ...] = ()

    def seen(self, share: float, log_ratio: float, noise_sd: float, since_s: float) -> Curve:
        """One reading more: log_ratio of true over what the model says at a share of full load, since_s [s] later."""
        mean, covariance, ignorance = np.array(self.logs), _ignorance(), _ignorance()
        if self.spread:
            known = np.array(self.spread).reshape(ignorance.shape)
            covariance = known + -math.expm1(-since_s / FORGOTTEN_S) * (ignorance - known)
        weights = _weights(share)
        along = covariance @ weights
        gain = along / (weights @ along + noise_sd**2)
        off = min(max(log_ratio - float(weights @ mean), -WILDEST), WILDEST)
        low, high = (math.log(bound) for bound in BOUNDS)
        logs = np.clip(mean + gain * off, low, high)
        covariance = covariance - np.outer(gain, along)
        return Curve(tuple(logs.tolist()), tuple(covariance.ravel().tolist()))

    @property
    def rising(self) -> Curve:
        """The same where more of what is predicted can't mean less of what is true: a fan's speed."""
        true = np.maximum.accumulate(np.log(KNOTS) + np.array(self.logs))
        return Curve(tuple((true - np.log(KNOTS)).tolist()))

    @property
    def plain(self) -> Curve:
        """Its mean alone, in steps of `STEP`: tables made from it serve many cycles."""
        return Curve(tuple(STEP * round(log / STEP) for log in self.logs))

    @property
    def cautious(self) -> Curve:
        """Less as found, more by the interval's low end, where more is better; in steps downwards."""
        if not self.spread:
            return self.plain
        sd = np.sqrt(np.array(self.spread).reshape(len(KNOTS), -1).diagonal())
        mean = np.array(self.logs)
        found = np.where(mean < 0, mean, np.maximum(mean - 1.96 * sd, 0.0))
        return Curve(tuple((STEP * np.floor(found / STEP + 1e-9)).tolist()))

    def sd_at(self, share: float) -> float:
        """How uncertain its log is at a share of full load."""
        weights = _weights(share)
        spread = np.array(self.spread).reshape(len(KNOTS), -1) if self.spread else _ignorance()
        return math.sqrt(weights @ spread @ weights)

    def log_at(self, shares: Array) -> Array:
        """Log of true over predicted at shares of full load."""
        position = (np.log(np.maximum(shares, KNOTS[0])) - math.log(KNOTS[0])) / _STEP
        return np.interp(position, np.arange(len(KNOTS)), self.logs)

    def corrected(self, predicted: Array, full: float) -> Array:
        """What is true where the model says `predicted`, of `full` at full load, whatever the unit."""
        if not self.spread and not any(self.logs):
            return predicted
        return np.asarray(predicted * np.exp(self.log_at(predicted / full)), dtype=np.float64)

    def full_at(self) -> float:
        """The predicted share at which the true one is 1, in hundredths."""
        true = np.log(KNOTS) + np.array(self.rising.logs)
        if true[-1] <= 0.0:
            return round(math.exp(-float(true[-1])), 2)
        return round(math.exp(float(np.interp(0.0, true, np.log(KNOTS)))), 2)


UNTAUGHT = Curve()
"""Before any reading: the model as it is."""


def _weights(share: float) -> Array:
    """Share of each knot in the value at a share of full load."""
    last = len(KNOTS) - 1
    position = min(max(math.log(max(share, KNOTS[0]) / KNOTS[0]) / _STEP, 0.0), last - 1e-9)
    index = int(position)
    found = np.zeros(len(KNOTS))
    found[index : index + 2] = index + 1 - position, position - index
    return found
