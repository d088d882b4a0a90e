"""`all-to-default`, `acknowledge`, `recalibrated`, `report` and `state`: what people do to a site that runs."""

from __future__ import annotations

import asyncio
import getpass
import time
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import typer

from plant.errors import ConfigError, SilentError
from plant.intents import Intent, IntentKind
from store.audit import verify
from store.bus_client import BusClient
from store.state import VERSION, StateDir

STATE = typer.Option(Path("state"), "--state", help="The site's state directory.")
SITE = typer.Argument(..., exists=True, dir_okay=False, help="The site file.")
_THAT_OF_RUN = "name the directory that `coldplate run --state` uses"
state_app = typer.Typer(no_args_is_help=True, help="Backup, restore and migrate a state directory.")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("all-to-default")(all_to_default)
    app.command("acknowledge")(acknowledge)
    app.command("recalibrated")(recalibrated)
    app.command("report")(report)
    app.add_typer(state_app, name="state")


def all_to_default(
    state: Path = STATE,
    reason: str = typer.Option("all to default from the command line", "--reason"),
) -> None:
    """Let go of every setpoint at once; the devices ramp to their own defaults."""
    intent = Intent(kind=IntentKind.ALL_TO_DEFAULT, actor=getpass.getuser(), reason=reason, at_s=time.time())
    try:
        answer = asyncio.run(BusClient(state / "bus.sock").intent(intent))
    except SilentError as error:
        hint = "where no edge runs nothing renews the leases, and the devices fall back by themselves at expiry"
        raise SilentError(f"{error}; {hint}") from error
    print(answer.text)
    raise typer.Exit(0 if answer.accepted else 1)


def acknowledge(
    loop: str = typer.Argument(..., help="The cooling group that was let go."),
    state: Path = STATE,
    reason: str = typer.Option(..., "--reason", help="What was found and done about it; kept in the audit."),
) -> None:
    """Let coldplate drive a loop again that it let go for a cause; the cause is then looked for anew."""
    _ask(
        state, Intent(kind=IntentKind.ACKNOWLEDGE, actor=getpass.getuser(), reason=reason, at_s=time.time(), loop=loop)
    )


def recalibrated(
    equipment: str = typer.Argument(..., help="The CDU, rack or group whose instruments were changed."),
    state: Path = STATE,
    reason: str = typer.Option(..., "--reason", help="What was changed; kept in the audit."),
) -> None:
    """After a sensor was changed or calibrated: learn the normal error of its equipment's balances anew."""
    actor, now_s = getpass.getuser(), time.time()
    _ask(
        state,
        Intent(kind=IntentKind.RECALIBRATED, actor=actor, reason=reason, at_s=now_s, equipment=equipment),
    )


def _ask(state: Path, intent: Intent) -> None:
    """Ask the edge; exits 1 where it refuses. Raises: SilentError."""
    answer = asyncio.run(BusClient(state / "bus.sock").intent(intent))
    print(answer.text)
    raise typer.Exit(0 if answer.accepted else 1)


def moment(text: str, option: str, zone: tzinfo = UTC) -> float:
    """An ISO time of an option [s since 1970], of `zone` where it names none. Raises: ConfigError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f"{text!r}", where=option, remedy="write it as 2026-11-01 or 2026-11-01T12:00+01:00"
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()


def report(
    site: Path = SITE,
    state: Path = STATE,
    start: str = typer.Option(
        "", "--start", help="ISO time, of the site's zone unless it says another; by default a day ago."
    ),
    end: str = typer.Option("", "--end", help="ISO time; by default the newest history."),
    language: str = typer.Option("en", "--lang", help="en or zh."),
    out: Path = typer.Option(
        Path("coldplate-report"), "--out", help="Path without ending; .json and .pdf are written."
    ),
    store: str | None = typer.Option(None, "--store", help="As for `run`; $COLDPLATE_STORE by default."),
) -> None:
    """Interval PUE from the energy registers, as JSON and PDF."""
    from reports.build import build_report
    from reports.render import render_json, render_pdf
    from sites import load_site
    from store.open import open_store, store_url

    loaded = load_site(site)
    as_json, as_pdf, zone = *_written(out), ZoneInfo(loaded.timezone)
    kept = open_store(store_url(store), state, loaded.retention, read_only=True)

    async def build() -> None:
        try:
            newest = max((row[0] for row in (await kept.last(list(loaded.points))).values()), default=time.time())
            end_s = moment(end, "--end", zone) if end else newest
            start_s = moment(start, "--start", zone) if start else end_s - 86400
            model = await build_report(loaded, kept, start_s, end_s)
        finally:
            await kept.close()
        as_json.write_bytes(render_json(model))
        as_pdf.write_bytes(render_pdf(model, language))

    asyncio.run(build())
    print(f"{as_json}\n{as_pdf}")


def _written(out: Path) -> tuple[Path, Path]:
    """Where a report goes. Raises: ConfigError: no such folder."""
    if not out.absolute().parent.is_dir():
        raise ConfigError(f"there is no folder {out.parent}", where="--out", remedy="make it, or name another")
    name = out.name.removesuffix(".json").removesuffix(".pdf")
    return out.with_name(f"{name}.json"), out.with_name(f"{name}.pdf")


@state_app.command("backup")
def backup(archive: Path, state: Path = STATE) -> None:
    """Write a consistent copy, also while the site runs."""
    _existing(state).backup(archive)
    print(archive)


@state_app.command("restore")
def restore(archive: Path, state: Path = STATE) -> None:
    """Unpack a backup into an empty state directory."""
    StateDir.restore(state, archive)
    print(state)


@state_app.command("migrate")
def migrate(state: Path = STATE) -> None:
    """Bring a state directory to this version's schema (also done at every start)."""
    _existing(state)
    print(f"{state} is of schema version {VERSION}")


@state_app.command("verify-audit")
def verify_audit(state: Path = STATE) -> None:
    """Check every audit chain; name the first entry that does not hold."""
    if not (state / "audit").is_dir():
        raise ConfigError("there is no audit", where=str(state), remedy=_THAT_OF_RUN)
    checks = {path.name: verify(path) for path in sorted((state / "audit").glob("*.jsonl"))}
    for name, check in checks.items():
        print(f"{name}: {check.entries} entries hold" + (f"; then {check.fault}" if check.fault else ""))
    raise typer.Exit(0 if all(check.ok for check in checks.values()) else 1)


def _existing(state: Path) -> StateDir:
    """The state directory of a site. Raises: ConfigError: there is none."""
    if not state.is_dir() or not any(state.iterdir()):
        raise ConfigError("there is no state directory", where=str(state), remedy=_THAT_OF_RUN)
    return StateDir(state)
