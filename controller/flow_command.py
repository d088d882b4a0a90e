"""Loops whose CDUs take a flow or a pump speed: planned as if by pressure, told in what they take.

Search, limits and tables go by the pressure of a loop. Of these loops it is a coordinate, no claim: the pressure at
which all racks together, by the site file, take the flow, dp = (flow / racks')^1.85. A flow goes in and comes out by
the same curve, so what the plant's true resistance is cancels; `applied` keeps the sum of the racks' flows for that.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from controller import inputs
from controller.causes import STILL_SHARE
from controller.design import rack_design
from controller.model import FLOW_EXPONENT
from controller.reasons import TEMPLATES, message
from controller.state import ControlState, Move, StepResult
from plant.errors import ConfigError
from plant.leases import Envelope
from plant.live import Reading, Snapshot
from plant.points import PointId
from plant.records import Message, Plan, Setpoint
from plant.topology import CoolingGroup, Site

QUANTA = {inputs.FLOW: 1e-6, inputs.SPEED: 1e-3}
"""Steps of a device that tells none [m³/s, 1]."""
SLACK = 0.01
"""Of a step: what is this near to one is that one."""
TOLD_SPEED, SPEED_BAND = 0.3, (0.6, 1.6)
"""A speed from which on flow over speed tells; and what it may be over that of design, for a meter may lie."""
METER_SHARE = 0.98
"""Of the flow that a speed shows, what is reckoned with: its meters waver from cycle to cycle, and err."""
DP_LIMIT, DP = "tcs_differential_pressure", "tcs_differential_pressure"
DP_BAND = (0.5, 2.0)
"""What the loop's true pressure may be over the curve's, for the same reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lever:
    """What takes the place of a loop's pressure.

    points: the master's, and those of members that take their own, all with one value; current: their setpoints in
    force, NaN where not known; loop_m3_s: flow of the loop for a setpoint of 1; racks_m3_s: flow of its racks at 1 Pa.
    """

    role: str
    points: tuple[PointId, ...]
    current: tuple[float, ...]
    envelope: Envelope
    design: float
    quantum: float
    loop_m3_s: float
    racks_m3_s: float

    def pressure_pa(self, value: float) -> float:
        """The pressure that stands for a setpoint [Pa]."""
        told = self.quantum * round(value / self.quantum)
        return self.pressure_of(max(told, 0.0) * self.loop_m3_s)

    def pressure_of(self, flow_m3_s: float) -> float:
        """The pressure that stands for a flow of the loop [Pa]."""
        return float(round((flow_m3_s / self.racks_m3_s) ** (1 / FLOW_EXPONENT), 2))

    def value(self, dp_pa: float) -> float:
        """The setpoint for a pressure, at the device's next step: rather more flow, but within its range."""
        steps = self.racks_m3_s * math.pow(dp_pa, FLOW_EXPONENT) / self.loop_m3_s / self.quantum
        above = self.quantum * math.ceil(steps - SLACK)
        return min(max(above, self.envelope.minimum), self.envelope.maximum)

    def in_pressure(self, limits: tuple[float, float]) -> Envelope:
        """Its range and step in pressure; a step is as large as it is downwards from here, where the curve is flatter.

        limits: of the curve's pressure [Pa].
        """
        at = next((v for v in self.current if math.isfinite(v)), self.envelope.minimum)
        here_pa, below_pa = self.pressure_pa(at), self.pressure_pa(at - self.envelope.max_step)
        low_pa, high_pa = self.pressure_pa(self.envelope.minimum), self.pressure_pa(self.envelope.maximum)
        low_pa, high_pa = max(low_pa, min(limits[0], high_pa)), min(high_pa, max(limits[1], low_pa))
        step_pa = max(here_pa - below_pa, 1.0)
        return replace(self.envelope, minimum=low_pa, maximum=max(high_pa, low_pa), max_step=step_pa)


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """A site and a snapshot as the controller plans them, and what its results mean to the devices.

    flows: readings of pressure that stand for the flow that is shown, for all but identification.
    """

    site: Site
    snapshot: Snapshot
    flows: Mapping[PointId, Reading]
    levers: Mapping[PointId, Lever]
    """By the point that stands for the pressure."""

    def known(self, state: ControlState) -> ControlState:
        """What is remembered, in pressure."""
        moves = {
            point: replace(move, value=self.levers[point].pressure_pa(move.value)) if point in self.levers else move
            for point, move in state.moves.items()
        }
        return replace(state, moves=moves)

    def told(self, result: StepResult) -> StepResult:
        """What a cycle gave, in what the devices take."""
        plans, state = tuple(map(self._plan, result.plans)), result.state
        moves: dict[PointId, Move] = dict(state.moves)
        for point, lever in self.levers.items():
            if point in moves:
                move = replace(moves[point], value=lever.value(moves[point].value))
                moves |= dict.fromkeys(lever.points, move)
        return replace(result, plans=plans, state=replace(state, plans=plans, moves=moves))

    def _plan(self, plan: Plan) -> Plan:
        lever = next((self.levers[s.point] for s in plan.setpoints if s.point in self.levers), None)
        if lever is None:
            return plan
        setpoints, probe = (tuple(self._setpoints(s)) for s in (plan.setpoints, plan.probe))
        asked = next(s for s in setpoints if s.point == lever.points[0])
        return replace(plan, setpoints=setpoints, probe=probe, reason=_reason(plan.reason, lever, asked))

    def _setpoints(self, planned: Iterable[Setpoint]) -> Iterable[Setpoint]:
        for setpoint in planned:
            lever = self.levers.get(setpoint.point)
            if lever is None:
                yield setpoint
                continue
            value, target = lever.value(setpoint.value), lever.value(setpoint.target)
            for point, current in zip(lever.points, lever.current, strict=True):
                yield Setpoint(point=point, current=current, value=value, target=target, design=lever.design)


def translation(site: Site, snapshot: Snapshot, meter_share: float = METER_SHARE) -> Translation | None:
    """How loops that take a flow or a pump speed are planned; None where there are none.

    meter_share: of the flow that a pump speed shows, what counts. A loop whose racks lack a design figure loses its
    lever, and with it its plan, which tells why.
    """
    found = [group for group in site.groups.values() if inputs.by_flow(site, group)]
    if not found:
        return None
    groups, envelopes = dict(site.groups), dict(site.envelopes)
    readings = dict(snapshot.readings)
    flows: dict[PointId, Reading] = {}
    levers: dict[PointId, Lever] = {}
    for group in found:
        groups[group.id] = _without(group)
        with contextlib.suppress(ConfigError):
            lever = _lever(site, snapshot, group, meter_share)
            shown = _flow_reading(snapshot, group, lever)
            levers[lever.points[0]] = lever
            groups[group.id] = _in_pressure(group, lever)
            flows |= {f"{m}/{DP}": shown for m in group.members} if shown else {}
            envelopes[lever.points[0]] = lever.in_pressure(_limits(site, snapshot, group, shown))
            readings |= _in_force(site, snapshot, lever)
    return Translation(
        site=replace(site, groups=groups, envelopes=envelopes),
        snapshot=replace(snapshot, readings=readings),
        flows=flows,
        levers=levers,
    )


def _lever(site: Site, snapshot: Snapshot, group: CoolingGroup, meter_share: float) -> Lever:
    role = next(r for r in inputs.LEVERS if r in group.commands)
    points = group.taken(role)
    kinds = [rack_design(site, rack) for rack in group.racks]
    lever = Lever(
        role=role,
        points=points,
        current=tuple(snapshot.get(inputs.effective_point(site, p)) for p in points),
        envelope=site.envelopes[points[0]],
        design=group.design[role],
        quantum=site.points[points[0]].quantum or QUANTA[role],
        loop_m3_s=1.0,
        racks_m3_s=sum(k.flow_m3_s / k.dp_pa**FLOW_EXPONENT for k in kinds),
    )
    if role == inputs.FLOW:
        return replace(lever, loop_m3_s=float(_running(site, snapshot, group)) if len(points) > 1 else 1.0)
    design_m3_s = sum(k.flow_m3_s for k in kinds) / lever.design
    return replace(lever, loop_m3_s=meter_share * _flow_per_speed(snapshot, group, design_m3_s))


def _running(site: Site, snapshot: Snapshot, group: CoolingGroup) -> int:
    """Members that do not show that they stand."""
    flows = {m: snapshot.get(f"{m}/tcs_flow") for m in group.members}
    least = {m: STILL_SHARE * site.equipment[m].design.get("flow_m3_s", 0.0) for m in group.members}
    return sum(not flow < least[m] for m, flow in flows.items()) or len(group.members)


def _flow_per_speed(snapshot: Snapshot, group: CoolingGroup, design_m3_s: float) -> float:
    """Flow of the loop at full speed [m³/s]: as it shows, by the affinity laws, or else by its design setpoint."""
    flow = sum(snapshot.get(f"{m}/tcs_flow") for m in group.members)
    speed = max((s for m in group.members if math.isfinite(s := snapshot.get(f"{m}/pump_speed"))), default=math.nan)
    if not (speed > TOLD_SPEED and flow > 0.0):  # NaN too
        return design_m3_s
    low, high = SPEED_BAND
    return design_m3_s * min(max(flow / speed / design_m3_s, low), high)


def _in_pressure(group: CoolingGroup, lever: Lever) -> CoolingGroup:
    """The group with a pressure in the place of its lever."""
    rest = _without(group)
    design = {**rest.design, inputs.DP: lever.pressure_pa(lever.design)}
    return replace(rest, commands={**rest.commands, inputs.DP: lever.points[0]}, design=design)


def _without(group: CoolingGroup) -> CoolingGroup:
    """The group without its lever."""
    taken = {point for role in inputs.LEVERS for point in group.taken(role)}
    commands = {role: point for role, point in group.commands.items() if point not in taken}
    design = {role: value for role, value in group.design.items() if role in commands}
    return replace(group, commands=commands, design=design)


def _in_force(site: Site, snapshot: Snapshot, lever: Lever) -> dict[PointId, Reading]:
    """The setpoint in force as pressure: the mean of those that are told."""
    readings = (snapshot.readings.get(inputs.effective_point(site, point)) for point in lever.points)
    good = [r for r in readings if r is not None and r.good]
    if not good:
        return {}
    mean = sum(r.value for r in good) / len(good)
    point = inputs.effective_point(site, lever.points[0])
    return {point: replace(good[0], value=lever.pressure_pa(mean))}


def _flow_reading(snapshot: Snapshot, group: CoolingGroup, lever: Lever) -> Reading | None:
    """The flow that all members show, as pressure; None where one does not."""
    readings = [snapshot.readings.get(f"{m}/tcs_flow") for m in group.members]
    told = [r for r in readings if r is not None and r.good]
    if len(told) < len(readings):
        return None
    return replace(told[0], value=lever.pressure_of(max(sum(r.value for r in told), 0.0)))


def _limits(site: Site, snapshot: Snapshot, group: CoolingGroup, shown: Reading | None) -> tuple[float, float]:
    """The site's limits of the loop's pressure on the curve [Pa], by what the master shows of flow and pressure."""
    bounds = [limit for limit in site.limits.values() if limit.quantity == DP_LIMIT]
    dp_pa = snapshot.get(f"{group.master}/{DP}")
    ratio = dp_pa / shown.value if shown is not None and shown.value > 0.0 and dp_pa > 0.0 else 1.0
    ratio = min(max(ratio, DP_BAND[0]), DP_BAND[1])
    low = max((limit.minimum for limit in bounds if limit.minimum is not None), default=-math.inf)
    high = min((limit.maximum for limit in bounds if limit.maximum is not None), default=math.inf)
    return low / ratio, high / ratio


def _reason(reason: Message, lever: Lever, asked: Setpoint) -> Message:
    """The same sentence in what the devices take."""
    code = f"{reason.code}_{lever.role}"
    if code not in TEMPLATES:
        return reason
    kept = {name: value for name, value in reason.params.items() if not name.startswith("dp_")}
    goal = reason.code.startswith(("plan_dwell", "plan_design", "plan_overload"))
    unit, factor = ("flow", 60000.0) if lever.role == inputs.FLOW else ("speed", 100.0)
    ending = "l_min" if unit == "flow" else "percent"
    figures = {"from": asked.current, "to": asked.target if goal else asked.value}
    return message(code, **kept, **{f"{unit}_{n}_{ending}": factor * v for n, v in figures.items()})
