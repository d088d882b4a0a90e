"""The plan of one CDU loop: from what is known now to the next step, with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from controller import inputs
from controller.air import plan_air
from controller.assuming import assumptions
from controller.billing import Billing
from controller.constraints import CASE_RESERVE_K, Problem, worst_margin
from controller.design import LoopDesign, loop_design
from controller.explaining import COST_MINUTES, WORST_MINUTES, plan_of
from controller.facility_plant import facility_owner
from controller.hottest import stands_for_w
from controller.identification.applied import applied
from controller.identification.known import Known
from controller.learning import Learnt, observe
from controller.loop_problems import LoopProblems
from controller.model import Load, Setpoints
from controller.optimise import Choice, search, stepped
from controller.own_sequence import Sequences, standing_under
from controller.reasons import condition
from controller.shared_plant import ALONE, Beside
from controller.shedding import shed_conditions
from controller.stage_choice import Plant, is_plant, missing
from controller.stage_loss import lefts
from controller.stage_shed import shed_by_plant
from controller.stage_state import Seen
from controller.staging import (
    Staged,
    decide,
    failures,
    switch_moves,
    switches,
    whole_plant,
)
from controller.state import Move
from controller.straying import STEADY, Stray
from plant.live import Snapshot
from plant.points import PointId
from plant.records import Condition, HeatForecast, Plan, Setpoint, Severity, ShedRequest
from plant.topology import CoolingGroup, Site

SETTLE_S = 10.0
"""Longer than the envelope's dwell by this, so that the guard's clock agrees."""
LEARN_AFTER_S = 240.0
"""Meters are compared with the model this long after a move: the loops have settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A plan (or none) with what must be remembered of it and what a person should know.

    let_go: why its devices are to have the loop back at once; shed: the load that it asks to have taken off.
    """

    plan: Plan | None
    target: tuple[float, ...] = ()
    moves: Mapping[PointId, Move] = field(default_factory=dict)
    learnt: Learnt | None = None
    known: Known | None = None
    conditions: tuple[Condition, ...] = ()
    let_go: str = ""
    shed: ShedRequest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a loop remembers: its last target, its moves, and what it learned of its plant by meters and in detail.

    gpu_w: what the hottest GPU may come to draw [W], inf: as its nameplate says; seen: the plant's units as last shown,
    sequences: those that nobody here switches; stray: how far its supply strays.
    """

    target: tuple[float, ...] = ()
    moves: Mapping[PointId, Move] = field(default_factory=dict)
    learnt: Learnt = field(default_factory=Learnt)
    known: Known = field(default_factory=Known)
    billing: Billing = field(default_factory=Billing)
    gpu_w: float = np.inf
    seen: Mapping[str, Seen] = field(default_factory=dict)
    sequences: Sequences = field(default_factory=dict)
    stray: Stray = STEADY


def plan_loop(
    site: Site,
    snapshot: Snapshot,
    group: CoolingGroup,
    heat: HeatForecast,
    memory: Memory,
    heat_w: float,
    now_s: float,
    beside: Beside = ALONE,
) -> Decision:
    """One loop's next step. heat_w: measured now [W]; beside: other loops on the same plant.

    Raises:
        StaleError: an input is missing.
        ConfigError: a design figure is missing.
    """
    inputs.whole_setpoints(site, group)
    high_w = max(heat_w, *heat.at(0.95)[:WORST_MINUTES]) + max(beside.worst_w[:WORST_MINUTES])
    standing, resting = (standing_under(site, snapshot, group, memory.sequences, w) for w in (0.0, high_w))
    plant = replace(whole_plant(site, snapshot, group, memory.seen, now_s), beside=standing)
    told = loop_design(site, group, missing(plant, plant.on) | standing, plant.waiting)
    running = applied(told, site, group, memory.known)
    learnt = _learnt(site, snapshot, group, memory, plant, running, heat_w, now_s, beside)
    problems = _problems(site, snapshot, group, heat, memory, running, learnt, now_s, heat_w, beside)
    kept_k = memory.stray.kept_beside(standing)
    problems = replace(problems, waiting=plant.waiting, standing=standing, resting=resting, strays_k=kept_k)
    solved = _solved(problems, plant)
    as_figured = applied(told, site, group, memory.known, unseen_plates=False)
    short = solved.staged is not None and solved.staged.why.code == "stage_all"
    shed = shed_by_plant(problems, plant) if short else None
    return replace(
        _decision(problems, solved, plant, memory.moves),
        learnt=learnt,
        shed=shed,
        conditions=_conditions(group, solved.problem, as_figured, now_s)
        + shed_conditions(shed)
        + failures(plant, now_s)
        + assumptions(site, snapshot, group, solved.problem.median.air, now_s),
    )


def _problems(
    site: Site,
    snapshot: Snapshot,
    group: CoolingGroup,
    heat: HeatForecast,
    memory: Memory,
    running: LoopDesign,
    learnt: Learnt,
    now_s: float,
    now_w: float,
    beside: Beside,
) -> LoopProblems:
    """All problems of this moment; running: the design with the units that run, and what was identified."""
    hot_c, hot_w = inputs.hottest_gpu(site, snapshot, group)
    return LoopProblems(
        site=site,
        snapshot=snapshot,
        group=group,
        heat=heat,
        running=running,
        learnt=learnt,
        target=memory.target,
        billing=memory.billing,
        hot_c=hot_c,
        hot_w=stands_for_w(running, snapshot, group, hot_c, hot_w),
        gpu_w=memory.gpu_w,
        beside=beside,
        now_s=now_s,
        now_w=now_w,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Solved:
    """What is to run, with which problem that leaves, and what was found for it."""

    staged: Staged | None
    problem: Problem
    choice: Choice


def _solved(problems: LoopProblems, plant: Plant) -> _Solved:
    staged = _staged(problems, plant)
    off, worst = (staged.off, staged.worst_minutes) if staged else (missing(plant, plant.on), WORST_MINUTES)
    problem = problems.asked(off, COST_MINUTES, worst)
    problem = replace(problem, after_loss=lefts(staged.lost, problems.designed) if staged else ())
    choice = search(problem)
    if problem.after_loss and not choice.feasible:  # what a loss would break is no reason to give up what holds now
        problem = replace(problem, after_loss=())
        choice = search(problem)
    return _Solved(staged=staged, problem=problem, choice=choice)


def _decision(problems: LoopProblems, solved: _Solved, plant: Plant, moves: Mapping[PointId, Move]) -> Decision:
    """The plan of the loop's own setpoints, of its units and of its air."""
    site, group, now_s, problem = problems.site, problems.group, problems.now_s, solved.problem
    kind, goal, setpoints, made = _next(problems, solved, moves)
    plan = plan_of(group, problems.heat, problem, solved.choice, setpoints, kind, now_s)
    switched = switches(plant, solved.staged.on) if solved.staged else ()
    own = tuple(s for s in setpoints if s.point in group.commands.values())
    plan = replace(plan, setpoints=(*own, *switched), staging=solved.staged.why if solved.staged else None)
    room_w = problem.median.it_w - problem.median.heat_w
    safe = kind == "plan_design"  # then the air, too, goes back to the device's own
    air = None if safe else plan_air(site, problems.snapshot, group, room_w, moves, now_s, SETTLE_S)
    breathed = {air.setpoint.point: air.move} if air else {}
    return Decision(
        plan=air.within(plan, problem.prices.energy_per_kwh) if air else plan,
        target=goal,
        moves={s.point: made[s.point] for s in own} | breathed | switch_moves(switched, moves, now_s),
    )


def _next(
    problems: LoopProblems, solved: _Solved, moves: Mapping[PointId, Move]
) -> tuple[str, tuple[float, ...], tuple[Setpoint, ...], dict[PointId, Move]]:
    """Code of the plan's reason, where the loop goes, its setpoints now, and when each was moved."""
    problem = solved.problem
    too_hot = bool(problems.hot_c > problem.bounds.case_c - CASE_RESERVE_K)
    kind, goal = _goal(problem, solved.choice, too_hot=too_hot)
    points = tuple(inputs.setpoint_points(problems.site, problems.group).values())
    values, made = _values(problem, goal, points, moves, problems.now_s)
    if kind == "plan_move" and np.allclose(values, problem.current) and not np.allclose(goal, problem.current):
        kind = "plan_dwell"
    rows = zip(points, problem.current, values, goal, problem.design_point, strict=True)
    return kind, goal, tuple(Setpoint(point=p, current=c, value=v, target=t, design=d) for p, c, v, t, d in rows), made


def _staged(problems: LoopProblems, plant: Plant) -> Staged | None:
    """What is to run, where this loop's site lets it be switched."""
    if not problems.group.stages:
        return None
    high_w = max(problems.heat.at(0.95)[:WORST_MINUTES])
    return decide(problems.site, plant, problems.asked, problems.designed, high_w)


def _learnt(
    site: Site,
    snapshot: Snapshot,
    group: CoolingGroup,
    memory: Memory,
    plant: Plant,
    design: LoopDesign,
    heat_w: float,
    now_s: float,
    beside: Beside,
) -> Learnt:
    """What the meters add, once the last move has settled; design: with the units that run."""
    if any(now_s - move.at_s < LEARN_AFTER_S for move in memory.moves.values()):
        return memory.learnt
    if group.id != facility_owner(site, group).id or not is_plant(plant, plant.on):
        return memory.learnt  # the plant's meters tell of all loops; the one that commands it learns
    air = inputs.outdoor(site, snapshot, group)
    if air.detail:
        return memory.learnt  # fans by air that was inferred from them would only confirm themselves
    now = inputs.current_setpoints(site, snapshot, group)
    at = Setpoints.of(np.array([[now[r] for r in inputs.roles(site, group)]]))
    it_w = heat_w * design.rack_power_w / design.liquid_heat_w
    load = Load(
        heat_w=heat_w,
        it_w=it_w,
        gpu_w=0.0,
        air=air,
        other_heat_w=beside.likely_w[0],
        other_flow_m3_s=beside.flow_m3_s,
    )
    return observe(memory.learnt, site, snapshot, group, design, load, at)


def _goal(problem: Problem, choice: Choice, *, too_hot: bool) -> tuple[str, tuple[float, ...]]:
    if too_hot or not choice.feasible:
        return "plan_design", _safe_design(problem)
    if not choice.worth_moving:
        return "plan_stay", problem.current
    return "plan_move", choice.target


def _safe_design(problem: Problem) -> tuple[float, ...]:
    return max(problem.design_point[0], problem.bounds.dew_limit_c), *problem.design_point[1:]


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


def _conditions(group: CoolingGroup, problem: Problem, as_figured: LoopDesign, now_s: float) -> tuple[Condition, ...]:
    """Whether the reserve is gone at design, with plates that nobody saw as the site file has them."""
    if not problem.bounds.reserve:
        return ()
    known = replace(problem, design=replace(problem.design, racks=as_figured.racks))
    margin_k = float(worst_margin(known, np.array([problem.design_point]))[0])
    if margin_k >= 0:
        return ()
    return (condition("reserve_gone", group.id, now_s, Severity.WARNING, margin_k=margin_k),)
