"""Rows of `bench control`: days of one controller on one plant and climate, added up.

Energies are weighted to a year's, minutes and moves are those of the days themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from benchmarks.baselines import Tuning
from benchmarks.drive import Day
from benchmarks.tasks import Task

Row = dict[str, float | str]
Done = tuple[Task, Day]

_J_PER_KWH = 3.6e6
_KNOWN = {"case": "case_violation_minutes", "dew-point": "dew_point_violation_minutes"}


def rows_of(done: Iterable[Done]) -> list[Row]:
    """One row for each plant, climate and controller; saving against the reset rule, distance from the bound."""
    groups: dict[tuple[str, str, str], list[Done]] = {}
    for task, day in done:
        groups.setdefault((task.plant, task.climate, task.controller), []).append((task, day))
    rows = {key: _row(key, group) for key, group in groups.items()}
    for (plant, climate, controller), row in rows.items():
        reset, bound = (rows.get((plant, climate, other)) for other in ("reset", "bound"))
        if reset is not None:
            row["cooling_saving_pct"] = 0.0 - _above(row, reset)
        if bound is not None and controller.startswith("ours"):
            row["above_bound_pct"] = _above(row, bound)
    return list(rows.values())


def _above(row: Row, other: Row) -> float:
    return 100 * (float(row["cooling_kwh"]) / float(other["cooling_kwh"]) - 1)


def _row(key: tuple[str, str, str], group: Sequence[Done]) -> Row:
    weighted = [(task.day.weight if len(group) > 1 else 1.0, day) for task, day in group]
    names = dict.fromkeys(name for _, day in weighted for name in day.energy_j)
    parts: Row = {f"{n}_kwh": sum(w * d.energy_j.get(n, 0.0) for w, d in weighted) / _J_PER_KWH for n in names}
    minutes = _minutes(weighted)
    return {
        "plant": key[0],
        "climate": key[1],
        "controller": key[2],
        "days": sum(len(day.hourly) for _, day in group) / 24.0,
        "cooling_kwh": sum(float(value) for value in parts.values()),
        "site_kwh": sum(w * d.site_j for w, d in weighted) / _J_PER_KWH,
        "it_kwh": sum(w * d.it_j for w, d in weighted) / _J_PER_KWH,
        **parts,
        **{name: minutes.get(limit, 0.0) for limit, name in _KNOWN.items()},
        "other_violation_minutes": sum((m for limit, m in minutes.items() if limit not in _KNOWN), 0.0),
        "reserve_violation_minutes": sum(d.reserve_violation_s for _, d in weighted) / 60.0,
        "highest_case_c": max(d.highest_case_c for _, d in weighted),
        "least_dew_margin_k": min(d.least_dew_margin_k for _, d in weighted),
        "least_reserve_margin_k": min(d.least_reserve_margin_k for _, d in weighted),
        "actuator_moves": float(sum(d.moves for _, d in weighted)),
        "cycles_without_plan": float(sum(sum(d.unplanned.values()) for _, d in weighted)),
        "why_without_plan": _why(day for _, day in weighted),
        "setpoints": words(group[0][0].tuning),
    }


def _minutes(weighted: Iterable[tuple[float, Day]]) -> dict[str, float]:
    """Minutes outside each limit, by the limit's id."""
    minutes: dict[str, float] = {}
    for _, day in weighted:
        for limit, seconds in day.violation_s.items():
            minutes[limit] = minutes.get(limit, 0.0) + seconds / 60.0
    return minutes


def _why(days: Iterable[Day]) -> str:
    """What was told most often of loops without a plan; empty where every cycle had one."""
    told = sum((Counter(day.unplanned) for day in days), Counter[str]())
    return next((why for why, _ in told.most_common(1)), "")


def words(tuning: Tuning | None) -> str:
    """A baseline's setpoints in words."""
    if tuning is None:
        return ""
    flow = f"{tuning.flow_share:g}"
    if tuning.kind == "reset":
        flow += f" x load, at least {tuning.least_flow_share:g}"
    said = f"supply {tuning.supply_c:g} °C, flow {flow}, facility {tuning.approach_k:g} K below"
    if tuning.tower_below_k is not None:
        said += f", tower {tuning.tower_below_k:g} K below that"
    if tuning.wet_bulb_approach_k is not None:
        said += f", {tuning.wet_bulb_approach_k:g} K above wet bulb at least"
    if tuning.air_c is not None:
        said += f", air {tuning.air_c:g} °C"
    return said
