"""`audit` and `switchback`: what there is to save, and whether it was saved."""

from __future__ import annotations

import asyncio
import json
import math
import secrets
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cli.operate_commands import STATE, moment
from plant.errors import ConfigError

if TYPE_CHECKING:
    from reports.switchback import SwitchbackPlan
    from reports.switchback_estimate import SwitchbackResult

switchback_app = typer.Typer(no_args_is_help=True, help="Plan and analyse randomised blocks of rule and coldplate.")
TRENDS = typer.Argument(..., exists=True, dir_okay=False, help="CSV: a column of times, then trends.")
MAP = typer.Option(None, "--map", exists=True, dir_okay=False, help="YAML that says what the headers mean.")
OUT = typer.Option(None, "--json", help="Also write the result here.")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("audit")(audit_trends)
    app.add_typer(switchback_app, name="switchback")


def audit_trends(
    trends: Path = TRENDS,
    mapping: Path | None = MAP,
    needed_supply: float = typer.Option(32.0, "--needed-supply", help="Warmest supply that the racks allow [°C]."),
    good_delta_t: float = typer.Option(10.0, "--delta-t", help="Temperature rise that the racks are sized for [K]."),
    out: Path | None = OUT,
) -> None:
    """Hunting, CDUs that fight, low ΔT, cold supply and a range of savings, from a building's own history."""
    from reports.trend_audit import audit, lines
    from reports.trend_table import read_trends

    for option, given, least, most in (("--needed-supply", needed_supply, 5, 70), ("--delta-t", good_delta_t, 1, 60)):
        if not least <= given <= most:
            raise ConfigError(f"{given:g}", where=option, remedy=f"give {least} to {most}")
    table = read_trends(trends, mapping)
    found = audit(table, needed_supply_c=needed_supply, good_delta_t_k=good_delta_t)
    print("\n".join(lines(found)))
    if out is not None:
        _write(out, asdict(found))


@switchback_app.command("plan")
def plan(
    out: Path = typer.Argument(Path("switchback.json"), help="The plan to write; never over an existing file."),
    site: str = typer.Option("site", "--site", help="The site's id."),
    days: float = typer.Option(28.0, "--days", help="How long."),
    block_hours: float = typer.Option(12.0, "--block-hours", help="Length of a block."),
    washout_minutes: float = typer.Option(30.0, "--washout-minutes", help="Left out at each block's begin."),
    start: str = typer.Option("", "--start", help="ISO time; by default the next midnight UTC."),
    seed: int | None = typer.Option(None, "--seed", help="Of the random order; by default drawn."),
) -> None:
    """Draw the order of the blocks and seal it, before the start."""
    from reports.switchback import make_plan

    now_s = time.time()
    start_s = moment(start, "--start") if start else (now_s // 86400 + 1) * 86400
    made = make_plan(
        site, made_s=now_s, start_s=start_s, days=days, block_s=block_hours * 3600,
        seed=secrets.randbits(31) if seed is None else seed, washout_s=washout_minutes * 60,
    )  # fmt: skip
    try:
        with out.open("x", encoding="utf-8") as file:
            json.dump(asdict(made), file, indent=1)
    except OSError as error:
        raise ConfigError(f"can't be written: {error.strerror}", where=str(out), remedy="give a new name") from error
    print(
        f"{out}: {len(made.blocks)} blocks, seed {made.seed}\ndigest {made.digest}\ngive the digest to your auditor now"
    )


@switchback_app.command("report")
def report(
    plan_file: Path = typer.Argument(..., exists=True, dir_okay=False, help="The plan as it was written."),
    trends: Path | None = typer.Argument(
        None, exists=True, dir_okay=False, help="CSV of trends; without it, what coldplate itself recorded."
    ),
    mapping: Path | None = MAP,
    site: Path | None = typer.Option(None, "--site", exists=True, dir_okay=False, help="The site file."),
    state: Path = STATE,
    store: str | None = typer.Option(None, "--store", help="As for `run`; $COLDPLATE_STORE by default."),
    out: Path | None = OUT,
) -> None:
    """Savings over a finished plan, with a 95 % interval and a randomisation test.

    With --site and --state: energies from the meters' registers in the store, turns and faults from the audit chain.
    With a CSV: trends of cooling power, heat (or IT power) and wet bulb.
    """
    from cli.switchback import load_plan
    from reports.switchback_estimate import analyse, sentence
    from reports.trend_table import read_trends, switchback_trends
    from store.codec import to_plain

    sealed = load_plan(plan_file)
    if trends is not None:
        measured, active = switchback_trends(read_trends(trends, mapping))
        result = analyse(sealed, measured, ours_active=active)
    elif site is not None:
        result = asyncio.run(_recorded(sealed, site, state, store))
    else:
        remedy = "give a CSV of trends, or --site and --state for what coldplate recorded"
        raise ConfigError("nothing to report on", where="switchback report", remedy=remedy)
    print(f"{'block':>5} {'turn':9} {'cooling kWh':>11} {'heat kWh':>9} {'outdoor °C':>10}")
    for b in result.blocks:
        figures = f"{b.cooling_kwh:11.1f} {b.heat_kwh:9.0f} {b.outdoor_c:10.1f}"
        print(f"{b.number:5} {b.arm:9} {figures}{'  left out: ' + b.fault if b.fault else ''}")
    print(sentence(result))
    print(f"rule {result.rule_kw:.1f} kW, coldplate {result.ours_kw:.1f} kW, plain difference {result.plain:.1%}")
    print(f"plan {result.digest}; method: IPMVP option B, randomised on/off blocks")
    if out is not None:
        _write(out, to_plain(result))


async def _recorded(plan: SwitchbackPlan, site_file: Path, state: Path, store: str | None) -> SwitchbackResult:
    """The result from the state directory of the run.

    Raises:
        ReportError: the audit does not hold, or does not have the plan.
    """
    from reports.pue import ReportError
    from reports.switchback_blocks import faults_of, outdoor_point, rows_of
    from reports.switchback_estimate import check, conclude
    from sites import load_site
    from store.audit import read, verify
    from store.open import open_store, store_url

    site, chains = load_site(site_file), sorted((state / "audit").glob("*.jsonl"))
    for chain in chains:
        found = verify(chain)
        if not found.ok:
            raise ReportError(f"the audit does not hold, so nothing can be shown by it: {found.fault}")
    faults = faults_of(plan, (entry for chain in chains for entry in read(chain)))
    kept = open_store(store_url(store), state, site.retention, read_only=True)
    try:
        _, outdoor = outdoor_point(site)
        newest_s = max((row[0] for row in (await kept.last(list(site.points))).values()), default=-math.inf)
        check(plan, newest_s)
        return conclude(plan, await rows_of(plan, site, kept, faults), (outdoor, "IT energy"))
    finally:
        await kept.close()


def _write(path: Path, body: dict[str, object]) -> None:
    try:
        path.write_text(json.dumps(body, indent=1, allow_nan=False, default=str), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"can't be written: {error.strerror}", where=str(path), remedy="give another path") from error
