"""The controller's cooling tower: effectiveness against wet bulb, fan speed for a leaving temperature, its pumps.

Braun, Klein and Mitchell (ASHRAE Transactions 95-2, 1989), after Merkel: counterflow effectiveness with the saturation
heat capacity between leaving and entering water in place of water's, NTU = c (water/air)^0.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from controller.exchange import Array, effectiveness, solved
from controller.fluids import Fluid, saturated_enthalpy
from plant.topology import Equipment

AIR_KG_M3 = 1.15
WATER_TO_AIR = 1.2
"""Water over air by mass, where the site file does not tell the air flow."""
WET_BULB_C, FREE_SHARE, LEAST_FLOW_SHARE = 24.0, 0.125, 0.5
AIR_EXPONENT = 0.7
_APPROACHES_K = np.linspace(0.0, 40.0, 161)
EVAPORATED_PER_K = 0.00153
"""Of the water that a tower cools by one kelvin this share evaporates (Cooling Technology Institute, 0.00085 by °F)."""
CYCLES = 4.0
"""Concentration of basin water over make-up, where the site file tells no `cycles_of_concentration`."""
STATIC_SHARE = 0.5
"""Of a pump's design head that part which does not fall with flow: what is held across the users."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerDesign:
    """Towers that run, as one, at design. ntu: at design water and air flow; pump_w: condenser-water pumps [W].

    Alike and equally loaded, n towers are one with n times the water, the air and the powers. cycles: of concentration,
    which tell how much is blown down for what evaporates; cycled: of the fans' power that part which has one speed.
    """

    flow_m3_s: float
    air_kg_s: float
    ntu: float
    fan_power_w: float
    free_share: float
    pump_w: float
    static_share: float
    least_flow_share: float
    cycles: float
    cycled: float = 0.0

    def fans_w(self, share: Array) -> Array:
        """Power of the fans [W] at a speed [1], by its cube; those of one speed run a part of the time."""
        cubed = self.fan_power_w * share**3
        if not self.cycled:
            return cubed
        runs = runs_share(share, self.free_share)
        return np.asarray((1 - self.cycled) * cubed + self.cycled * self.fan_power_w * runs, dtype=np.float64)


def runs_share(share: Array, free_share: float) -> Array:
    """Of the time that part in which fans of one speed run [1] to cool as others do at a speed [1].

    Heat at given water goes about with the air to the power of `AIR_EXPONENT`.
    """
    least = free_share**AIR_EXPONENT
    return np.asarray(np.clip((share**AIR_EXPONENT - least) / (1 - least), 0.0, 1.0), dtype=np.float64)


def tower_design(towers: Sequence[Equipment], water: Fluid) -> TowerDesign:
    """From the design figures of towers in parallel, to which water goes in proportion to their design flow.

    Their one NTU carries at the first one's water and air what they carry there together.

    Raises:
        KeyError: one is missing.
    """
    ratings = [_rating(tower.design, water) for tower in towers]
    flows, airs = (np.array(column) for column in zip(*((r.flow_m3_s, r.air_kg_s) for r in ratings), strict=True))
    flow_m3_s, fan_power_w = float(flows.sum()), sum(t.design["fan_power_w"] for t in towers)
    pumps_w = [t.design["flow_m3_s"] * t.design.get("head_pa", 0.0) / t.design.get("efficiency", 0.65) for t in towers]

    def mean(key: str, usual: float) -> float:
        return float(flows @ [t.design.get(key, usual) for t in towers]) / flow_m3_s

    return TowerDesign(
        flow_m3_s=flow_m3_s,
        air_kg_s=float(airs.sum()),
        ntu=_together(water, tuple(ratings)),
        fan_power_w=fan_power_w,
        free_share=mean("free_convection_fraction", FREE_SHARE),
        pump_w=sum(pumps_w),
        static_share=mean("static_head_fraction", STATIC_SHARE),
        least_flow_share=mean("min_flow_fraction", LEAST_FLOW_SHARE),
        cycles=max(mean("cycles_of_concentration", CYCLES), 1.1),
        cycled=sum(t.design["fan_power_w"] for t in towers if t.design.get("fan_speeds") == 1) / max(fan_power_w, 1e-9),
    )


@dataclass(frozen=True, slots=True)
class _Rating:
    """One tower's design point."""

    flow_m3_s: float
    air_kg_s: float
    heat_w: float
    leaving_c: float
    approach_k: float

    def ntu(self, water: Fluid) -> float:
        """What meets it."""
        return _ntu(water, self.flow_m3_s, self.air_kg_s, self.heat_w, self.leaving_c, self.approach_k)


def _rating(design: Mapping[str, float], water: Fluid) -> _Rating:
    usual_m3_s = water.density_kg_m3 * design["flow_m3_s"] / WATER_TO_AIR / AIR_KG_M3
    approach_k = design["approach_k"]
    return _Rating(
        flow_m3_s=design["flow_m3_s"],
        air_kg_s=AIR_KG_M3 * design.get("air_flow_m3_s", usual_m3_s),
        heat_w=design["heat_w"],
        leaving_c=design.get("wet_bulb_c", WET_BULB_C) + approach_k,
        approach_k=approach_k,
    )


@lru_cache(maxsize=256)
def _together(water: Fluid, ratings: tuple[_Rating, ...]) -> float:
    """NTU of towers as one."""
    first, *others = ratings
    if all(other == first for other in others):
        return first.ntu(water)
    into_c = first.leaving_c + first.heat_w / (first.flow_m3_s * water.heat_j_m3_k)
    into, wet_bulb_c, leaving = np.array([into_c]), first.leaving_c - first.approach_k, np.array([first.leaving_c])

    def heat(ntu: Array, flow_m3_s: float, air_kg_s: float) -> Array:
        stream_w_k = np.array([flow_m3_s * water.heat_j_m3_k])
        return _heat_w(ntu, np.array([air_kg_s]), stream_w_k, leaving, into, wet_bulb_c)

    wanted_w = sum(heat(np.array([r.ntu(water)]), r.flow_m3_s, r.air_kg_s) for r in ratings)
    flow_m3_s, air_kg_s = sum(r.flow_m3_s for r in ratings), sum(r.air_kg_s for r in ratings)
    found, _ = solved(lambda ntu: heat(ntu, flow_m3_s, air_kg_s), np.asarray(wanted_w), 0.05, 20.0, rounds=30)
    return float(found[0])


@lru_cache(maxsize=64)
def _ntu(water: Fluid, flow_m3_s: float, air_kg_s: float, heat_w: float, leaving_c: float, approach_k: float) -> float:
    """NTU that meets the design point."""
    stream_w_k = np.array([flow_m3_s * water.heat_j_m3_k])
    leaving, wet_bulb_c = np.array([leaving_c]), leaving_c - approach_k

    def heat(ntu: Array) -> Array:
        return _heat_w(ntu, np.array([air_kg_s]), stream_w_k, leaving, leaving + heat_w / stream_w_k, wet_bulb_c)

    return float(solved(heat, np.array([heat_w]), 0.05, 20.0, rounds=30)[0][0])


def _heat_w(
    ntu: Array, air_kg_s: Array, stream_w_k: Array, leaving_c: Array, entering_c: Array, wet_bulb_c: float
) -> Array:
    low, high = saturated_enthalpy(leaving_c), saturated_enthalpy(entering_c)
    saturation = (high - low) / np.maximum(entering_c - leaving_c, 1e-3)
    spare = np.maximum(high - saturated_enthalpy(np.array([wet_bulb_c])), 0.0)
    return effectiveness(ntu, air_kg_s * saturation / stream_w_k) * air_kg_s * spare


def fan_share(
    design: TowerDesign, water: Fluid, heat_w: Array, flow_m3_s: Array, leaving_c: Array, wet_bulb_c: float
) -> Array:
    """Fan speed [1] that cools the water to leaving_c [°C]; 0 where free convection does, 1 where nothing can."""
    stream_w_k = flow_m3_s * water.heat_j_m3_k
    low, high = saturated_enthalpy(leaving_c), saturated_enthalpy(leaving_c + heat_w / stream_w_k)
    saturation = (high - low) / np.maximum(heat_w / stream_w_k, 1e-3)
    spare = np.maximum(high - saturated_enthalpy(np.array([wet_bulb_c])), 0.0)
    ratio, ntu = design.air_kg_s * saturation / stream_w_k, design.ntu * (flow_m3_s / design.flow_m3_s) ** 0.4
    most_w = design.air_kg_s * spare

    def heat(share: Array) -> Array:
        return effectiveness(ntu / share**0.4, share * ratio) * share * most_w

    share, _ = solved(heat, heat_w, design.free_share, 1.0, rounds=4)
    return np.where(share <= design.free_share * 1.001, 0.0, share)


@lru_cache(maxsize=1024)
def coldest_c(design: TowerDesign, water: Fluid, heat_w: float, wet_bulb_c: float) -> float:
    """Leaving water [°C] at full fans and full flow: the heat at every approach, read backwards."""
    stream_w_k = np.full_like(_APPROACHES_K, design.flow_m3_s * water.heat_j_m3_k)
    leaving_c, air = wet_bulb_c + _APPROACHES_K, np.full_like(_APPROACHES_K, design.air_kg_s)
    entering_c = leaving_c + heat_w / stream_w_k
    could_w = _heat_w(np.full_like(air, design.ntu), air, stream_w_k, leaving_c, entering_c, wet_bulb_c)
    return float(np.interp(heat_w, could_w, leaving_c))


def pump_w(design: TowerDesign, flow_m3_s: Array) -> Array:
    """Condenser-water pumps [W]: part of the head is held, the rest goes with flow²."""
    share = flow_m3_s / design.flow_m3_s
    return design.pump_w * share * (design.static_share + (1 - design.static_share) * share**2)


def make_up_m3_s(design: TowerDesign, water: Fluid, heat_w: Array) -> Array:
    """Make-up water [m³/s] for heat_w [W]: what evaporates, and with it the blow-down that keeps the basin's salt."""
    evaporated_m3_s = EVAPORATED_PER_K * heat_w / water.heat_j_m3_k
    return evaporated_m3_s * design.cycles / (design.cycles - 1)
