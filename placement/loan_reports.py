"""What the process that lends nodes tells of its loans, and how it stands. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from placement.scheduler_reports import LEAST_SILENCE_S, SILENT_AFTER
from plant.loans import OVER, Loan

MOST_LENDERS = 20
MOST_LOANS = 2000
OVER_TOLD = 50
"""Loans that are over and told all the same: the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoanReport:
    """moves: whether nodes are moved, else it only plans; period_s: between reports at least [s]."""

    moves: bool
    period_s: float
    loans: tuple[Loan, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lender:
    """A report as kept: age_s since it came [s, real]; state: ok, plans-only or silent (after three periods)."""

    name: str
    state: str
    age_s: float
    loans: tuple[Loan, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lenders:
    """Every process that has told its loans since the server started."""

    lenders: tuple[Lender, ...]


def told(loans: Iterable[Loan]) -> tuple[Loan, ...]:
    """Those under way and the newest of those that are over, in the order given; the oldest give way to the limit."""
    known = list(loans)
    kept = {loan.id for loan in [loan for loan in known if loan.state in OVER][-OVER_TOLD:]}
    return tuple(loan for loan in known if loan.state not in OVER or loan.id in kept)[-MOST_LOANS:]


def lender_of(name: str, report: LoanReport, age_s: float) -> Lender:
    """How it stands, age_s after its report came [s]."""
    silent = age_s > max(SILENT_AFTER * report.period_s, LEAST_SILENCE_S)
    state = "silent" if silent else "ok" if report.moves else "plans-only"
    return Lender(name=name, state=state, age_s=round(age_s, 3), loans=report.loans)
