"""Dynamic N+1 by rule: what runs must survive the loss of its largest pump and of its largest tower or dry cooler.

Until another runs in its place, a cycle and its `start_s` later, what is left holds every limit at the setpoints in
force (`controller.unit_loss`). A plant that would not survive a loss with all that may run is not asked to: it keeps
what it can.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from controller.constraints import Problem
from controller.design import LoopDesign
from controller.optimise import glance
from controller.stage_choice import OUTSIDE, PUMP, Plant, is_plant, missing
from controller.stage_reserve import may_run
from controller.stage_state import CHILLER
from controller.unit_loss import Left
from plant.topology import Equipment

LOST = (*OUTSIDE, PUMP)
SEEN_S = 60.0
"""Until a loss is seen and answered: a cycle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitLoss:
    """off: units that the model has to do without after a loss; seconds: until others run in place of what is lost."""

    off: frozenset[str]
    seconds: float


class UnitLosses:
    """problem: of a set of units, without this rule; designed: the loop without some."""

    def __init__(
        self,
        plant: Plant,
        equipment: Mapping[str, Equipment],
        problem: Callable[[frozenset[str]], Problem],
        designed: Callable[[frozenset[str]], LoopDesign],
    ) -> None:
        self._plant, self._equipment, self._problem, self._designed = plant, equipment, problem, designed

    def survives(self, on: frozenset[str]) -> bool:
        """Whether something is left after every loss that counts, so that setpoints can be asked for."""
        return all(is_plant(self._plant, left) for left in self._left(on))

    def of(self, on: frozenset[str]) -> tuple[UnitLoss, ...]:
        """Each loss that counts and leaves something."""
        return tuple(self._loss(on, left) for left in self._left(on) if is_plant(self._plant, left))

    def held(self, problem: Problem, on: frozenset[str]) -> Problem:
        """A problem of these units with the loops that the losses would leave."""
        return replace(problem, after_loss=lefts(self.of(on), self._designed))

    def _loss(self, on: frozenset[str], left: frozenset[str]) -> UnitLoss:
        starts_s = max(u.stage.start_s for u in self._plant.units if u.id in on - left)
        return UnitLoss(off=missing(self._plant, left), seconds=SEEN_S + starts_s)

    def _left(self, on: frozenset[str]) -> list[frozenset[str]]:
        return [left for kind in self._kinds if (left := self._without_largest(on, kind)) is not None]

    @cached_property
    def _kinds(self) -> tuple[str, ...]:
        """Of which kinds all that may run would survive a loss."""
        return tuple(kind for kind in LOST if self._could(kind))

    def _could(self, kind: str) -> bool:
        most = may_run(self._plant)
        left = self._without_largest(most, kind)
        if left is None or not is_plant(self._plant, left):
            return False
        problem = replace(self._problem(most), after_loss=lefts((self._loss(most, left),), self._designed))
        return problem.bounds.reserve and math.isfinite(glance(problem))

    def _without_largest(self, on: frozenset[str], kind: str) -> frozenset[str] | None:
        """What runs on without the one of a kind that matters most, a tower with the chillers that hang on it alone."""
        units = [u.id for u in self._plant.of(kind) if u.id in on]
        if not units:
            return None
        lefts = [self._running(on - {unit}) for unit in units]
        return min(lefts, key=lambda left: self._sizes(on - left))

    def _running(self, on: frozenset[str]) -> frozenset[str]:
        served_by = self._plant.served_by
        return frozenset(u for u in on if not served_by.get(u) or served_by[u] & on)

    def _sizes(self, lost: frozenset[str]) -> tuple[float, float]:
        """Less for what is larger: design flows of what is lost, then its chillers' heat."""
        found = [self._equipment[u] for u in lost]
        flow_m3_s = sum(e.design.get("flow_m3_s", 0.0) for e in found if e.kind in LOST)
        return -flow_m3_s, -sum(e.design.get("heat_w", 0.0) for e in found if e.kind == CHILLER)


def lefts(losses: tuple[UnitLoss, ...], designed: Callable[[frozenset[str]], LoopDesign]) -> tuple[Left, ...]:
    """What each loss leaves of a loop. designed: the loop without some units."""
    return tuple(Left(design=designed(loss.off), seconds=loss.seconds) for loss in losses)
