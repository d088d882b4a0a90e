"""One cycle of control as a pure function: what is known now -> forecast, plans, headroom, and what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from controller import forecast as forecasting
from controller import history as ring
from controller.design import rack_design
from controller.headroom import group_headrooms
from controller.history import History
from controller.inputs import FLOW, Heat, cdu_heats
from controller.loops import Decision, plan_loop
from controller.reasons import condition
from controller.sidecars import plan_sidecar
from controller.state import ControlState, StepResult, initial_state
from plant.errors import ConfigError, StaleError
from plant.live import Snapshot
from plant.records import Condition, Forecast, HeatForecast, JobOutlook, Severity
from plant.topology import CoolingGroup, Site

__all__ = ["ControlState", "StepResult", "initial_state", "seed_history", "step"]

HEADROOM_ABOVE_DESIGN = 1.05
"""Heat is never forecast above the racks' design heat by more than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heats:
    now: dict[str, Heat] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()


def step(
    state: ControlState, snapshot: Snapshot, outlook: tuple[JobOutlook, ...], now_s: float, site: Site
) -> StepResult:
    """One cycle. now_s [s since 1970]; outlook may be empty. Pure: the same arguments give the same result."""
    heats = _measure(site, snapshot, now_s)
    histories = _remember(state.histories, heats.now, now_s)
    ahead = _forecast(site, histories, heats.now, outlook, now_s)
    by_subject = {h.subject: h for h in ahead.heats}
    decisions = {g.id: _decide(state, site, snapshot, g, heats.now, by_subject, now_s) for g in site.groups.values()}
    plans = tuple(d.plan for d in decisions.values() if d.plan is not None)
    moves = dict(state.moves)
    for decision in decisions.values():
        moves |= decision.moves
    headrooms = tuple(
        h for g in site.groups.values() for h in group_headrooms(site, snapshot, g, heats.now.get(g.id), now_s)
    )
    return StepResult(
        state=ControlState(
            histories=histories,
            targets={g: d.target for g, d in decisions.items() if d.target},
            moves=moves,
            plans=plans,
        ),
        forecast=ahead,
        plans=plans,
        headrooms=headrooms,
        conditions=heats.conditions + tuple(c for d in decisions.values() for c in d.conditions),
    )


def seed_history(state: ControlState, series: Mapping[str, tuple[ring.Array, ring.Array]]) -> ControlState:
    """Warm start: series is subject -> (time_s [s since 1970] ascending, heat_w [W]), e.g. from the store.

    Subjects are CDUs and sidecars by id, and groups by id (their members' sum).
    """
    histories = {subject: ring.seeded(*columns) for subject, columns in series.items()}
    return replace(state, histories={**state.histories, **histories})


def _measure(site: Site, snapshot: Snapshot, now_s: float) -> _Heats:
    now: dict[str, Heat] = {}
    conditions: list[Condition] = []
    for group in site.groups.values():
        members = cdu_heats(site, snapshot, group)
        now |= members
        now[group.id] = _total(members)
        for subject, heat in members.items():
            if not heat.known:
                conditions.append(condition("heat_unknown", subject, now_s, Severity.CRITICAL, detail=heat.detail))
            elif heat.substitute:
                conditions.append(condition("heat_substituted", subject, now_s, Severity.WARNING, detail=heat.detail))
    return _Heats(now=now, conditions=tuple(conditions))


def _total(members: Mapping[str, Heat]) -> Heat:
    unknown = [h.detail for h in members.values() if not h.known]
    return Heat(
        sum(h.heat_w for h in members.values()),
        substitute=any(h.substitute for h in members.values()),
        detail="; ".join(unknown),
    )


def _remember(histories: Mapping[str, History], now: Mapping[str, Heat], now_s: float) -> dict[str, History]:
    """Add what was measured and refit at most one model, so that no cycle is much longer than another."""
    taken = {s: ring.add(histories.get(s, ring.empty()), now_s, heat.heat_w) for s, heat in now.items()}
    oldest = min(taken, key=lambda s: taken[s].fitted_s, default=None)
    if oldest is not None:
        due = [s for s in taken if taken[s].minutes >= forecasting.COLD_MINUTES]
        for subject in sorted(due, key=lambda s: taken[s].fitted_s)[:1]:
            taken[subject] = forecasting.refitted(taken[subject], now_s)
    return taken


def _forecast(
    site: Site,
    histories: Mapping[str, History],
    now: Mapping[str, Heat],
    outlook: tuple[JobOutlook, ...],
    now_s: float,
) -> Forecast:
    shares: dict[str, dict[str, float]] = {}
    capacity: dict[str, float] = {}
    for group in site.groups.values():
        racks = {r: _liquid_fraction(site, r) for r in group.racks}
        heat_w = sum(site.equipment[r].design.get("power_w", 0.0) * f for r, f in racks.items())
        for subject in dict.fromkeys((group.id, *group.members)):
            whole = subject == group.id
            shares[subject] = {r: f * (1.0 if whole else 1.0 / len(group.members)) for r, f in racks.items()}
            capacity[subject] = HEADROOM_ABOVE_DESIGN * heat_w
    known = {s: h for s, h in histories.items() if now[s].known}
    extra = {s: forecasting.job_extra(outlook, shares[s], now_s) for s in known} if outlook else {}
    return forecasting.forecast(known, capacity, extra, now_s)


def _liquid_fraction(site: Site, rack: str) -> float:
    try:
        return rack_design(site, rack).liquid_fraction
    except ConfigError:
        return 1.0


def _decide(
    state: ControlState,
    site: Site,
    snapshot: Snapshot,
    group: CoolingGroup,
    heats: Mapping[str, Heat],
    forecasts: Mapping[str, HeatForecast],
    now_s: float,
) -> Decision:
    heat = forecasts.get(group.id)
    if heat is None or not np.isfinite(heats[group.id].heat_w):
        return Decision(plan=None)  # the condition `heat_unknown` of the member says why
    moves = {p: state.moves[p] for p in group.commands.values() if p in state.moves}
    try:
        if FLOW in group.commands:
            return plan_sidecar(site, snapshot, group, heat, moves, now_s)
        return plan_loop(site, snapshot, group, heat, state.targets.get(group.id, ()), moves, now_s)
    except StaleError as error:
        found = condition("inputs_missing", group.id, now_s, Severity.WARNING, detail=str(error))
    except ConfigError as error:
        found = condition("design_incomplete", group.id, now_s, Severity.WARNING, detail=error.message)
    return Decision(plan=None, conditions=(found,))
