"""Plate heat exchangers: heat from flows, and, from tables made once, the flow that a heat needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from controller.curves import UNTAUGHT, Curve
from controller.exchange import Array, effectiveness

FILM_EXPONENT = 0.8
"""hA ~ flow^0.8 on both sides of a plate heat exchanger."""
_HOT_SHARES = np.geomspace(0.03, 2.0, 48)
_COLD_STEPS, _HEAT_STEPS = 160, 96
_LEAST_SHARE = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Plate:
    """A counterflow exchanger, at design: UA and capacity rates of both streams [W/K]; films are equal there.

    most_w_k: largest capacity rate of the cold stream; over_hot: how UA departs from the films by the hot stream.
    """

    ua_w_k: float
    hot_w_k: float
    cold_w_k: float
    most_w_k: float
    over_hot: Curve = UNTAUGHT

    def ua_at(self, hot_w_k: Array, cold_w_k: Array) -> Array:
        """UA [W/K] by the films' law at these streams, without what was learned."""
        shares = hot_w_k / self.hot_w_k, cold_w_k / self.cold_w_k
        hot, cold = (np.maximum(share, 1e-3) ** FILM_EXPONENT for share in shares)
        return np.asarray(2 * self.ua_w_k / (1 / hot + 1 / cold), dtype=np.float64)

    def per_kelvin(self, hot_w_k: Array, cold_w_k: Array) -> Array:
        """Heat over the inlets' difference [W/K]."""
        ua_w_k = self.ua_at(hot_w_k, cold_w_k)
        if any(self.over_hot.logs):
            ua_w_k = ua_w_k * np.exp(self.over_hot.log_at(hot_w_k / self.hot_w_k))
        low, high = np.minimum(hot_w_k, cold_w_k), np.maximum(hot_w_k, cold_w_k)
        return effectiveness(ua_w_k / low, low / high) * low

    def cold_for(self, hot_w_k: Array, per_kelvin: Array) -> tuple[Array, Array]:
        """Cold stream [W/K] that gives per_kelvin [W/K], at most all of it; and what all of it gives."""
        most, cold = (self.cold_w_k * table for table in _table(self._one()))
        row, below = _place(np.log(hot_w_k / self.hot_w_k), *_HOT_LOG, len(_HOT_SHARES))
        could = most[row] * (1 - below) + most[row + 1] * below
        # steps get finer towards the most, where ever more flow gives ever less heat
        depth = 1 - np.sqrt(1 - np.clip(per_kelvin / could, 0.0, 1.0))
        column, right = _place(depth, 0.0, 1.0 / _HEAT_STEPS, _HEAT_STEPS + 1)
        near = cold[row, column] * (1 - right) + cold[row, column + 1] * right
        far = cold[row + 1, column] * (1 - right) + cold[row + 1, column + 1] * right
        return near * (1 - below) + far * below, could

    def _one(self) -> Plate:
        """The same over its own cold stream: any number of like plates in parallel have one table."""
        ua, hot, most = (round(x / self.cold_w_k, 9) for x in (self.ua_w_k, self.hot_w_k, self.most_w_k))
        return Plate(ua_w_k=ua, hot_w_k=hot, cold_w_k=1.0, most_w_k=most, over_hot=self.over_hot)


_HOT_LOG = float(np.log(_HOT_SHARES[0])), float(np.log(_HOT_SHARES[1] / _HOT_SHARES[0]))


def _place(values: Array, first: float, step: float, count: int) -> tuple[np.ndarray, Array]:
    """Index of the step that a value lies in, and how far in [0..1]."""
    position = np.clip((values - first) / step, 0.0, count - 1.000001)
    index = np.fmax(position, 0.0).astype(np.intp)  # what is no number stays none, and is in no place
    return index, position - index


@lru_cache(maxsize=256)
def _table(plate: Plate) -> tuple[Array, Array]:
    """By hot stream: the most heat per kelvin; and the cold stream for shares 1 - (1 - depth)² of it."""
    cold = np.geomspace(_LEAST_SHARE, 1.0, _COLD_STEPS) * plate.most_w_k
    shares = 1 - (1 - np.linspace(0.0, 1.0, _HEAT_STEPS + 1)) ** 2
    heats = [plate.per_kelvin(np.full_like(cold, s * plate.hot_w_k), cold) for s in _HOT_SHARES]
    flows = [np.interp(shares * heat[-1], heat, cold) for heat in heats]
    return np.array([heat[-1] for heat in heats]), np.array(flows)
