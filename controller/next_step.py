"""The next step of a loop's setpoints: where it goes, and what of that is asked now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from controller import inputs
from controller.constraints import CASE_RESERVE_K, Problem
from controller.loop_problems import LoopProblems
from controller.optimise import Choice, stepped
from controller.state import Move
from plant.points import PointId
from plant.records import Setpoint

SETTLE_S = 10.0
"""Longer than the envelope's dwell by this, so that the guard's clock agrees."""


def next_step(
    problems: LoopProblems, problem: Problem, choice: Choice, moves: Mapping[PointId, Move]
) -> tuple[str, tuple[float, ...], tuple[Setpoint, ...], dict[PointId, Move]]:
    """Code of the plan's reason, where the loop goes, its setpoints now, and when each was moved."""
    too_hot = bool(problems.hot_c > problem.bounds.case_c - CASE_RESERVE_K)
    kind, goal = _goal(problem, choice, too_hot=too_hot)
    commands = inputs.setpoint_points(problems.site, problems.group)
    if problems.unheld_k:
        kind = kind if kind == "plan_design" else "plan_unheld"
        goal = tuple(_firm(commands, problem, goal))
    points = tuple(commands.values())
    values, made = _values(problem, goal, points, moves, problems.now_s)
    if kind == "plan_move" and np.allclose(values, problem.current) and not np.allclose(goal, problem.current):
        kind = "plan_dwell"
    rows = zip(points, problem.current, values, goal, problem.design_point, strict=True)
    return kind, goal, tuple(Setpoint(point=p, current=c, value=v, target=t, design=d) for p, c, v, t, d in rows), made


def _goal(problem: Problem, choice: Choice, *, too_hot: bool) -> tuple[str, tuple[float, ...]]:
    if choice.overload:
        return "plan_overload", choice.target
    if too_hot or not choice.feasible:
        return "plan_design", _safe_design(problem)
    if not choice.worth_moving:
        return "plan_stay", problem.current
    return "plan_move", choice.target


def _safe_design(problem: Problem) -> tuple[float, ...]:
    return max(problem.design_point[0], problem.bounds.dew_limit_c), *problem.design_point[1:]


def _firm(commands: Mapping[str, PointId], problem: Problem, goal: tuple[float, ...]) -> Iterator[float]:
    """The goal of each role while nothing holds the supply: no warmer, no less than now, facility water as at design.

    But for a supply that the dew point wants warmer.
    """
    for role, now, then, design in zip(commands, problem.current, goal, problem.design_point, strict=True):
        if role == inputs.DP:
            yield max(now, then)
        elif role == inputs.SUPPLY and now < problem.bounds.dew_limit_c:
            yield then
        else:
            yield min(now, then, design) if role == inputs.FACILITY else min(now, then)


def _values(
    problem: Problem,
    goal: tuple[float, ...],
    points: tuple[PointId, ...],
    moves: Mapping[PointId, Move],
    now_s: float,
) -> tuple[tuple[float, ...], dict[PointId, Move]]:
    """The value to ask of each point now: within its dwell the last one again, else one step towards the goal."""
    dwell = [e.min_dwell_s + SETTLE_S for e in problem.envelopes]
    resting = [p in moves and now_s - moves[p].at_s < d for p, d in zip(points, dwell, strict=True)]
    step = stepped(problem, goal, tuple(not r for r in resting))
    values, made = [], {}
    for index, point in enumerate(points):
        held = moves.get(point)
        value = held.value if held is not None and resting[index] else round(float(step[index]), 2)
        values.append(value)
        changed = abs(value - (held.value if held is not None else problem.current[index])) > 1e-6
        made[point] = Move(value=value, at_s=now_s if changed else held.at_s if held is not None else -1e18)
    return tuple(values), made
