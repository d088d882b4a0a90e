"""What is plausible for each point, as columns that the judge reads by slot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plant.points import PointId

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rule:
    """What is plausible for one point [SI]. NaN: no such bound.

    max_jump: within period_s [s]; max_age_s: a longer silence [s] ends a run of equal values; quantum: two readings no
    further apart than half of it are the same; natural_run_s: the longest [s] that a healthy sensor reads the same,
    learned where it is NaN. witness: a point whose moves must show here too; it has moved when it is more than
    move + move_share * |value| away from where it was. counter: never falls, but for rolls_over_at.
    """

    minimum: float = math.nan
    maximum: float = math.nan
    max_jump: float = math.nan
    period_s: float = 1.0
    max_age_s: float = math.inf
    quantum: float = 0.0
    natural_run_s: float = math.nan
    witness: PointId = ""
    move: float = 0.0
    move_share: float = 0.0
    counter: bool = False
    rolls_over_at: float = math.nan


NO_RULE = Rule()


class RuleColumns:
    """Rules of many points, one column a bound; row = slot."""

    def __init__(self, names: Sequence[PointId], rules: Mapping[PointId, Rule]) -> None:
        found = [rules.get(name, NO_RULE) for name in names]
        slot = {name: i for i, name in enumerate(names)}
        self.minimum = _column([r.minimum for r in found])
        self.maximum = _column([r.maximum for r in found])
        self.max_jump = _column([r.max_jump for r in found])
        self.period_s = _column([r.period_s for r in found])
        self.max_age_s = _column([r.max_age_s for r in found])
        self.same = 0.5 * _column([r.quantum for r in found])
        self.natural_run_s = _column([r.natural_run_s for r in found])
        self.move = _column([r.move for r in found])
        self.move_share = _column([r.move_share for r in found])
        self.rolls_over_at = _column([r.rolls_over_at for r in found])
        self.counter = np.array([r.counter for r in found], dtype=np.bool_)
        self.witness = np.array([slot.get(r.witness, -1) for r in found], dtype=np.intp)


def _column(values: list[float]) -> Floats:
    return np.array(values, dtype=np.float64)
