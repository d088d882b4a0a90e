"""Trends that can't be what they are called: degrees Fahrenheit read as Celsius, a decimal comma read as thousands."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from plant.errors import ConfigError

RANGE_C = {
    **dict.fromkeys(("supply_setpoint", "supply_temperature", "facility_supply_temperature"), (-30.0, 65.0)),
    **dict.fromkeys(("return_temperature", "facility_return_temperature"), (-30.0, 80.0)),
    **dict.fromkeys(("wet_bulb", "dew_point"), (-50.0, 40.0)),
    "dry_bulb": (-50.0, 60.0),
}
"""Where the median of a role's temperatures may lie [°C], with room: hot-water cooling goes to 60, wet bulbs to 36."""


def refuse_implausible(value: npt.NDArray[np.float64], role: str, column: str, where: str) -> None:
    """Better no audit than one of wrong units. value: [SI].

    Raises:
        ConfigError: half of the values lie where none of the role can.
    """
    known = value[np.isfinite(value)]
    if role not in RANGE_C or not len(known):
        return
    median_c, (least_c, most_c) = float(np.median(known)), RANGE_C[role]
    if not least_c <= median_c <= most_c:
        remedy = "name its unit behind the header (°F) or in the map, or leave the column out of the map"
        raise ConfigError(f"{column}: half of it beyond {median_c:.4g} °C is no {role}", where=where, remedy=remedy)
