"""Energy of cooling under each controller: plants x climates x controllers, limits and violations beside every saving.

All obey the same guard, ranges, steps, dwell and limits, the N+1 reserve among them (`benchmarks.reserve`). `static`
and `reset` are tuned by this benchmark (`benchmarks.tuning`); a quick run takes the tunings kept in tuned.yaml. Their
`-no-reserve` rows are tuned without that limit. `bound` is quasi-steady, see `benchmarks.bound` and, with switched
units, `benchmarks.staged_bound`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from benchmarks.baselines import Tuning
from benchmarks.bound import Schedule, bound_day
from benchmarks.climate import CLIMATES
from benchmarks.drive import DAY_H, Day
from benchmarks.plants import PLANTS, TUNED_AS, load_plant
from benchmarks.robust import ROBUST
from benchmarks.rows import Done, Row, rows_of
from benchmarks.tasks import (
    BOUND,
    CYCLE_S,
    KNOWN,
    QUICK_CYCLE_S,
    YEAR_DAYS,
    YEAR_H,
    Commanded,
    Task,
    commanded,
    days_of,
    run_tasks,
)
from benchmarks.tuned import FILE, TWELVE, read_tuned
from benchmarks.work import LOADS
from plant.errors import ConfigError

QUICK_PLANTS = ("twin", "hall")
QUICK = ("static", "reset", "ours")
FULL = ("static", "reset", "ours-persistence", "ours", "ours-perfect", "bound")
"""`ours` starts each day knowing nothing of the plant but its site file; `KNOWN` after a day of it."""
NO_RESERVE = ("static-no-reserve", "reset-no-reserve")
ALL = (*NO_RESERVE, *FULL, KNOWN, *ROBUST)


def run(
    quick: bool,
    data: Path | None,
    plant: str = "",
    days: int = 0,
    controllers: str = "",
    load: str = "",
    robust: bool = False,
    climate: str = "",
) -> dict[str, float | str | list[Row]]:
    """Rows by plant, climate and controller.

    plant: one of `PLANTS` or MODULE:FACTORY, by default all, when quick `QUICK_PLANTS`; days: 1, 12 or 365, by default
    1 when quick; energies are the year's [kWh] when the twelve weighted days are taken, else the days'; a year is run
    in cycles of ten minutes; controllers: names with commas between them; load: one of `LOADS` instead of each day's
    own; robust: `ROBUST`, too; climate: one of `CLIMATES`, by default all.

    Raises:
        ConfigError: data, plant or tuning is missing, or an option has no such value.
    """
    if days not in {0, 1, 12, YEAR_DAYS}:
        raise ConfigError(f"{days} days", where="--days", remedy=f"use 1, 12 or {YEAR_DAYS}")
    quick = quick or days == YEAR_DAYS
    asked, load = (*_asked(controllers, quick=quick), *(ROBUST if robust else ())), _load(load)
    names = [plant] if plant else list(QUICK_PLANTS if quick else PLANTS)
    for name in names:
        load_plant(name)
    if climate and climate not in CLIMATES:
        raise ConfigError(f"no climate {climate!r}", where="--climate", remedy=f"use one of {', '.join(CLIMATES)}")
    places = [(name, where) for name in names for where in ([climate] if climate else CLIMATES)]
    tasks = [
        replace(task, load=load or task.load)
        for place in places
        for task in _tasks(*place, data, days or (1 if quick else 12), asked, quick=quick)
    ]
    rows = rows_of(_done(tasks))
    return {
        "cycle_s": QUICK_CYCLE_S if quick else CYCLE_S,
        "days": float(days or (1 if quick else 12)),
        "rows": sorted(rows, key=lambda row: (row["plant"], row["climate"], ALL.index(str(row["controller"])))),
    }


def _asked(controllers: str, *, quick: bool) -> Sequence[str]:
    if not controllers:
        return QUICK if quick else FULL
    names = [name.strip() for name in controllers.split(",")]
    for name in names:
        if name not in ALL:
            raise ConfigError(f"no controller {name!r}", where="--controllers", remedy=f"use some of {', '.join(ALL)}")
    return names


def _load(load: str) -> str:
    if load and load not in LOADS:
        raise ConfigError(f"no load {load!r}", where="--load", remedy=f"use one of {', '.join(LOADS)}")
    return load


def _tasks(
    plant: str, climate: str, data: Path | None, count: int, controllers: Sequence[str], *, quick: bool
) -> Iterator[Task]:
    tunings = _tunings(plant, climate, data, controllers, count)
    for day, load in days_of(climate, data, count):
        for controller in controllers:
            yield Task(
                plant=plant,
                climate=climate,
                controller=controller,
                day=day,
                data=data,
                cycle_s=QUICK_CYCLE_S if quick and controller != "ours-late" else CYCLE_S,
                tuning=tunings.get(controller),
                load=load,
                hours=YEAR_H if count == YEAR_DAYS else DAY_H,
            )


def _tunings(plant: str, climate: str, data: Path | None, controllers: Sequence[str], count: int) -> dict[str, Tuning]:
    """Kept ones: for one day those tuned to that very day, for more those tuned to the climate; else tuned afresh."""
    from benchmarks.tuning import KINDS, tune  # noqa: PLC0415 - it needs this module's names

    wanted = [name for name in controllers if name.removesuffix("-no-reserve") in KINDS]
    kept = read_tuned(FILE if count == 1 else TWELVE).get(TUNED_AS.get(plant, plant), {}).get(climate, {})
    missing = [name for name in wanted if name not in kept]
    return {name: kept[name] for name in wanted if name in kept} | tune(
        plant, climate, data, missing, quick=count == 1, days=0 if count == 1 else 12
    )


def _done(tasks: Sequence[Task]) -> Iterator[Done]:
    """Every task with its day; the bound's tasks take many days each, or a sweep where the plant can be settled."""
    plain = [task for task in tasks if task.controller != BOUND]
    yield from zip(plain, run_tasks(plain), strict=True)
    for (plant, climate), sought in groupby(
        (task for task in tasks if task.controller == BOUND), lambda task: (task.plant, task.climate)
    ):
        has, days = commanded(plant, climate, next(iter(tasks)).data), list(sought)
        found = run_tasks(days) if has.settles else (bound_of(task, has) for task in days)
        yield from zip(days, found, strict=True)


def bound_of(task: Task, has: Commanded) -> Day:
    """The bound of one day."""

    def run(schedules: Sequence[Schedule]) -> list[Day]:
        return run_tasks([replace(task, schedule=schedule, cycle_s=QUICK_CYCLE_S) for schedule in schedules])

    return bound_day(run, tower=has.tower, air=has.air)[0]
