"""The command `commission`; its rooms are loaded when it is called."""

from __future__ import annotations

import asyncio
import getpass
from pathlib import Path

import typer

from plant.clock import ScaledClock


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("commission")(commission_site)


def commission_site(
    site: Path = typer.Argument(..., exists=True, dir_okay=False, help="The site file."),
    state: Path = typer.Option(Path("state"), "--state", help="The site's state directory; its edge must not run."),
    equipment: list[str] = typer.Option([], "--equipment", help="Only this device; may be given again."),
    by: str = typer.Option("", "--by", help="Who commissions; by default the user's name."),
    yes: bool = typer.Option(False, "--yes", help="Do not ask before each test."),
    raised: str = typer.Option("", "--raise", help="Instead: let this loop's modes go one rung higher."),
    reason: str = typer.Option("", "--reason", help="Why the loop is raised."),
    clock: str = typer.Option("", "--clock", hidden=True),
    endpoints: Path | None = typer.Option(None, "--endpoints", help="JSON file {link: [host, port]}."),
) -> None:
    """Check each driven device point by point, move it a little, stop its heartbeats, and sign what was seen."""
    from cli.commission import CommissionOptions, commission, raise_loop

    options = CommissionOptions(
        site_path=site, state=state, clock=ScaledClock.parse(clock), endpoints=endpoints,
        equipment=tuple(equipment), person=by or getpass.getuser(),
    )  # fmt: skip
    if raised:
        print(f"{raised}: modes up to {raise_loop(options, raised, reason)} are allowed; restart coldplate run")
        return
    passed = asyncio.run(commission(options, (lambda _question: True) if yes else typer.confirm))
    raise typer.Exit(0 if passed else 1)
