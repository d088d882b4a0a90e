"""When a loop stays let go until a person acknowledges it: what it says of itself can't be trusted any more. Pure.

At once: a plan without numbers, a plant that does not follow. After a while: an optimiser that does not return, inputs
that are not good, limits that not even design setpoints meet. Leases lapse long before; this keeps coldplate from
taking the loop again by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from controller.reasons import condition
from controller.state import StepResult
from plant.intents import ModeState
from plant.records import Condition, Plan, Severity

AT_ONCE = frozenset({"optimiser_failed", "not_reacting"})
BLIND = frozenset({"heat_signal_lost", "supply_sensor_lost", "supply_sensor_stuck", "dew_point_lost"})
LATE_CYCLES = 3
"""Cycles in a row without an answer: one may be a busy machine."""
BLIND_S, UNMET_S = 1800.0, 900.0
"""How long inputs may be missing, and limits broken at design setpoints, before a person has to look [s]."""
LEAST_CYCLES = 15
"""At least so many cycles saw it: a machine that has no time for cycles has seen nothing."""
_MAY_PASS = frozenset({"none", "worst_case", "unit_lost"})
"""What binds a plan at design without breaking a limit of normal operation."""


@dataclass(frozen=True, slots=True)
class Lasting:
    """Something seen in so many cycles in a row, first at since_s [s since 1970]."""

    since_s: float
    cycles: int = 0

    def again(self) -> Lasting:
        """Once more."""
        return Lasting(self.since_s, self.cycles + 1)

    def lasts(self, now_s: float, least_s: float) -> bool:
        """Whether it has lasted."""
        return now_s - self.since_s >= least_s and self.cycles >= LEAST_CYCLES


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Cycles in a row without an answer; loops without inputs and with unmet limits, and how long that has lasted."""

    late: int = 0
    blind: Mapping[str, Lasting] = field(default_factory=dict)
    unmet: Mapping[str, Lasting] = field(default_factory=dict)


def watched(watch: Watch, result: StepResult | None, loops: Collection[str], now_s: float) -> Watch:
    """One cycle more of the loops that are driven now; result: None where none came in time."""
    if result is None:
        return Watch(late=watch.late + 1)
    plans = {plan.loop: plan for plan in result.plans}
    blind = [g for g in loops if g not in plans and result.let_go.get(g, "") in BLIND | {""}]
    unmet = [g for g in loops if g in plans and _unmet(plans[g])]
    first = Lasting(now_s)
    return Watch(
        blind={g: watch.blind.get(g, first).again() for g in blind},
        unmet={g: watch.unmet.get(g, first).again() for g in unmet},
    )


def causes(watch: Watch, result: StepResult | None, loops: Collection[str], now_s: float) -> dict[str, str]:
    """Loops that are not driven again before a person acknowledges, each with the cause; `watch` has seen `result`."""
    if result is None:
        return dict.fromkeys(loops, "optimiser_late") if watch.late >= LATE_CYCLES else {}
    found = {g: "inputs_missing" for g, seen in watch.blind.items() if seen.lasts(now_s, BLIND_S)}
    found |= {g: "limits_unmet" for g, seen in watch.unmet.items() if seen.lasts(now_s, UNMET_S)}
    return found | {g: cause for g, cause in result.let_go.items() if g in loops and cause in AT_ONCE}


def let_go(state: ModeState, cause: str, now_s: float) -> ModeState:
    """A loop's state with the cause; one that was let go already keeps its first."""
    return state if state.let_go else replace(state, let_go=cause, let_go_s=now_s)


def conditions(modes: Mapping[str, ModeState]) -> list[Condition]:
    """What stands to be acknowledged."""
    return [
        condition("loop_let_go", m.loop, m.let_go_s, Severity.CRITICAL, cause=m.let_go, why=m.let_go.replace("_", " "))
        for m in modes.values()
        if m.let_go
    ]


def _unmet(plan: Plan) -> bool:
    """Whether even design setpoints break a limit, the reserve for a lost CDU, pump or tower aside.

    What an overloaded plant can hold is held better than design: given up only where cases would pass their limit.
    """
    too_hot = plan.predicted_case_c > plan.case_limit_c
    if plan.reason.code.startswith("plan_overload"):
        return too_hot
    return plan.reason.code.startswith("plan_design") and (too_hot or plan.binding not in _MAY_PASS)
