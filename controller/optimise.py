"""The first optimiser: a coarse and a fine grid over the setpoints of a loop, within every limit and with reserves.

Feasibility is judged at the upper quantile of the forecast with every GPU at full power (it gets there in seconds, no
supervisory loop follows), cost at the median. The cost is site power: cooling plus the IT side's leakage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from controller import model
from controller.design import LoopDesign
from plant.leases import Envelope

Array = npt.NDArray[np.float64]

CASE_TOLERANCE = 1.10
"""The hottest GPU's rise over supply against the design GPU: tolerances of power, plate and flow together."""
CASE_RESERVE_K = 1.5
RETURN_RESERVE_K = 2.0
SUPPLY_RESERVE_K = 1.0
DEW_RESERVE_K = 0.5
FLOW_RESERVE = 1.05
FACILITY_FLOW_SHARE = 0.90
"""Share of the facility water valve's range that may be needed at the upper quantile."""
WORST_RESERVE_K = 0.5
SAVING_SHARE = 0.01
SAVING_W = 300.0
MOVE_COST_W = 60.0
"""Cost of one max_step away from the present target, so that equal optima do not make the loop wander."""
_STEPS_K, _STEPS_PA = (3.0, 0.5), (20000.0, 5000.0)


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
    """One loop at one moment. Setpoint triples are (supply [°C], dp [Pa], facility [°C])."""

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
    """Kelvin to the case limit if coldplate and the largest CDU die now, for points of shape (n, 3)."""
    facility_c = np.maximum(points[:, 2], problem.design_point[2])
    case_c = model.lost_cdu_case_c(problem.design, problem.upper, points[:, 0], facility_c)
    return problem.bounds.case_c - case_c


def judge(problem: Problem, points: Array) -> Judged:
    """Judge candidate points of shape (n, 3)."""
    supply_c, dp_pa, facility_c = points.T
    cost = model.evaluate(problem.design, problem.median, supply_c, dp_pa, facility_c)
    high = model.strain(problem.design, problem.upper, supply_c, dp_pa, facility_c)
    fixed_supply_c, fixed_dp_pa, _ = np.asarray(problem.design_point).reshape(3, 1)
    reference_c = model.mean_case_c(problem.design, problem.median, fixed_supply_c, fixed_dp_pa)
    extra_w = model.it_extra_w(problem.median, cost.mean_case_c, reference_c)
    return Judged(points, cost, cost.cooling_w + extra_w, extra_w, _margins(problem, points, high))


def _margins(problem: Problem, points: Array, high: model.Strain) -> dict[str, Array]:
    supply_c, dp_pa, _ = points.T
    bounds = problem.bounds
    case_c = model.full_load_case_c(problem.design, supply_c, dp_pa, problem.upper.gpu_w)
    share = high.facility_flow_m3_s / (problem.design.cdu_facility_flow_m3_s * FACILITY_FLOW_SHARE)
    return {
        "case_temperature": bounds.case_c - CASE_RESERVE_K - case_c,
        "rack_return_temperature": bounds.rack_return_c - RETURN_RESERVE_K - high.rack_return_c,
        "rack_flow": 100 * (high.rack_flow_m3_s / max(bounds.rack_flow_m3_s * FLOW_RESERVE, 1e-9) - 1),
        "dew_point": supply_c - bounds.dew_limit_c - DEW_RESERVE_K,
        "facility_flow": np.where(high.facility_short, -100.0, 100 * (1 - share)),
        "facility_temperature": np.where(high.facility_warm, -1.0, np.inf),
        "worst_case": worst_margin(problem, points) - WORST_RESERVE_K,
    }


def _ranges(problem: Problem) -> list[tuple[float, float]]:
    low_high = [(e.minimum, e.maximum) for e in problem.envelopes]
    bounds = problem.bounds
    supply, dp, facility = low_high
    return [
        (max(supply[0], bounds.supply_c[0] + SUPPLY_RESERVE_K), min(supply[1], bounds.supply_c[1] - SUPPLY_RESERVE_K)),
        dp,
        (max(facility[0], bounds.facility_c[0] + SUPPLY_RESERVE_K), min(facility[1], bounds.facility_c[1])),
    ]


def _axis(low: float, high: float, step: float, extra: tuple[float, ...]) -> Array:
    inside = [x for x in extra if low <= x <= high]
    return np.unique(np.concatenate([np.arange(low, high + 1e-9, step), [high], inside]))


def _grid(axes: list[Array]) -> Array:
    return np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")], axis=1)


def _coarse(problem: Problem) -> Array:
    steps = (_STEPS_K[0], _STEPS_PA[0], _STEPS_K[0])
    known = zip(problem.current, problem.design_point, problem.target, strict=True)
    axes = [_axis(*r, s, k) for r, s, k in zip(_ranges(problem), steps, known, strict=True)]
    return _grid(axes)


def _fine(problem: Problem, centre: Array) -> Array:
    axes = []
    for (low, high), middle, coarse, fine in zip(
        _ranges(problem),
        centre,
        (_STEPS_K[0], _STEPS_PA[0], _STEPS_K[0]),
        (_STEPS_K[1], _STEPS_PA[1], _STEPS_K[1]),
        strict=True,
    ):
        axis = np.arange(middle - coarse, middle + coarse + 1e-9, fine)
        axes.append(np.unique(np.clip(axis, low, high)))
    return _grid(axes)


def _best(problem: Problem, judged: Judged) -> int | None:
    if not judged.feasible.any():
        return None
    steps = np.array([e.max_step for e in problem.envelopes])
    wander = np.abs(judged.points - np.asarray(problem.target)) / steps
    cost_w = judged.site_w + MOVE_COST_W * wander.sum(axis=1)
    return int(np.argmin(np.where(judged.feasible, cost_w, np.inf)))


def _binding(problem: Problem, point: Array) -> str:
    """The constraint that a further small move towards lower cost would break first."""
    steps = np.diag([_STEPS_K[1], _STEPS_PA[1], _STEPS_K[1]])
    around = np.concatenate([[point], point + steps, point - steps])
    judged = judge(problem, around)
    ranges = np.asarray(_ranges(problem))
    outside = ((around < ranges[:, 0] - 1e-9) | (around > ranges[:, 1] + 1e-9)).any(axis=1)
    gain_w = judged.site_w[0] - judged.site_w
    blocked = (outside | ~judged.feasible) & (gain_w > 1.0)
    if not blocked.any():
        return "none"
    worst = int(np.argmax(np.where(blocked, gain_w, -np.inf)))
    broken = {name: float(m[worst]) for name, m in judged.margins.items() if m[worst] < 0}
    return min(broken, key=lambda name: broken[name]) if broken else "envelope"


def search(problem: Problem) -> Choice:
    """The best reachable setpoints of a loop, or the design point where no candidate is feasible."""
    coarse = judge(problem, _coarse(problem))
    centre = _best(problem, coarse)
    if centre is None:
        return _choice(problem, np.asarray(problem.design_point), feasible=False)
    fine = judge(problem, _fine(problem, coarse.points[centre]))
    best = _best(problem, fine)
    point = coarse.points[centre] if best is None else fine.points[best]
    return _choice(problem, point, feasible=True)


def _choice(problem: Problem, point: Array, *, feasible: bool) -> Choice:
    both = judge(problem, np.stack([point, problem.current, problem.design_point]))
    cooling_w = both.outcome.cooling_w
    threshold_w = max(SAVING_SHARE * float(cooling_w[2]), SAVING_W)
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
        binding=_binding(problem, point) if feasible else _first_broken(both, 2),
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
    masks = np.array([[a, b, c] for a in (1, 0) for b in (1, 0) for c in (1, 0)], dtype=float)
    judged = judge(problem, current + masks * step)
    moved = (masks * (np.abs(step) > 1e-9)).sum(axis=1)
    if not judged.feasible.any() or not judged.feasible[-1]:
        return np.asarray(judged.points[0])
    return np.asarray(judged.points[int(np.argmax(np.where(judged.feasible, moved, -1.0)))])
