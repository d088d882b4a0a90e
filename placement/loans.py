"""Nodes lent between clusters: drain, wait until idle, release, admit, verify; and the same way back.

Every step is idempotent and its beginning is written down before it is done, so that a crash in its middle is followed
by doing it again. What fails before the borrower has the node is rolled back to the lender.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Protocol

from placement.demand import Demand
from plant.errors import ColdplateError, RefusedError
from plant.loans import Loan, LoanState

STEP_LIMIT_S = 120.0
"""A step that only waits for software, not for jobs, has failed after this [s]."""


class Pool(Protocol):
    """A cluster that lends or borrows nodes. Everything may be done twice."""

    @property
    def name(self) -> str:
        """How people call it."""

    async def drain(self, node: str, reason: str) -> None:
        """Let no new job start there."""

    async def idle(self, node: str) -> bool:
        """Whether nothing runs there any more."""

    async def release(self, node: str) -> None:
        """Give up an idle node."""

    async def admit(self, node: str) -> None:
        """Take it (back) into service."""

    async def usable(self, node: str) -> bool:
        """Whether jobs can start there now."""

    async def serves(self) -> frozenset[str]:
        """Every node of which that holds."""

    async def demand(self) -> Demand:
        """What is free and what waits."""


RESTING = (LoanState.PROPOSED, LoanState.LENT, LoanState.RETURNED, LoanState.FAILED)
_BACK_FROM = (LoanState.DRAINING, LoanState.RELEASING, LoanState.ADMITTING, LoanState.VERIFYING)


Keep = Callable[[Loan], Awaitable[None]]
"""Writes a loan down durably."""


async def advance(loan: Loan, pools: Mapping[str, Pool], now_s: float, keep: Keep) -> Loan:
    """One step of one loan, or none where it rests or waits. Call it every few seconds, and after a restart.

    Raises:
        RefusedError: a pool of the loan is not configured.
    """
    for name in (loan.lender, loan.borrower):
        if name not in pools:
            raise RefusedError(f"loan {loan.id}: no pool {name}")
    if loan.state is LoanState.LENT and now_s >= loan.due_s:
        return await _to(loan, LoanState.CALLED_BACK, now_s, keep)
    if loan.state is LoanState.LENT:
        return await _watched(loan, pools[loan.lender], pools[loan.borrower], keep)
    if loan.state in RESTING:
        return loan
    try:
        following = await _do(loan, pools[loan.lender], pools[loan.borrower])
    except ColdplateError as error:
        return await _hindered(loan, str(error), now_s, keep)
    if following is None:
        return await _hindered(loan, "", now_s, keep)
    return await _to(
        replace(loan, problem=loan.problem if following is LoanState.FAILED else ""), following, now_s, keep
    )


_WAITS: Mapping[LoanState, tuple[str, str, LoanState]] = {
    LoanState.DRAINING: ("lender", "idle", LoanState.RELEASING),
    LoanState.VERIFYING: ("borrower", "usable", LoanState.LENT),
    LoanState.LEAVING: ("borrower", "idle", LoanState.RETURNING),
    LoanState.CHECKING: ("lender", "usable", LoanState.RETURNED),
}
"""What a state waits for: whose answer to what, and the state that follows a yes."""


async def _do(loan: Loan, lender: Pool, borrower: Pool) -> LoanState | None:
    """Do what a state asks for; the state that follows, None while it is not done."""
    if loan.state in _WAITS:
        role, question, following = _WAITS[loan.state]
        pool = lender if role == "lender" else borrower
        done = await (pool.idle(loan.node) if question == "idle" else pool.usable(loan.node))
        return following if done else None
    return await _act(loan, lender, borrower)


async def _act(loan: Loan, lender: Pool, borrower: Pool) -> LoanState:
    node = loan.node
    match loan.state:
        case LoanState.ALLOWED:
            if await borrower.usable(node):
                raise RefusedError(f"{loan.borrower} takes work on {node} already; run coldplate pools settle")
            await lender.drain(node, loan.words)
            return LoanState.DRAINING
        case LoanState.RELEASING:
            await lender.release(node)
            return LoanState.ADMITTING
        case LoanState.ADMITTING:
            await borrower.admit(node)
            return LoanState.VERIFYING
        case LoanState.CALLED_BACK:
            await borrower.drain(node, f"loan {loan.id} goes back to {loan.lender}")
            return LoanState.LEAVING
        case _:
            # A borrower that was never asked to take the node has nothing to give up
            if loan.state is LoanState.RETURNING or LoanState.ADMITTING in loan.took_s:
                await borrower.release(node)
            await lender.admit(node)
            return LoanState.CHECKING if loan.state is LoanState.RETURNING else LoanState.FAILED


async def _hindered(loan: Loan, problem: str, now_s: float, keep: Keep) -> Loan:
    """A step is not done. On the way out that is given up after a while; on the way back it is tried for ever."""
    limit_s = loan.drain_limit_s if loan.state is LoanState.DRAINING else STEP_LIMIT_S
    late = now_s - loan.since_s > limit_s
    if late and loan.state in (LoanState.ALLOWED, *_BACK_FROM):
        words = problem or f"{loan.state}: not done within {limit_s:.0f} s"
        return await _to(replace(loan, problem=words), LoanState.ROLLING_BACK, now_s, keep)
    if problem != loan.problem:
        loan = replace(loan, problem=problem)
        await keep(loan)
    return loan


async def _watched(loan: Loan, lender: Pool, borrower: Pool, keep: Keep) -> Loan:
    """A node that its lender's people put back into service, or that its borrower can't use: told, no more."""
    node, problem = loan.node, ""
    try:
        if await lender.usable(node):
            problem = f"{loan.lender} takes work on {node} though it is lent"
        elif not await borrower.usable(node):
            problem = f"{loan.borrower} can't use {node}: it is not ready, or closed there"
    except ColdplateError as error:
        problem = str(error)
    if problem != loan.problem:
        loan = replace(loan, problem=problem)
        await keep(loan)
    return loan


async def _to(loan: Loan, state: LoanState, now_s: float, keep: Keep) -> Loan:
    took_s = {**loan.took_s, str(loan.state): now_s - loan.since_s}
    loan = replace(loan, state=state, since_s=now_s, took_s=took_s)
    await keep(loan)
    return loan


async def call_back(loan: Loan, now_s: float, keep: Keep) -> Loan:
    """End a loan before it is due: what is lent goes back, what is on its way out too, a proposal is declined.

    Raises:
        RefusedError: it is over already, or on its way back.
    """
    if loan.state is LoanState.LENT:
        return await _to(loan, LoanState.CALLED_BACK, now_s, keep)
    if loan.state is LoanState.PROPOSED:
        return await _to(replace(loan, problem="declined"), LoanState.FAILED, now_s, keep)
    if loan.state in (LoanState.ALLOWED, *_BACK_FROM):
        return await _to(replace(loan, problem="called back"), LoanState.ROLLING_BACK, now_s, keep)
    raise RefusedError(f"loan {loan.id} is {loan.state}: there is nothing to call back")


async def permit(loan: Loan, now_s: float, keep: Keep) -> Loan:
    """An operator allows what was proposed.

    Raises:
        RefusedError: it is no proposal any more.
    """
    if loan.state is not LoanState.PROPOSED:
        raise RefusedError(f"loan {loan.id} is {loan.state}: there is nothing to allow")
    return await _to(loan, LoanState.ALLOWED, now_s, keep)
