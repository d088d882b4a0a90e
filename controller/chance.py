"""The chance that a forecast's quantity passes a limit, from its quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from statistics import NormalDist

_NORMAL = NormalDist()
_SAME_W = 1e-6


def above(quantiles: Sequence[float], values_w: Sequence[float], limit_w: float) -> float:
    """Chance (0..1) that it passes limit_w [W]; values_w: at the quantiles, both rising [W].

    Between two quantiles it is read off a straight line in the normal distribution's own units, so that a normal
    forecast gives exactly its own chances; beyond the outermost two the line goes on: a normal tail.
    """
    # Quantiles of learned models may cross by a little
    found = list(accumulate(values_w, max))
    z = [_NORMAL.inv_cdf(q) for q in quantiles]
    pairs = [(a, b) for a, b in zip(range(len(z) - 1), range(1, len(z)), strict=True) if found[b] - found[a] > _SAME_W]
    if not pairs:
        return float(limit_w < found[0])
    low, high = next(((a, b) for a, b in pairs if limit_w <= found[b]), pairs[-1])
    at = z[low] + (limit_w - found[low]) / (found[high] - found[low]) * (z[high] - z[low])
    return 1.0 - _NORMAL.cdf(at)
