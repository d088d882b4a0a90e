"""Trends that can't be what they are called: degrees Fahrenheit read as Celsius, a decimal comma read as thousands."""

from __future__ import annotations

import numpy as np

from plant.errors import ConfigError
from reports.trend_csv import Floats
from reports.trend_headers import Meaning

RANGE_C = {
    **dict.fromkeys(("supply_setpoint", "supply_temperature", "facility_supply_temperature"), (-30.0, 65.0)),
    **dict.fromkeys(("return_temperature", "facility_return_temperature"), (-30.0, 80.0)),
    **dict.fromkeys(("wet_bulb", "dew_point"), (-50.0, 40.0)),
    "dry_bulb": (-50.0, 60.0),
}
"""Where the median of a role's temperatures may lie [°C], with room: hot-water cooling goes to 60, wet bulbs to 36."""
LEAST_TRAVEL = 0.01
"""A valve or pump that moves, but never above one per cent, is told in shares of one, and would never hunt."""


def refuse_implausible(value: Floats, meaning: Meaning, column: str, where: str) -> None:
    """Better no audit than one of wrong units. value: [SI].

    Raises:
        ConfigError: half of the temperatures lie where none of the role can, or assumed per cent are shares of one.
    """
    known = value[np.isfinite(value)]
    if not len(known):
        return
    remedy = "name its unit behind the header (°F) or in the map, or leave the column out of the map"
    median = float(np.median(known))
    least_c, most_c = RANGE_C.get(meaning.role, (-np.inf, np.inf))
    if not least_c <= median <= most_c:
        raise ConfigError(
            f"{column}: half of it beyond {median:.4g} °C is no {meaning.role}", where=where, remedy=remedy
        )
    if meaning.assumed and meaning.unit == "%" and 0.0 < float(known.max()) <= LEAST_TRAVEL:
        remedy = "name its unit behind the header ([1], or [%] where that is right) or in the map"
        raise ConfigError(f"{column}: taken for per cent it never passes 1 %", where=where, remedy=remedy)
