"""Energy of cooling under each controller: plants x climates x controllers, limits and violations beside every saving.

All obey the same guard, ranges, steps and dwell. `static` and `reset` are tuned by this benchmark (benchmarks.tuning);
a quick run takes the tunings kept in tuned.yaml. `bound` is quasi-steady: of a dense sweep of fixed setpoints the best
of each hour, with perfect knowledge and free moves.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

from benchmarks.baselines import APPROACH_K, Ours, Rule, Tuning, commands_tower
from benchmarks.climate import CLIMATES, WeightedDay, read_climate, twelve_days, warmest_day
from benchmarks.drive import Day, Operator, drive_day
from benchmarks.plants import PLANTS, Plant, Scenario, load_plant
from benchmarks.tuned import read_tuned
from benchmarks.work import Work, frontier, job_mix
from plant.errors import ConfigError
from plant.topology import Site

Row = dict[str, float | str]

QUICK_CYCLE_S, CYCLE_S = 600.0, 60.0
QUICK = ("static", "reset", "ours")
ALL = (*QUICK, "bound")
BOUND_SUPPLY_C = (32.0, 35.0, 38.0, 40.0, 42.0)
BOUND_FLOW = (0.60, 0.70, 0.80, 0.90, 1.00)
BOUND_TOWER_BELOW_K = (1.0, 2.0, 4.0)
_J_PER_KWH = 3.6e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One day of one controller on one plant, in whatever process."""

    plant: str
    climate: str
    controller: str
    day: WeightedDay
    data: Path | None
    cycle_s: float
    tuning: Tuning | None = None
    load: str = "frontier"


def run(quick: bool, data: Path | None, plant: str = "", days: int = 0) -> dict[str, float | str | list[Row]]:
    """Rows by plant, climate and controller.

    plant: one of `PLANTS` or MODULE:FACTORY, by default all; days: 1 or 12, by default 1 when quick; energies are the
    year's [kWh] when the twelve weighted days are taken, else the day's.

    Raises:
        ConfigError: data, plant or tuning is missing.
    """
    if days not in {0, 1, 12}:
        raise ConfigError(f"{days} days", where="--days", remedy="use 1 or 12")
    count = days or (1 if quick else 12)
    names = [plant] if plant else list(PLANTS)
    for name in names:
        load_plant(name)
    tasks = [t for name in names for climate in CLIMATES for t in _tasks(name, climate, data, count, quick=quick)]
    rows = _rows(zip(tasks, run_tasks(tasks), strict=True), count)
    return {
        "cycle_s": QUICK_CYCLE_S if quick else CYCLE_S,
        "days": float(count),
        "rows": sorted(rows, key=lambda row: (row["plant"], row["climate"], ALL.index(str(row["controller"])))),
    }


def run_tasks(tasks: Sequence[Task]) -> list[Day]:
    """Every task's day, on all cores."""
    if len(tasks) < 2 or (os.cpu_count() or 1) < 2:
        return [run_task(task) for task in tasks]
    return list(_pool().map(run_task, tasks))


@cache
def _pool() -> ProcessPoolExecutor:
    """Workers for the rest of this process: their imports take longer than a day of the hall."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # many threads for tiny matrices only wait for one another
    return ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=multiprocessing.get_context("spawn"))


def run_task(task: Task) -> Day:
    """One day."""
    plant = make_plant(task)
    try:
        start_s = read_climate(task.data, task.climate).start_s(task.day.day)
        return drive_day(plant, _operator(task, plant.site), start_s, task.cycle_s)
    finally:
        plant.close()


def make_plant(task: Task) -> Plant:
    """The plant under the task's weather and work."""
    climate, work = read_climate(task.data, task.climate), Work()
    plant = load_plant(task.plant)(Scenario(climate=climate, utilisation=work))
    racks = tuple(e.id for e in plant.site.of_kind("rack"))
    if task.load == "frontier":
        work.source = frontier(task.data, racks, climate.offset_s)
    else:
        work.source = job_mix(plant.site, climate.offset_s)
    return plant


def _operator(task: Task, site: Site) -> Operator:
    return Ours(site) if task.tuning is None else Rule(site, task.tuning)


def days_of(climate: str, data: Path | None, count: int) -> list[tuple[WeightedDay, str]]:
    """The days with their loads: Frontier's trace in odd months, the job mix in even ones."""
    if count == 1:
        return [(warmest_day(read_climate(data, climate)), "frontier")]
    days = twelve_days(read_climate(data, climate))
    return [(day, "frontier" if index % 2 == 0 else "jobs") for index, day in enumerate(days)]


def _tasks(plant: str, climate: str, data: Path | None, count: int, *, quick: bool) -> Iterator[Task]:
    tunings = _tunings(plant, climate, data, quick=quick)
    for day, load in days_of(climate, data, count):
        for controller in QUICK if quick else ALL:
            sweep = bound_sweep(tower=has_tower(plant, climate, data)) if controller == "bound" else []
            for tuning in sweep or (tunings.get(controller),):
                yield Task(
                    plant=plant,
                    climate=climate,
                    controller=controller,
                    day=day,
                    data=data,
                    cycle_s=QUICK_CYCLE_S if quick else CYCLE_S,
                    tuning=tuning,
                    load=load,
                )


def _tunings(plant: str, climate: str, data: Path | None, *, quick: bool) -> dict[str, Tuning]:
    """Kept ones for a quick run; a full run tunes afresh, and so does a plant that has none."""
    from benchmarks.tuning import tune  # noqa: PLC0415 - it needs this module's tasks

    kept = read_tuned().get(plant, {}).get(climate)
    return kept if quick and kept else tune(plant, climate, data)


def has_tower(plant: str, climate: str, data: Path | None) -> bool:
    """Whether a plant has a tower to command."""
    day = WeightedDay(0, 1.0)
    made = make_plant(Task(plant=plant, climate=climate, controller="", day=day, data=data, cycle_s=CYCLE_S))
    try:
        return commands_tower(made.site)
    finally:
        made.close()


def bound_sweep(*, tower: bool) -> list[Tuning]:
    """Fixed setpoints of the bound."""
    grid = product(BOUND_SUPPLY_C, BOUND_FLOW, APPROACH_K, BOUND_TOWER_BELOW_K if tower else (None,))
    return [
        Tuning(kind="static", supply_c=t, flow_share=f, approach_k=a, tower_below_k=below) for t, f, a, below in grid
    ]


def _rows(done: Iterable[tuple[Task, Day]], count: int) -> list[Row]:
    groups: dict[tuple[str, str, str], list[tuple[Task, Day]]] = {}
    for task, day in done:
        groups.setdefault((task.plant, task.climate, task.controller), []).append((task, day))
    rows = {key: _bound(key, group) if key[2] == "bound" else _row(key, group, count) for key, group in groups.items()}
    for (plant, climate, _), row in rows.items():
        reset = rows.get((plant, climate, "reset"))
        if reset is not None:
            row["cooling_saving_pct"] = 100 * (1 - float(row["cooling_kwh"]) / float(reset["cooling_kwh"]))
    return list(rows.values())


def _row(key: tuple[str, str, str], group: Sequence[tuple[Task, Day]], count: int) -> Row:
    weighted = [(task.day.weight if count > 1 else 1.0, day) for task, day in group]
    names = dict.fromkeys(name for _, day in weighted for name in day.energy_j)
    parts: Row = {f"{n}_kwh": sum(w * d.energy_j.get(n, 0.0) for w, d in weighted) / _J_PER_KWH for n in names}
    minutes: dict[str, float] = {}
    for _, day in weighted:
        for limit, seconds in day.violation_s.items():
            minutes[limit] = minutes.get(limit, 0.0) + seconds / 60.0
    known = {"case": "case_violation_minutes", "dew-point": "dew_point_violation_minutes"}
    tuning = group[0][0].tuning
    return {
        "plant": key[0],
        "climate": key[1],
        "controller": key[2],
        "days": float(len(group)),
        "cooling_kwh": sum(float(value) for value in parts.values()),
        "site_kwh": sum(w * d.site_j for w, d in weighted) / _J_PER_KWH,
        "it_kwh": sum(w * d.it_j for w, d in weighted) / _J_PER_KWH,
        **parts,
        **{name: minutes.get(limit, 0.0) for limit, name in known.items()},
        "other_violation_minutes": sum((m for limit, m in minutes.items() if limit not in known), 0.0),
        "highest_case_c": max(d.highest_case_c for _, d in weighted),
        "least_dew_margin_k": min(d.least_dew_margin_k for _, d in weighted),
        "actuator_moves": float(sum(d.moves for _, d in weighted)),
        "setpoints": "" if tuning is None else _words(tuning),
    }


def _words(tuning: Tuning) -> str:
    flow = f"{tuning.flow_share:g}"
    if tuning.kind == "reset":
        flow += f" x load, at least {tuning.least_flow_share:g}"
    words = f"supply {tuning.supply_c:g} °C, flow {flow}, facility {tuning.approach_k:g} K below"
    if tuning.tower_below_k is not None:
        words += f", tower {tuning.tower_below_k:g} K below that"
    if tuning.wet_bulb_approach_k is not None:
        words += f", {tuning.wet_bulb_approach_k:g} K above wet bulb at least"
    return words


def _bound(key: tuple[str, str, str], group: Sequence[tuple[Task, Day]]) -> Row:
    """Of each hour of each day the sweep's best that held every limit."""
    by_day: dict[WeightedDay, list[Day]] = {}
    for task, day in group:
        by_day.setdefault(task.day, []).append(day)
    cooling_j = site_j = 0.0
    for weighted, days in by_day.items():
        weight = weighted.weight if len(by_day) > 1 else 1.0
        for hour in range(len(days[0].hourly)):
            held = [d.hourly[hour] for d in days if d.hourly[hour][2]] or [min(d.hourly[hour] for d in days)]
            best = min(held)
            cooling_j, site_j = cooling_j + weight * best[0], site_j + weight * best[1]
    return {
        "plant": key[0],
        "climate": key[1],
        "controller": key[2],
        "days": float(len(by_day)),
        "cooling_kwh": cooling_j / _J_PER_KWH,
        "site_kwh": site_j / _J_PER_KWH,
        "case_violation_minutes": 0.0,
        "dew_point_violation_minutes": 0.0,
        "actuator_moves": 0.0,
        "setpoints": f"best of {len(group) // len(by_day)} each hour",
    }
