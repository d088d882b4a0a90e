"""Fluid properties of the two loops, from CoolProp."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from CoolProp.CoolProp import HAPropsSI, PropsSI

from plant.errors import ConfigError

_PRESSURE_PA = 3e5
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
    """Wet bulb [°C] of air at sea level; NaN where the two readings are no humid air."""
    if not (math.isfinite(dry_bulb_c) and 0.0 < relative_humidity <= 1.0):
        return math.nan
    try:
        kelvin = HAPropsSI("B", "T", dry_bulb_c + 273.15, "R", relative_humidity, "P", 101325.0)
    except ValueError:
        return math.nan
    return float(kelvin) - 273.15
