"""What the process that lends nodes tells of its loans, and how it stands. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from placement.scheduler_reports import LEAST_SILENCE_S, SILENT_AFTER
from plant.loans import OVER, Loan
from plant.records import Condition, Message, Params, Severity

MOST_LENDERS = 20
MOST_LOANS = 2000
OVER_TOLD = 50
"""Loans that are over and told all the same: the newest."""
TEXTS = {
    "lender_silent": (
        "{name}, which lends nodes, has told nothing for {age_s:.0f} s; {under_way} loans are under way",
        "start it again (coldplate pools run); it goes on from its book, until then no node is called back",
    ),
}


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
    """Every process that has told its loans."""

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


def conditions(lenders: Iterable[Lender], now_s: float) -> list[Condition]:
    """A process that lends nodes and fell silent, at now_s [s since 1970, site clock]: nobody brings its nodes home."""
    return [_silent(lender, now_s) for lender in lenders if lender.state == "silent"]


def _silent(lender: Lender, now_s: float) -> Condition:
    under_way = sum(loan.state not in OVER for loan in lender.loans)
    params: Params = {"name": lender.name, "age_s": lender.age_s, "under_way": under_way}
    cause, remedy = TEXTS["lender_silent"]
    return Condition(
        code="lender_silent",
        subject=lender.name,
        severity=Severity.WARNING,
        since_s=now_s,
        cause=Message(code="lender_silent", text=cause.format(**params), params=params),
        remedy=Message(code="lender_silent_remedy", text=remedy.format(**params), params=params),
        source="loans",
    )
