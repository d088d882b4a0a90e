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

    ASHRAE Fundamentals 2021, chapter 1, eq. 33 (adiabatic saturation over water), solved by bisection, with Buck's
    saturation pressure (1981); within 0.1 K of CoolProp's between 0 and 50 °C, and 1000 times as quick.
    """
    if not (math.isfinite(dry_bulb_c) and 0.0 < relative_humidity <= 1.0 and -60.0 < dry_bulb_c < 80.0):
        return math.nan
    humidity = _moisture(dry_bulb_c, relative_humidity)
    low, high = dry_bulb_c - 60.0, dry_bulb_c
    for _ in range(24):
        wet_c = (low + high) / 2
        spent = (2501.0 - 2.326 * wet_c) * _moisture(wet_c, 1.0) - 1.006 * (dry_bulb_c - wet_c)
        low, high = (low, wet_c) if spent > humidity * (2501.0 + 1.86 * dry_bulb_c - 4.186 * wet_c) else (wet_c, high)
    return high


def _moisture(temperature_c: float, relative_humidity: float) -> float:
    """Water in air [kg/kg] at sea level."""
    pressure_pa = (
        relative_humidity
        * 611.21
        * math.exp((18.678 - temperature_c / 234.5) * temperature_c / (257.14 + temperature_c))
    )
    return 0.622 * pressure_pa / (_AIR_PA - pressure_pa)


@cache
def _saturated() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    at_c = np.arange(-30.0, 75.1, 1.0)
    return at_c, np.array([float(HAPropsSI("H", "T", c + 273.15, "R", 1.0, "P", _AIR_PA)) for c in at_c])


def saturated_enthalpy(temperature_c: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Enthalpy of saturated air [J/kg dry air] at sea level, between -30 and 75 °C, from a table made once."""
    return np.asarray(np.interp(temperature_c, *_saturated()), dtype=np.float64)
