"""What has to run before a load comes that nobody foretells: all racks may go from rest to their rating in minutes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

from controller.constraints import Problem, carried_share
from controller.optimise import glance
from controller.stage_choice import Plant, is_plant

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
        in_time = set() if self._plant.beside else in_time  # what they need may stand, and nobody here can start it
        return self._carries(on | in_time, self._share)

    @cached_property
    def _share(self) -> float:
        """The most of the rating that all which may run would carry; 0 where that is less than any of `SHARES`."""
        most = may_run(self._plant)
        return next((share for share in SHARES if self._carries(most, share)), 0.0)

    def _carries(self, on: frozenset[str], share: float) -> bool:
        if (on, share) not in self._known:
            problem = self._problem(on)
            at_rating = alarmed(problem, share * carried_share(problem) * problem.design.liquid_heat_w)
            self._known[on, share] = is_plant(self._plant, on) and math.isfinite(glance(at_rating))
        return self._known[on, share]


def may_run(plant: Plant) -> frozenset[str]:
    """What runs, and what may be started now."""
    return plant.on | {u.id for u in plant.units if u.may_start}


def alarmed(problem: Problem, heat_w: float) -> Problem:
    """The same at a heat [W], with supply as warm as its alarm lets it be, less the reserve to it."""
    supply, *others = problem.envelopes
    warm = replace(supply, maximum=max(supply.maximum, min(problem.bounds.supply_c[1], WARMEST_C)))
    return replace(problem, upper=replace(problem.upper, heat_w=heat_w), envelopes=(warm, *others))
