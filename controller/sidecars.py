"""The plan of a liquid-to-air sidecar: supply temperature against flow, by cube laws. Always advisory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from controller import inputs
from controller.constraints import CASE_RESERVE_K, CASE_TOLERANCE, FLOW_RESERVE
from controller.design import SidecarDesign, sidecar_design
from controller.explaining import COST_MINUTES, PLAN_LIFE_S, WORST_MINUTES
from controller.loops import Decision
from controller.model import case_temperature
from controller.next_step import SETTLE_S
from controller.optimise import SAVING_W
from controller.problems import case_limit_c, limit_values
from controller.reasons import message
from controller.state import Move
from plant.live import Snapshot
from plant.points import PointId
from plant.records import HeatForecast, Message, Plan, Setpoint
from plant.topology import CoolingGroup, Site

Array = npt.NDArray[np.float64]
ROLES = (inputs.SUPPLY, inputs.FLOW)
COIL_EXPONENT = 0.6
"""UA of a coil through which only the air changes ~ air flow^0.6."""
_SAVING_SHARE = 0.05
_FAN_SHARE = 0.95


def powers(
    design: SidecarDesign, heat_w: float, air_c: float, supply_c: Array, flow_m3_s: Array
) -> tuple[Array, Array]:
    """Fan share [1] that holds supply_c [°C], and electric power [W]: fans and pump by their cube laws.

    Q = UA share^0.6 (mean coolant - air inlet); a share above 1 can't be had.
    """
    mean_c = supply_c + heat_w / (2 * flow_m3_s * design.coolant.heat_j_m3_k)
    need = heat_w / (design.ua_w_k * np.maximum(mean_c - air_c, 0.05))
    share = need ** (1 / COIL_EXPONENT)
    pump_w = design.pump_power_w * (flow_m3_s / design.flow_m3_s) ** 3
    return share, design.fan_power_w * np.minimum(share, 2.0) ** 3 + pump_w


def _cases(design: SidecarDesign, supply_c: Array, flow_m3_s: Array) -> Array:
    """Hottest case [°C] at full power, the flow shared by the racks as at design."""
    total = sum(n * r.flow_m3_s for r, n in design.racks)
    each = [
        case_temperature(
            r, supply_c, flow_m3_s * r.flow_m3_s / total, CASE_TOLERANCE * r.gpu_power_w, design.coolant.heat_j_m3_k
        )
        for r, _ in design.racks
    ]
    return np.asarray(np.max(np.stack(each), axis=0), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Best:
    """What the grid gave: target (supply [°C], flow [m³/s]), powers [W] and case [°C] there and at design."""

    target: tuple[float, float]
    feasible: bool
    power_w: float
    design_power_w: float
    leak_w: float
    case_c: float


def plan_sidecar(
    site: Site,
    snapshot: Snapshot,
    group: CoolingGroup,
    heat: HeatForecast,
    moves: Mapping[PointId, Move],
    now_s: float,
) -> Decision:
    """A sidecar's next step.

    Raises:
        StaleError: an input is missing.
        ConfigError: a design figure is missing.
    """
    now = inputs.current_setpoints(site, snapshot, group)
    air_c, current = snapshot.value(f"{group.master}/air_inlet_temperature"), tuple(now[r] for r in ROLES)
    limit_c = case_limit_c(site)
    best = _search(site, group, heat, air_c, current, limit_c)
    setpoints, made = _setpoints(site, group, current, best.target, moves, now_s)
    plan = Plan(
        id=f"{group.id}-{now_s:.0f}",
        loop=group.id,
        made_s=now_s,
        valid_until_s=now_s + PLAN_LIFE_S,
        setpoints=setpoints,
        predicted_cooling_w=best.power_w,
        predicted_design_cooling_w=best.design_power_w,
        predicted_it_extra_w=best.leak_w,
        predicted_case_c=best.case_c,
        case_limit_c=limit_c,
        worst_case_margin_k=limit_c - best.case_c,
        binding="none" if best.feasible else "case_temperature",
        reason=_reason(heat, air_c, best, setpoints),
    )
    return Decision(plan=plan, target=best.target, moves=made)


def _candidates(site: Site, group: CoolingGroup, current: tuple[float, ...]) -> tuple[Array, Array]:
    """A grid, then the present point, then the design point."""
    supply, flow = (site.envelopes[group.commands[r]] for r in ROLES)
    fixed = [inputs.design_value(group, r) for r in ROLES]
    grid = np.meshgrid(
        np.arange(supply.minimum, supply.maximum + 1e-9, 0.5), np.linspace(flow.minimum, flow.maximum, 7)
    )
    supply_c, flow_m3_s = (np.append(a.ravel(), [c, d]) for a, c, d in zip(grid, current, fixed, strict=True))
    return supply_c, flow_m3_s


def _search(
    site: Site, group: CoolingGroup, heat: HeatForecast, air_c: float, current: tuple[float, ...], limit_c: float
) -> _Best:
    design, floors = sidecar_design(site, group), limit_values(site)[1]
    supply_c, flow = _candidates(site, group, current)
    cases = _cases(design, supply_c, flow)
    least_flow = sum(n for _, n in design.racks) * floors.get("rack_flow_m3_s", 0.0) * FLOW_RESERVE
    _, power_w = powers(design, float(np.mean(heat.at(0.5)[:COST_MINUTES])), air_c, supply_c, flow)
    share, _ = powers(design, max(*heat.at(0.95)[:WORST_MINUTES], 1.0), air_c, supply_c, flow)
    leakage = sum(n * r.power_w * r.leakage_per_k for r, n in design.racks) / design.rack_power_w
    leak_w = leakage * float(np.mean(heat.at(0.5)[:WORST_MINUTES])) * (cases - cases[-1])
    feasible = (cases <= limit_c - CASE_RESERVE_K) & (share <= _FAN_SHARE) & (flow >= least_flow)
    site_w = np.where(feasible, power_w + leak_w, np.inf)
    best = int(np.argmin(site_w)) if feasible.any() else len(site_w) - 1
    if feasible[-2] and site_w[-2] - site_w[best] < min(SAVING_W, _SAVING_SHARE * float(power_w[-1])):
        best = len(site_w) - 2  # staying is as good
    return _Best(
        target=(float(supply_c[best]), float(flow[best])),
        feasible=bool(feasible.any()),
        power_w=float(power_w[best]),
        design_power_w=float(power_w[-1]),
        leak_w=float(leak_w[best]),
        case_c=float(cases[best]),
    )


def _setpoints(
    site: Site,
    group: CoolingGroup,
    current: tuple[float, ...],
    target: tuple[float, ...],
    moves: Mapping[PointId, Move],
    now_s: float,
) -> tuple[tuple[Setpoint, ...], dict[PointId, Move]]:
    setpoints, made = [], {}
    for role, present, goal in zip(ROLES, current, target, strict=True):
        point = group.commands[role]
        envelope, held = site.envelopes[point], moves.get(point)
        if held is None or now_s - held.at_s >= envelope.min_dwell_s + SETTLE_S:
            value = present + float(np.clip(goal - present, -envelope.max_step, envelope.max_step))
            held = Move(value=value, at_s=now_s if value != present else -1e18)
        made[point] = held
        design = inputs.design_value(group, role)
        setpoints.append(Setpoint(point=point, current=present, value=held.value, target=goal, design=design))
    return tuple(setpoints), made


def _reason(heat: HeatForecast, air_c: float, best: _Best, setpoints: tuple[Setpoint, ...]) -> Message:
    supply, flow = setpoints
    return message(
        "plan_sidecar",
        heat_low_kw=min(heat.at(0.05)[:WORST_MINUTES]) / 1e3,
        heat_high_kw=max(heat.at(0.95)[:WORST_MINUTES]) / 1e3,
        outdoor_c=air_c,
        supply_from_c=supply.current,
        supply_to_c=supply.value,
        flow_from_l_min=flow.current * 60000,
        flow_to_l_min=flow.value * 60000,
        saves_kw=(best.design_power_w - best.power_w - best.leak_w) / 1e3,
        binding="none" if best.feasible else "case_temperature",
    )
