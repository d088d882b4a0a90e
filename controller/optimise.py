"""The optimiser: a coarse grid over a loop's setpoints, then ever smaller ones around the best, within every limit.

Feasibility is judged at the upper quantile of the forecast with every GPU at full power (it gets there in seconds, no
supervisory loop follows), cost at the median. The cost is site power: cooling plus the IT side's leakage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from time import perf_counter

import numpy as np
import numpy.typing as npt

from controller import model
from controller.constraints import Problem, clipped, margins, ranges, worst_margin
from controller.exchange import Array
from controller.model import Setpoints
from controller.objective import cost_w

SAVING_SHARE = 0.01
SAVING_W = 30.0
"""Below it no unit is switched, and a sidecar stays."""
MOVE_SHARE, MOVE_W = 0.003, 15.0
"""Below it a loop's setpoints stay: of what its cooling draws, and in watts."""
MOVE_COST_W = 15.0
"""Cost of one max_step away from the present target, so that equal optima do not make the loop wander."""
_SUPPLY_GRID, _DP_GRID = (0.0, 0.4, 0.7, 0.85, 1.0), (0.0, 0.3, 1.0)
"""The coarse grid: shares of the writable range."""
_APPROACH_GRID, _TOWER_GRID = (2.0, 4.0, 6.0, 9.0, 14.0), (1.0, 3.0, 6.0)
"""The coarse grid: facility water below the supply, condenser water below the facility water [K]."""
_DENSE = (
    tuple(n / 14 for n in range(15)),
    tuple(n / 7 for n in range(8)),
    (2.0, 3.0, 4.0, 5.0, 6.0, 7.5, 9.0, 11.0, 14.0),
)
"""The same where that one falls between narrow limits."""
_LIFTED_K, NEAREST_WET_BULB_K = 9.0, 2.0
"""Condenser water that only chillers can use: this far above the wet bulb at most, and at least [K]."""
_SPAN, _SHRINK, _ROUNDS = (1.5, 10000.0, 1.5, 1.0), 0.5, 4
"""The finer grids: first half width by role [K, Pa], by how much it shrinks, and how often."""
_MOVES = (*((0.0, -1.0, -0.5, 0.5, 1.0),) * 2, *((0.0, -1.0, 1.0),) * 2)
"""Moves in spans; supply and pressure trade for one another along what binds, so theirs are finer."""
_LEAST_FROM = 3
"""The last round is gone through however near the last target was."""
DEADLINE_S = 2.0
"""For one loop's search; a search takes some milliseconds, but a machine may be slow."""
OUTSIDE = 0.05
"""So far outside its range a setpoint is moved for that alone: devices round what they show [K, Pa]."""
_NEAR = (0.5, 5000.0, 0.5, 0.5)
"""A further small move, which shows what binds."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Candidates with their site power [W] (cooling + leakage against design) and the margin of each constraint.

    Both are means over the loads that may come, outcome is the median load's. cost_w: the electric power that costs as
    much, see `objective`; margins: constraint -> array, negative where
    violated, in units of its own reserve-free scale (K, or share x 100).
    """

    points: Array
    outcome: model.Outcome
    site_w: Array
    cost_w: Array
    it_extra_w: Array
    margins: dict[str, Array]

    @property
    def feasible(self) -> npt.NDArray[np.bool_]:
        """Where every constraint holds."""
        return np.asarray(np.all(np.stack([m >= 0 for m in self.margins.values()]), axis=0), dtype=np.bool_)


Pick = Callable[[Problem, Judged], int | None]
"""Which of the candidates is the best, None where none will do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the search found: target and design points with their powers [W], and what stopped it from going further.

    feasible: every limit and reserve holds at the target; overload: it is what the plant can hold and breaks least, for
    it can't hold design either (`controller.overload`).
    """

    target: tuple[float, ...]
    feasible: bool
    overload: bool = False
    worth_moving: bool
    cooling_w: float
    design_cooling_w: float
    it_extra_w: float
    saving_w: float
    threshold_w: float
    case_c: float
    worst_margin_k: float
    binding: str


def judge(problem: Problem, points: Array) -> Judged:
    """Judge candidate points of shape (n, k)."""
    at, design = Setpoints.of(points), problem.design
    weights = np.array([1.0 - sum(weight for weight, _ in problem.spread), *(weight for weight, _ in problem.spread)])
    likely = (problem.median, *(load for _, load in problem.spread))
    costs, high = model.assess(design, likely, problem.upper, at)
    cost = costs.under(0)
    fixed_supply_c, fixed_dp_pa = np.asarray(problem.design_point[:2]).reshape(2, 1)
    reference_c = model.mean_case_c(design, problem.median, fixed_supply_c, fixed_dp_pa)
    extra_w = model.it_extra_w(design, problem.median, cost.mean_case_c, reference_c)
    site_w = costs.cooling_w + extra_w
    paid_w = cost_w(problem.prices, site_w, costs.water_m3_s, costs.facility_return_c, costs.rejected_w)
    return Judged(points, cost, weights @ site_w, weights @ paid_w, extra_w, margins(problem, points, high))


def _coarse(problem: Problem, *, dense: bool = False) -> Array:
    """The whole range, water temperatures relative to one another, and all points that are known."""
    (low_c, high_c), (low_pa, high_pa) = ranges(problem)[:2]
    supplies, pressures, approaches = _DENSE if dense else (_SUPPLY_GRID, _DP_GRID, _APPROACH_GRID)
    supply_c = [low_c + share * (high_c - low_c) for share in supplies]
    dp_pa = [low_pa + share * (high_pa - low_pa) for share in pressures]
    below = [approaches, _TOWER_GRID][: len(problem.current) - 2]
    grid = np.array(list(product(supply_c, dp_pa, *below)))
    points = np.column_stack([grid[:, :2], grid[:, :1] - np.cumsum(grid[:, 2:], axis=1)])
    if points.shape[1] > 3:
        points[:, 3] = condenser_c(problem, points[:, 2], grid[:, 3])
    known = np.array([problem.current, problem.design_point, problem.target])
    return clipped(problem, np.concatenate([points, known]))


def condenser_c(problem: Problem, facility_c: Array, below_k: Array) -> Array:
    """Condenser water [°C] to look at: below the facility water or, where towers can't reach that, above the wet bulb.

    Then chillers run, and the less it was to lie below the one, the further it lies above the other.
    """
    wet_c = problem.median.air.wet_bulb_c
    economised = facility_c - below_k
    chilled = wet_c + np.maximum(_LIFTED_K - below_k, NEAREST_WET_BULB_K)
    return np.where(economised < wet_c + NEAREST_WET_BULB_K, chilled, economised)


def _around(problem: Problem, centre: Array, span: Array) -> Array:
    """Every combination of up to one span up or down; waters move together with what they follow."""
    moves = np.array(list(product(*_MOVES[: len(centre)]))) * span
    moves[:, 2] += moves[:, 0]
    if len(centre) > 3:
        moves[:, 3] += moves[:, 2]
    return clipped(problem, centre + moves)


def cheapest(problem: Problem, judged: Judged) -> int | None:
    """Of what holds every limit and reserve."""
    if not judged.feasible.any():
        return None
    return int(np.argmin(np.where(judged.feasible, going_w(problem, judged), np.inf)))


def going_w(problem: Problem, judged: Judged) -> Array:
    """Cost of each candidate, and of going there [W]."""
    steps = np.array([e.max_step for e in problem.envelopes])
    wander = np.abs(judged.points - np.asarray(problem.target)) / steps
    return np.asarray(judged.cost_w + MOVE_COST_W * wander.sum(axis=1), dtype=np.float64)


def _binding(problem: Problem, around: Judged) -> str:
    """The constraint that a further small move towards lower cost would break first.

    around: rows as `choice_at` has them: where we are, present and design setpoints, small moves.
    """
    low, high = ranges(problem).T
    outside = ((around.points < low - 1e-9) | (around.points > high + 1e-9)).any(axis=1)
    gain_w = around.cost_w[0] - around.cost_w
    blocked = (outside | ~around.feasible) & (gain_w > 1.0)
    blocked[:3] = False
    if not blocked.any():
        return "none"
    worst = int(np.argmax(np.where(blocked, gain_w, -np.inf)))
    return _first_broken(around, worst)


def glance(problem: Problem) -> float:
    """The least site power [W] that a first look over the range finds, inf where nothing keeps every limit."""
    judged = judge(problem, _coarse(problem))
    best = cheapest(problem, judged)
    return np.inf if best is None else float(judged.site_w[best])


def search(problem: Problem, deadline_s: float = DEADLINE_S) -> Choice:
    """The best reachable setpoints of a loop, or the design point where no candidate is feasible.

    Anytime: after deadline_s [s] it gives the best that it has.
    """
    point = refined(problem, cheapest, deadline_s)
    if point is None:
        return choice_at(problem, np.asarray(problem.design_point), feasible=False)
    return choice_at(problem, point, feasible=True)


def refined(problem: Problem, pick: Pick, deadline_s: float = DEADLINE_S, *, dense: bool = False) -> Array | None:
    """The best point (k,) of a grid and of ever finer ones around it; None where the first look finds none.

    It starts warm: the last target's neighbours at every round's distance are judged together with the coarse grid, and
    from the best of them only the finer rounds are left.
    """
    began_s = perf_counter()
    warm = [_around(problem, np.asarray(problem.target), _span(problem, n)) for n in reversed(range(_ROUNDS))]
    judged = judge(problem, np.concatenate([*warm, _coarse(problem, dense=dense)]))
    best = pick(problem, judged)
    if best is None:
        return None
    point = judged.points[best]
    for number in range(min(max(_ROUNDS - best // len(warm[0]), 0), _LEAST_FROM), _ROUNDS):
        if perf_counter() - began_s > deadline_s:
            break
        judged = judge(problem, _around(problem, point, _span(problem, number)))
        best = pick(problem, judged)
        point = point if best is None else judged.points[best]
    return np.asarray(point, dtype=np.float64)


def _span(problem: Problem, number: int) -> Array:
    """Half width of a round [K, Pa]."""
    return np.asarray(_SPAN[: len(problem.current)]) * _SHRINK**number


def choice_at(problem: Problem, point: Array, *, feasible: bool, overload: bool = False) -> Choice:
    """What a point (k,) is worth, and what binds there."""
    near = np.diag(_NEAR[: len(point)])
    both = judge(problem, np.stack([point, problem.current, problem.design_point, *(point + near), *(point - near)]))
    cooling_w = both.outcome.cooling_w
    threshold_w = max(MOVE_SHARE * float(cooling_w[1]), MOVE_W)
    case_c = model.full_load_case_c(problem.design, point[:1], point[1:2], problem.upper.gpu_w)
    worst_k = worst_margin(problem, both.points)
    gain_w = float(both.cost_w[1] - both.cost_w[0])
    return Choice(
        target=tuple(point.tolist()),
        feasible=feasible,
        overload=overload,
        worth_moving=not (bool(both.feasible[1]) and _within(problem)) or gain_w > threshold_w,
        cooling_w=float(cooling_w[0]),
        design_cooling_w=float(cooling_w[2]),
        it_extra_w=float(both.it_extra_w[0]),
        saving_w=float(both.cost_w[2] - both.cost_w[0]),
        threshold_w=threshold_w,
        case_c=float(case_c[0]),
        worst_margin_k=float(worst_k[0]),
        binding=_binding(problem, both) if feasible else _first_broken(both, 0),
    )


def _within(problem: Problem) -> bool:
    """Whether the present setpoints lie within the ranges that limits leave, which shrink where a supply strays."""
    return bool(np.allclose(clipped(problem, np.array([problem.current])), problem.current, atol=OUTSIDE))


def _first_broken(judged: Judged, row: int) -> str:
    broken = {name: float(m[row]) for name, m in judged.margins.items() if m[row] < 0}
    return min(broken, key=lambda name: broken[name]) if broken else "envelope"


def stepped(problem: Problem, target: tuple[float, ...], movable: tuple[bool, ...]) -> Array:
    """One max_step from the present setpoints towards the target, leaving out moves that would break a constraint.

    On the way the facility water may have to wait for the supply, or the other way round. Where even standing still
    breaks a constraint, every move towards the target is taken.
    """
    current = np.asarray(problem.current)
    limit = np.array([e.max_step for e in problem.envelopes])
    step = np.clip(np.asarray(target) - current, -limit, limit) * np.asarray(movable)
    masks = np.array(list(product((1.0, 0.0), repeat=len(step))))
    judged = judge(problem, current + masks * step)
    moved = (masks * (np.abs(step) > 1e-9)).sum(axis=1)
    if not judged.feasible.any() or not judged.feasible[-1]:
        return np.asarray(judged.points[0])
    return np.asarray(judged.points[int(np.argmax(np.where(judged.feasible, moved, -1.0)))])
