"""What has to run before a load comes that nobody foretells: all racks may go from rest to their rating in minutes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

from controller.constraints import Problem
from controller.optimise import glance
from controller.stage_choice import Plant

RISE_S = 300.0
"""So fast all racks may reach their rating: what starts later, or is locked, is no capacity."""
SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Of the rating, what is looked at: a plant that is short of it keeps what it can."""
WARMEST_C = 60.0
"""Supply [°C] where a site has no limit of it."""


class SuddenLoad:
    """The heat that may come before anything slow could start. problem: of a set of units, as staging asks it."""

    def __init__(self, plant: Plant, problem: Callable[[frozenset[str]], Problem]) -> None:
        self._plant, self._problem = plant, problem
        self._known: dict[tuple[frozenset[str], float], bool] = {}

    def carried_by(self, on: frozenset[str]) -> bool:
        """Whether these, with what starts in time, carry as much of the rating as all that may run would."""
        if not self._share:
            return True
        in_time = {u.id for u in self._plant.units if u.may_start and u.stage.start_s <= RISE_S}
        return self._carries(on | in_time, self._share)

    @cached_property
    def _share(self) -> float:
        """The most of the rating that all which may run would carry; 0 where that is less than any of `SHARES`."""
        most = self._plant.on | {u.id for u in self._plant.units if u.may_start}
        return next((share for share in SHARES if self._carries(most, share)), 0.0)

    def _carries(self, on: frozenset[str], share: float) -> bool:
        if (on, share) not in self._known:
            self._known[on, share] = math.isfinite(glance(sudden(self._problem(on), share)))
        return self._known[on, share]


def sudden(problem: Problem, share: float) -> Problem:
    """The same with the racks at a share of their rating, in water as warm as the alarm allows."""
    supply, *others = problem.envelopes
    heat_w = max(share * problem.design.liquid_heat_w, problem.upper.heat_w)
    warm = replace(supply, maximum=max(supply.maximum, min(problem.bounds.supply_c[1], WARMEST_C)))
    return replace(problem, upper=replace(problem.upper, heat_w=heat_w), envelopes=(warm, *others))
