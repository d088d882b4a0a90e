"""Where the plant can't carry the load that may come at design: what it can hold, and breaks least.

To ask for more than it has opens every valve: the water that then goes round faster is cooled less by chillers at
their most, and is warmed by coolers that stand in warmer air, so that supply comes warmer than if less had been asked.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from controller.constraints import Problem
from controller.optimise import Choice, Judged, cheapest, choice_at, going_w, judge, refined

_HELD = ("dew_point", "rack_flow", "facility_flow", "facility_temperature")
"""Constraints that say whether a setting is there at all."""
_LIMITS, _RESERVES = ("case_temperature", "rack_return_temperature"), ("worst_case", "unit_lost")
_ALIKE_K = 0.1
"""Settings that break by so much more or less are alike."""


def eased(problem: Problem, choice: Choice) -> Choice:
    """The choice; where a search found nothing feasible what a dense one finds, or else breaks least.

    The latter only where the plant can't hold design.
    """
    if choice.feasible:
        return choice
    point = refined(problem, cheapest, dense=True)
    if point is not None:
        return choice_at(problem, point, feasible=True)
    if _holds(judge(problem, np.array([problem.design_point])))[0]:
        return choice
    point = refined(problem, least_broken, dense=True)
    if point is None:
        return choice
    feasible = bool(judge(problem, point.reshape(1, -1)).feasible[0])
    return choice_at(problem, point, feasible=feasible, overload=not feasible)


def least_broken(problem: Problem, judged: Judged) -> int | None:
    """Of what the plant can hold that which breaks limits least, then reserves; of what is alike there the cheapest."""
    left = _holds(judged)
    if not left.any():
        return None
    for names in (_LIMITS, _RESERVES):
        kept = [np.minimum(judged.margins[n], 0.0) for n in names if n in judged.margins]
        if not kept:  # a site may ask for no reserve
            continue
        margin_k = np.min(np.stack(kept), axis=0)
        best_k = np.max(margin_k[left])
        left &= margin_k >= (best_k - _ALIKE_K if best_k < 0 else 0.0)
    return int(np.argmin(np.where(left, going_w(problem, judged), np.inf)))


def _holds(judged: Judged) -> npt.NDArray[np.bool_]:
    """Whether the plant holds each point at the forecast's upper quantile, whatever of the limits that leaves."""
    return np.asarray(np.all(np.stack([judged.margins[name] >= 0 for name in _HELD]), axis=0), dtype=np.bool_)
