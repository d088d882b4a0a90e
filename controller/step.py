"""One cycle of control as a pure function: what is known now -> forecast, plans, headroom, and what is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from controller.answering import answer, told
from controller.billing import billed, site_power_w
from controller.causes import Cause, Found, find_causes
from controller.flow_command import translation
from controller.forecasting.cycle import Columns, Measured, forecast, liquid_fraction, remember
from controller.forecasting.widening import widened
from controller.headroom import group_headrooms, limits_of_all, without_room
from controller.heats import Heat, cdu_heats, total
from controller.hunting import hunting, watched
from controller.identification.cycle import known_of_all
from controller.identification.excitation import probed
from controller.identification.findings import findings
from controller.identification.known import Known
from controller.identification.shown import parameters_of
from controller.inputs import FLOW, outdoor_airs, rack_power
from controller.learning import Learnt
from controller.loops import Decision, Memory, plan_loop
from controller.own_sequence import watched as watched_units
from controller.power_swings import carried_gpu_w, jumped
from controller.reasons import condition
from controller.ride_through import ride_throughs
from controller.set_back import not_ahead
from controller.shared_plant import beside
from controller.sidecars import plan_sidecar
from controller.stage_state import look
from controller.state import ControlState, StepResult, initial_state
from controller.straying import STEADY, strayed
from controller.suspects import Doubts, believed_heats, doubted, suspects, trusted
from plant.errors import ConfigError, StaleError
from plant.live import Reading, Snapshot
from plant.points import PointId
from plant.records import Condition, Forecast, Headroom, JobOutlook, Severity
from plant.topology import CoolingGroup, Site

__all__ = ["ControlState", "StepResult", "initial_state", "seed_history", "step"]

Revise = Callable[[Forecast], Forecast]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heats:
    now: dict[str, Heat] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()


def step(
    state: ControlState,
    snapshot: Snapshot,
    outlook: tuple[JobOutlook, ...],
    now_s: float,
    site: Site,
    revise: Revise | None = None,
    *,
    rooms: bool = True,
) -> StepResult:
    """One cycle. now_s [s since 1970]; outlook may be empty. Pure: the same arguments give the same result.

    revise: puts another forecast in place of ours before it is used, e.g. persistence or the truth in a study; rooms:
    reckon headroom and ride-through too, which no plan depends on and which a study that reads neither spares.
    """
    by_flow = translation(site, snapshot)
    if by_flow is None:
        return _step(state, snapshot, outlook, now_s, site, revise, {}, rooms=rooms)
    known, view = by_flow.known(state), by_flow.snapshot
    return by_flow.told(_step(known, view, outlook, now_s, by_flow.site, revise, by_flow.flows, rooms=rooms))


def _step(
    state: ControlState,
    snapshot: Snapshot,
    outlook: tuple[JobOutlook, ...],
    now_s: float,
    site: Site,
    revise: Revise | None,
    flows: Mapping[PointId, Reading],
    *,
    rooms: bool,
) -> StepResult:
    """The same, with every loop of CDUs by its pressure; flows: see `Translation`."""
    state = not_ahead(state, now_s)
    doubts = doubted(state.doubts, site, snapshot, now_s)
    snapshot = trusted(doubts, snapshot)
    heats = _measure(site, snapshot, doubts, now_s)
    memory, ahead = forecast(state.memory, site, _measured(site, snapshot, heats.now), outlook, now_s)
    ahead = revise(ahead) if revise is not None else ahead
    ahead = widened(ahead, {subject: h.sd_w for subject, h in heats.now.items()})
    known = known_of_all(state.known, site, snapshot, heats.now)
    snapshot = replace(snapshot, readings={**snapshot.readings, **flows}) if flows else snapshot
    seen = _looked(state, site, snapshot, heats, now_s)
    seen = replace(seen, doubts=doubts, memory=memory, known=known)
    decisions = {g.id: _decide(seen, site, snapshot, g, heats.now, ahead, now_s) for g in site.groups.values()}
    result = _result(_decided(seen, decisions), decisions, heats, site, ahead, now_s)
    return _with_rooms(result, heats, site, snapshot, now_s) if rooms else result


def _looked(state: ControlState, site: Site, snapshot: Snapshot, heats: _Heats, now_s: float) -> ControlState:
    """What is remembered of the plant, one look later."""
    return replace(
        state,
        swings=watched(state.swings, site, snapshot, now_s),
        billing=billed(state.billing, site_power_w(site, snapshot), now_s, site.timezone),
        jumps=jumped(state.jumps, site, snapshot),
        seen=look(state.seen, site, snapshot, now_s),
        sequences=watched_units(state.sequences, site, snapshot, heats.now),
        strays=strayed(state.strays, site, snapshot, now_s),
    )


def _decided(state: ControlState, decisions: Mapping[str, Decision]) -> ControlState:
    """The state that the next cycle begins with."""
    return replace(
        state,
        targets={g: d.target for g, d in decisions.items() if d.target},
        moves={**state.moves, **{point: move for d in decisions.values() for point, move in d.moves.items()}},
        learnt={**state.learnt, **{g: d.learnt for g, d in decisions.items() if d.learnt is not None}},
        known={**state.known, **{g: d.known for g, d in decisions.items() if d.known is not None}},
        plans=tuple(d.plan for d in decisions.values() if d.plan is not None),
    )


def _result(
    state: ControlState,
    decisions: Mapping[str, Decision],
    heats: _Heats,
    site: Site,
    ahead: Forecast,
    now_s: float,
) -> StepResult:
    """What the cycle tells, without rooms."""
    sheds = tuple(d.shed for d in decisions.values() if d.shed is not None)
    told_of_loops = tuple(c for d in decisions.values() for c in d.conditions)
    return StepResult(
        state=state,
        forecast=ahead,
        plans=state.plans,
        headrooms=(),
        conditions=heats.conditions + told_of_loops + findings(state.known, site, now_s),
        shed=sheds,
        parameters=parameters_of(state.known, site),
        let_go={g: d.let_go for g, d in decisions.items() if d.let_go},
    )


def _with_rooms(result: StepResult, heats: _Heats, site: Site, snapshot: Snapshot, now_s: float) -> StepResult:
    """The same with headroom and ride-through."""
    return replace(
        result,
        headrooms=without_room(_headrooms(site, snapshot, heats, result.forecast, now_s), result.shed),
        ride_throughs=ride_throughs(site, snapshot, result.forecast, now_s),
    )


def _headrooms(site: Site, snapshot: Snapshot, heats: _Heats, ahead: Forecast, now_s: float) -> tuple[Headroom, ...]:
    rooms = limits_of_all(site, snapshot, ahead)
    groups = site.groups.values()
    found = (group_headrooms(site, snapshot, g, heats.now.get(g.id), now_s, ahead, rooms) for g in groups)
    return tuple(h for of_group in found for h in of_group)


def seed_history(state: ControlState, series: Mapping[str, Columns]) -> ControlState:
    """Warm start: series is subject -> (time_s [s since 1970] ascending, heat_w [W]), e.g. from the store.

    Subjects are CDUs and sidecars by id, and groups by id (their members' sum).
    """
    return replace(state, memory=remember(state.memory, series))


def _measure(site: Site, snapshot: Snapshot, doubts: Doubts, now_s: float) -> _Heats:
    now: dict[str, Heat] = {}
    conditions: list[Condition] = []
    for group in site.groups.values():
        members = believed_heats(doubts, site, snapshot, group, cdu_heats(site, snapshot, group))
        now |= members
        now[group.id] = total(members)
        for subject, heat in members.items():
            if not heat.known:
                conditions.append(condition("heat_unknown", subject, now_s, Severity.CRITICAL, detail=heat.detail))
            elif heat.substitute:
                conditions.append(_substituted(subject, heat, now_s))
    return _Heats(now=now, conditions=tuple(conditions))


def _substituted(subject: str, heat: Heat, now_s: float) -> Condition:
    detail, sd_kw = heat.detail, round(heat.sd_w / 1e3, 1)
    return condition("heat_substituted", subject, now_s, Severity.WARNING, detail=detail, sd_kw=sd_kw)


def _measured(site: Site, snapshot: Snapshot, now: Mapping[str, Heat]) -> Measured:
    """The cycle's values for the forecast; the site's own heat is the sum of its groups."""
    heats = {subject: heat.heat_w for subject, heat in now.items()}
    racks = {
        r: _rack_heat(site, snapshot, r) for g in site.groups.values() for r in g.racks if f"{r}/power" in site.points
    }
    whole = {site.id: sum(heats[g] for g in site.groups)}
    return Measured(heats=whole | heats, racks=racks, airs=outdoor_airs(site, snapshot))


def _rack_heat(site: Site, snapshot: Snapshot, rack: str) -> float:
    try:
        return rack_power(site, snapshot, rack) * liquid_fraction(site, rack)
    except StaleError:
        return np.nan


def _decide(
    state: ControlState,
    site: Site,
    snapshot: Snapshot,
    group: CoolingGroup,
    heats: Mapping[str, Heat],
    ahead: Forecast,
    now_s: float,
) -> Decision:
    heat = next((h for h in ahead.heats if h.subject == group.id), None)
    moves = {p: state.moves[p] for p in group.commands.values() if p in state.moves}
    failed = _failed(state, site, snapshot, group, known=heat is not None and heats[group.id].known)
    if any(f.acts for f in failed) or heat is None:
        return answer(site, snapshot, group, failed, ahead, moves, now_s)
    try:
        if FLOW in group.commands:
            return plan_sidecar(site, snapshot, group, heat, moves, now_s)
        known = state.learnt.get(group.id, Learnt())
        details = state.known.get(group.id, Known())
        gpu_w = carried_gpu_w(site, group, state.jumps, ahead.racks, now_s)
        target = state.targets.get(group.id, ())
        memory = Memory(
            target=target,
            moves=moves,
            learnt=known,
            known=details,
            billing=state.billing,
            gpu_w=gpu_w,
            seen=state.seen,
            sequences=state.sequences,
            stray=state.strays.get(group.id, STEADY),
        )
        others = beside(site, snapshot, group, ahead.heats)
        decision = plan_loop(site, snapshot, group, heat, memory, heats[group.id].heat_w, now_s, others)
        if decision.plan is not None and not all(math.isfinite(s.value) for s in decision.plan.setpoints):
            # not only no lease: what is held is given back, and neither moves nor target of this cycle are remembered
            news = condition("optimiser_failed", group.id, now_s, Severity.CRITICAL)
            return Decision(plan=None, conditions=(news, *told(failed, now_s)), let_go="optimiser_failed")
        decision = _probed(decision, site, group, details)
        return replace(decision, conditions=decision.conditions + told(failed, now_s))
    except StaleError as error:
        found = condition("inputs_missing", group.id, now_s, Severity.WARNING, detail=str(error))
    except ConfigError as error:
        found = condition("design_incomplete", group.id, now_s, Severity.WARNING, detail=error.message)
    return Decision(plan=None, conditions=(found,))


def _probed(decision: Decision, site: Site, group: CoolingGroup, known: Known) -> Decision:
    if decision.plan is None:
        return decision
    plan, known = probed(decision.plan, site, group, known)
    return replace(decision, plan=plan, known=known)


def _failed(
    state: ControlState, site: Site, snapshot: Snapshot, group: CoolingGroup, *, known: bool
) -> tuple[Found, ...]:
    """What of a loop's cooling has failed, its own hunting included."""
    found = (*find_causes(site, snapshot, group, heat_known=known), *suspects(state.doubts, group))
    if any(f.acts and f.cause is not Cause.NOT_REACTING for f in found):  # then it has a better name
        found = tuple(f for f in found if f.cause is not Cause.NOT_REACTING)
    swinging = hunting(state.swings, group)
    return (*found, Found(cause=Cause.HUNTING, subject=group.id, detail=swinging)) if swinging else found
