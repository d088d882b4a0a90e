"""What coldplate is measured against: fixed setpoints and a reset rule, each tuned to its plant and climate.

Both obey the same guard, ranges, steps and dwell as the controller. The rule is in the spirit of ASHRAE Guideline 36:
flow follows load down to a least share, facility water stays an approach below the supply, and a tower (where it can
be commanded) below the facility water, but never nearer to the wet bulb than an approach.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar

from benchmarks.drive import LEAD_H
from benchmarks.foresight import Foresight
from controller import inputs
from controller.design import rack_design
from controller.identification.known import Kept, kept, recalled
from controller.step import initial_state, step
from plant.live import Snapshot
from plant.points import PointId
from plant.quantities import Quantity
from plant.records import Condition, JobOutlook, Severity
from plant.topology import CoolingGroup, Site

PRESSURE_EXPONENT = 1.85
FINE = frozenset({Quantity.VOLUME_FLOW, Quantity.FRACTION})
"""What two digits are too coarse for."""
DEW_RESERVE_K = 0.5

SUPPLY_C = (30.0, 32.0, 34.0, 35.0, 36.0, 36.5, 37.0, 38.0, 39.0, 40.0, 42.0, 44.0, 46.0, 48.0, 50.0)
"""From S30 to S50; a site's range ends them, see `warmest_supply_c`."""
FLOW_SHARE = (0.60, 0.65, 0.70, 0.80, 0.90, 1.00)
LEAST_FLOW_SHARE = (0.60, 0.65, 0.70)
APPROACH_K = (2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 10.0)
LOCAL_TOWER_BELOW_K, LOCAL_WET_BULB_K = 2.0, 3.0
"""A tower is commanded like this while a tuning says nothing of it."""
TOWER_BELOW_K = (0.2, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0)
WET_BULB_APPROACH_K = (2.0, 3.0, 4.0, 6.0)
STAGE_UP = (0.70, 0.80, 0.90, 1.00, 1.10)
AIR_C = (24.0, 25.0, 26.0, 27.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Parameters of a baseline.

    kind: `static` or `reset`; supply_c: TCS supply [°C]; flow_share: flow against design, of the rule at full
    load [1]; least_flow_share: the rule's minimum [1]; approach_k: supply less facility water [K]; tower_below_k:
    facility less condenser water [K]; wet_bulb_approach_k: the rule's least condenser water above wet bulb [K]; None
    where there is no tower to command; stage_up: load of the towers that run from which the building management
    system's own sequence adds one [1], None where it switches none; air_c: air at the racks' inlets [°C], None where
    no air unit is commanded.
    """

    kind: str
    supply_c: float = 32.0
    flow_share: float = 1.0
    approach_k: float = 5.0
    least_flow_share: float = 0.60
    tower_below_k: float | None = None
    wet_bulb_approach_k: float | None = None
    stage_up: float | None = None
    air_c: float | None = None

    @property
    def values(self) -> dict[str, float]:
        """The parameters that its kind and plant have, by name."""
        every = {axis: getattr(self, axis) for axis in axes(self.kind)}
        return {axis: value for axis, value in every.items() if value is not None}


def axes(
    kind: str = "reset", *, tower: bool = True, staged: bool = True, air: bool = True
) -> dict[str, tuple[float, ...]]:
    """The grid of each parameter that a kind has, with or without a tower, switched units and an air unit."""
    every = {"supply_c": SUPPLY_C, "flow_share": FLOW_SHARE, "approach_k": APPROACH_K}
    every |= {"tower_below_k": TOWER_BELOW_K} if tower else {}
    every |= {"stage_up": STAGE_UP} if staged else {}
    every |= {"air_c": AIR_C} if air else {}
    own = {"least_flow_share": LEAST_FLOW_SHARE} | ({"wet_bulb_approach_k": WET_BULB_APPROACH_K} if tower else {})
    return every | (own if kind == "reset" else {})


def commands_tower(site: Site) -> bool:
    """Whether a cooling tower of the site takes a setpoint."""
    return any(inputs.TOWER in group.commands for group in site.groups.values())


def commands_air(site: Site) -> bool:
    """Whether an air unit of the site takes a setpoint."""
    return any(inputs.AIR in group.commands for group in site.groups.values())


def warmest_supply_c(site: Site) -> float:
    """The first supply of the grid at or above every loop's range [°C]; warmer ones would be cut to the same."""
    points = [group.commands[inputs.SUPPLY] for group in site.groups.values() if inputs.SUPPLY in group.commands]
    most_c = max((site.envelopes[point].maximum for point in points), default=SUPPLY_C[-1])
    return next((supply_c for supply_c in SUPPLY_C if supply_c >= most_c), SUPPLY_C[-1])


def together(tuning: Tuning) -> Iterator[Tuning]:
    """The tuning with supply and approach moved together, so that facility water stays."""
    for supply_c in SUPPLY_C:
        approach_k = tuning.approach_k + supply_c - tuning.supply_c
        if approach_k in APPROACH_K:
            yield replace(tuning, supply_c=supply_c, approach_k=approach_k)


def along(tuning: Tuning, axis: str) -> Iterator[Tuning]:
    """The tuning with one parameter at each value of its grid."""
    for value in axes()[axis]:
        changed: dict[str, Any] = {axis: value}
        yield replace(tuning, **changed)


@dataclass(frozen=True, slots=True)
class Rule:
    """A baseline at work on one site."""

    reads_gpus: ClassVar[bool] = False
    site: Site
    tuning: Tuning

    def decide(self, snapshot: Snapshot, now_s: float) -> Mapping[PointId, float]:  # noqa: ARG002 - rules have no clock
        """Setpoints of every group, kept within their envelopes and above the dew point."""
        wanted: dict[PointId, float] = {}
        for group in self.site.groups.values():
            wanted |= self._group(snapshot, group)
        return wanted

    def _group(self, snapshot: Snapshot, group: CoolingGroup) -> dict[PointId, float]:
        share = self.tuning.flow_share
        if self.tuning.kind == "reset":
            share = max(self.tuning.least_flow_share, share * min(self._load(snapshot, group), 1.0))
        supply_c = self._supply_c(snapshot, group)
        values = {
            inputs.SUPPLY: supply_c,
            inputs.DP: group.design.get(inputs.DP, 0.0) * share**PRESSURE_EXPONENT,
            inputs.FACILITY: supply_c - self.tuning.approach_k,
            **self._levers(group, share),
            inputs.TOWER: supply_c - self.tuning.approach_k - _or(self.tuning.tower_below_k, LOCAL_TOWER_BELOW_K),
        }
        if inputs.AIR in group.commands:
            values[inputs.AIR] = _or(self.tuning.air_c, group.design[inputs.AIR])
        if self.tuning.kind == "reset" and inputs.TOWER in group.commands:
            values[inputs.TOWER] = max(values[inputs.TOWER], self._least_tower_c(snapshot))
        return {point: self._within(point, values[role]) for role, point in group.commands.items() if role in values}

    def _levers(self, group: CoolingGroup, share: float) -> dict[str, float]:
        """Flow or pump speed of CDUs that take one, also of each member, at this share of their design flow."""
        if not inputs.by_flow(self.site, group):
            return {}
        roles = [r for r in group.commands if r.partition(":")[0] in inputs.LEVERS]
        return {role: group.design[role] * share for role in roles}

    def _load(self, snapshot: Snapshot, group: CoolingGroup) -> float:
        """Power of the racks against design [1]; all of it where a rack does not tell."""
        racks = [rack_design(self.site, rack).power_w for rack in group.racks]
        shown_w = sum(snapshot.get(f"{rack}/power", w) for rack, w in zip(group.racks, racks, strict=True))
        return shown_w / sum(racks)

    def _supply_c(self, snapshot: Snapshot, group: CoolingGroup) -> float:
        """As it may be written, for what is an approach below it follows."""
        if inputs.SUPPLY not in group.commands:
            return self.tuning.supply_c
        wanted_c = max(self.tuning.supply_c, self._least_supply_c(snapshot, group))
        return self._within(group.commands[inputs.SUPPLY], wanted_c)

    def _least_supply_c(self, snapshot: Snapshot, group: CoolingGroup) -> float:
        envelope = self.site.envelopes[group.commands[inputs.SUPPLY]]
        known = [snapshot.get(point, -100.0) for point in envelope.dew_point_points]
        return max(known, default=-100.0) + (envelope.dew_point_margin_k or 0.0) + DEW_RESERVE_K

    def _least_tower_c(self, snapshot: Snapshot) -> float:
        airs = inputs.outdoor_airs(self.site, snapshot)
        wet_c = [c for name, c in airs.items() if name.endswith("/outdoor_wet_bulb") and math.isfinite(c)]
        return max(wet_c, default=-100.0) + _or(self.tuning.wet_bulb_approach_k, LOCAL_WET_BULB_K)

    def _within(self, point: PointId, value: float) -> float:
        envelope = self.site.envelopes[point]
        digits = 2 if self.site.points[point].quantity not in FINE else 7
        return round(min(max(value, envelope.minimum), envelope.maximum), digits)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


@dataclass(frozen=True, slots=True)
class Schedule:
    """Fixed setpoints of each hour, from start_s [s since 1970] and its lead on; the first ones during the lead."""

    reads_gpus: ClassVar[bool] = False
    site: Site
    hours: tuple[Tuning, ...]
    start_s: float

    def decide(self, snapshot: Snapshot, now_s: float) -> Mapping[PointId, float]:
        """This hour's setpoints of every group."""
        hour = int((now_s - self.start_s) / 3600.0) - LEAD_H
        return Rule(self.site, self.hours[min(max(hour, 0), len(self.hours) - 1)]).decide(snapshot, now_s)


Outlook = Callable[[float], tuple[JobOutlook, ...]]
"""What a scheduler tells of jobs at a moment [s since 1970]."""


def untold(now_s: float) -> tuple[JobOutlook, ...]:  # noqa: ARG001 - whatever the moment
    """Where no scheduler tells."""
    return ()


class Ours:
    """The controller itself, in mode auto: snapshot, step, plan; with its own forecast or another in its place.

    known: what it begins with, from an earlier run's `kept`; outlook: what a scheduler tells; unplanned: cycles in
    which a loop got no plan, by what was told of it.
    """

    def __init__(
        self,
        site: Site,
        foresight: Foresight | None = None,
        known: Mapping[str, Kept] = MappingProxyType({}),
        outlook: Outlook = untold,
    ) -> None:
        self._site, self._foresight, self._outlook = site, foresight, outlook
        self.unplanned: Counter[str] = Counter()
        self._state = replace(initial_state(), known={loop: recalled(rows) for loop, rows in known.items()})

    def kept(self) -> dict[str, Kept]:
        """What outlives a restart of its plant's parameters, by loop."""
        return {loop: kept(known) for loop, known in self._state.known.items()}

    def decide(self, snapshot: Snapshot, now_s: float) -> Mapping[PointId, float]:
        """The plans' setpoints of this cycle; none where inputs are missing."""
        revise = self._foresight(snapshot, now_s) if self._foresight else None
        result = step(self._state, snapshot, self._outlook(now_s), now_s, self._site, revise, rooms=False)
        self._state = result.state
        planned = {plan.loop for plan in result.plans}
        for group in (g for name, g in self._site.groups.items() if name not in planned):
            self.unplanned[_why(group, result.conditions)] += 1
        return {s.point: s.value for plan in result.plans for s in plan.setpoints}


def _why(group: CoolingGroup, conditions: Iterable[Condition]) -> str:
    """What was told of a loop without a plan: the worst of its own conditions and its members'."""
    own = [c for c in conditions if c.subject in {group.id, *group.members}]
    worst = max(own, key=lambda c: list(Severity).index(c.severity), default=None)
    return f"{group.id}: {worst.cause.text}" if worst else f"{group.id}: no reason was told"
