"""`coldplate doctor`: is everything as it should be, and if not, what to do. Reads only."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from cli.doctor_checks import Check

SITE = typer.Argument(..., help="The site file.")
STATE = typer.Option(Path("state"), "--state", help="The site's state directory.")
ENDPOINTS = typer.Option(None, "--endpoints", help="JSON file {link: [host, port]} that overrides addresses.")
_MARKS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    site: Path = SITE,
    state: Path = STATE,
    endpoints: Path | None = ENDPOINTS,
    store: str | None = typer.Option(None, "--store", help="As for `run`; $COLDPLATE_STORE by default."),
    as_json: bool = typer.Option(False, "--json", help="Print a JSON object."),
) -> None:
    """Check site file, state directory, clock, links, spool, store and the running edge; exit status 1 if one fails.

    While an edge runs its own link states are told, and no device is connected to: some allow one connection only.
    """
    checks = asyncio.run(examine(site, state, endpoints, store))
    failed = sum(check.status == "fail" for check in checks)
    if as_json:
        print(json.dumps({"ok": not failed, "checks": [asdict(c) for c in checks]}, ensure_ascii=False))
    else:
        _print(checks)
    raise typer.Exit(1 if failed else 0)


async def examine(site_path: Path, state: Path, endpoints: Path | None = None, store: str | None = None) -> list[Check]:
    """All checks, in the order in which they are best mended."""
    from cli.doctor_checks import clock_checks, site_checks, spool_checks, state_checks, store_checks
    from cli.doctor_edge import ask_edge, edge_checks
    from cli.doctor_links import link_checks

    site, checks = site_checks(site_path, endpoints)
    edge = await ask_edge(state)
    checks += [*state_checks(state), *clock_checks(state), *edge_checks(state, edge)]
    if edge is None and site is not None:
        checks += await link_checks(site)
    checks += spool_checks(state)
    return checks + (await store_checks(state, site, store) if site is not None else [])


def _print(checks: list[Check]) -> None:
    for check in checks:
        took = f" ({check.round_trip_ms:.1f} ms)" if check.round_trip_ms is not None else ""
        print(f"{_MARKS[check.status]}  {check.name}: {check.text}{took}")
        if check.remedy:
            print(f"      {check.remedy}")
    count = {status: sum(c.status == status for c in checks) for status in _MARKS}
    print(f"{count['ok']} ok, {count['warn']} to look at, {count['fail']} failed")
