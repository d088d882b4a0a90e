"""The optimiser's own search beside maintained solvers, on loops drawn at random: time, gap to a dense sweep, failures.

Every solver sees the same model and the same limits. scipy's local ones take the limits as constraints, from the
present setpoints; its global ones a penalty, a whole generation judged at once where they allow it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from time import perf_counter

import numpy as np
from scipy import optimize

from benchmarks.twin_plant import example_site
from controller import inputs
from controller.constraints import Problem, ranges
from controller.design import loop_design
from controller.exchange import Array
from controller.model import Load
from controller.optimise import judge, search
from controller.outdoor import Outdoor
from controller.problems import bounds, full_gpu_w

SITES = {"pod": "demo-pod.yaml", "hall": "hall.yaml"}
QUICK_PROBLEMS, PROBLEMS = 2, 25
DEW_POINT_C = 12.0
PENALTY_W = 5e3
"""Of one kelvin, or of one per cent of a flow, that a limit is broken by."""
HELD = -1e-3
"""A limit counts as held down to this margin: local solvers end on it."""
SWEPT = {3: (61, 31, 61), 4: (31, 16, 41, 41)}
"""Points of the dense sweep along each setpoint; facility and condenser water run below what they follow."""
BELOW_K = 16.0
CHUNK = 20_000
FAILED_GAP = 0.05

Row = dict[str, float | str]
Solver = Callable[[Problem], Array | None]


@dataclass(frozen=True, slots=True)
class Drawn:
    """One problem, and the least cost that the sweep found [W], inf where nothing is feasible."""

    problem: Problem
    least_w: float


def run(quick: bool, data: Path | None) -> dict[str, float | str | list[Row]]:  # noqa: ARG001
    """A table by plant and solver: milliseconds (median, 95 %), gap to the sweep (median, 95 %) and failures [%].

    A failure is an answer that breaks a limit or costs 5 % more than the sweep, or none where the sweep has one.
    """
    count = QUICK_PROBLEMS if quick else PROBLEMS
    rows: list[Row] = []
    for plant, name in SITES.items():
        rng = random.Random(20261)
        drawn = [_swept(_draw(name, rng)) for _ in range(count)]
        rows += [_row(plant, solver, drawn) for solver in SOLVERS]
    return {"problems": float(count * len(SITES)), "solvers": rows}


def _draw(name: str, rng: random.Random) -> Problem:
    """A loop in frost and heat, idle and full; the last target is where a search a minute ago would have been."""
    site = example_site(name)
    group = next(iter(site.groups.values()))
    design, roles = loop_design(site, group), inputs.roles(site, group)
    gpu_w = full_gpu_w([r.gpu_power_w for r, _ in design.racks], float("nan"))
    likely, dry_c = rng.uniform(0.15, 0.9), rng.uniform(-10.0, 40.0)
    median, upper = (
        Load(
            heat_w=share * design.liquid_heat_w,
            it_w=share * design.rack_power_w,
            gpu_w=gpu_w,
            air=Outdoor(dry_c, dry_c - rng.uniform(2.0, 12.0)),
        )
        for share in (likely, min(likely * rng.uniform(1.05, 1.6), 1.0))
    )
    envelopes = tuple(site.envelopes[group.commands[r]] for r in roles)
    design_point = tuple(inputs.design_value(group, r) for r in roles)
    problem = Problem(
        design=design,
        median=median,
        upper=replace(upper, air=median.air),
        bounds=bounds(site, group, DEW_POINT_C),
        envelopes=envelopes,
        current=design_point,
        design_point=design_point,
        target=design_point,
    )
    before = replace(problem, median=replace(median, heat_w=0.97 * median.heat_w, it_w=0.97 * median.it_w))
    target = search(before).target
    return replace(problem, current=target, target=target)


def _swept(problem: Problem) -> Drawn:
    """The least cost of a dense sweep [W]."""
    low, high = ranges(problem).T
    counts = SWEPT[len(low)]
    axes = [np.linspace(low[i], high[i], counts[i]) for i in range(2)]
    below = [np.linspace(0.5, BELOW_K, n) for n in counts[2:]]
    grid = np.array(list(product(*axes, *below)))
    waters = grid[:, :1] - np.cumsum(grid[:, 2:], axis=1)
    points = np.clip(np.column_stack([grid[:, :2], waters]), low, high)
    least_w = min(_least_w(problem, points[i : i + CHUNK]) for i in range(0, len(points), CHUNK))
    return Drawn(problem, least_w)


def _least_w(problem: Problem, points: Array) -> float:
    judged = judge(problem, points)
    return float(np.min(np.where(judged.feasible, judged.cost_w, np.inf)))


def _margin(problem: Problem, points: Array) -> Array:
    """The least margin of each point; what has no end counts as 1."""
    margins = np.stack(list(judge(problem, points).margins.values()))
    return np.asarray(np.min(np.nan_to_num(margins, posinf=1.0), axis=0), dtype=np.float64)


def _penalised_w(problem: Problem, points: Array) -> Array:
    judged = judge(problem, points)
    broken = sum(np.maximum(-np.nan_to_num(m, posinf=1.0), 0.0) for m in judged.margins.values())
    return np.asarray(judged.cost_w + PENALTY_W * broken, dtype=np.float64)


def _own(problem: Problem) -> Array | None:
    choice = search(problem)
    return np.asarray(choice.target) if choice.feasible else None


def _local(method: str) -> Solver:
    """Scipy's constrained local solvers, from the present setpoints, in shares of the ranges."""

    def solve(problem: Problem) -> Array | None:
        low, high = ranges(problem).T

        def point(share: Array) -> Array:
            return np.asarray(low + share * (high - low)).reshape(1, -1)

        start = (np.asarray(problem.current) - low) / (high - low)
        found = optimize.minimize(
            lambda x: float(judge(problem, point(x)).cost_w[0]) / 1e3,
            start,
            method=method,
            bounds=[(0.0, 1.0)] * len(low),
            constraints=[{"type": "ineq", "fun": lambda x: float(_margin(problem, point(x))[0])}],
            options={"maxiter": 200},
        )
        return np.asarray(point(np.clip(found.x, 0.0, 1.0))[0])

    return solve


def _evolution(problem: Problem) -> Array | None:
    """Differential evolution, each generation at once."""
    found = optimize.differential_evolution(
        lambda x: _penalised_w(problem, x.T),
        bounds=ranges(problem).tolist(),
        x0=np.asarray(problem.current),
        vectorized=True,
        updating="deferred",
        polish=False,
        maxiter=60,
        seed=1,
    )
    return np.asarray(found.x)


SOLVERS: dict[str, Solver] = {
    "own search": _own,
    "SLSQP": _local("SLSQP"),
    "COBYLA": _local("COBYLA"),
    "differential evolution": _evolution,
}


def _row(plant: str, solver: str, drawn: list[Drawn]) -> Row:
    times_s, gaps, failures = [], [], 0
    for one in drawn:
        began_s = perf_counter()
        point = SOLVERS[solver](one.problem)
        times_s.append(perf_counter() - began_s)
        gap = _gap(one, point)
        failures += gap > FAILED_GAP
        gaps += [gap] if np.isfinite(gap) else []
    return {
        "plant": plant,
        "solver": solver,
        "ms_median": 1e3 * float(np.median(times_s)),
        "ms_p95": 1e3 * float(np.quantile(times_s, 0.95)),
        "gap_median_pct": 100 * float(np.median(gaps)) if gaps else "",
        "gap_p95_pct": 100 * float(np.quantile(gaps, 0.95)) if gaps else "",
        "failed_pct": 100 * failures / len(drawn),
    }


def _gap(one: Drawn, point: Array | None) -> float:
    """How much more an answer costs than the sweep's best [1]; inf for one that breaks a limit or is missing."""
    if point is None:
        return np.inf if np.isfinite(one.least_w) else 0.0
    points = point.reshape(1, -1)
    if not float(_margin(one.problem, points)[0]) >= HELD:
        return np.inf
    cost_w = float(judge(one.problem, points).cost_w[0])
    return cost_w / one.least_w - 1 if np.isfinite(one.least_w) else 0.0
