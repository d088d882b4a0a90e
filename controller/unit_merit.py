"""Which units of the plant may stand for one another, and which of those that may not is taken first."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from controller.pumps import efficiency_share, full_speed_share
from controller.towers import AIR_EXPONENT, FREE_SHARE, STATIC_SHARE, runs_share
from plant.topology import Equipment

Kind = tuple[object, ...]
_NOT_ENERGY = frozenset({"min_on_s", "min_off_s", "start_s", "volume_m3"})
AS_GOOD = 0.05
"""Units whose power for the same work differs by less take turns."""
_DEFAULT_HEAD_PA, _DEFAULT_EFFICIENCY = 0.0, 0.65
USUAL = 0.75
"""Of its design what a unit that runs usually carries [1]: between the loads at which one more starts and one less
stops, and where a chiller's part-load COP is told. There a pump without a drive draws half more than one with, fans of
one speed 2.3 times as much."""
_WITHOUT_PLATES = 0.1
"""By how much more the work of a tower that serves no economiser is taken to cost [1].

On trains that are not alike, at the cheapest number of towers, one without in place of one with costs 7 to 16 % of what
a tower draws, as the other plates take its water (settled sweeps of two climates' warmest days).
"""


def kinds_of(units: Mapping[str, Equipment], served_by: Mapping[str, frozenset[str]]) -> dict[str, Kind]:
    """What a unit has in common with its likes: design figures to two digits, and those of what only it serves."""
    figures = {name: _figures(unit) for name, unit in units.items()}
    return {name: (figures[name], *sorted(figures[s] for s in _only(name, served_by))) for name in units}


def worse(units: Mapping[str, Equipment], served_by: Mapping[str, frozenset[str]]) -> dict[str, float]:
    """Electric power over work at the usual load, against the best of its kind [1], in steps of `AS_GOOD`."""
    powers = {name: _power_share(unit) for name, unit in units.items()}
    best: dict[str, float] = {}
    for name, unit in units.items():
        best[unit.kind] = min(best.get(unit.kind, powers[name]), powers[name])
    plates = {name: any(units[s].kind == "economiser" for s in _only(name, served_by)) for name in units}
    some = any(plates.values())
    return {
        name: round((powers[name] / max(best[unit.kind], 1e-9) - 1) / AS_GOOD) * AS_GOOD
        + (_WITHOUT_PLATES if some and unit.kind == "cooling-tower" and not plates[name] else 0.0)
        for name, unit in units.items()
    }


def _only(tower: str, served_by: Mapping[str, frozenset[str]]) -> list[str]:
    return [unit for unit, towers in served_by.items() if towers == {tower}]


def _figures(unit: Equipment) -> tuple[tuple[str, float], ...]:
    return tuple(sorted((key, float(f"{value:.2g}")) for key, value in unit.design.items() if key not in _NOT_ENERGY))


def _power_share(unit: Equipment) -> float:
    """Power at the usual load over work at design: heat [1], or flow times 1 Pa for a pump; 0 where nothing is told."""
    design = unit.design
    if unit.kind == "chiller":
        cop = design.get("cop_75") or design.get("cop")
        return USUAL / cop if cop else 0.0
    pumping_w = design.get("flow_m3_s", 0.0) * design.get("head_pa", _DEFAULT_HEAD_PA)
    pumping_w *= USUAL * _head_share(design) / design.get("efficiency", _DEFAULT_EFFICIENCY)
    if unit.kind == "pump":
        return _pumped(design) * pumping_w / design["flow_m3_s"] if design.get("flow_m3_s") else 0.0
    if unit.kind == "economiser" or not design.get("heat_w"):
        return 0.0
    return (_fans(design) * design.get("fan_power_w", 0.0) + pumping_w) / design["heat_w"]


def _head_share(design: Mapping[str, float]) -> float:
    """Of its design head what the system asks for at the usual flow [1]."""
    static = design.get("static_head_fraction", STATIC_SHARE)
    return static + (1.0 - static) * USUAL**2


def _pumped(design: Mapping[str, float]) -> float:
    """What a pump draws at the usual flow over what that flow and its head need at its best efficiency [1]."""
    flow, head = np.array([USUAL]), np.array([_head_share(design)])
    if design.get("variable_speed", 1.0) == 0.0:
        return float((full_speed_share(flow) / head)[0])
    return float(1.0 / efficiency_share(flow, head)[0])


def _fans(design: Mapping[str, float]) -> float:
    """What fans draw over their design [1] at the speed of the usual heat."""
    speed = np.array([USUAL ** (1.0 / AIR_EXPONENT)])
    if design.get("fan_speeds") == 1:
        return float(runs_share(speed, design.get("free_convection_fraction", FREE_SHARE))[0])
    return float(speed[0] ** 3)
