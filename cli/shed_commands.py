"""`coldplate shed`: the shed plan carried out."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import typer

from cli.slurm_commands import API, TOKEN, token
from plant.errors import ConfigError

TOLD_WITHIN_S = 2.0
"""What a silent API may hold up an act [s]."""


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("shed")(shed)


def shed(
    config: Path = typer.Option(Path("shed.yaml"), "--config", help="The shed file; docs/schedulers.md shows one."),
    api: str = API,
    token_file: Path | None = TOKEN,
    state: Path = typer.Option(Path("shed"), "--state", help="The folder in which acts are written down."),
    name: str = typer.Option("shed", "--name", help="How this process is called in the API."),
    act: bool = typer.Option(False, "--act", help="Do it; without it only say what would be done."),
    give_back: bool = typer.Option(False, "--give-back", help="Ask for nothing: only give back what is held, at once."),
    take: bool = typer.Option(
        False, "--take-over", help="Go on from what the process of this name on another host holds: it is dead."
    ),
    stand_by: bool = typer.Option(
        False, "--stand-by", help="The same, once it is silent and its lease over; wait until then."
    ),
    once: bool = typer.Option(False, "--once", help="One pass; status 1 if something could not be done."),
    every_s: float = typer.Option(2.0, "--every", min=0.1, max=60.0, help="Seconds between passes."),
    lease_s: float = typer.Option(
        900.0, "--lease", min=60.0, max=86400.0, help="Seconds that what is held outlives the API's silence."
    ),
    step_s: float = typer.Option(
        120.0, "--step", min=1.0, max=3600.0, help="Seconds between two steps back to full power."
    ),
) -> None:
    """Take load off as the shed plan says: power limits over Redfish first, then requeues; given back step by step."""
    from cli.processes import stamped
    from cli.shed_run import act_on
    from cli.shed_take_over import take_over
    from placement.api_client import Client
    from placement.shed.act import ShedOptions
    from placement.shed.book import ShedBook
    from placement.shed.file import read_shed_file
    from placement.shed.wishes import ShedEar, ShedWish

    form, book, secret = read_shed_file(config), ShedBook(state), token(token_file)
    if (take or stand_by) and not (act and secret):
        raise ConfigError(
            "--take-over and --stand-by act", remedy="give --act, and --token-file or $COLDPLATE_TOKEN too"
        )
    options = ShedOptions(acts=act, lease_s=lease_s, step_s=0.0 if give_back else step_s, period_s=every_s)
    if not act:
        print("dry run: nothing is changed; --act does it")
    if not secret:
        print("no token: what is done is not told; see --token-file")
    with (
        closing(Client(api, secret)) as client,
        closing(Client(api, secret, timeout_s=TOLD_WITHIN_S)) as teller,
        book.held(),
    ):
        if take or stand_by:
            take_over(client, name, book, stamped, wait=not take)
        book.tell = (lambda kept: teller.put_shed_book(name, kept)) if secret else None
        hear = ShedWish if give_back else ShedEar(client).hear
        tell = (lambda report: client.put_shed(name, report)) if secret else None
        good = asyncio.run(act_on(form, book, options, hear, tell, once=once, until_empty=give_back and act))
    raise typer.Exit(0 if good else 1)
