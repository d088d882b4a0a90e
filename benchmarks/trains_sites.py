"""Site files of halls with trains that are not alike, made from the one with six equal trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ruamel.yaml import YAML

import sites
from benchmarks.twin_plant import example_file
from plant.topology import Site

Document = dict[str, Any]
Figures = Mapping[str, float]

COLDEST_C = 25.0
"""Warmest supply of racks whose servers were made for chilled water [°C]."""
CHILLED_C = 22.0
"""The same of racks that towers alone carry on no summer's day [°C]."""
RANGE_K = 3.0
ALARM_K = 2.0
"""Above it their supply breaks its limit."""
_WATERS = ("supply_temperature", "facility_supply_temperature", "tower_temperature")
DRIVEN: Figures = {"cop": 6.2, "cop_75": 6.9, "cop_50": 6.8, "cop_25": 5.0}
"""A chiller with a drive, at the temperatures of its rating: best at 50 to 75 %."""
CONSTANT: Figures = {"cop": 5.6, "cop_75": 5.4, "cop_50": 4.8, "cop_25": 3.4}
"""One without: best at full load."""
TOLD: Mapping[str, tuple[str, ...]] = {
    "cooling-tower": ("heat_w", "flow_m3_s"),
    "economiser": ("flow_m3_s",),
    "chiller": ("heat_w",),
    "pump": ("flow_m3_s",),
}
_LARGE: Mapping[str, Figures] = {
    "tower": {"heat_w": 1600e3, "flow_m3_s": 0.070, "approach_k": 3.3, "fan_power_w": 26e3, "air_flow_m3_s": 55},
    "economiser": {"heat_w": 1500e3, "flow_m3_s": 0.038, "condenser_flow_m3_s": 0.042, "ua_w_k": 640e3},
    "chiller": {"heat_w": 1000e3, "flow_m3_s": 0.0375, "condenser_flow_m3_s": 0.055, **DRIVEN},
    "fws-pump": {"flow_m3_s": 0.036, "efficiency": 0.76},
}
_OLD: Mapping[str, Figures] = {
    "tower": {"heat_w": 1000e3, "flow_m3_s": 0.045, "approach_k": 4.4, "fan_power_w": 21e3, "air_flow_m3_s": 33}
    | {"fan_speeds": 1, "min_flow_fraction": 1.0},
    "economiser": {"heat_w": 900e3, "flow_m3_s": 0.024, "condenser_flow_m3_s": 0.026, "ua_w_k": 330e3},
    "chiller": {"heat_w": 600e3, "flow_m3_s": 0.0225, "condenser_flow_m3_s": 0.034, **CONSTANT},
    "fws-pump": {"efficiency": 0.66, "variable_speed": 0},
}


@cache
def unequal() -> Site:
    """Two new large trains, two as in the equal hall, an old one without drives, and one without economiser."""
    return _made(_unequal)


@cache
def partload() -> Site:
    """Six equal towers for racks that need chilled water; three chillers with drives, three without."""
    return _made(_partload)


@cache
def chilled() -> Site:
    """The equal hall with racks that need chilled water."""
    return _made(_chilled)


@cache
def poor() -> Site:
    """The equal hall by a file that tells of its plant only how large it is."""
    return _made(_poor)


def _poor(document: Document) -> None:
    for unit in document["equipment"]:
        if unit["kind"] in TOLD:
            unit["design"] = {key: unit["design"][key] for key in TOLD[unit["kind"]]}


def _unequal(document: Document) -> None:
    for number, figures in {1: _LARGE, 2: _LARGE, 5: _OLD}.items():
        for kind, changed in figures.items():
            _unit(document, f"{kind}-{number}")["design"] |= changed
    _without(document, "economiser-6")


def _partload(document: Document) -> None:
    for number in range(1, 7):
        _unit(document, f"chiller-{number}")["design"] |= DRIVEN if number <= 3 else CONSTANT
    _colder(document, COLDEST_C)


def _chilled(document: Document) -> None:
    _colder(document, CHILLED_C)


def _colder(document: Document, most_c: float) -> None:
    """Racks that take water no warmer than most_c [°C]: range, alarm and design go down."""
    for group in document["cooling_groups"]:
        lower_k = group["design"]["supply_temperature_c"] - most_c
        group["design"] |= {f"{role}_c": group["design"][f"{role}_c"] - lower_k for role in _WATERS}
        supply = group["writable"]["supply_temperature"]
        supply |= {"min": min(supply["min"], most_c - RANGE_K), "max": most_c}
    alarm = _limit(document, "tcs-supply")
    alarm |= {"min": min(alarm["min"], most_c - RANGE_K), "max": most_c + ALARM_K}


def _limit(document: Document, name: str) -> Document:
    found: Document = next(limit for limit in document["limits"] if limit["id"] == name)
    return found


def _unit(document: Document, name: str) -> Document:
    found: Document = next(e for e in document["equipment"] if e["id"] == name)
    return found


def _without(document: Document, name: str) -> None:
    """A unit less: what fed it feeds what it fed."""
    gone = _unit(document, name)
    document["equipment"] = [e for e in document["equipment"] if e is not gone]
    for unit in document["equipment"]:
        feeds = unit.get("feeds", [])
        if name in feeds:
            through = gone["feeds"] if unit["kind"] == "cooling-tower" else []
            unit["feeds"] = [fed for fed in feeds if fed != name] + through
    for group in document["cooling_groups"]:
        group["stages"] = [stage for stage in group["stages"] if stage["unit"] != name]


def _made(change: Callable[[Document], None]) -> Site:
    document = YAML(typ="safe").load(example_file("six-trains.yaml"))
    for unit in document["equipment"]:
        unit["design"] = dict(unit.get("design", {}))  # not one for all that share an anchor
    change(document)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "site.yaml"
        YAML(typ="safe").dump(document, path)
        return sites.load_site(path)
