"""Days of the control benchmark as tasks for any process: which plant, weather, work and operator."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.baselines import (
    SUPPLY_C,
    Ours,
    Rule,
    Schedule,
    Tuning,
    commands_air,
    commands_tower,
    untold,
    warmest_supply_c,
)
from benchmarks.climate import WeightedDay, read_climate, twelve_days, warmest_day
from benchmarks.drive import DAY_H, Day, Operator, drive_day
from benchmarks.foresight import perfect, persistence
from benchmarks.plants import Plant, Scenario, Scheduled, Sequenced, Utilisation, Working, load_plant
from benchmarks.robust import ROBUST, adverse
from benchmarks.seam import check_plant
from benchmarks.staged_bound import staged_bound_day
from benchmarks.trains_plant import TrainsPlant
from benchmarks.work import SQUARES_STEP_S, Work, by_month, frontier, job_mix, squares
from benchmarks.workers import pool
from controller.identification.known import Kept
from plant.topology import Site

QUICK_CYCLE_S, CYCLE_S = 600.0, 60.0
YEAR_DAYS, YEAR_H = 365, 8757
"""A year from its third hour on: weather ends with the last."""
BOUND, KNOWN = "bound", "ours-known"
"""Ours that was started again after a day, with what it kept of the plant's parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One day (or more hours) of one controller on one plant.

    tuning: a baseline's; schedule: fixed setpoints of each hour, which move freely (the bound's, but where units are
    switched and the plant can be settled: `benchmarks.staged_bound`); reserve: the N+1
    reserve is a limit; give_up: stop at the first hour outside a limit.
    """

    plant: str
    climate: str
    controller: str
    day: WeightedDay
    data: Path | None
    cycle_s: float
    tuning: Tuning | None = None
    load: str = "frontier"
    schedule: tuple[Tuning, ...] = ()
    hours: int = DAY_H
    reserve: bool = True
    give_up: bool = False


def run_tasks(tasks: Sequence[Task]) -> list[Day]:
    """Every task's day, on all cores; the longest begin first, so that no core waits long at the end."""
    if len(tasks) < 2 or (os.cpu_count() or 1) < 2:
        return [run_task(task) for task in tasks]
    order = sorted(range(len(tasks)), key=lambda index: not tasks[index].controller.startswith("ours"))
    days = dict(zip(order, pool().map(run_task, [tasks[index] for index in order]), strict=True))
    return [days[index] for index in range(len(tasks))]


def run_task(task: Task) -> Day:
    """One day; of `KNOWN` after the day before it."""
    known = _learnt_before(task) if task.controller == KNOWN else {}
    plant, work = _made(task)
    try:
        start_s = read_climate(task.data, task.climate).start_s(task.day.day)
        if task.controller == BOUND and not task.schedule and isinstance(plant, TrainsPlant):
            return staged_bound_day(plant, start_s, task.hours)
        operator = _operator(task, plant, work, start_s, known)
        if task.tuning is not None and task.tuning.stage_up is not None and isinstance(plant, Sequenced):
            plant.sequence(task.tuning.stage_up)
        return drive_day(
            plant,
            operator,
            start_s,
            task.cycle_s,
            hours=task.hours,
            free=bool(task.schedule),
            reserve_is_limit=task.reserve,
            give_up=task.give_up,
        )
    finally:
        plant.close()


def _learnt_before(task: Task) -> dict[str, Kept]:
    """What the controller knows of the plant at the end of the day before."""
    plant, _ = _made(task)
    try:
        operator = Ours(plant.site)
        start_s = read_climate(task.data, task.climate).start_s(max(task.day.day - 1, 0))
        drive_day(plant, operator, start_s, task.cycle_s)
        return operator.kept()
    finally:
        plant.close()


def make_plant(task: Task) -> Plant:
    """The plant under the task's weather and work."""
    return _made(task)[0]


def _made(task: Task) -> tuple[Plant, Work]:
    climate, work = read_climate(task.data, task.climate), Work()
    step_s = SQUARES_STEP_S if task.load == "squares" else None
    plant = load_plant(task.plant)(Scenario(climate=climate, utilisation=work, step_s=step_s))
    check_plant(plant, task.plant)
    racks = tuple(e.id for e in plant.site.of_kind("rack"))
    own = plant.work if isinstance(plant, Working) else None
    work.source = own or _source(task, plant.site, racks, climate.offset_s)
    return plant, work


def _source(task: Task, site: Site, racks: tuple[str, ...], offset_s: float) -> Utilisation:
    if task.load == "squares":
        return squares
    if task.load == "frontier":
        return frontier(task.data, racks, offset_s)
    jobs = job_mix(site, offset_s)
    return jobs if task.load == "jobs" else by_month(frontier(task.data, racks, offset_s), jobs, offset_s)


def _operator(task: Task, plant: Plant, work: Work, start_s: float, known: Mapping[str, Kept]) -> Operator:
    site = plant.site
    if task.schedule:
        return Schedule(site, task.schedule, start_s)
    if task.tuning is not None:
        return Rule(site, task.tuning)
    if task.controller in ROBUST:
        return adverse(task.controller, site)
    foresight = {"ours-persistence": persistence(site), "ours-perfect": perfect(site, work)}
    told = plant.outlook if isinstance(plant, Scheduled) else untold
    return Ours(site, foresight.get(task.controller), known, told)


def days_of(climate: str, data: Path | None, count: int) -> list[tuple[WeightedDay, str]]:
    """The days with their loads: Frontier's trace in odd months, the job mix in even ones; a year is one long day."""
    if count == YEAR_DAYS:
        return [(WeightedDay(0, 1.0), "months")]
    if count == 1:
        return [(warmest_day(read_climate(data, climate)), "frontier")]
    days = twelve_days(read_climate(data, climate))
    return [(day, "frontier" if index % 2 == 0 else "jobs") for index, day in enumerate(days)]


@dataclass(frozen=True, slots=True)
class Commanded:
    """What a plant has to command beside its loop: a tower, an air unit, units that are switched.

    settles: and it can be settled under any units and setpoints, so that its bound stages; warmest_c: the warmest
    supply that a rule may try there [°C].
    """

    tower: bool
    air: bool
    stages: bool
    settles: bool = False
    warmest_c: float = SUPPLY_C[-1]


def commanded(plant: str, climate: str, data: Path | None) -> Commanded:
    """What a plant's site has to command beside its loop."""
    day = WeightedDay(0, 1.0)
    made = make_plant(Task(plant=plant, climate=climate, controller="", day=day, data=data, cycle_s=CYCLE_S))
    try:
        groups = made.site.groups.values()
        stages, settles = any(group.stages for group in groups), isinstance(made, TrainsPlant)
        tower, air = commands_tower(made.site), commands_air(made.site)
        return Commanded(tower, air, stages, settles, warmest_supply_c(made.site))
    finally:
        made.close()
