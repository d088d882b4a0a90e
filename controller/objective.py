"""What a candidate costs, in watts of electricity now: money where the site has prices, plain energy where it has none.

A loop stores next to nothing, so that a price by the hour scales every candidate alike; what moves setpoints beside
energy is water, heat that is sold, and power above the month's peak. Each is turned into the electric power that costs
as much, so that reserves, thresholds and explanations keep their unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controller.exchange import Array

QUARTER_H = 0.25
"""Demand is billed by the mean of a quarter of an hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What counts now.

    energy_per_kwh: electricity with its carbon [currency/kWh]; water_per_m3: make-up water of towers; heat_per_kwh: of
    heat sold, at most heat_most_w [W], at or above heat_above_c [°C]; demand_per_kw: what a kW above peak_w [W] costs
    once; rest_w: site power without this loop's commanded plant [W], NaN where nobody meters it.
    """

    currency: str = ""
    energy_per_kwh: float = 0.0
    water_per_m3: float = 0.0
    heat_per_kwh: float = 0.0
    heat_above_c: float = np.inf
    heat_most_w: float = np.inf
    demand_per_kw: float = 0.0
    peak_w: float = np.inf
    rest_w: float = np.nan

    def money_per_h(self, cost_w: float) -> float:
        """Money an hour [currency/h] that a cost in watts comes to."""
        return cost_w / 1000.0 * self.energy_per_kwh


ENERGY = Prices()
"""Plain energy."""


def cost_w(prices: Prices, site_w: Array, water_m3_s: Array, return_c: Array, rejected_w: Array) -> Array:
    """Electric power that costs as much [W]: site_w [W] itself where nothing but energy has a price.

    water_m3_s: make-up water [m³/s]; return_c: facility water that brings rejected_w [W] of heat [°C].
    """
    if prices.energy_per_kwh <= 0.0:
        return site_w
    per_w_h = prices.energy_per_kwh / 1000.0
    found = site_w
    if prices.water_per_m3 > 0.0:
        found = found + prices.water_per_m3 * 3600.0 * water_m3_s / per_w_h
    if prices.heat_per_kwh > 0.0:
        sold_w = np.where(return_c >= prices.heat_above_c, np.minimum(rejected_w, prices.heat_most_w), 0.0)
        found = found - prices.heat_per_kwh / prices.energy_per_kwh * sold_w
    if prices.demand_per_kw > 0.0 and np.isfinite(prices.rest_w):
        above_w = np.maximum(prices.rest_w + site_w - prices.peak_w, 0.0)
        found = found + prices.demand_per_kw / (QUARTER_H * prices.energy_per_kwh) * above_w
    return found
