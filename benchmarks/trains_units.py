"""Quasi-steady machines of a hall with trains: exchangers, pumps, towers after Merkel, chillers after Gordon and Ng.

Written apart from the simulator's and the controller's models: other tower theory, other chiller theory, other curves.
Temperatures [°C], flows [m³/s], powers and heats [W].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

WATER_J_M3_K, WATER_J_KG_K, WATER_KG_M3, AIR_KG_M3 = 4.16e6, 4180.0, 995.0, 1.15
FILM_EXPONENT = 0.8
PUMP_RISE = 0.25
"""Head at no flow above head at the best point [1]."""
MERKEL_EXPONENT = 0.6
"""KaV/L = c (L/G)^-0.6: usual slope of film fills (Kröger, Air-cooled Heat Exchangers and Cooling Towers, ch. 4)."""
_CHEBYSHEV = (0.1, 0.4, 0.6, 0.9)


def rising_root(function: Callable[[float], float], low: float, high: float, rounds: int = 24) -> float:
    """Where a rising function crosses 0 between two bounds; the nearer bound where it does not (bisection)."""
    if function(low) >= 0.0:
        return low
    if function(high) <= 0.0:
        return high
    for _ in range(rounds):
        middle = 0.5 * (low + high)
        if function(middle) < 0.0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateExchanger:
    """Counterflow plates at design: UA [W/K] and both flows [m³/s]; hot_j_m3_k: the hot stream's heat capacity."""

    ua_w_k: float
    hot_m3_s: float
    cold_m3_s: float
    hot_j_m3_k: float = WATER_J_M3_K

    def per_kelvin(self, hot_m3_s: float, cold_m3_s: float) -> float:
        """Heat over the difference of the inlets [W/K]: ε-NTU, both films ~ flow^0.8 and equal at design."""
        if hot_m3_s <= 0.0 or cold_m3_s <= 0.0:
            return 0.0
        hot, cold = (
            math.pow(flow / design, FILM_EXPONENT)
            for flow, design in ((hot_m3_s, self.hot_m3_s), (cold_m3_s, self.cold_m3_s))
        )
        ua_w_k = 2.0 * self.ua_w_k / (1.0 / hot + 1.0 / cold)
        streams = hot_m3_s * self.hot_j_m3_k, cold_m3_s * WATER_J_M3_K
        low, ratio = min(streams), min(streams) / max(streams)
        ntu = ua_w_k / low
        if ratio > 0.9999:
            return low * ntu / (1.0 + ntu)
        decay = math.exp(-ntu * (1.0 - ratio))
        return low * (1.0 - decay) / (1.0 - ratio * decay)

    def cold_for(self, heat_w: float, hot_m3_s: float, difference_k: float, most_m3_s: float) -> float:
        """Cold flow that moves a heat at a difference of the inlets; `most_m3_s` where less does not do."""
        if heat_w <= 0.0:
            return 0.0
        if difference_k <= 0.0:
            return most_m3_s
        wanted = heat_w / difference_k
        return rising_root(lambda flow: self.per_kelvin(hot_m3_s, flow) - wanted, 0.0, most_m3_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class VariablePump:
    """One pump; flow, head and efficiency (of pump, motor and drive) at its best point; fixed: it has no drive."""

    flow_m3_s: float
    head_pa: float
    efficiency: float
    fixed: bool = False

    def power_w(self, flow_m3_s: float, head_pa: float) -> float:
        """Power for a flow and a head [Pa].

        Affinity laws: head = (1 + a) n² - a V², so that speed n follows; efficiency falls as the square of the distance
        of V/n from the best point (Karassik, Pump Handbook). One without a drive gives the head of full speed, of which
        valves take what is too much.
        """
        if flow_m3_s <= 0.0:
            return 0.0
        flow, head = flow_m3_s / self.flow_m3_s, head_pa / self.head_pa
        if self.fixed:
            head_pa = self.head_pa * max(1.0 + PUMP_RISE - PUMP_RISE * flow * flow, 0.1)
        speed = 1.0 if self.fixed else math.sqrt((head + PUMP_RISE * flow * flow) / (1.0 + PUMP_RISE))
        share = max(1.0 - (flow / speed - 1.0) ** 2, 0.2)
        return flow_m3_s * head_pa / (self.efficiency * share)


def saturated_j_kg(at_c: float) -> float:
    """Enthalpy of saturated air [J/kg dry air] at sea level (ASHRAE Fundamentals 2021, ch. 1; Magnus form)."""
    vapour_pa = 611.2 * math.exp(17.62 * at_c / (243.12 + at_c))
    moisture = 0.62198 * vapour_pa / (101325.0 - vapour_pa)
    return 1006.0 * at_c + moisture * (2.501e6 + 1860.0 * at_c)


class TowerCell:
    """A tower (with all its cells) after Merkel, Chebyshev's four points as in CTI ATC-105; its fans' cube law."""

    def __init__(self, design: Mapping[str, float]) -> None:
        self.flow_m3_s, self.fan_w = design["flow_m3_s"], design["fan_power_w"]
        self.free_share = design.get("free_convection_fraction", 0.125)
        self.one_speed = design.get("fan_speeds", math.inf) == 1
        self.ratio = self.flow_m3_s * WATER_KG_M3 / (design["air_flow_m3_s"] * AIR_KG_M3)
        cold_c = design["wet_bulb_c"] + design["approach_k"]
        range_k = design["heat_w"] / (self.flow_m3_s * WATER_J_M3_K)
        self.fill = 1.0
        wanted = self.merkel(cold_c + range_k, cold_c, design["wet_bulb_c"], self.ratio)
        self.fill = wanted / math.pow(self.ratio, -MERKEL_EXPONENT)

    def merkel(self, hot_c: float, cold_c: float, wet_bulb_c: float, ratio: float) -> float:
        """Merkel number that cools hot_c to cold_c at water over air by mass `ratio`; infinite where none does."""
        air, total = saturated_j_kg(wet_bulb_c), 0.0
        for place in _CHEBYSHEV:
            drive = saturated_j_kg(cold_c + place * (hot_c - cold_c)) - air
            drive -= ratio * WATER_J_KG_K * place * (hot_c - cold_c)
            if drive <= 0.0:
                return math.inf
            total += 1.0 / drive
        return WATER_J_KG_K * (hot_c - cold_c) * total / len(_CHEBYSHEV)

    def spare(self, air_share: float, hot_c: float, cold_c: float, wet_bulb_c: float, flow_m3_s: float) -> float:
        """What the fill has more than it needs, as share of what it has [-∞..1]; it rises with air and with cold_c."""
        ratio = self.ratio * flow_m3_s / self.flow_m3_s / air_share
        return 1.0 - self.merkel(hot_c, cold_c, wet_bulb_c, ratio) / (self.fill * math.pow(ratio, -MERKEL_EXPONENT))

    def cooled(self, wanted_c: float, hot_c: float, wet_bulb_c: float, flow_m3_s: float) -> tuple[float, float]:
        """(leaving water, fan speed share) for water that comes at hot_c; a by-pass keeps it from getting too cold."""
        if hot_c <= wanted_c or hot_c <= wet_bulb_c:
            return hot_c, 0.0
        if self.spare(1.0, hot_c, wanted_c, wet_bulb_c, flow_m3_s) < 0.0:
            return self._leaving_c(1.0, max(wanted_c, wet_bulb_c), hot_c, wet_bulb_c, flow_m3_s), 1.0
        if self.one_speed:
            full_c, free_c = (
                self._leaving_c(air, wet_bulb_c, hot_c, wet_bulb_c, flow_m3_s) for air in (1.0, self.free_share)
            )
            return wanted_c, max(free_c - wanted_c, 0.0) / max(free_c - full_c, 1e-6)
        share = rising_root(
            lambda air: self.spare(air, hot_c, wanted_c, wet_bulb_c, flow_m3_s), self.free_share, 1.0, rounds=16
        )
        return wanted_c, 0.0 if share <= self.free_share else share

    def fans_w(self, share: float) -> float:
        """Power of the fans: by the cube of their speed or, where they only start and stop, by the time they run."""
        return self.fan_w * (share if self.one_speed else share**3)

    def _leaving_c(self, air: float, low_c: float, hot_c: float, wet_bulb_c: float, flow_m3_s: float) -> float:
        return rising_root(lambda c: self.spare(air, hot_c, c, wet_bulb_c, flow_m3_s), low_c, hot_c)


class GordonNgChiller:
    """Water-cooled chiller after Gordon and Ng (Cool Thermodynamics, 2000), fitted to its rating point.

    Te/Tc (1 + 1/COP) - 1 = s Te/Q + q (Tc - Te)/(Tc Q) + R (1 + 1/COP) Q/Tc, with Te leaving chilled and Tc entering
    condenser water [K], Q in shares of capacity. s: internal losses; q: leaks; R: resistance of both exchangers. How
    losses at rating split is chosen as for variable-speed machines: most lie in the exchangers, which part load eases,
    so that about three quarters are the best load. Where design figures tell COP at 75, 50 and 25 % of the heat at
    rating temperatures (`cop_75` and so on), the split is theirs: the rating's losses hold at full load alone.
    """

    EXCHANGERS, LEAKS = 0.60, 0.05

    def __init__(self, design: Mapping[str, float]) -> None:
        self.heat_w, self.least_load = design["heat_w"], design["min_load_fraction"]
        self.condenser_m3_s = design["condenser_flow_m3_s"]
        cold_k, hot_k = design["rating_leaving_c"] + 273.15, design["rating_condenser_c"] + 273.15
        input_share = 1.0 + 1.0 / design["cop"]
        losses = cold_k / hot_k * input_share - 1.0
        self.resistance = self.EXCHANGERS * losses * hot_k / input_share
        self.leak = self.LEAKS * losses * hot_k / max(hot_k - cold_k, 1.0)
        self.internal = (1.0 - self.EXCHANGERS - self.LEAKS) * losses / cold_k
        told = {load / 100: design[f"cop_{load}"] for load in (25, 50, 75) if f"cop_{load}" in design}
        self.inputs = {load: load * design["cop"] / cop for load, cop in told.items()} | {1.0: 1.0} if told else {}

    def power_w(self, heat_w: float, leaving_c: float, condenser_c: float) -> float:
        """Power for a heat; below its least load it draws what it draws there, and never less than 1/25 of the heat."""
        load = max(heat_w / self.heat_w, self.least_load)
        if self.inputs:
            return self._input(load) * self._drawn_w(1.0, leaving_c, condenser_c)
        return self._drawn_w(load, leaving_c, condenser_c)

    def _input(self, load: float) -> float:
        """Power over that of full load at the same temperatures: Lagrange's polynomial through what is told [1]."""
        return sum(
            share * math.prod((load - other) / (at - other) for other in self.inputs if other != at)
            for at, share in self.inputs.items()
        )

    def _drawn_w(self, load: float, leaving_c: float, condenser_c: float) -> float:
        cold_k, hot_k = leaving_c + 273.15, condenser_c + 273.15
        fixed = 1.0 + self.internal * cold_k / load + self.leak * (hot_k - cold_k) / (hot_k * load)
        input_share = fixed / (cold_k / hot_k - self.resistance * load / hot_k)
        return load * self.heat_w * max(input_share - 1.0, 0.04)
