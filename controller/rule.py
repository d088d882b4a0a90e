"""The site's own reset rule, driven by coldplate in a switchback: trim and respond by requests. Pure.

Every `every_s` a setpoint is trimmed, and answered by its requests less the ignored ones, within its range. Facility
and condenser water answer to CDUs (three requests for a supply 3 K above its setpoint, two for 2 K, one for a valve
above 95 % until it is below 85 %), pressure, flow and supply temperature to racks (one each while its hottest GPU is
near the case limit, two nearer than two thirds of that, three than one third).
[source] ASHRAE Guideline 36, 5.1.14.3-4, as the LBNL Modelica Buildings library documents it; the requests follow the
pattern of its terminal units, with a CDU or rack for a zone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from controller import inputs
from controller.answering import one_step
from controller.problems import limit_values
from controller.set_back import moves_not_ahead
from controller.state import Move
from plant.live import Snapshot
from plant.points import PointId
from plant.records import Setpoint
from plant.topology import ENABLE_COMMAND, CoolingGroup, Reset, Rule, Site

VALVE_ASKS, VALVE_RESTS = 0.95, 0.85
WARM_K = ((3.0, 3), (2.0, 2))
_BY_CDU = frozenset({inputs.FACILITY, inputs.TOWER})


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleState:
    """What a loop's rule remembers: setpoints by role [SI], its next step [s since 1970], valves that ask, moves."""

    values: Mapping[str, float] = field(default_factory=dict)
    next_s: float = -math.inf
    asking: frozenset[str] = frozenset()
    moves: Mapping[PointId, Move] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruled:
    """One cycle of the rule: its state, what it asks of the devices, and how many requests it heard."""

    state: RuleState
    setpoints: tuple[Setpoint, ...]
    requests: int


def ruled(site: Site, snapshot: Snapshot, group: CoolingGroup, state: RuleState, now_s: float) -> Ruled:
    """The rule's setpoints, one allowed step nearer.

    Raises:
        StaleError: a device does not tell the setpoint that it follows.
    """
    current = inputs.current_setpoints(site, snapshot, group)
    asking = _asking(snapshot, group, state.asking)
    by_cdu, by_rack = _cdu_requests(snapshot, group, current, asking), _rack_requests(site, snapshot, group)
    values, next_s = dict(state.values), state.next_s
    if group.rule is not None:
        due_s = min(state.next_s, now_s + group.rule.every_s)  # no later, also where the clock was set back
        for role, reset in group.rule.resets.items():
            values.setdefault(role, reset.start)
            if now_s >= due_s > -math.inf:
                values[role] = _reset(reset, values[role], by_cdu if role in _BY_CDU else by_rack)
        next_s = now_s + group.rule.every_s if now_s >= due_s else due_s
    goal = {role: values.get(role, inputs.design_value(group, role)) for role in inputs.own_setpoints(group)}
    goal = {role: _above_dew(site, snapshot, group, role, value) for role, value in goal.items()}
    asked, moves = one_step(site, group, current, goal, moves_not_ahead(state.moves, now_s), now_s)
    setpoints = tuple(
        Setpoint(
            point=point,
            current=current[role],
            value=asked[role],
            target=goal[role],
            design=inputs.design_value(group, role),
        )
        for role, point in inputs.own_setpoints(group).items()
    )
    own = inputs.own_setpoints(group).items()
    for (role, _), setpoint in zip(own, setpoints[:], strict=True):  # and members that take their own of the same
        setpoints += tuple(replace(setpoint, point=point) for point in group.taken(role)[1:])
    # a unit that is switched follows its own control: it may run
    free = [p for p in group.commands.values() if p.endswith(f"/{ENABLE_COMMAND}")]
    setpoints += tuple(Setpoint(point=p, current=math.nan, value=1.0, target=1.0, design=1.0) for p in free)
    now = RuleState(values=values, next_s=next_s, asking=asking, moves=moves)
    return Ruled(state=now, setpoints=setpoints, requests=by_cdu + by_rack)


def _reset(reset: Reset, value: float, requests: int) -> float:
    """One time step of trim and respond."""
    answer = reset.respond * max(requests - reset.ignored, 0)
    answer = math.copysign(min(abs(answer), abs(reset.respond_max)), reset.respond) if answer else 0.0
    return min(max(value + reset.trim + answer, reset.minimum), reset.maximum)


def _asking(snapshot: Snapshot, group: CoolingGroup, before: frozenset[str]) -> frozenset[str]:
    """Members whose valve is nearly open, until it has closed a little."""
    valves = {m: snapshot.get(f"{m}/fws_valve_position") for m in group.members}
    return frozenset(m for m, v in valves.items() if v > VALVE_ASKS or (m in before and not v < VALVE_RESTS))


def _cdu_requests(snapshot: Snapshot, group: CoolingGroup, current: Mapping[str, float], asking: frozenset[str]) -> int:
    wanted_c = current.get(inputs.SUPPLY, math.nan)
    count = 0
    for member in group.members:
        over_k = snapshot.get(f"{member}/tcs_supply_temperature") - wanted_c
        count += next((n for warm_k, n in WARM_K if over_k > warm_k), int(member in asking))
    return count


def _rack_requests(site: Site, snapshot: Snapshot, group: CoolingGroup) -> int:
    limit_c = limit_values(site)[0].get("case_temperature", math.inf)
    near_k = (group.rule or Rule(resets={})).near_k
    count = 0
    for rack in group.racks:
        hot_c, _ = inputs.hottest_of((rack,), snapshot, site.gpus_per_rack)
        left_k = limit_c - hot_c
        count += sum(left_k < near_k * share for share in (1.0, 2 / 3, 1 / 3))
    return count


def _above_dew(site: Site, snapshot: Snapshot, group: CoolingGroup, role: str, value: float) -> float:
    """A supply never below the room's dew point and its margin, as for everybody."""
    if role != inputs.SUPPLY:
        return value
    dew_c = inputs.dew_point(site, snapshot, group)
    margin_k = site.envelopes[group.commands[role]].dew_point_margin_k or 0.0
    return value if dew_c is None else max(value, dew_c + margin_k)
