"""The quasi-steady bound: of a sweep of fixed setpoints the best of each hour, refined, with perfect knowledge.

Nothing of the controller is in it but the reserve that everybody holds. Each run is a day in which every hour has
setpoints of its own, moved freely. First a coarse grid, the same point all day; then around each hour's best ever
smaller steps along each axis, all hours at once. What is reported is a last run of all the best together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, product
from typing import Any

from benchmarks.baselines import Tuning
from benchmarks.drive import DAY_H, Day

SUPPLY_C, FLOW_SHARE, APPROACH_K, TOWER_BELOW_K = (33.0, 36.0, 39.0, 42.0), (0.6, 0.75), (3.0, 5.0, 8.0), (1.5, 4.0)
"""The coarse grid."""
AIR_C = 27.0
STEPS = {"supply_c": 1.5, "flow_share": 0.07, "approach_k": 1.5, "tower_below_k": 1.0, "air_c": 1.0}
SHRINK, ROUNDS = 0.5, 3
LEAST = {"supply_c": 20.0, "flow_share": 0.4, "approach_k": 0.5, "tower_below_k": -1.0, "air_c": 15.0}
"""What no plant can go below; the envelopes clip the rest."""
REPAIR_ROUNDS = 3

Schedule = tuple[Tuning, ...]
Run = Callable[[Sequence[Schedule]], list[Day]]
"""Days of schedules, wherever they run."""


@dataclass(slots=True)
class Sweep:
    """What is known of each hour: (cooling energy [J], its setpoints) of the best that held every limit."""

    run: Run
    best: list[tuple[float, Tuning]] = field(default_factory=lambda: [(float("inf"), Tuning(kind="static"))] * DAY_H)
    days: int = 0

    def try_all(self, schedules: Sequence[Schedule]) -> bool:
        """Run them and keep what is better; whether any hour held every limit."""
        days = self.run(schedules)
        self.days += len(days)
        for schedule, day in zip(schedules, days, strict=True):
            for hour, (cooling_j, _, held) in enumerate(day.hourly):
                if held and cooling_j < self.best[hour][0]:
                    self.best[hour] = cooling_j, schedule[hour]
        return any(held for day in days for _, _, held in day.hourly)

    @property
    def schedule(self) -> Schedule:
        """Each hour's best."""
        return tuple(tuning for _, tuning in self.best)


def bound_day(run: Run, *, tower: bool, air: bool = False) -> tuple[Day, int]:
    """The best schedule's own day, and how many days it took to find it."""
    sweep = Sweep(run)
    for _, points in groupby(coarse(tower=tower, air=air), lambda point: point.supply_c):
        if not sweep.try_all([(point,) * DAY_H for point in points]):
            break  # warmer water holds its limits even less
    left_out = {axis for axis, has in (("tower_below_k", tower), ("air_c", air)) if not has}
    steps = {axis: step for axis, step in STEPS.items() if axis not in left_out}
    for _ in range(ROUNDS):
        for axis, step in steps.items():
            sweep.try_all(list(_around(sweep.schedule, axis, step)))
        steps = {axis: SHRINK * step for axis, step in steps.items()}
    return _confirmed(sweep)


def coarse(*, tower: bool, air: bool = False) -> list[Tuning]:
    """The first grid."""
    below = TOWER_BELOW_K if tower else (None,)
    grid = product(SUPPLY_C, FLOW_SHARE, APPROACH_K, below)
    air_c = AIR_C if air else None
    return [
        Tuning(kind="static", supply_c=t, flow_share=f, approach_k=a, tower_below_k=b, air_c=air_c)
        for t, f, a, b in grid
    ]


def _around(schedule: Schedule, axis: str, step: float) -> Iterator[Schedule]:
    """Every hour one step up; every hour one step down. Supply moves alone: facility and condenser water stay."""
    for move in (step, -step):
        yield tuple(_moved(tuning, axis, move) for tuning in schedule)


def _moved(tuning: Tuning, axis: str, move: float) -> Tuning:
    changed: dict[str, Any] = {axis: max(getattr(tuning, axis) + move, LEAST[axis])}
    if axis == "supply_c":
        changed["approach_k"] = max(tuning.approach_k + move, LEAST["approach_k"])
    return replace(tuning, **changed)


def _confirmed(sweep: Sweep) -> tuple[Day, int]:
    """The day of all best hours in one run; an hour that breaks a limit there (after a warmer one) yields."""
    for _ in range(REPAIR_ROUNDS):
        (day,) = sweep.run([sweep.schedule])
        sweep.days += 1
        broken = [hour for hour, (_, _, held) in enumerate(day.hourly) if not held]
        if not broken:
            break
        for hour in broken:
            cooling_j, tuning = sweep.best[hour]
            sweep.best[hour] = cooling_j, replace(tuning, supply_c=tuning.supply_c - STEPS["supply_c"] * SHRINK)
    return day, sweep.days
