"""One operator drives one plant for one day through the seam; every setpoint passes the actuator's guard.

Only the bound's may move freely (`free`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Protocol

import numpy as np

from actuator.guard import guard
from benchmarks.plants import Plant, PlantTruth
from benchmarks.reserve import UNKNOWN_K, ReserveWatch
from benchmarks.seam import check_names, check_setpoints, judged, measured, warn_of_units
from controller.inputs import effective_point
from plant.clock import ManualClock
from plant.leases import CONTROLLER, Lease
from plant.live import LiveTable, Snapshot
from plant.points import PointId
from plant.samples import Quality, SampleBatch, quality_code
from plant.topology import Site

GOOD = quality_code(Quality.GOOD)
LEAD_H = 2
"""The first hours, in which setpoints walk from design to where an operator wants them, are not counted."""
DAY_H = 24
LEASE_S, LEASE_LIFE_S = 1800.0, 180.0
"""What the guard sees of a lease, which a cycle of ten minutes renews; how long one lives that is renewed no more."""


class Operator(Protocol):
    """Whoever decides: a rule or the controller."""

    def decide(self, snapshot: Snapshot, now_s: float) -> Mapping[PointId, float]:
        """Setpoints wanted now [SI]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What one day came to. Energies [J], by hour for the bound; minutes outside limits by the limit's id."""

    energy_j: Mapping[str, float]
    it_j: float
    site_j: float
    violation_s: Mapping[str, float]
    highest_case_c: float
    least_dew_margin_k: float
    moves: int
    hourly: tuple[tuple[float, float, bool], ...]
    """(cooling energy [J], site energy [J], every limit held, the reserve among them) of each hour."""
    least_reserve_margin_k: float = UNKNOWN_K
    reserve_violation_s: float = 0.0
    unplanned: Mapping[str, int] = field(default_factory=dict)
    """Cycles in which a loop had no plan, the lead's among them, by what was told of it."""

    @property
    def cooling_j(self) -> float:
        """All components together [J]."""
        return sum(self.energy_j.values())


@dataclass(slots=True)
class _Guarded:
    """Setpoints as the guard lets them pass, and when each last changed; of points nobody asks for any more design."""

    site: Site
    clock: ManualClock
    design: Mapping[PointId, float]
    accepted: dict[PointId, float] = field(default_factory=dict)
    changed_s: dict[PointId, float] = field(default_factory=dict)
    asked_s: dict[PointId, float] = field(default_factory=dict)
    moves: int = 0
    seq: int = 0

    def take(self, wanted: Mapping[PointId, float], snapshot: Snapshot) -> dict[PointId, float]:
        now_s = self.clock.monotonic()
        self.asked_s |= dict.fromkeys(wanted, now_s)
        for point, value in wanted.items():
            self._judge(point, value, snapshot)
        for point in [p for p in self.accepted if now_s - self.asked_s[p] >= LEASE_LIFE_S]:
            self._lapse(point)
        return dict(self.accepted)

    def _lapse(self, point: PointId) -> None:
        """Nobody asks for it any more: the device goes back to its design, and every unit may run."""
        value = self.design.get(point, 1.0)
        if self.accepted[point] != value:
            self.accepted[point], self.changed_s[point] = value, self.clock.monotonic()

    def _judge(self, point: PointId, value: float, snapshot: Snapshot) -> None:
        self.seq += 1
        now_s = self.clock.monotonic()
        lease = Lease(
            point=point,
            value=value,
            epoch=1,
            seq=self.seq,
            issued_s=self.clock.now(),
            issued_mono_s=now_s,
            ttl_s=LEASE_S,
            holder=CONTROLLER,
            reason="benchmark",
        )
        actual = snapshot.get(effective_point(self.site, point))
        actual = self.accepted.get(point, actual)
        last_s = self.changed_s.get(point, float("-inf"))
        verdict = guard(lease, self.site.envelopes[point], actual, last_s, snapshot, now_s, epoch=1)
        if verdict.allowed:
            if abs(verdict.value - actual) > 1e-6:
                self.moves += 1
                self.changed_s[point] = now_s
            self.accepted[point] = verdict.value


@dataclass(frozen=True, slots=True)
class _Mark:
    """What had come together at the start of an hour; reserve_violation_s [s] only where the reserve is a limit."""

    truth: PlantTruth
    reserve_violation_s: float

    def held_until(self, later: _Mark) -> bool:
        """Whether every limit was held since."""
        return not _since(self.truth, later.truth) and later.reserve_violation_s == self.reserve_violation_s


def drive_day(
    plant: Plant,
    operator: Operator,
    start_s: float,
    cycle_s: float,
    *,
    hours: int = DAY_H,
    free: bool = False,
    reserve_is_limit: bool = True,
    give_up: bool = False,
) -> Day:
    """`hours` [h] from two hours after start_s [s since 1970], decided every cycle_s [s].

    free: setpoints go to the plant as they are; reserve_is_limit: an hour without it counts as not held; give_up: end
    with the first hour that was not held.

    Raises:
        ConfigError: the plant shows points that its site file has not, or hides setpoints in force.
    """
    plant.reset(start_s)
    clock = ManualClock(epoch_s=start_s)
    live, hands = LiveTable(plant.site.points.values(), clock), _Guarded(plant.site, clock, _design(plant.site))
    reserve = ReserveWatch(plant.site)
    setpoints: dict[PointId, float] = {}
    marks: list[_Mark] = []
    reads_gpus = getattr(operator, "reads_gpus", True)
    for hour in range(LEAD_H + hours):
        if hour == LEAD_H:
            hands.moves, reserve.least_k, reserve.violation_s = 0, UNKNOWN_K, 0.0
        if hour >= LEAD_H:
            marks.append(_Mark(judged(plant), reserve_is_limit * reserve.violation_s))
        if give_up and len(marks) > 1 and not marks[-2].held_until(marks[-1]):
            break
        for cycle in range(round(3600.0 / cycle_s)):
            shown = measured(plant.site, plant.advance(setpoints, cycle_s))
            if hour == cycle == 0:
                check_names(plant.site, shown)
                warn_of_units(plant.site, shown)
                if hasattr(operator, "unplanned"):  # a rule needs to know none of them
                    check_setpoints(plant.site, shown)
            clock.advance(cycle_s)
            live.update(batch_of(shown if reads_gpus else _without_gpus(shown), clock.now()))
            snapshot = live.snapshot()
            reserve.see(snapshot, cycle_s)
            wanted = operator.decide(snapshot, clock.now())
            setpoints = dict(wanted) if free else hands.take(wanted, snapshot)
    else:
        marks.append(_Mark(judged(plant), reserve_is_limit * reserve.violation_s))
    return replace(_day(marks, hands.moves, reserve), unplanned=dict(getattr(operator, "unplanned", {})))


def _design(site: Site) -> dict[PointId, float]:
    """What each setpoint goes back to by itself [SI]."""
    return {point: group.design[role] for group in site.groups.values() for role, point in group.commands.items()}


def _without_gpus(shown: Mapping[PointId, float]) -> dict[PointId, float]:
    """For an operator that asks for no GPU: there are a thousand of them."""
    return {point: value for point, value in shown.items() if "/gpu-" not in point}


def batch_of(shown: Mapping[PointId, float], now_s: float) -> SampleBatch:
    """What a plant shows, as good samples of one moment."""
    count = len(shown)
    return SampleBatch(
        names=tuple(shown),
        index=np.arange(count),
        time_s=np.full(count, now_s),
        received_s=np.full(count, now_s),
        value=np.fromiter(shown.values(), np.float64, count),
        code=np.full(count, GOOD, dtype=np.int32),
    )


def _day(marks: list[_Mark], moves: int, reserve: ReserveWatch) -> Day:
    first, last = marks[0].truth, marks[-1].truth
    return Day(
        energy_j={name: joules - first.energy_j.get(name, 0.0) for name, joules in last.energy_j.items()},
        it_j=last.it_j - first.it_j,
        site_j=last.site_j - first.site_j,
        violation_s=_since(first, last),
        highest_case_c=last.highest_case_c,
        least_dew_margin_k=last.least_dew_margin_k,
        moves=moves,
        hourly=tuple(_hour(a, b) for a, b in pairwise(marks)),
        least_reserve_margin_k=reserve.least_k,
        reserve_violation_s=reserve.violation_s,
    )


def _hour(start: _Mark, end: _Mark) -> tuple[float, float, bool]:
    a, b = start.truth, end.truth
    return b.cooling_j - a.cooling_j, b.site_j - a.site_j, start.held_until(end)


def _since(before: PlantTruth, after: PlantTruth) -> dict[str, float]:
    seconds = {limit: s - before.violation_s.get(limit, 0.0) for limit, s in after.violation_s.items()}
    return {limit: s for limit, s in seconds.items() if s > 0}
