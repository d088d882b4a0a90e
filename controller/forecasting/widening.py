"""A forecast whose subject is not measured but inferred: as much wider as the substitute may be off."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from statistics import NormalDist

from plant.records import Forecast, HeatForecast


def widened(ahead: Forecast, sds_w: Mapping[str, float]) -> Forecast:
    """The forecast with the error of substitutes in its bands; sds_w: standard deviations [W] by subject."""
    if not any(sds_w.values()):
        return ahead
    return replace(ahead, heats=tuple(_wider(h, sds_w.get(h.subject, 0.0)) for h in ahead.heats))


def _wider(heat: HeatForecast, sd_w: float) -> HeatForecast:
    """Two independent errors: each quantile's distance from the middle and the substitute's, squares added."""
    if not sd_w:
        return heat
    middle = heat.at(0.5)
    rows = (
        tuple(_apart(w, m, _normal(q) * sd_w) for w, m in zip(row, middle, strict=True))
        for q, row in zip(heat.quantiles, heat.heat_w, strict=True)
    )
    return replace(heat, heat_w=tuple(rows))


def _apart(value_w: float, middle_w: float, more_w: float) -> float:
    return max(middle_w + math.copysign(math.hypot(value_w - middle_w, more_w), more_w), 0.0)


@cache
def _normal(quantile: float) -> float:
    return NormalDist().inv_cdf(quantile)
