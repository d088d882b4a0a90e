"""A loop's plan as a record: where it goes, why, what binds, what it keeps in reserve and what it saves."""

from __future__ import annotations

import numpy as np

from controller.constraints import Problem
from controller.model import full_load_case_c
from controller.optimise import Choice
from controller.reasons import message
from plant.records import HeatForecast, Message, Plan, Setpoint
from plant.topology import CoolingGroup

PLAN_LIFE_S = 180.0
COST_MINUTES, WORST_MINUTES = 30, 60
"""Cost is judged over the half hour in which setpoints can follow by a few steps, limits at the hour's worst minute."""
WITH_TOWER = frozenset({"plan_move", "plan_stay", "plan_dwell", "plan_design", "plan_overload"})
"""Kinds of plan that have a sentence of their own where condenser water is commanded too: `KIND_tower`."""


def plan_of(
    group: CoolingGroup,
    heat: HeatForecast,
    problem: Problem,
    choice: Choice,
    setpoints: tuple[Setpoint, ...],
    kind: str,
    now_s: float,
    unheld_k: float,
) -> Plan:
    """The plan of one cycle; kind: code of its reason; unheld_k: see `LoopProblems`."""
    swing_k = swing_margin_k(problem, choice.target)
    return Plan(
        id=f"{group.id}-{now_s:.0f}",
        loop=group.id,
        made_s=now_s,
        valid_until_s=now_s + PLAN_LIFE_S,
        setpoints=setpoints,
        predicted_cooling_w=choice.cooling_w,
        predicted_design_cooling_w=choice.design_cooling_w,
        predicted_it_extra_w=choice.it_extra_w,
        predicted_case_c=choice.case_c,
        case_limit_c=problem.bounds.case_c,
        worst_case_margin_k=choice.worst_margin_k,
        swing_margin_k=swing_k,
        saving_per_h=problem.prices.money_per_h(choice.saving_w),
        currency=problem.prices.currency,
        binding=choice.binding,
        reason=_reason(kind, heat, problem, choice, setpoints, swing_k, unheld_k),
    )


def swing_margin_k(problem: Problem, target: tuple[float, ...]) -> float:
    """Kelvin kept at the target for power swings.

    The hottest case if all that must be carried came now, less its case at the forecast's median load.
    """
    (supply_c, dp_pa), design = target[:2], problem.design
    share = min(problem.median.it_w / design.rack_power_w, 1.0)
    likely_w = min(share * max(r.gpu_power_w for r, _ in design.racks), problem.upper.gpu_w)
    cases = [_case_c(problem, supply_c, dp_pa, gpu_w) for gpu_w in (problem.upper.gpu_w, likely_w)]
    return cases[0] - cases[1]


def _case_c(problem: Problem, supply_c: float, dp_pa: float, gpu_w: float) -> float:
    return float(full_load_case_c(problem.design, np.array([supply_c]), np.array([dp_pa]), gpu_w)[0])


def _reason(
    kind: str,
    heat: HeatForecast,
    problem: Problem,
    choice: Choice,
    setpoints: tuple[Setpoint, ...],
    swing_k: float,
    unheld_k: float,
) -> Message:
    supply, dp, facility, *tower = setpoints
    goal = kind in {"plan_dwell", "plan_design", "plan_unheld", "plan_overload"}
    towers = {"tower_from_c": tower[0].current, "tower_to_c": _asked(tower[0], goal=goal)} if tower else {}
    return message(
        f"{kind}_tower" if tower and kind in WITH_TOWER else kind,
        heat_low_mw=min(heat.at(0.05)[:WORST_MINUTES]) / 1e6,
        heat_high_mw=max(heat.at(0.95)[:WORST_MINUTES]) / 1e6,
        outdoor_c=problem.median.air.wet_bulb_c if tower else problem.median.air.dry_bulb_c,
        supply_from_c=supply.current,
        supply_to_c=_asked(supply, goal=goal),
        dp_from_kpa=dp.current / 1e3,
        dp_to_kpa=_asked(dp, goal=goal) / 1e3,
        facility_from_c=facility.current,
        facility_to_c=_asked(facility, goal=goal),
        **towers,
        saves_kw=choice.saving_w / 1e3,
        saves_money=problem.prices.money_per_h(choice.saving_w),
        currency=problem.prices.currency or "-",
        price=problem.prices.energy_per_kwh,
        threshold_kw=choice.threshold_w / 1e3,
        worst_k=choice.worst_margin_k,
        over_k=unheld_k,
        swing_k=swing_k,
        binding=choice.binding,
    )


def _asked(setpoint: Setpoint, *, goal: bool) -> float:
    return setpoint.target if goal else setpoint.value
