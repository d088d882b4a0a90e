"""The process of loans: clusters opened, loans driven a step at a time, proposals written down, homes kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from placement.demand import Demand
from placement.kubernetes.cluster import connect
from placement.kubernetes.pool import KubernetesPool
from placement.loan_book import LoanBook
from placement.loan_plan import Place, Proposal, Rules, propose
from placement.loans import Pool, advance, call_back
from placement.pools_file import Allow, PlannerForm, PoolForm, PoolsForm
from placement.renamed_pool import RenamedPool
from placement.slurm.commands import Slurm
from placement.slurm.pool import SlurmPool
from plant.errors import ColdplateError, RefusedError
from plant.loans import OVER, Loan, LoanState

PLANNER = "planner"
"""The owner of a loan that nobody asked for by name."""


@asynccontextmanager
async def open_pools(form: PoolsForm) -> AsyncIterator[dict[str, Pool]]:
    """Every cluster of the file by name.

    Raises:
        ConfigError: the client of one is not installed, or its configuration is missing.
    """
    async with AsyncExitStack() as stack:
        opened = {pool.name: await _open(pool, stack) for pool in form.pools}
        yield {p.name: RenamedPool(opened[p.name], own) if (own := p.own_names) else opened[p.name] for p in form.pools}


async def _open(pool: PoolForm, stack: AsyncExitStack) -> Pool:
    if pool.kind == "slurm":
        return SlurmPool(pool.name, Slurm(conf=pool.conf, timeout_s=pool.timeout_s))
    cluster = await stack.enter_async_context(connect(pool.kubeconfig))
    return KubernetesPool(pool.name, cluster, pool.gpus_per_node)


async def drive(book: LoanBook, pools: Mapping[str, Pool], now_s: float) -> list[tuple[Loan, Loan]]:
    """One step of every loan that is not over; (before, after) of each that changed. now_s [s since 1970].

    A loan that another process holds at this moment waits for the next pass; so does one whose pool is not configured.
    """
    loans, _ = book.all()
    steps = await asyncio.gather(*(_step(book, loan.id, pools, now_s) for loan in loans if loan.state not in OVER))
    return [step for step in steps if step is not None and step[0] != step[1]]


async def _step(book: LoanBook, loan_id: str, pools: Mapping[str, Pool], now_s: float) -> tuple[Loan, Loan] | None:
    with suppress(RefusedError), book.held(loan_id):
        before = book.get(loan_id)
        return before, await advance(before, pools, now_s, book.keep)
    return None


async def demands(pools: Mapping[str, Pool]) -> tuple[dict[str, Demand], dict[str, str]]:
    """What each pool has and wants, and why that of others is not known: nothing is lent to or from those."""
    found: dict[str, Demand] = {}
    silent: dict[str, str] = {}
    for name, pool in pools.items():
        try:
            found[name] = await pool.demand()
        except ColdplateError as error:
            silent[name] = str(error)
    return found, silent


def rules_of(form: PoolsForm) -> Rules:
    """The planner's, from the file."""
    planner = form.planner
    return Rules(
        keep_idle={pool.name: pool.keep_idle for pool in form.pools},
        node_w=1e3 * planner.node_kw,
        least_score=planner.least_score,
        most_loans=planner.most_loans,
    )


async def note(
    book: LoanBook, form: PoolsForm, known: Mapping[str, Demand], places: Mapping[str, Place], now_s: float
) -> list[Proposal]:
    """Plan, and write the plan down: begun at once where the file allows the planner to, else waiting for an operator.

    A call-back changes a loan that stands, so it is carried out only where the planner is allowed to.
    """
    loans, _ = book.all()
    made = propose(known, loans, places, rules_of(form))
    for proposal in made:
        with suppress(RefusedError):  # an operator was quicker
            if not proposal.loan:
                await book.add(lambda loan_id, p=proposal: planned(loan_id, p, form, now_s))  # type: ignore[misc]
            elif form.allow is Allow.PLANNER:
                with book.held(proposal.loan):
                    await call_back(book.get(proposal.loan), now_s, book.keep)
    return made


def planned(loan_id: str, proposal: Proposal, form: PoolsForm, now_s: float) -> Loan:
    """A proposal as a loan."""
    planner: PlannerForm = form.planner
    return Loan(
        id=loan_id,
        node=proposal.node,
        lender=proposal.lender,
        borrower=proposal.borrower,
        owner=PLANNER,
        due_s=now_s + 3600.0 * planner.hours,
        state=LoanState.ALLOWED if form.allow is Allow.PLANNER else LoanState.PROPOSED,
        since_s=now_s,
        drain_limit_s=planner.drain_limit_s,
        reason=proposal.why,
    )


async def serving(pools: Mapping[str, Pool]) -> dict[str, list[str]]:
    """Node -> the pools that take work on it now; more than one is wrong.

    Raises:
        SilentError: a pool does not answer.
        RefusedError: it does not permit to list nodes.
    """
    found: dict[str, list[str]] = {}
    for name, pool in pools.items():
        for node in await pool.serves():
            found.setdefault(node, []).append(name)
    return found


async def settle(pools: Mapping[str, Pool], form: PoolsForm, lent: set[str], *, dry: bool) -> list[tuple[str, str]]:
    """Take every node out of the pools that it is not at home in, but those that are lent; (node, pool) of each.

    Raises:
        SilentError: a pool does not answer.
        RefusedError: a node is drained there by others.
    """
    done, served = [], await serving(pools)
    for node, home in form.home_of.items():
        for name in served.get(node, ()) if node not in lent else ():
            if name != home:
                done.append((node, name))
                if not dry:
                    await pools[name].drain(node, f"loan: at home in {home}")
    return done
