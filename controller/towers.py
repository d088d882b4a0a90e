"""The controller's cooling tower: effectiveness against wet bulb, fan speed for a leaving temperature, its pumps.

Braun, Klein and Mitchell (ASHRAE Transactions 95-2, 1989), after Merkel: counterflow effectiveness with the saturation
heat capacity between leaving and entering water in place of water's, NTU = c (water/air)^0.4.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    which tell how much is blown down for what evaporates.
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


def tower_design(towers: Sequence[Equipment], water: Fluid) -> TowerDesign:
    """From the design figures of towers in parallel; what does not add up is the first one's.

    Raises:
        KeyError: one is missing.
    """
    design, count = towers[0].design, len(towers)
    flow_m3_s = sum(t.design["flow_m3_s"] for t in towers) / count
    usual_m3_s = water.density_kg_m3 * flow_m3_s / WATER_TO_AIR / AIR_KG_M3
    air_kg_s = AIR_KG_M3 * design.get("air_flow_m3_s", usual_m3_s)
    leaving_c = design.get("wet_bulb_c", WET_BULB_C) + design["approach_k"]
    return TowerDesign(
        flow_m3_s=count * flow_m3_s,
        air_kg_s=count * air_kg_s,
        ntu=_ntu(water, flow_m3_s, air_kg_s, design["heat_w"], leaving_c, design["approach_k"]),
        fan_power_w=sum(t.design["fan_power_w"] for t in towers),
        free_share=design.get("free_convection_fraction", FREE_SHARE),
        pump_w=count * flow_m3_s * design.get("head_pa", 0.0) / design.get("efficiency", 0.65),
        static_share=design.get("static_head_fraction", STATIC_SHARE),
        least_flow_share=design.get("min_flow_fraction", LEAST_FLOW_SHARE),
        cycles=max(design.get("cycles_of_concentration", CYCLES), 1.1),
    )


@lru_cache(maxsize=16)
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
