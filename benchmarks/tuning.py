"""Tune static setpoints and the reset rule to a plant and climate: least cooling energy with every limit held.

Coordinate search over the printed grids (supply temperature, flow, approach, least flow), twice round, judged on the
warmest, the coldest and a middle one of the twelve days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.baselines import Tuning, along, axes
from benchmarks.climate import CLIMATES, WeightedDay, read_climate
from benchmarks.control import QUICK_CYCLE_S, Row, Task, days_of, has_tower, run_tasks
from benchmarks.drive import Day
from benchmarks.plants import PLANTS

KINDS = ("static", "reset")
ROUNDS = 2
START = Tuning(kind="static", supply_c=36.0, flow_share=0.9, approach_k=5.0)
_NO_LIMIT_HELD = 1e18
_J_PER_KWH = 3.6e6


def run(quick: bool, data: Path | None, plant: str = "") -> dict[str, float | str | list[Row]]:
    """The grids and the best of them for every plant and climate; a quick run judges on the warmest day alone."""
    rows: list[Row] = []
    for name in [plant] if plant else list(PLANTS):
        for climate in CLIMATES:
            for kind, tuning in tune(name, climate, data, quick=quick).items():
                values = {axis: getattr(tuning, axis) for axis in axes(kind) if getattr(tuning, axis) is not None}
                rows.append({"plant": name, "climate": climate, "controller": kind, **values})
    grids: dict[str, float | str | list[Row]] = {
        f"grid_{axis}": " ".join(f"{value:g}" for value in values) for axis, values in axes().items()
    }
    return {**grids, "rows": rows}


def tune(plant: str, climate: str, data: Path | None, *, quick: bool = False) -> dict[str, Tuning]:
    """The best tuning of each kind."""
    return {kind: _tune(plant, climate, data, kind, quick=quick) for kind in KINDS}


def _tune(plant: str, climate: str, data: Path | None, kind: str, *, quick: bool) -> Tuning:
    tower = has_tower(plant, climate, data)
    best = Tuning(kind=kind, supply_c=START.supply_c, flow_share=START.flow_share, approach_k=START.approach_k)
    known: dict[Tuning, float] = {}
    for _ in range(ROUNDS):
        before = best
        for axis in axes(kind, tower=tower):
            fresh = [t for t in along(best, axis) if t not in known]
            known |= _judged(plant, climate, data, fresh, quick=quick)
            best = min(known, key=lambda tuning: known[tuning])
        if best == before:
            break
    return best


def _judged(
    plant: str, climate: str, data: Path | None, tunings: Sequence[Tuning], *, quick: bool
) -> Mapping[Tuning, float]:
    """Cooling energy of the judging days [J], with a penalty above any energy for each second outside a limit."""
    days = _judging_days(climate, data, quick=quick)
    tasks = [
        Task(
            plant=plant,
            climate=climate,
            controller=tuning.kind,
            day=day,
            data=data,
            cycle_s=QUICK_CYCLE_S,
            tuning=tuning,
            load=load,
        )
        for tuning in tunings
        for day, load in days
    ]
    cost: dict[Tuning, float] = dict.fromkeys(tunings, 0.0)
    for task, day in zip(tasks, run_tasks(tasks), strict=True):
        assert task.tuning is not None
        cost[task.tuning] += _cost(day)
    return cost


def _cost(day: Day) -> float:
    return sum(day.energy_j.values()) + _NO_LIMIT_HELD * sum(day.violation_s.values())


def _judging_days(climate: str, data: Path | None, *, quick: bool) -> list[tuple[WeightedDay, str]]:
    if quick:
        return list(days_of(climate, data, 1))
    days = days_of(climate, data, 12)
    year = read_climate(data, climate).dry_bulb_c
    order = sorted(days, key=lambda entry: float(year[24 * entry[0].day : 24 * entry[0].day + 24].mean()))
    warm, cold, middle = order[-1], order[0], order[len(order) // 2]
    return [(warm[0], "frontier"), (cold[0], "jobs"), (middle[0], "frontier")]
