"""`coldplate slurm`: what a Slurm cluster is told, kept so, and taken back."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import typer

from plant.errors import ConfigError

slurm_app = typer.Typer(no_args_is_help=True, help="Hints, budgets and moves in a Slurm cluster.")
API = typer.Option("http://127.0.0.1:8080", "--api", help="Address of coldplate's page and API.")
TOKEN = typer.Option(
    None,
    "--token-file",
    exists=True,
    dir_okay=False,
    help="The site's token, to tell jobs and state; or $COLDPLATE_TOKEN.",
)
CONF = typer.Option(None, "--conf", exists=True, dir_okay=False, help="slurm.conf; this host's own by default.")
WRITE = typer.Option(False, "--write", help="Do it; without it only say what would be done.")
ONCE = typer.Option(False, "--once", help="One cycle; status 1 if something could not be done.")
EVERY = typer.Option(10.0, "--every", min=0.5, max=3600.0, help="Seconds between cycles where nothing has changed.")
STATE = typer.Option(Path("schedulers"), "--state", help="Folder for what must outlive this process.")
NODE_KW = typer.Option(10.0, "--node-kw", min=0.001, help="What a full node draws, before it is learned [kW].")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(slurm_app, name="slurm")


def token(file: Path | None) -> str:
    """From a file or the environment; empty where there is none.

    Raises:
        ConfigError: the file is no token.
    """
    return secret_in(file) if file else os.environ.get("COLDPLATE_TOKEN", "")


def secret_in(file: Path) -> str:
    """A token or password: one line of plain characters, as HTTP's headers carry it.

    Raises:
        ConfigError: it is something else.
    """
    try:
        secret = file.read_text("ascii").strip()
    except ValueError:
        secret = ""
    if not secret.isprintable() or not secret:
        raise ConfigError("no token or password is in it", where=str(file), remedy="give the file that coldplate wrote")
    return secret


@slurm_app.command("sync")
def sync(
    api: str = API,
    token_file: Path | None = TOKEN,
    conf: Path | None = CONF,
    name: str = typer.Option("slurm", "--name", help="How this cluster is called in the API."),
    write: bool = WRITE,
    once: bool = ONCE,
    every_s: float = EVERY,
    state: Path = STATE,
    budget: str = typer.Option("licence", "--budget", help="What holds the site's power budget: licence, qos or none."),
    qos: str = typer.Option("normal", "--qos", help="The QOS that --budget qos limits."),
    share: float = typer.Option(1.0, "--share", min=0.0, max=1.0, help="This cluster's part of the site's budget."),
    blocks: str = typer.Option("leaf", "--blocks", help="Nodes of one weight: leaf (of the network), cdu or none."),
    hint_file: Path | None = typer.Option(None, "--hint-file", help="The file that job_submit.lua reads."),
    node_kw: float = NODE_KW,
    gpu_kw: float | None = typer.Option(None, "--gpu-kw", min=0.001, help="The same of a GPU [kW]."),
    notes: bool = typer.Option(False, "--notes", help="Also write scores into Comment and Extra of nodes."),
    interruptible: list[str] = typer.Option(
        [], "--interruptible", help="Jobs that may be stopped: qos=NAME, partition=NAME or comment=WORD; repeatable."
    ),
    timeout_s: float = typer.Option(15.0, "--timeout", min=0.5, max=120.0, help="Of one Slurm command [s]."),
) -> None:
    """Keep weights, budget and drains as coldplate's hints say; tell it jobs and how it went."""
    from cli.slurm_sync import SyncForm, options_of, work
    from placement.slurm.stoppable import stoppable

    given = SyncForm(
        budget=budget,
        qos=qos,
        share=share,
        blocks=blocks,
        hint_file=hint_file,
        node_kw=node_kw,
        gpu_kw=gpu_kw,
        notes=notes,
    )
    options, stop = options_of(given, write=write), tuple(stoppable(text) for text in interruptible)
    secret = token(token_file)
    if not write:
        print("dry run: nothing is changed; --write does it")
    if not secret:
        print("no token: jobs and state are not told; see --token-file")
    cluster = (name, conf, timeout_s, state)
    raise typer.Exit(0 if work(cluster, options, stop, api, secret, every_s, once=once) else 1)


@slurm_app.command("take-back")
def take_back(
    conf: Path | None = CONF,
    name: str = typer.Option("slurm", "--name", help="The name that `sync` ran under."),
    state: Path = STATE,
    write: bool = WRITE,
) -> None:
    """Undo all that `sync` holds: weights, the budget's reservation, our drains, our notes. Loans stay."""
    from placement.slurm.budget import set_budget
    from placement.slurm.commands import Slurm
    from placement.slurm.drains import reconcile_drains
    from placement.slurm.memory import Memory
    from placement.slurm.notes import write_notes

    slurm = Slurm(conf=conf)

    async def work() -> None:
        weights = await Memory(state / f"{name}.json").writer(slurm).restore(dry=not write)
        drains = await reconcile_drains(slurm, {}, dry=not write)
        notes, _ = await write_notes(slurm, {}, dry=not write)
        held_kw = 0
        with contextlib.suppress(ConfigError):  # no such licence: nothing was held
            held_kw = (await set_budget(slurm, None, dry=not write))[0].held_kw
        print(f"{len(weights)} weights, {len(drains.resumed)} drains, {len(notes)} notes, {held_kw} kW held back")

    if not write:
        print("dry run: nothing is changed; --write does it")
    asyncio.run(work())


@slurm_app.command("move")
def move(
    job: str,
    avoid: str = typer.Option("", "--avoid", help="Nodes to keep it from, as gpu[001-003]; its own by default."),
    checkpointed: Path | None = typer.Option(None, "--checkpointed", help="A file that is new once it is saved."),
    wait_s: float = typer.Option(5.0, "--wait", min=0.0, help="Seconds that its checkpoint may take."),
    deadline_s: float = typer.Option(300.0, "--deadline", min=1.0, help="Seconds until it must run again."),
    conf: Path | None = CONF,
) -> None:
    """Signal a job (USR1) to write a checkpoint, requeue it, and see it run on other nodes."""
    from placement.slurm.commands import Slurm
    from placement.slurm.moves import checkpoint_and_move, newer
    from plant.hostlist import hosts

    moved = asyncio.run(
        checkpoint_and_move(
            Slurm(conf=conf),
            job,
            avoid=hosts(avoid) if avoid else None,
            checkpointed=newer(checkpointed) if checkpointed else None,
            checkpoint_s=wait_s,
            deadline_s=deadline_s,
        )
    )
    print(
        f"job {job}: {','.join(moved.before)} -> {','.join(moved.after)}, requeued after {moved.requeued_s:.1f} s, ",
        end="",
    )
    print(f"runs after {moved.running_s:.1f} s")
