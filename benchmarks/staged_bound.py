"""The quasi-steady bound of a hall whose units are switched: the cheapest of all sets of units and setpoints, by steps.

Nothing of the controller is in it but the reserve that everybody holds. Every ten minutes each number of towers,
chillers and pumps is looked at with a coarse grid of setpoints, the likeliest with ever smaller ones around their best:
towers, pumps and water are searched together, since each alone is best where the others already are. Weather and work
are known, nothing is forecast, no shortest time is kept. What is printed is the plant itself under all of these steps.
Where chillers run that is no bound: every setpoint is held at the highest load of ten minutes, which nobody has to.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby, product
from typing import ClassVar

from benchmarks.drive import DAY_H, LEAD_H, Day, drive_day
from benchmarks.trains_plant import ENABLE, TrainsPlant
from benchmarks.trains_steady import Set, SteadyTrains, Waters
from controller import inputs
from plant.errors import ConfigError
from plant.live import Snapshot
from plant.points import PointId
from plant.topology import CoolingGroup, Site

STEP_S, MINUTE_S, PER_HOUR = 600.0, 60.0, 6
DP_SHARES, BELOW_SUPPLY_K = (0.0, 0.12, 0.3), (2.5, 3.5, 5.0, 6.5, 8.5, 11.0)
BELOW_FACILITY_K, ABOVE_WET_BULB_K = (0.4, 0.9, 1.8, 3.0, 5.0), (2.0, 3.5, 6.0)
"""The coarse grid: share of the pressure's range, facility water below the supply, condenser water."""
FINE, SHRINK, ROUNDS = (8000.0, 1.0, 0.8), 0.5, 6
"""The finer ones: first step of pressure, facility and condenser water [Pa, K], by how much it shrinks, how often."""
LIKELY, LIKELY_SHARE = 6, 1.06
"""Of the sets those are refined that a coarse look says are so near the best."""
REPAIR_K, REPAIRS = 0.1, 8


@dataclass(frozen=True, slots=True)
class Step:
    """The best of ten minutes: what runs and to which setpoints."""

    cooling_w: float
    supply_c: float
    waters: Waters
    on: Set


@dataclass(slots=True)
class Sweep:
    """Sweeps one step after another; what was best of each set is where the next step looks, too."""

    steady: SteadyTrains
    site: Site
    known: dict[Set, tuple[Waters]] = field(default_factory=dict)
    group: CoolingGroup = field(init=False)
    sets: list[Set] = field(init=False)

    def __post_init__(self) -> None:
        self.group, self.sets = next(iter(self.site.groups.values())), self.steady.sets()

    def step(self, start_s: float) -> Step:
        """The best from start_s [s since 1970] on.

        Raises:
            ConfigError: nothing holds every limit.
        """
        self.steady.at([start_s + MINUTE_S * (minute + 0.5) for minute in range(round(STEP_S / MINUTE_S))])
        looked: dict[Set, tuple[float, Waters]] = {}
        least_w, grid = math.inf, tuple(self._grid())
        for _, sets in groupby(self.sets, self.steady.chillers):
            before_w = least_w
            for on in sets:
                best = self._best(on, (*self.known.get(on, ()), *grid), LIKELY_SHARE * least_w)
                if best is not None:
                    looked[on], least_w = best, min(least_w, best[0])
            if before_w <= least_w < math.inf:
                break  # with still more chillers it gets dearer still
        likely = sorted(looked, key=lambda on: looked[on][0])[:LIKELY]
        refined = [self._refined(on, *looked[on]) for on in likely if looked[on][0] < LIKELY_SHARE * least_w]
        if not refined:
            moment = datetime.fromtimestamp(start_s, UTC).isoformat(timespec="minutes")
            remedy = "its day has no bound: leave it out of --controllers"
            raise ConfigError(
                "no units and setpoints keep every limit", where=f"{self.site.name}, {moment}", remedy=remedy
            )
        return min(refined, key=lambda step: step.cooling_w)

    def _grid(self) -> Iterator[Waters]:
        low_pa, high_pa = self._range(inputs.DP)
        for share in DP_SHARES:
            dp_pa = low_pa + share * (high_pa - low_pa)
            supply_c = self.steady.highest_supply_c(dp_pa, self.group.design[inputs.FACILITY])
            for facility_c in (supply_c - k for k in BELOW_SUPPLY_K if math.isfinite(supply_c)):
                tower_c = [facility_c - k for k in BELOW_FACILITY_K]
                tower_c += [self.steady.wet_c + k for k in ABOVE_WET_BULB_K]
                yield from (self._clipped(dp_pa, facility_c, c) for c in tower_c)

    def _refined(self, on: Set, cooling_w: float, waters: Waters) -> Step:
        for number in range(ROUNDS):
            moves = product(*((-step, 0.0, step) for step in (SHRINK**number * first for first in FINE)))
            near = [
                self._clipped(waters.dp_pa + dp, waters.facility_c + f, waters.tower_c + f + t) for dp, f, t in moves
            ]
            best = self._best(on, near, cooling_w)
            if best is not None:
                cooling_w, waters = best
        self.known[on] = (waters,)
        settled = self.steady.settled(on, waters)
        assert settled is not None, "it was settled when it was found"
        return Step(cooling_w, settled.supply_c, waters, on | settled.pumps)

    def _best(self, on: Set, near: Iterable[Waters], under_w: float) -> tuple[float, Waters] | None:
        """The best below under_w [W]."""
        best: tuple[float, Waters] | None = None
        for waters in dict.fromkeys(near):
            if waters.tower_c <= self.steady.wet_c:
                continue
            settled = self.steady.settled(on, waters, under_w)
            if settled is not None and settled.cooling_w < under_w:
                best, under_w = (settled.cooling_w, waters), settled.cooling_w
        return best

    def _clipped(self, dp_pa: float, facility_c: float, tower_c: float) -> Waters:
        roles = (inputs.DP, inputs.FACILITY, inputs.TOWER)
        ranges = (self._range(role) for role in roles)
        values = ((dp_pa, facility_c, tower_c)[i] for i in range(3))
        return Waters(*(min(max(v, low), high) for v, (low, high) in zip(values, ranges, strict=True)))

    def _range(self, role: str) -> tuple[float, float]:
        envelope = self.site.envelopes[self.group.commands[role]]
        return envelope.minimum, envelope.maximum


@dataclass(frozen=True, slots=True)
class Steps:
    """An operator that does what was found; spare_k: what each step's supply stays below it [K]."""

    reads_gpus: ClassVar[bool] = False
    group: CoolingGroup
    steps: Sequence[Step]
    spare_k: Sequence[float]
    start_s: float

    def decide(self, snapshot: Snapshot, now_s: float) -> Mapping[PointId, float]:  # noqa: ARG002 - all is known
        """This step's setpoints and switches."""
        index = min(round((now_s - self.start_s) / STEP_S), len(self.steps) - 1)
        step, commands = self.steps[index], self.group.commands
        waters = {
            inputs.SUPPLY: step.supply_c - self.spare_k[index],
            inputs.DP: step.waters.dp_pa,
            inputs.FACILITY: step.waters.facility_c,
            inputs.TOWER: step.waters.tower_c,
        }
        switches = {f"{stage.unit}/{ENABLE}": float(stage.unit in step.on) for stage in self.group.stages}
        return {commands[role]: value for role, value in waters.items()} | switches


def swept(plant: TrainsPlant, start_s: float, hours: int = DAY_H) -> list[Step]:
    """The best steps from start_s [s since 1970] on, those of the hours that are not counted among them."""
    sweep = Sweep(SteadyTrains(plant), plant.site)
    return [sweep.step(start_s + STEP_S * index) for index in range((LEAD_H + hours) * PER_HOUR)]


def staged_bound_day(plant: TrainsPlant, start_s: float, hours: int = DAY_H) -> Day:
    """The plant's own day under the best steps; an hour that breaks a limit there gets a colder supply."""
    steps, group = swept(plant, start_s, hours), next(iter(plant.site.groups.values()))
    spare_k = [0.0] * len(steps)
    for _ in range(REPAIRS):
        day = drive_day(plant, Steps(group, steps, spare_k, start_s), start_s, STEP_S, hours=hours, free=True)
        broken = [LEAD_H + hour for hour, (_, _, held) in enumerate(day.hourly) if not held]
        if not broken:
            break
        for index in (i for hour in broken for i in range(hour * PER_HOUR, (hour + 1) * PER_HOUR)):
            spare_k[index] += REPAIR_K
    return day
