"""Heat capacity of a volume of coolant, from CoolProp; the controller and the simulator ask it by themselves too."""

from __future__ import annotations

from functools import lru_cache

from plant.errors import ConfigError

REFERENCE_C = 37.0
_PRESSURE_PA = 3e5
_GLYCOLS = {"propylene-glycol": "MPG", "ethylene-glycol": "MEG"}


@lru_cache(maxsize=256)
def volume_heat(name: str, percent: float, at_c: float = REFERENCE_C) -> float:
    """Density times specific heat [J/(m³ K)] of `water` or of a glycol of `percent` [% by mass] at at_c [°C], 3 bar.

    Source: CoolProp's IAPWS-95 and its incompressible fits MPG and MEG.

    Raises:
        ConfigError: unknown coolant.
    """
    from CoolProp.CoolProp import PropsSI  # noqa: PLC0415 - takes half a second, and only balances need it

    if name != "water" and name not in _GLYCOLS:
        remedy = f"use water, {' or '.join(_GLYCOLS)}"
        raise ConfigError(f"unknown coolant {name!r}", remedy=remedy)
    mixed = name != "water" and percent > 0
    medium = f"INCOMP::{_GLYCOLS[name]}[{percent / 100:.4f}]" if mixed else "Water"
    density, heat = (float(PropsSI(key, "T", at_c + 273.15, "P", _PRESSURE_PA, medium)) for key in "DC")
    return density * heat


def glycol_share(name: str, percent: float, points: float) -> float:
    """Relative change of the volume's heat capacity if the glycol content is off by `points` [percentage points]."""
    if name == "water" or percent <= 0:
        return 0.0
    more, less = volume_heat(name, percent + points), volume_heat(name, max(percent - points, 0.0))
    return abs(more - less) / (2.0 * volume_heat(name, percent))
