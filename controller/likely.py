"""The loads at which a plan's cost is judged: a few that stand for every minute and quantile of the forecast.

Fans and pumps cost more than in proportion to heat, and setpoints follow it in steps, minutes apart. So a load that
will jump costs as much as one that may: minutes and quantiles are one distribution, not the mean of the minutes.
"""

from __future__ import annotations

import numpy as np

from plant.records import HeatForecast

QUANTILES = ((0.05, 0.185), (0.5, 0.63), (0.95, 0.185))
"""Of each minute, with their weights: three points with a normal's spread."""
PARTS = (0.1, 0.25, 0.3, 0.25, 0.1)
"""Shares of the distribution, from the least heat to the most; each counts by its mean."""
MIDDLE = len(PARTS) // 2


def likely_w(heat: HeatForecast, minutes: int, most_w: float) -> tuple[tuple[float, float], ...]:
    """Weight [1] and heat [W] of each of `PARTS`; racks draw no more than most_w [W], whatever a band says."""
    rows = [np.minimum(heat.at(quantile)[:minutes], most_w) for quantile, _ in QUANTILES]
    heats = np.concatenate(rows)
    weights = np.concatenate([np.full(len(row), w / len(row)) for row, (_, w) in zip(rows, QUANTILES, strict=True)])
    order = np.argsort(heats)
    up_to, summed_w = (np.append(0.0, np.cumsum(x[order])) for x in (weights, weights * heats))
    means_w = np.diff(np.interp(np.cumsum((0.0, *PARTS)), up_to, summed_w)) / PARTS
    return tuple(zip(PARTS, means_w.tolist(), strict=True))
