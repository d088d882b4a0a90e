"""The next step of a loop whose cooling has failed: the site's cause-and-effect matrix, and a wish to shed load."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from controller import inputs
from controller.cause_effect import Effect, strictest
from controller.causes import Cause, Found
from controller.constraints import DEW_RESERVE_K, SUPPLY_RESERVE_K
from controller.explaining import PLAN_LIFE_S
from controller.loops import Decision
from controller.next_step import SETTLE_S
from controller.problems import limit_values
from controller.reasons import condition, message
from controller.shedding import all_off, carries, nothing_left, shed_conditions, shed_request
from controller.stage_state import all_may_run
from controller.state import Move
from plant.errors import StaleError
from plant.live import Snapshot
from plant.points import PointId
from plant.records import Condition, Forecast, Plan, Setpoint, Severity
from plant.topology import CoolingGroup, Site

CODES = {
    Cause.LEAK: "leak_found",
    Cause.PUMP_TRIP: "pump_tripped",
    Cause.CDU_LOST: "cdu_lost",
    Cause.REJECTION_LOST: "rejection_lost",
    Cause.CHILLER_TRIP: "chiller_tripped",
    Cause.FACILITY_LOST: "facility_pump_lost",
    Cause.WATER_UNHELD: "facility_water_unheld",
    Cause.SUPPLY_LOST: "supply_sensor_lost",
    Cause.DEW_POINT_LOST: "dew_point_lost",
    Cause.HUNTING: "hunting",
    Cause.SUPPLY_STUCK: "supply_sensor_stuck",
    Cause.VALVE_STUCK: "valve_stuck",
    Cause.FLOW_BIASED: "flow_meter_biased",
    Cause.OUTDOOR_WRONG: "outdoor_sensor_wrong",
    Cause.FOULED: "exchanger_fouled",
    Cause.NOT_REACTING: "not_reacting",
}
"""The condition of each cause; a lost heat signal has `heat_unknown` already."""
DIGITS = {inputs.FLOW: 7, inputs.SPEED: 4}
"""That setpoints [SI] are rounded to, where not 2."""
SAME_K, SAME_SHARE = 0.25, 0.02
"""Setpoints that differ by less are the same."""


def answer(
    site: Site,
    snapshot: Snapshot,
    group: CoolingGroup,
    found: tuple[Found, ...],
    ahead: Forecast,
    moves: Mapping[PointId, Move],
    now_s: float,
) -> Decision:
    """What the matrix says, as a plan or as letting go, with a condition for each cause; `found` is not empty."""
    effect, because = strictest(group, tuple(f for f in found if f.acts) or found)
    news, let_go = told(found, now_s), because.cause.value if effect is Effect.LET_GO else ""
    gone = all_off(site, snapshot, group, now_s) if nothing_left(group, found) else None
    try:
        current = inputs.current_setpoints(site, snapshot, group)
        most = current if effect is Effect.HOLD else _reserve(site, snapshot, group, current)
    except StaleError:
        return Decision(plan=None, conditions=(*news, *shed_conditions(gone)), let_go=let_go, shed=gone)
    if effect is Effect.LET_GO:
        return Decision(plan=None, conditions=(*news, *shed_conditions(gone)), let_go=let_go, shed=gone)
    jammed = {f.subject for f in found if f.cause is Cause.VALVE_STUCK and f.acts}
    if set(group.members) <= jammed:
        # as much facility water as there is: more coolant only comes back warmer from the exchangers
        most = most | {inputs.DP: current[inputs.DP]}
    enough = gone is None and not jammed and carries(site, snapshot, group, found, ahead)
    shed = gone if gone is not None or enough else shed_request(site, snapshot, group, found, ahead, most, now_s)
    goal = current if enough else most
    values, made = one_step(site, group, current, goal, moves, now_s)
    news = (*news, *shed_conditions(shed))
    if effect is Effect.RESERVE and not set(group.members) <= jammed and _design_is_safer(group, current):
        return Decision(plan=None, conditions=news, shed=shed, let_go=because.cause.value)
    plan = _plan(site, snapshot, group, effect, because, current, goal, values, now_s)
    return Decision(plan=plan, moves=made, conditions=news, shed=shed)


def told(found: tuple[Found, ...], now_s: float) -> tuple[Condition, ...]:
    """A condition for each cause."""
    return tuple(_told(f, now_s) for f in found if f.cause in CODES)


def _told(found: Found, now_s: float) -> Condition:
    grave = found.cause in {Cause.LEAK, Cause.PUMP_TRIP, Cause.CDU_LOST, Cause.REJECTION_LOST, Cause.FACILITY_LOST}
    severity = Severity.CRITICAL if grave else Severity.WARNING
    detail = {"detail": found.detail} if found.detail else {}
    return condition(CODES[found.cause], found.subject, now_s, severity, **detail)


def _design_is_safer(group: CoolingGroup, current: Mapping[str, float]) -> bool:
    """Whether the devices' own design has more flow, or is colder, and nowhere less so: their own ramp is quickest."""
    gains = []
    for role in inputs.own_setpoints(group):
        design = inputs.design_value(group, role)
        more = (design - current[role]) if role in {inputs.DP, inputs.FLOW} else (current[role] - design)
        gains.append(more / (SAME_SHARE * design if role in {inputs.DP, inputs.FLOW} else SAME_K))
    return min(gains) >= -1.0 and max(gains) > 1.0


_LIMITED = {inputs.SUPPLY: "tcs_supply_temperature", inputs.FACILITY: "fws_supply_temperature"}
"""Role -> the quantity of the site's limits that it sets."""


def _reserve(site: Site, snapshot: Snapshot, group: CoolingGroup, current: Mapping[str, float]) -> dict[str, float]:
    """As cold and with as much flow as the envelopes, the site's limits and the room's dew point allow."""
    tops, floors = limit_values(site)
    goal = dict(current)
    for role, point in inputs.own_setpoints(group).items():
        envelope = site.envelopes[point]
        if role in {inputs.DP, inputs.FLOW}:
            top = tops.get("tcs_differential_pressure", math.inf) if role == inputs.DP else math.inf
            goal[role] = min(envelope.maximum, top)
            continue
        goal[role] = max(envelope.minimum, floors.get(_LIMITED.get(role, ""), -math.inf) + SUPPLY_RESERVE_K)
        if role == inputs.SUPPLY:
            margin_k = max(envelope.dew_point_margin_k or 0.0, floors.get("dew_point_margin", 0.0)) + DEW_RESERVE_K
            dew_c = inputs.dew_point(site, snapshot, group)
            goal[role] = goal[role] if dew_c is None else max(goal[role], dew_c + margin_k)
    return goal


def one_step(
    site: Site,
    group: CoolingGroup,
    current: Mapping[str, float],
    goal: Mapping[str, float],
    moves: Mapping[PointId, Move],
    now_s: float,
) -> tuple[dict[str, float], dict[PointId, Move]]:
    """One max_step of each role towards its goal, no sooner than the guard lets the next one pass."""
    values, made = {}, {}
    for role, point in inputs.own_setpoints(group).items():
        envelope, held = site.envelopes[point], moves.get(point)
        if held is not None and now_s - held.at_s < envelope.min_dwell_s + SETTLE_S:
            values[role], made[point] = held.value, held
            continue
        step = float(np.clip(goal[role] - current[role], -envelope.max_step, envelope.max_step))
        values[role] = round(current[role] + step, DIGITS.get(role, 2))
        made[point] = Move(value=values[role], at_s=now_s if step else -1e18)
    return values, made


def _plan(
    site: Site,
    snapshot: Snapshot,
    group: CoolingGroup,
    effect: Effect,
    because: Found,
    current: Mapping[str, float],
    goal: Mapping[str, float],
    values: Mapping[str, float],
    now_s: float,
) -> Plan:
    """Without predictions: those of the optimiser hold for a plant that is whole."""
    setpoints = tuple(
        Setpoint(
            point=group.commands[role],
            current=current[role],
            value=values[role],
            target=goal[role],
            design=inputs.design_value(group, role),
        )
        for role in inputs.own_setpoints(group)
    )
    switches = all_may_run(site, snapshot, group, hold=effect is Effect.HOLD)
    kind = "plan_hold" if effect is Effect.HOLD else "plan_reserve"
    return Plan(
        id=f"{group.id}-{now_s:.0f}",
        loop=group.id,
        made_s=now_s,
        valid_until_s=now_s + PLAN_LIFE_S,
        setpoints=(*setpoints, *switches),
        predicted_cooling_w=math.nan,
        predicted_design_cooling_w=math.nan,
        predicted_it_extra_w=math.nan,
        predicted_case_c=math.nan,
        case_limit_c=limit_values(site)[0].get("case_temperature", math.nan),
        worst_case_margin_k=math.nan,
        binding="none",
        reason=message(kind, subject=because.subject, cause=because.cause.value.replace("_", " ")),
    )
