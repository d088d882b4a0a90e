"""Power budgets: how much a part of the site may draw, who says so, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

WHOLE_SITE = "site"
"""The scope of a budget for all racks; other scopes are ids of a loop, a CDU or a rack."""


class BudgetSource(StrEnum):
    """Who set a budget. Each source has one for each scope; the least one counts."""

    OPERATOR = "operator"
    CONTROLLER = "controller"
    GRID = "grid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """IT power allowed to a scope [W] from at_s until until_s [s since 1970]."""

    scope: str
    power_w: float
    source: BudgetSource
    actor: str
    reason: str
    at_s: float
    until_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetEnd:
    """The wish to end the budget that a source set for a scope, at at_s [s since 1970]."""

    scope: str
    source: BudgetSource
    actor: str
    reason: str
    at_s: float
