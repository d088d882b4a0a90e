"""The plan of one CDU loop: from what is known now to the next step, with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from controller import inputs
from controller.air import plan_air
from controller.assuming import assumptions
from controller.billing import Billing
from controller.constraints import Problem, worst_margin
from controller.design import LoopDesign, loop_design
from controller.explaining import COST_MINUTES, WORST_MINUTES, plan_of
from controller.facility_plant import facility_owner
from controller.hottest import stands_for_w
from controller.identification.applied import applied
from controller.identification.known import Known
from controller.learning import Learnt, observe
from controller.loop_problems import LoopProblems
from controller.model import Load, Setpoints
from controller.next_step import SETTLE_S, next_step
from controller.optimise import Choice, search
from controller.overload import eased
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
from plant.records import Condition, HeatForecast, Plan, Severity, ShedRequest
from plant.topology import CoolingGroup, Site

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
    kept_k, unheld_k = memory.stray.kept_beside(standing), memory.stray.unheld_k
    problems = replace(problems, waiting=plant.waiting, standing=standing, resting=resting)
    problems = replace(problems, strays_k=kept_k, unheld_k=unheld_k)
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
    return _Solved(staged=staged, problem=problem, choice=eased(problem, choice))


def _decision(problems: LoopProblems, solved: _Solved, plant: Plant, moves: Mapping[PointId, Move]) -> Decision:
    """The plan of the loop's own setpoints, of its units and of its air."""
    site, group, now_s, problem = problems.site, problems.group, problems.now_s, solved.problem
    kind, goal, setpoints, made = next_step(problems, solved.problem, solved.choice, moves)
    plan = plan_of(group, problems.heat, problem, solved.choice, setpoints, kind, now_s, problems.unheld_k)
    switched = switches(plant, solved.staged.on) if solved.staged else ()
    own = tuple(s for s in setpoints if s.point in group.commands.values())
    plan = replace(plan, setpoints=(*own, *switched), staging=solved.staged.why if solved.staged else None)
    room_w = problem.median.it_w - problem.median.heat_w
    safe = kind in {"plan_design", "plan_unheld"}  # then the air, too, goes back to the device's own
    air = None if safe else plan_air(site, problems.snapshot, group, room_w, moves, now_s, SETTLE_S)
    breathed = {air.setpoint.point: air.move} if air else {}
    return Decision(
        plan=air.within(plan, problem.prices.energy_per_kwh) if air else plan,
        target=goal,
        moves={s.point: made[s.point] for s in own} | breathed | switch_moves(switched, moves, now_s),
    )


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


def _conditions(group: CoolingGroup, problem: Problem, as_figured: LoopDesign, now_s: float) -> tuple[Condition, ...]:
    """Whether the reserve is gone at design, with plates that nobody saw as the site file has them."""
    if not problem.bounds.reserve:
        return ()
    known = replace(problem, design=replace(problem.design, racks=as_figured.racks))
    margin_k = float(worst_margin(known, np.array([problem.design_point]))[0])
    if margin_k >= 0:
        return ()
    return (condition("reserve_gone", group.id, now_s, Severity.WARNING, margin_k=margin_k),)
