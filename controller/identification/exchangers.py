"""UA of a CDU's heat exchanger from its four temperatures and both flows, taken back to design flows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from controller.design import CduDesign
from controller.fluids import Fluid
from controller.plates import FILM_EXPONENT

LEAST_HEAT = 0.10
"""Of design; below it differences of temperature are too small to tell anything."""
WORST_BALANCE = 0.15
"""Heat of both sides may differ by this share; beyond it something moves, or an instrument is wrong."""
_LEAST_FLOW, _LEAST_DIFFERENCE_K, _MOST_EFFECTIVENESS = 0.1, 0.5, 0.985


def ua_of(per_kelvin_w: float, hot_w_k: float, cold_w_k: float) -> float:
    """UA [W/K] of a counterflow exchanger that moves per_kelvin_w [W/K] of inlets' difference; NaN beyond what tells.

    Inverse of Incropera, eq. 11.29: NTU = ln((1 - e r) / (1 - e)) / (1 - r), e / (1 - e) where r is 1.
    """
    low, high = min(hot_w_k, cold_w_k), max(hot_w_k, cold_w_k)
    e, r = per_kelvin_w / low, low / high
    if not 0.0 < e < _MOST_EFFECTIVENESS:
        return math.nan
    if r > 0.9999:
        return low * e / (1 - e)
    return low * math.log((1 - e * r) / (1 - e)) / (1 - r)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanger:
    """A CDU's exchanger as the site file has it, and what its readings say of it."""

    cdu: CduDesign
    coolant: Fluid
    water: Fluid

    def heats_w(
        self, supply_c: float, return_c: float, cold_c: float, warm_c: float, flow: float, water_flow: float
    ) -> tuple[float, float]:
        """Heat [W] that left the coolant (without its pump's) and that the water took; flows [m³/s]."""
        hot_w = self.coolant.heat_j_m3_k * flow * (return_c - supply_c)
        return hot_w, self.water.heat_j_m3_k * water_flow * (warm_c - cold_c)

    def log_ratio(
        self,
        supply_c: float,
        return_c: float,
        cold_c: float,
        warm_c: float,
        flow: float,
        water_flow: float,
        pump_w: float,
    ) -> float:
        """Log of UA over the site file's, both films by flow^0.8, from the mean of both sides' heat.

        pump_w: power of its pump [W], which warms the coolant behind the exchanger.
        """
        hot_w, cold_w = self.heats_w(supply_c, return_c, cold_c, warm_c, flow, water_flow)
        hot_w += pump_w
        shares = flow / self.cdu.flow_m3_s, water_flow / self.cdu.facility_flow_m3_s
        if min(shares) < _LEAST_FLOW or return_c - cold_c < _LEAST_DIFFERENCE_K:
            return math.nan
        if min(hot_w, cold_w) < LEAST_HEAT * self.cdu.heat_w or abs(math.log(hot_w / cold_w)) > WORST_BALANCE:
            return math.nan
        streams = self.coolant.heat_j_m3_k * flow, self.water.heat_j_m3_k * water_flow
        ua_w_k = ua_of(0.5 * (hot_w + cold_w) / (return_c - cold_c), *streams)
        films = 0.5 * sum(share**-FILM_EXPONENT for share in shares)
        return math.log(ua_w_k * films / self.cdu.ua_w_k) if ua_w_k > 0 else math.nan

    def log_balance(
        self,
        supply_c: float,
        return_c: float,
        cold_c: float,
        warm_c: float,
        flow: float,
        water_flow: float,
        pump_w: float,
    ) -> float:
        """Log of the coolant's heat over the water's: 0 where all six instruments agree."""
        hot_w, cold_w = self.heats_w(supply_c, return_c, cold_c, warm_c, flow, water_flow)
        hot_w += pump_w
        if min(hot_w, cold_w) < LEAST_HEAT * self.cdu.heat_w or max(hot_w, cold_w) > 2 * min(hot_w, cold_w):
            return math.nan
        return math.log(hot_w / cold_w)
