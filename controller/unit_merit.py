"""Which units of the plant may stand for one another, and which of those that may not is taken first."""

from __future__ import annotations

from collections.abc import Mapping

from plant.topology import Equipment

Kind = tuple[object, ...]
_NOT_ENERGY = frozenset({"min_on_s", "min_off_s", "start_s", "volume_m3"})
AS_GOOD = 0.05
"""Units whose power for the same work differs by less take turns."""
_DEFAULT_HEAD_PA, _DEFAULT_EFFICIENCY = 0.0, 0.65
_WITHOUT_DRIVE, _WITHOUT_PLATES = 0.3, 0.5
"""By how much more work a machine of one speed, and a tower that serves no economiser, is taken to cost [1]."""


def kinds_of(units: Mapping[str, Equipment], served_by: Mapping[str, frozenset[str]]) -> dict[str, Kind]:
    """What a unit has in common with its likes: design figures to two digits, and those of what only it serves."""
    figures = {name: _figures(unit) for name, unit in units.items()}
    return {name: (figures[name], *sorted(figures[s] for s in _only(name, served_by))) for name in units}


def worse(units: Mapping[str, Equipment], served_by: Mapping[str, frozenset[str]]) -> dict[str, float]:
    """Electric power at design over work done, against the best of its kind [1], in steps of `AS_GOOD`."""
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
    """Power over what a unit carries at design: heat [1], or flow times 1 Pa for a pump; 0 where nothing is told."""
    design = unit.design
    if unit.kind == "chiller":
        return 1.0 / design["cop"] if design.get("cop") else 0.0
    pumping_w = design.get("flow_m3_s", 0.0) * design.get("head_pa", _DEFAULT_HEAD_PA)
    pumping_w /= design.get("efficiency", _DEFAULT_EFFICIENCY)
    if unit.kind == "pump":
        slow = _WITHOUT_DRIVE if design.get("variable_speed", 1.0) == 0.0 else 0.0
        return (1 + slow) * pumping_w / design["flow_m3_s"] if design.get("flow_m3_s") else 0.0
    if unit.kind == "economiser" or not design.get("heat_w"):
        return 0.0
    slow = _WITHOUT_DRIVE if design.get("fan_speeds") == 1 else 0.0
    return ((1 + slow) * design.get("fan_power_w", 0.0) + pumping_w) / design["heat_w"]
