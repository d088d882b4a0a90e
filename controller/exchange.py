"""What every exchanger of the model is made of: effectiveness, and a root finder for whole grids."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_ROUNDS = 5
_LEAST = 1e-9


def effectiveness(ntu: Array, ratio: Array) -> Array:
    """Counterflow effectiveness [1] of the stream whose NTU this is (Incropera, eq. 11.29).

    ratio: its capacity rate over the other one's; it may lie above 1.
    """
    one_less = 1 - ratio
    one_less = np.where(np.abs(one_less) < 1e-6, 1e-6, one_less)
    decay = np.exp(-np.maximum(ntu * one_less, -50.0))
    return np.asarray((1 - decay) / (1 - (1 - one_less) * decay), dtype=np.float64)


def solved(
    function: Callable[[Array], Array], target: Array, low: float, high: float, rounds: int = _ROUNDS
) -> tuple[Array, Array]:
    """Where a rising positive function reaches a target, and what it gives at `high`; arrays of the target's shape.

    Outside [low, high] the nearer end. Regula falsi (Illinois) on logarithms, in which power laws are straight lines.
    """
    a, b = np.full_like(target, np.log(low)), np.full_like(target, np.log(high))
    wanted = np.log(np.maximum(target, _LEAST))
    most = function(np.exp(b))
    fa, fb = _log(function(np.exp(a))) - wanted, _log(most) - wanted
    below, above = fb <= 0, fa >= 0
    side = np.zeros_like(a)
    for _ in range(rounds):
        x = _crossing(a, fa, b, fb)
        fx = _log(function(np.exp(x))) - wanted
        up = fx < 0
        a, b = np.where(up, x, a), np.where(up, b, x)
        fa = np.where(up, fx, np.where(side == -1, fa / 2, fa))
        fb = np.where(up, np.where(side == 1, fb / 2, fb), fx)
        side = np.where(up, 1.0, -1.0)
    inside = np.exp(_crossing(a, fa, b, fb))
    return np.where(below, high, np.where(above, low, inside)), most


def _crossing(a: Array, fa: Array, b: Array, fb: Array) -> Array:
    """Where the chord is zero; between its ends also where both lie on one side."""
    share = fa / np.minimum(fa - fb, -1e-12)
    return a + (b - a) * np.clip(share, 0.0, 1.0)


def _log(values: Array) -> Array:
    return np.log(np.maximum(values, _LEAST))
