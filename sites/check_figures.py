"""Figures that can't be: a percentage for a share, litres for cubic metres, kelvins for °C, less than nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from sites.form import SiteForm
from sites.problem import Fault


@dataclass(frozen=True, slots=True)
class Bounds:
    """Figures whose name ends so, in SI: wide enough for any plant, narrow enough for a wrong unit to show."""

    ending: str
    least: float
    most: float
    remedy: str
    nought: bool = True

    def hold(self, value: float) -> bool:
        """Whether a figure may be; nought: whether the least may be 0 itself."""
        return self.least <= value <= self.most and (self.nought or value > 0)


SHARE = "give a share: 55 % is 0.55"
POWER, FLOW = "give watts: 1 kW is 1000", "give cubic metres a second: 1 l/min is 1.667e-5"
BOUNDS = (
    Bounds("efficiency", 0, 1, SHARE, nought=False),
    Bounds("_fraction", 0, 1, SHARE),
    Bounds("cop", 0, 50, "give heat per electrical power, such as 5", nought=False),
    Bounds("_per_k", -math.inf, math.inf, "give a number"),
    Bounds("_k_w", 0, 10, "give kelvin per watt", nought=False),
    Bounds("_w_k", 0, 1e9, "give watts per kelvin: 1 kW/K is 1000", nought=False),
    Bounds("air_flow_m3_s", 0, 5000, FLOW, nought=False),
    Bounds("_m3_s", 0, 20, FLOW, nought=False),
    Bounds("_m3", 0, 1e5, "give cubic metres: 1 l is 0.001"),
    Bounds("_pa", 0, 1e7, "give pascals: 1 kPa is 1000, 1 bar 100000"),
    Bounds("replaced_s", 946684800, 4e9, "give seconds since 1970, as `date -d '2026-10-04 11:30' +%s` tells them"),
    Bounds("_s", 0, 86400, "give seconds"),
    Bounds("rollover_j", 0, 1e21, "give joules: 1 kWh is 3.6e6", nought=False),
    Bounds("heat_w", 0, 1e9, POWER, nought=False),
    Bounds("power_w", 0, 1e9, POWER),
    Bounds("_c", -60, 150, "give degrees Celsius"),
    Bounds("_k", 0, 60, "give kelvin"),
)
"""The first that fits counts."""
CELSIUS = "give degrees Celsius"
LIMITS = {
    "case_temperature": Bounds("", 0, 125, CELSIUS),
    "rack_return_temperature": Bounds("", 0, 90, CELSIUS),
    "tcs_supply_temperature": Bounds("", 0, 90, CELSIUS),
    "fws_supply_temperature": Bounds("", -40, 90, CELSIUS),
    "air_inlet_temperature": Bounds("", 0, 60, CELSIUS),
    "dew_point_margin": Bounds("", 0, 30, "give kelvin"),
    "tcs_differential_pressure": Bounds("", 1e3, 1e6, "give pascals: 1 kPa is 1000, 1 bar 100000"),
    "rack_flow_m3_s": Bounds("", 0, 0.1, FLOW),
}
"""What a limit may be: one in another unit would hold nothing, and nobody would see it."""


def limit_figure_faults(form: SiteForm) -> Iterator[Fault]:
    """Every limit that is outside of what its quantity can be."""
    for number, limit in enumerate(form.limits):
        bounds = LIMITS[limit.quantity]
        for key, value in (("min", limit.min), ("max", limit.max)):
            if value is not None and not bounds.hold(value):
                message = f"limit {limit.id!r}: {key} {value:g} is not from {bounds.least:g} to {bounds.most:g}"
                yield Fault(place=("limits", number, key), message=message, remedy=bounds.remedy)


def figure_faults(form: SiteForm) -> Iterator[Fault]:
    """Every design figure of the equipment that is outside its bounds: energy and limits would be wrong by it."""
    for number, equipment in enumerate(form.equipment):
        for name, value in equipment.design.items():
            bounds = next((b for b in BOUNDS if name.endswith(b.ending)), None)
            if bounds is not None and not bounds.hold(value):
                least = f"{bounds.least:g}" if bounds.nought else "more than 0"
                message = f"{equipment.id}: {name} {value:g} is not from {least} to {bounds.most:g}"
                yield Fault(place=("equipment", number, "design", name), message=message, remedy=bounds.remedy)
