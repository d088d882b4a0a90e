"""Tune static setpoints and the reset rule to a plant and climate: least cooling energy with every limit held.

Coordinate search over the printed grids (supply temperature, flow, approach, least flow), twice round, from the best
supply at two flows; judged on the warmest, the coldest and a middle one of the twelve days. A quick one goes downhill
from neighbour to neighbour along each grid, from what was kept, on the warmest day, or on all of the twelve weighted
days of a climate. A day ends with the first hour outside a limit. The N+1 reserve is one of the limits; the
`-no-reserve` ones need not hold it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.baselines import Tuning, along, axes, together
from benchmarks.climate import CLIMATES, WeightedDay, read_climate
from benchmarks.drive import DAY_H, Day
from benchmarks.plants import PLANTS
from benchmarks.rows import Row
from benchmarks.tasks import QUICK_CYCLE_S, Task, commanded, days_of, run_tasks
from benchmarks.tuned import FILE, TWELVE, check_kept, read_tuned, write_tuned
from plant.errors import ConfigError

KINDS = ("static", "reset")
NO_RESERVE = tuple(f"{kind}-no-reserve" for kind in KINDS)
ROUNDS = 2
STARTS = tuple(Tuning(kind="static", supply_c=36.0, flow_share=share, approach_k=5.0) for share in (0.60, 0.65, 0.90))
"""More than one flow: supply and flow share the case limit, along which no axis runs."""
Line = Callable[[Tuning], Iterable[Tuning]]
_HOUR_NOT_HELD_J = 1e15
"""Above any energy: for each hour that a day was cut short."""


def run(
    quick: bool,
    data: Path | None,
    plant: str = "",
    controllers: str = "",
    write: str = "",
    days: int = 0,
    climate: str = "",
) -> dict[str, float | str | list[Row]]:
    """The grids and the best of them for every plant and climate; a quick run searches less.

    controllers: some of `KINDS` and `NO_RESERVE`, with commas between, by default the former; write: a file that takes
    the tunings as found, for `bench control --quick` to read (days 12: `TWELVE`, which twelve days read); days:
    0 as above, or 12 to judge by all of the twelve weighted days, downhill; climate: one of `CLIMATES`, by default all.

    Raises:
        ConfigError: there is no such controller to tune, no such climate, another number of days, or nothing can be
            kept in `write`.
    """
    if days not in {0, 12}:
        raise ConfigError(f"{days} days", where="--days", remedy="use 12, or leave it out")
    if climate and climate not in CLIMATES:
        raise ConfigError(f"no climate {climate!r}", where="--climate", remedy=f"use one of {', '.join(CLIMATES)}")
    names = [name.strip() for name in controllers.split(",")] if controllers else list(KINDS)
    for name in names:
        if name not in {*KINDS, *NO_RESERVE}:
            remedy = f"use some of {', '.join((*KINDS, *NO_RESERVE))}"
            raise ConfigError(f"{name!r} is not tuned", where="--controllers", remedy=remedy)
    if write:
        check_kept(Path(write))
    rows: list[Row] = []
    for place in [plant] if plant else PLANTS:
        for where in [climate] if climate else CLIMATES:
            found = tune(place, where, data, names, quick=quick, days=days)
            rows += [{"plant": place, "climate": where, "controller": n, **t.values} for n, t in found.items()]
            if write:
                write_tuned(Path(write), place, where, found)
    grids: dict[str, float | str | list[Row]] = {
        f"grid_{axis}": " ".join(f"{value:g}" for value in values) for axis, values in axes().items()
    }
    return {**grids, "rows": rows}


def tune(
    plant: str, climate: str, data: Path | None, names: Sequence[str] = KINDS, *, quick: bool = False, days: int = 0
) -> dict[str, Tuning]:
    """The best tuning of each of `KINDS` and `NO_RESERVE` that is named; quick, days: see `run`."""
    return {name: _Search(plant, climate, data, name, quick=quick, days=days).best() for name in names}


class _Search:
    """One coordinate search: what is known so far, and what a tuning costs."""

    def __init__(self, plant: str, climate: str, data: Path | None, name: str, *, quick: bool, days: int = 0) -> None:
        self._kind = name.removesuffix("-no-reserve")
        self._reserve, self._has = self._kind == name, commanded(plant, climate, data)
        self._days = list(days_of(climate, data, days)) if days else _judging_days(climate, data, quick=quick)
        self._weighted, self._downhill = days > 1, quick or days > 1
        self._place, self._data, self._name = (plant, climate), data, name
        self._known: dict[Tuning, float] = {}

    def best(self) -> Tuning:
        """From each start's best supply along each line, again while it helps."""
        best = min((self._line(s, lambda t: along(t, "supply_c")) for s in self._starts()), key=self._cost)
        for _ in range(ROUNDS):
            before = best
            for line in self._lines():
                best = self._line(best, line)
            if best == before:
                break
        return best

    def _starts(self) -> list[Tuning]:
        """Downhill goes on from what was kept."""
        kept = read_tuned(TWELVE if self._weighted else FILE).get(self._place[0], {}).get(self._place[1], {})
        starts = [kept[self._name]] if self._downhill and self._name in kept else list(STARTS)
        starts = [replace(start, kind=self._kind) for start in starts]
        self._judge(starts)
        return starts

    def _lines(self) -> list[Line]:
        """Each axis, and supply and approach together (facility water stays)."""
        has = self._has
        names = axes(self._kind, tower=has.tower, staged=has.stages, air=has.air)
        return [*(partial(along, axis=axis) for axis in names), together]

    def _line(self, best: Tuning, line: Line) -> Tuning:
        """The best along a line: of all its points, or downhill from neighbour to neighbour."""
        if not self._downhill:
            points = self._points(line, best)
            self._judge(points)
            return min((best, *points), key=self._cost)
        while True:
            near = _neighbours(self._points(line, best), best)
            self._judge(near)
            better = min((best, *near), key=self._cost)
            if better == best:
                return best
            best = better

    def _points(self, line: Line, here: Tuning) -> list[Tuning]:
        """Those of a line that the site's ranges tell apart."""
        return [point for point in line(here) if point.supply_c <= self._has.warmest_c]

    def _cost(self, tuning: Tuning) -> float:
        return self._known[tuning]

    def _judge(self, tunings: Iterable[Tuning]) -> None:
        """Cooling energy of the judging days [J], far above any energy where a limit was broken."""
        fresh = [t for t in dict.fromkeys(tunings) if t not in self._known]
        tasks = [self._task(tuning, *day) for tuning in fresh for day in self._days]
        for task, day in zip(tasks, run_tasks(tasks), strict=True):
            assert task.tuning is not None
            weight = task.day.weight if self._weighted else 1.0
            self._known[task.tuning] = self._known.get(task.tuning, 0.0) + weight * _cost(day)

    def _task(self, tuning: Tuning, day: WeightedDay, load: str) -> Task:
        plant, climate = self._place
        return Task(
            plant=plant,
            climate=climate,
            controller=self._name,
            day=day,
            data=self._data,
            cycle_s=QUICK_CYCLE_S,
            tuning=tuning,
            load=load,
            reserve=self._reserve,
            give_up=True,
        )


def _neighbours(points: Sequence[Tuning], here: Tuning) -> list[Tuning]:
    """The points of a line before and after `here`; all of them where it is not on the grid."""
    if here not in points:
        return list(points)
    at = points.index(here)
    return [points[i] for i in (at - 1, at + 1) if 0 <= i < len(points)]


def _cost(day: Day) -> float:
    held = sum(held for _, _, held in day.hourly)
    return day.cooling_j + _HOUR_NOT_HELD_J * (DAY_H - held)


def _judging_days(climate: str, data: Path | None, *, quick: bool) -> list[tuple[WeightedDay, str]]:
    if quick:
        return list(days_of(climate, data, 1))
    days = days_of(climate, data, 12)
    year = read_climate(data, climate).dry_bulb_c
    order = sorted(days, key=lambda entry: float(year[24 * entry[0].day : 24 * entry[0].day + 24].mean()))
    warm, cold, middle = order[-1], order[0], order[len(order) // 2]
    return [(warm[0], "frontier"), (cold[0], "jobs"), (middle[0], "frontier")]
