"""What power budgets leave: for each budget what runs under it, for each rack the watts that may still be added. Pure.

Racks of a loop with several CDUs count on each CDU with an equal share. A rack whose power is not known counts with
its design power: a budget that nobody can check must not look empty.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache

from plant.budgets import WHOLE_SITE, Budget, BudgetSource
from plant.errors import ConfigError
from plant.records import Condition, Message, Params, Severity
from plant.topology import Site

TEXTS = {
    "budget_exceeded": (
        "{scope} draws {running_kw:.1f} kW, {over_kw:.1f} kW above its budget of {budget_kw:.1f} kW: {reason}",
        "end or move jobs there, or cap their GPUs; no new job is sent there meanwhile",
    ),
    "budget_unchecked": (
        "the power of {racks} racks under the budget of {scope} is not known; they count with their design power",
        "look at the racks' power readings",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetState:
    """A budget in force and what runs under it [W]; `counts` where none of its scope is less.

    unknown: racks whose power is not known, counted with their design power.
    """

    budget: Budget
    counts: bool
    running_w: float
    over_w: float
    room_w: float
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetShown:
    """A budget in force: powers [kW], times [s since 1970, site clock], left_s until it ends by itself [s].

    counts: no other budget of the same scope is less. running_kw: what its racks draw; over_kw: beyond it, already;
    room_kw: what may still start. unknown_racks: their power is not known, they count with their design power.
    """

    scope: str
    kw: float
    source: str
    actor: str
    reason: str
    at: float
    until: float
    left_s: float
    counts: bool
    running_kw: float
    over_kw: float
    room_kw: float
    unknown_racks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """All budgets in force at now_s [s since 1970, site clock]."""

    now_s: float
    budgets: list[BudgetShown]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """Watts that budgets let a rack add, and the scope that lets it add no more.

    share: the part of the rack's power that counts on that scope; also: the other budgets that it stands under.
    """

    room_w: float
    scope: str
    share: float = 1.0
    also: tuple[Cap, ...] = ()

    @property
    def all(self) -> tuple[Cap, ...]:
        """Itself, and the others."""
        return self, *self.also


def shares(site: Site, scope: str) -> dict[str, float]:
    """Rack -> the part of its power that counts on a scope (0..1).

    Raises:
        ConfigError: no such scope.
    """
    if scope == WHOLE_SITE:
        return {r.id: 1.0 for r in site.of_kind("rack")}
    if scope in site.groups:
        return dict.fromkeys(site.groups[scope].racks, 1.0)
    if scope in site.equipment and site.equipment[scope].kind == "rack":
        return {scope: 1.0}
    group = next((g for g in site.groups.values() if scope in g.members), None)
    if group is None:
        remedy = f"give {WHOLE_SITE}, or the id of a loop, a CDU or a rack (GET /v1/site)"
        raise ConfigError(f"no budget can be given to {scope!r}", where="scope", remedy=remedy)
    return dict.fromkeys(group.racks, 1.0 / len(group.members))


def in_force(budgets: Iterable[Budget], now_s: float) -> list[Budget]:
    """Budgets that are not over at now_s [s since 1970]."""
    return [b for b in budgets if b.until_s > now_s]


def states(
    site: Site, budgets: Iterable[Budget], power_w: Mapping[str, float | None], now_s: float
) -> list[BudgetState]:
    """Every budget in force. power_w: rack -> power now [W], None or absent where not known."""
    valid = in_force(budgets, now_s)
    least = {scope: min(b.power_w for b in valid if b.scope == scope) for scope in {b.scope for b in valid}}
    return [_state(site, b, power_w, counts=b.power_w <= least[b.scope]) for b in valid]


def caps(site: Site, found: Iterable[BudgetState]) -> dict[str, Cap]:
    """Rack -> what budgets let it add; racks under no budget are absent."""
    made: dict[str, list[Cap]] = {}
    for state in (s for s in found if s.counts):
        parts = shares(site, state.budget.scope)
        by_share = {
            share: Cap(room_w=state.room_w / share, scope=state.budget.scope, share=share)
            for share in set(parts.values())
        }
        for rack, share in parts.items():
            made.setdefault(rack, []).append(by_share[share])
    tightest = cache(_tightest)  # the racks of a loop stand under the same budgets
    return {rack: tightest(tuple(over)) for rack, over in made.items()}


def _tightest(over: tuple[Cap, ...]) -> Cap:
    """The one of them with the least room, beside one of each other scope."""
    first, *rest = {cap.scope: cap for cap in sorted(over, key=lambda c: c.room_w)}.values()
    return replace(first, also=tuple(rest)) if rest else first


def conditions(found: Iterable[BudgetState], now_s: float) -> list[Condition]:
    """`budget_exceeded` and `budget_unchecked` by scope; of the controller's own budgets `shed_load` tells already."""
    counting = [s for s in found if s.counts and s.budget.source is not BudgetSource.CONTROLLER]
    return [
        *(_condition("budget_exceeded", s, now_s) for s in counting if s.over_w > 0),
        *(_condition("budget_unchecked", s, now_s) for s in counting if s.unknown),
    ]


def shown(state: BudgetState, now_s: float) -> BudgetShown:
    """A budget as people and schedulers see it, at now_s [s since 1970]."""
    budget = state.budget
    return BudgetShown(
        scope=budget.scope,
        kw=budget.power_w / 1e3,
        source=str(budget.source),
        actor=budget.actor,
        reason=budget.reason,
        at=budget.at_s,
        until=budget.until_s,
        left_s=max(budget.until_s - now_s, 0.0),
        counts=state.counts,
        running_kw=state.running_w / 1e3,
        over_kw=state.over_w / 1e3,
        room_kw=state.room_w / 1e3,
        unknown_racks=state.unknown,
    )


def _state(site: Site, budget: Budget, power_w: Mapping[str, float | None], *, counts: bool) -> BudgetState:
    part = shares(site, budget.scope)
    unknown = {r: None for r in part if (w := power_w.get(r)) is None or not math.isfinite(w)}
    running_w = sum(
        share * (_design_w(site, rack) if rack in unknown else power_w[rack] or 0.0) for rack, share in part.items()
    )
    return BudgetState(
        budget=budget,
        counts=counts,
        running_w=running_w,
        over_w=max(running_w - budget.power_w, 0.0),
        room_w=max(budget.power_w - running_w, 0.0),
        unknown=tuple(unknown),
    )


def _design_w(site: Site, rack: str) -> float:
    return site.equipment[rack].design.get("power_w", 0.0)


def _condition(code: str, state: BudgetState, since_s: float) -> Condition:
    budget = state.budget
    params: Params = {
        "scope": budget.scope,
        "running_kw": state.running_w / 1e3,
        "over_kw": state.over_w / 1e3,
        "budget_kw": budget.power_w / 1e3,
        "source": str(budget.source),
        "reason": budget.reason,
        "racks": float(len(state.unknown)),
    }
    cause, remedy = TEXTS[code]
    text = cause.format(**(params | {"racks": len(state.unknown)}))
    return Condition(
        code=code,
        subject=budget.scope,
        severity=Severity.WARNING,
        since_s=since_s,
        cause=Message(code=code, text=text, params=params),
        remedy=Message(code=f"{code}_remedy", text=remedy, params=params),
        source="budgets",
    )
