"""The optimiser: a coarse grid over a loop's setpoints, then ever smaller ones around the best, within every limit.

Feasibility is judged at the upper quantile of the forecast with every GPU at full power (it gets there in seconds, no
supervisory loop follows), cost at the median. The cost is site power: cooling plus the IT side's leakage.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from controller import model
from controller.design import LoopDesign
from controller.exchange import Array
from controller.model import Setpoints
from plant.leases import Envelope

CASE_TOLERANCE = 1.10
"""The hottest GPU's rise over supply against the design GPU: tolerances of power, plate and flow together."""
CASE_RESERVE_K = 0.8
"""On top of the tolerance: what supply water rises while its loop follows a load step that comes at full load."""
RETURN_RESERVE_K = 2.0
SUPPLY_RESERVE_K = 1.0
DEW_RESERVE_K = 0.5
FLOW_RESERVE = 1.05
FACILITY_FLOW_SHARE = 0.90
"""Share of the facility water valves' and pumps' range that may be needed at the upper quantile."""
WORST_RESERVE_K = 0.1
"""After the loss the tolerance is still all there, and every GPU is taken to be at full power."""
SAVING_SHARE = 0.01
SAVING_W = 30.0
MOVE_COST_W = 20.0
"""Cost of one max_step away from the present target, so that equal optima do not make the loop wander."""
_SUPPLY_GRID, _DP_GRID = (0.0, 0.4, 0.7, 0.85, 1.0), (0.0, 0.3, 1.0)
"""The coarse grid: shares of the writable range."""
_APPROACH_GRID, _TOWER_GRID = (2.0, 4.0, 6.0, 9.0, 14.0), (1.0, 3.0, 6.0)
"""The coarse grid: facility water below the supply, condenser water below the facility water [K]."""
_SPAN, _SHRINK, _ROUNDS = (1.5, 10000.0, 1.5, 1.0), 0.5, 4
"""The finer grids: first half width by role [K, Pa], by how much it shrinks, and how often."""
_NEAR = (0.5, 5000.0, 0.5, 0.5)
"""A further small move, which shows what binds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Limits of one loop. Temperatures [°C], flow [m³/s]; dew_point_c with the margin that the envelope asks for."""

    case_c: float
    rack_return_c: float = np.inf
    rack_flow_m3_s: float = 0.0
    supply_c: tuple[float, float] = (-np.inf, np.inf)
    facility_c: tuple[float, float] = (-np.inf, np.inf)
    dew_limit_c: float = -np.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One loop at one moment. Setpoints are (supply [°C], dp [Pa], facility [°C]) and, if commanded, tower [°C]."""

    design: LoopDesign
    median: model.Load
    upper: model.Load
    bounds: Bounds
    envelopes: tuple[Envelope, ...]
    current: tuple[float, ...]
    design_point: tuple[float, ...]
    target: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Candidates with their site power [W] (cooling + leakage against design) and the margin of each constraint.

    margins: constraint -> array, negative where violated, in units of its own reserve-free scale (K, or share x 100).
    """

    points: Array
    outcome: model.Outcome
    site_w: Array
    it_extra_w: Array
    margins: dict[str, Array]

    @property
    def feasible(self) -> npt.NDArray[np.bool_]:
        """Where every constraint holds."""
        return np.asarray(np.all(np.stack([m >= 0 for m in self.margins.values()]), axis=0), dtype=np.bool_)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the search found: target and design points with their powers [W], and what stopped it from going further."""

    target: tuple[float, ...]
    feasible: bool
    worth_moving: bool
    cooling_w: float
    design_cooling_w: float
    it_extra_w: float
    saving_w: float
    threshold_w: float
    case_c: float
    worst_margin_k: float
    design_worst_margin_k: float
    binding: str


def worst_margin(problem: Problem, points: Array) -> Array:
    """Kelvin to the case limit if coldplate and the largest CDU die now, for points of shape (n, k)."""
    facility_c = np.maximum(points[:, 2], problem.design_point[2])
    case_c = model.lost_cdu_case_c(problem.design, problem.upper, points[:, 0], facility_c)
    return problem.bounds.case_c - case_c


def judge(problem: Problem, points: Array) -> Judged:
    """Judge candidate points of shape (n, k)."""
    at, design = Setpoints.of(points), problem.design
    cost, high = model.assess(design, problem.median, problem.upper, at)
    fixed_supply_c, fixed_dp_pa = np.asarray(problem.design_point[:2]).reshape(2, 1)
    reference_c = model.mean_case_c(design, problem.median, fixed_supply_c, fixed_dp_pa)
    extra_w = model.it_extra_w(design, problem.median, cost.mean_case_c, reference_c)
    return Judged(points, cost, cost.cooling_w + extra_w, extra_w, _margins(problem, points, high))


def _margins(problem: Problem, points: Array, high: model.Strain) -> dict[str, Array]:
    supply_c, dp_pa = points[:, 0], points[:, 1]
    bounds = problem.bounds
    case_c = model.full_load_case_c(problem.design, supply_c, dp_pa, problem.upper.gpu_w)
    design = problem.design
    own_share = high.facility_flow_m3_s / design.cdu_facility_flow_m3_s
    pumps_share = high.pumped_m3_s / (design.pumps_share * design.facility_flow_m3_s)
    share = np.maximum(own_share, pumps_share) / FACILITY_FLOW_SHARE
    return {
        "case_temperature": bounds.case_c - CASE_RESERVE_K - case_c,
        "rack_return_temperature": bounds.rack_return_c - RETURN_RESERVE_K - high.rack_return_c,
        "rack_flow": 100 * (high.rack_flow_m3_s / max(bounds.rack_flow_m3_s * FLOW_RESERVE, 1e-9) - 1),
        "dew_point": supply_c - bounds.dew_limit_c - DEW_RESERVE_K,
        "facility_flow": np.where(high.facility_short, -100.0, 100 * (1 - share)),
        "facility_temperature": np.where(high.facility_warm, -1.0, np.inf),
        "worst_case": worst_margin(problem, points) - WORST_RESERVE_K,
    }


def _ranges(problem: Problem) -> Array:
    """Lowest and highest value of each setpoint, (k, 2)."""
    ranges = np.array([(e.minimum, e.maximum) for e in problem.envelopes])
    bounds = problem.bounds
    ranges[0] = (
        max(ranges[0, 0], bounds.supply_c[0] + SUPPLY_RESERVE_K),
        min(ranges[0, 1], bounds.supply_c[1] - SUPPLY_RESERVE_K),
    )
    ranges[2] = max(ranges[2, 0], bounds.facility_c[0] + SUPPLY_RESERVE_K), min(ranges[2, 1], bounds.facility_c[1])
    return ranges


def _clipped(problem: Problem, points: Array) -> Array:
    low, high = _ranges(problem).T
    return np.asarray(np.clip(points, low, high), dtype=np.float64)


def _coarse(problem: Problem) -> Array:
    """The whole range, water temperatures relative to one another, and all points that are known."""
    (low_c, high_c), (low_pa, high_pa) = _ranges(problem)[:2]
    supply_c = [low_c + share * (high_c - low_c) for share in _SUPPLY_GRID]
    dp_pa = [low_pa + share * (high_pa - low_pa) for share in _DP_GRID]
    below = [_APPROACH_GRID, _TOWER_GRID][: len(problem.current) - 2]
    grid = np.array(list(product(supply_c, dp_pa, *below)))
    points = np.column_stack([grid[:, :2], grid[:, :1] - np.cumsum(grid[:, 2:], axis=1)])
    known = np.array([problem.current, problem.design_point, problem.target])
    return _clipped(problem, np.concatenate([points, known]))


def _around(problem: Problem, centre: Array, span: Array) -> Array:
    """Every combination of one span up, down or not at all; waters move together with what they follow."""
    moves = np.array(list(product((0.0, -1.0, 1.0), repeat=len(centre)))) * span
    moves[:, 2] += moves[:, 0]
    if len(centre) > 3:
        moves[:, 3] += moves[:, 2]
    return _clipped(problem, centre + moves)


def _best(problem: Problem, judged: Judged) -> int | None:
    if not judged.feasible.any():
        return None
    steps = np.array([e.max_step for e in problem.envelopes])
    wander = np.abs(judged.points - np.asarray(problem.target)) / steps
    cost_w = judged.site_w + MOVE_COST_W * wander.sum(axis=1)
    return int(np.argmin(np.where(judged.feasible, cost_w, np.inf)))


def _binding(problem: Problem, around: Judged) -> str:
    """The constraint that a further small move towards lower cost would break first.

    around: rows as `_choice` has them: where we are, present and design setpoints, small moves.
    """
    low, high = _ranges(problem).T
    outside = ((around.points < low - 1e-9) | (around.points > high + 1e-9)).any(axis=1)
    gain_w = around.site_w[0] - around.site_w
    blocked = (outside | ~around.feasible) & (gain_w > 1.0)
    blocked[:3] = False
    if not blocked.any():
        return "none"
    worst = int(np.argmax(np.where(blocked, gain_w, -np.inf)))
    return _first_broken(around, worst)


def glance(problem: Problem) -> float:
    """The least site power [W] that a first look over the range finds, inf where nothing keeps every limit."""
    judged = judge(problem, _coarse(problem))
    best = _best(problem, judged)
    return np.inf if best is None else float(judged.site_w[best])


def search(problem: Problem) -> Choice:
    """The best reachable setpoints of a loop, or the design point where no candidate is feasible."""
    judged = judge(problem, _coarse(problem))
    best = _best(problem, judged)
    if best is None:
        return _choice(problem, np.asarray(problem.design_point), feasible=False)
    point, span = judged.points[best], np.asarray(_SPAN[: len(problem.current)])
    for _ in range(_ROUNDS):
        judged = judge(problem, _around(problem, point, span))
        best = _best(problem, judged)
        point = point if best is None else judged.points[best]
        span = span * _SHRINK
    return _choice(problem, point, feasible=True)


def _choice(problem: Problem, point: Array, *, feasible: bool) -> Choice:
    near = np.diag(_NEAR[: len(point)])
    both = judge(problem, np.stack([point, problem.current, problem.design_point, *(point + near), *(point - near)]))
    cooling_w = both.outcome.cooling_w
    threshold_w = max(SAVING_SHARE * float(cooling_w[1]), SAVING_W)
    case_c = model.full_load_case_c(problem.design, point[:1], point[1:2], problem.upper.gpu_w)
    worst_k = worst_margin(problem, both.points)
    gain_w = float(both.site_w[1] - both.site_w[0])
    return Choice(
        target=tuple(point.tolist()),
        feasible=feasible,
        worth_moving=not bool(both.feasible[1]) or gain_w > threshold_w,
        cooling_w=float(cooling_w[0]),
        design_cooling_w=float(cooling_w[2]),
        it_extra_w=float(both.it_extra_w[0]),
        saving_w=float(both.site_w[2] - both.site_w[0]),
        threshold_w=threshold_w,
        case_c=float(case_c[0]),
        worst_margin_k=float(worst_k[0]),
        design_worst_margin_k=float(worst_k[2]),
        binding=_binding(problem, both) if feasible else _first_broken(both, 2),
    )


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
