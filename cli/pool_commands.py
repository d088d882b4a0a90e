"""`coldplate pools`: nodes lent between Slurm and Kubernetes, by a process that can be killed at any moment."""

from __future__ import annotations

import asyncio
import getpass
import json
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from cli.operate_commands import moment
from cli.slurm_commands import TOKEN, token
from plant.errors import ConfigError
from plant.loans import OVER, Loan, LoanState

CONFIG = typer.Option(Path("pools.yaml"), "--config", help="The pools file; docs/schedulers.md shows one.")
STATE = typer.Option(Path("pools"), "--state", help="The folder in which loans are written down.")
API = typer.Option("", "--api", help="coldplate's API, for headroom; without it the planner proposes nothing.")
JSON = typer.Option(False, "--json", help="For programs.")
MOST_HOURS = 24.0 * 365
pools_app = typer.Typer(no_args_is_help=True, help="Nodes lent between Slurm and Kubernetes.")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(pools_app, name="pools")


@pools_app.command("list")
def list_nodes(config: Path = CONFIG, state: Path = STATE, as_json: bool = JSON) -> None:
    """Each node: where it is at home, which pools take work on it now, and its loan."""
    from placement.lending import open_pools, serving
    from placement.loan_book import LoanBook
    from placement.pools_file import read_pools

    form = read_pools(config)
    loans, _ = LoanBook(state).all()
    lent = {loan.node: loan for loan in loans if loan.state not in OVER}

    async def ask() -> dict[str, list[str]]:
        async with open_pools(form) as pools:
            return await serving(pools)

    served, home = asyncio.run(ask()), form.home_of
    rows = [
        {"node": n, "home": home.get(n, ""), "serves": served.get(n, []), "loan": lent[n].id if n in lent else ""}
        for n in sorted({*home, *lent})
    ]
    if as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        where = " and ".join(row["serves"]) or "nobody"
        wrong = "  <- in two pools at once: coldplate pools settle" if len(row["serves"]) > 1 else ""
        loan = f"  loan {row['loan']}" if row["loan"] else ""
        print(f"{row['node']}  at home in {row['home']}  serves {where}{loan}{wrong}")


@pools_app.command("status")
def status(state: Path = STATE, as_json: bool = JSON) -> None:
    """Every loan: where it stands, since when, how long each step took, and what hinders it."""
    from placement.loan_book import LoanBook
    from store.codec import to_plain

    loans, faults = LoanBook(state).all()
    if as_json:
        print(json.dumps({"loans": to_plain(loans), "faults": faults}))
    else:
        for line in [*map(_line, loans), *faults]:
            print(line)
    raise typer.Exit(1 if faults else 0)


@pools_app.command("lend")
def lend(
    node: str,
    to: str = typer.Option(..., "--to", help="The pool that gets it."),
    lender: str = typer.Option("", "--from", help="The pool that gives it; by default the one it is at home in."),
    until: str = typer.Option("", "--until", help="ISO time at which it goes back, UTC unless it says otherwise."),
    hours: float = typer.Option(
        8.0, "--hours", min=0.0, max=MOST_HOURS, help="The same as a span, where --until is not given."
    ),
    drain_limit_s: float = typer.Option(3600.0, "--drain-limit", min=1.0, help="Seconds that jobs there have to end."),
    owner: str = typer.Option("", "--owner", help="Who answers for it; you by default."),
    reason: str = typer.Option("", "--reason", help="What users read at the node."),
    config: Path = CONFIG,
    state: Path = STATE,
) -> None:
    """Lend one node; `coldplate pools run --allow` does it."""
    from placement.loan_book import LoanBook
    from placement.pools_file import read_pools

    form, now_s = read_pools(config), time.time()
    given = lender or form.home_of.get(node, "")
    names = [pool.name for pool in form.pools]
    if not given:
        raise ConfigError(f"{node!r} is at home in no pool", where=str(config), remedy="name its pool with --from")
    for option, name in (("--to", to), ("--from", given)):
        if name not in names:
            raise ConfigError(f"no pool {name!r}", where=option, remedy=f"pools are {', '.join(names)}")
    if to == given:
        raise ConfigError(f"{node} is in {to} already", where="--to", remedy="name another pool")
    due_s = moment(until, "--until") if until else now_s + 3600.0 * hours
    if not due_s > now_s:
        raise ConfigError("lies in the past", where="--until", remedy="give a time to come")

    def make(loan_id: str) -> Loan:
        return Loan(
            id=loan_id,
            node=node,
            lender=given,
            borrower=to,
            owner=owner or getpass.getuser(),
            due_s=due_s,
            state=LoanState.ALLOWED,
            since_s=now_s,
            drain_limit_s=drain_limit_s,
            reason=reason,
        )

    print(_line(asyncio.run(LoanBook(state).add(make))))


@pools_app.command("allow")
def allow(loan_id: str, state: Path = STATE) -> None:
    """Allow a loan that the planner proposed."""
    from placement.loan_book import LoanBook
    from placement.loans import permit

    book = LoanBook(state)
    with book.held(loan_id, wait_s=60.0):
        print(_line(asyncio.run(permit(book.get(loan_id), time.time(), book.keep))))


@pools_app.command("return")
def give_back(node_or_loan: str, state: Path = STATE) -> None:
    """Call a loan back before it is due; jobs at the borrower end by themselves."""
    from placement.loan_book import LoanBook
    from placement.loans import call_back

    book = LoanBook(state)
    loans, _ = book.all()
    found = [loan.id for loan in loans if node_or_loan == loan.node and loan.state not in OVER] or [node_or_loan]
    with book.held(found[0], wait_s=60.0):
        print(_line(asyncio.run(call_back(book.get(found[0]), time.time(), book.keep))))


@pools_app.command("plan")
def plan(config: Path = CONFIG, state: Path = STATE, api: str = API, as_json: bool = JSON) -> None:
    """What the planner would propose now, and what each pool has free and wants; writes nothing."""
    from cli.pool_run import heard_places
    from placement.api_client import Client
    from placement.lending import demands, open_pools, rules_of
    from placement.loan_book import LoanBook
    from placement.loan_plan import propose
    from placement.pools_file import read_pools
    from placement.wishes import Ear
    from store.codec import to_plain

    form = read_pools(config)
    loans, _ = LoanBook(state).all()
    with closing(Client(api or "http://127.0.0.1")) as client:
        places = heard_places(Ear(client)) if api else {}

    async def ask() -> tuple[Any, Any]:
        async with open_pools(form) as pools:
            return await demands(pools)

    known, silent = asyncio.run(ask())
    made = propose(known, loans, places, rules_of(form))
    if as_json:
        print(json.dumps({"demands": to_plain(known), "silent": silent, "proposals": to_plain(made)}))
        return
    for name, demand in known.items():
        print(f"{name}: {len(demand.idle)} nodes idle, work for {demand.waiting} waits")
    for name, problem in silent.items():
        print(f"{name}: {problem}; nothing is lent to it or from it")
    for p in made:
        print(f"call loan {p.loan} back: {p.why}" if p.loan else f"lend {p.node} {p.lender} -> {p.borrower}: {p.why}")


@pools_app.command("settle")
def settle(
    config: Path = CONFIG,
    state: Path = STATE,
    write: bool = typer.Option(False, "--write", help="Do it; without it only say what would be done."),
) -> None:
    """Take every node out of the pools that it is not at home in, but those that are lent."""
    from placement.lending import open_pools
    from placement.lending import settle as settled
    from placement.loan_book import LoanBook
    from placement.pools_file import read_pools

    form = read_pools(config)
    lent = {loan.node for loan in LoanBook(state).all()[0] if loan.state not in OVER}

    async def work() -> Sequence[tuple[str, str]]:
        async with open_pools(form) as pools:
            return await settled(pools, form, lent, dry=not write)

    for node, pool in asyncio.run(work()):
        print(f"{node}: {'taken out of' if write else 'would be taken out of'} {pool}")


@pools_app.command("run")
def run(
    config: Path = CONFIG,
    state: Path = STATE,
    allowed: bool = typer.Option(False, "--allow", help="Move nodes; without it loans are planned and written down."),
    once: bool = typer.Option(False, "--once", help="One pass."),
    api: str = API,
    token_file: Path | None = TOKEN,
    name: str = typer.Option("pools", "--name", help="How this process is called in the API."),
    every_s: float = typer.Option(2.0, "--every", min=0.1, max=600.0, help="Seconds between passes."),
) -> None:
    """Drive all loans until stopped: plan, drain, release, admit, verify, give back."""
    from cli.pool_run import PoolRun
    from placement.api_client import Client
    from placement.pools_file import Allow, read_pools

    form = read_pools(config)
    if allowed and form.allow is Allow.NONE:
        remedy = "write allow: operator (or planner) into it"
        raise ConfigError("--allow, but the file says allow: none", where=str(config), remedy=remedy)
    secret = token(token_file)
    if api and not secret:
        print("no token: loans are not told; see --token-file")
    # Told over a connection of its own, beside the planner's questions
    url = api or "http://127.0.0.1"
    with closing(Client(url)) as client, closing(Client(url, secret)) as teller:
        asked = client if api else None
        tell = (lambda report: teller.put_loans(name, report)) if api and secret else None
        asyncio.run(PoolRun(form, state, asked, allowed=allowed, every_s=every_s, tell=tell).work(once=once))


def _line(loan: Loan) -> str:
    took = ", ".join(f"{step} {span_s:.1f} s" for step, span_s in loan.took_s.items())
    due = datetime.fromtimestamp(loan.due_s, UTC).isoformat(timespec="seconds")
    words = f"loan {loan.id}: {loan.node} {loan.lender} -> {loan.borrower} for {loan.owner}, {loan.state}, due {due}"
    return words + (f" ({took})" if took else "") + (f"; {loan.problem}" if loan.problem else "")
