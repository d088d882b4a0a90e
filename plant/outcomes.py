"""What became of hints: whether they were followed, and what the work cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class HintOutcome:
    """One hint's end, told at at_s, used at used_s [s since 1970, site clock].

    nodes: where the work went, hinted of them were named by the hint; energies [J] and cost [the tariff's currency] as
    the scheduler reckons them, NaN where not told.
    """

    hint: str
    actor: str
    at_s: float
    used_s: float
    followed: bool
    nodes: int
    hinted: int
    it_j: float = math.nan
    cooling_j: float = math.nan
    cost: float = math.nan
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeTotals:
    """All outcomes since the first: numbers, and sums of what was told."""

    told: int = 0
    followed: int = 0
    nodes: int = 0
    hinted: int = 0
    it_j: float = 0.0
    cooling_j: float = 0.0
    cost: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """The totals and the newest outcomes, newest first."""

    totals: OutcomeTotals = field(default_factory=OutcomeTotals)
    newest: tuple[HintOutcome, ...] = ()


NEWEST = 50


def with_outcome(before: Outcomes, told: HintOutcome) -> Outcomes:
    """One more."""
    t = before.totals
    totals = OutcomeTotals(
        told=t.told + 1,
        followed=t.followed + told.followed,
        nodes=t.nodes + told.nodes,
        hinted=t.hinted + told.hinted,
        it_j=t.it_j + _or_none(told.it_j),
        cooling_j=t.cooling_j + _or_none(told.cooling_j),
        cost=t.cost + _or_none(told.cost),
    )
    return Outcomes(totals=totals, newest=(told, *before.newest)[:NEWEST])


def _or_none(value: float) -> float:
    return value if math.isfinite(value) else 0.0
