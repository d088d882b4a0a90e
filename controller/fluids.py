"""Fluid properties of the two loops, from CoolProp."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt
from CoolProp.CoolProp import HAPropsSI, PropsSI

from plant.errors import ConfigError

_PRESSURE_PA = 3e5
_AIR_PA = 101325.0
_COOLPROP_NAME = {"propylene-glycol": "INCOMP::MPG", "ethylene-glycol": "INCOMP::MEG", "water": "INCOMP::Water"}


@dataclass(frozen=True, slots=True)
class Fluid:
    """density [kg/m³] and specific heat [J/(kg K)] at a loop's mean temperature."""

    density_kg_m3: float
    heat_j_kg_k: float

    @property
    def heat_j_m3_k(self) -> float:
        """Heat capacity of a volume [J/(m³ K)]."""
        return self.density_kg_m3 * self.heat_j_kg_k


@lru_cache(maxsize=64)
def fluid(name: str, glycol_percent: float = 0.0, temperature_c: float = 35.0) -> Fluid:
    """Properties of `water`, `propylene-glycol` or `ethylene-glycol` at temperature_c [°C].

    Raises:
        ConfigError: no such coolant.
    """
    if name not in _COOLPROP_NAME:
        raise ConfigError(f"unknown coolant {name!r}", remedy=f"use one of {', '.join(_COOLPROP_NAME)}")
    mixed = name != "water" and glycol_percent > 0
    key = f"{_COOLPROP_NAME[name]}[{glycol_percent / 100}]" if mixed else _COOLPROP_NAME["water"]
    state = ("T", temperature_c + 273.15, "P", _PRESSURE_PA, key)
    return Fluid(float(PropsSI("D", *state)), float(PropsSI("C", *state)))


def wet_bulb(dry_bulb_c: float, relative_humidity: float) -> float:
    """Wet bulb [°C] of air at sea level; NaN where the two readings are no humid air.

    ASHRAE Fundamentals 2021, chapter 1, eq. 33 and 35 (adiabatic saturation over water, below freezing over ice),
    solved by bisection, with Buck's saturation pressures (1981); where both have a solution the ice has it. Between
    0 and 50 °C within 0.15 K of CoolProp's, at a wet bulb above 0.2 °C within 0.1 K, and 1000 times as quick; in frost
    the humidity is taken over water, as instruments and weather files have it.
    """
    if not (math.isfinite(dry_bulb_c) and 0.0 < relative_humidity <= 1.0 and -60.0 < dry_bulb_c < 80.0):
        return math.nan
    humidity = _moisture(dry_bulb_c, relative_humidity)
    frozen = dry_bulb_c < 0.0 or _saturating(dry_bulb_c, 0.0, frozen=True) >= humidity
    low, high = dry_bulb_c - 60.0, min(dry_bulb_c, 0.0) if frozen else dry_bulb_c
    for _ in range(24):
        wet_c = (low + high) / 2
        low, high = (low, wet_c) if _saturating(dry_bulb_c, wet_c, frozen=frozen) > humidity else (wet_c, high)
    return high


def _saturating(dry_bulb_c: float, wet_c: float, *, frozen: bool) -> float:
    """Water in air [kg/kg] whose wet bulb is wet_c [°C]."""
    at_freezing, of_latent, of_rest = (2830.0, 0.24, 2.1) if frozen else (2501.0, 2.326, 4.186)
    latent, liquid = at_freezing - of_latent * wet_c, at_freezing - of_rest * wet_c
    spent = latent * _moisture(wet_c, 1.0, frozen=frozen) - 1.006 * (dry_bulb_c - wet_c)
    return spent / (liquid + 1.86 * dry_bulb_c)


def _moisture(temperature_c: float, relative_humidity: float, *, frozen: bool = False) -> float:
    """Water in air [kg/kg] at sea level; relative_humidity [1] over water, or over ice."""
    a, b, c, least_pa = (23.036, 333.7, 279.82, 611.15) if frozen else (18.678, 234.5, 257.14, 611.21)
    pressure_pa = least_pa * math.exp((a - temperature_c / b) * temperature_c / (c + temperature_c))
    pressure_pa *= relative_humidity
    return 0.622 * pressure_pa / (_AIR_PA - pressure_pa)


@cache
def _saturated() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    at_c = np.arange(-30.0, 75.1, 1.0)
    return at_c, np.array([float(HAPropsSI("H", "T", c + 273.15, "R", 1.0, "P", _AIR_PA)) for c in at_c])


def saturated_enthalpy(temperature_c: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Enthalpy of saturated air [J/kg dry air] at sea level, between -30 and 75 °C, from a table made once."""
    return np.asarray(np.interp(temperature_c, *_saturated()), dtype=np.float64)
