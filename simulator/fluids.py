"""Coolant properties, evaluated once, so that every energy balance of the simulated plant closes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from CoolProp.CoolProp import PropsSI

from plant.errors import ConfigError

REFERENCE_C = 37.0
REFERENCE_PA = 3e5


@dataclass(frozen=True, slots=True)
class Fluid:
    """A liquid of constant properties.

    density [kg/m3], heat_capacity [J/kg K], conductivity [W/m K], viscosity [Pa s].
    """

    name: str
    density: float
    heat_capacity: float
    conductivity: float
    viscosity: float

    @property
    def rho_cp(self) -> float:
        """Volumetric heat capacity [J/m3 K]."""
        return self.density * self.heat_capacity

    def film(self, flow_m3_s: float) -> float:
        """What the film coefficient in a channel is proportional to: k Re^0.8 Pr^(1/3) (Dittus-Boelter)."""
        prandtl = self.viscosity * self.heat_capacity / self.conductivity
        return float(self.conductivity * (self.density * flow_m3_s / self.viscosity) ** 0.8 * prandtl ** (1.0 / 3.0))


@cache
def fluid(name: str, percent: float = 0.0, at_c: float = REFERENCE_C) -> Fluid:
    """`water`, `propylene-glycol` or `ethylene-glycol` of `percent` [% by mass], at `at_c` [degC] and 3 bar.

    Source: CoolProp, IAPWS-95 and its incompressible fits MPG and MEG.

    Raises:
        ConfigError: unknown fluid.
    """
    glycols = {"propylene-glycol": "MPG", "ethylene-glycol": "MEG"}
    if name not in {"water", *glycols}:
        raise ConfigError(f"unknown coolant {name!r}", remedy="use water, propylene-glycol or ethylene-glycol")
    medium = "Water" if name == "water" or percent <= 0 else f"INCOMP::{glycols[name]}[{percent / 100:.4f}]"
    found = (float(PropsSI(key, "T", at_c + 273.15, "P", REFERENCE_PA, medium)) for key in "DCLV")
    return Fluid(medium, *found)
