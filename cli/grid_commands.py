"""`coldplate grid`: power budgets as the grid asks for them."""

from __future__ import annotations

import asyncio
from contextlib import closing
from functools import partial
from pathlib import Path

import typer

from cli.slurm_commands import API, TOKEN, token
from plant.errors import ConfigError, StoreError

MAX_PORT = 65535


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("grid")(grid)


def grid(
    broker: str = typer.Option("127.0.0.1:1883", "--broker", help="HOST:PORT of the DSX bus (MQTT 3.1.1)."),
    isv: list[str] = typer.Option(..., "--isv", help="Whose load targets count; repeatable."),
    feed: list[str] = typer.Option(..., "--feed", help="TAG=SCOPE: what a feed carries: site, a loop, CDU or rack."),
    key: list[str] = typer.Option([], "--key", help="KID=FILE: a sender's public key (PEM); repeatable."),
    unsigned: bool = typer.Option(False, "--unsigned", help="Take data without a signature, too."),
    other_kw: float | None = typer.Option(
        None, "--other-kw", min=0.0, help="What else than IT the site's feed carries [kW]; as metered by default."
    ),
    username: str = typer.Option("", "--username", help="At the broker; `oauthtoken` where it wants a token."),
    password_file: Path | None = typer.Option(None, "--password-file", exists=True, dir_okay=False),
    tls_ca: Path | None = typer.Option(None, "--tls-ca", help="PEM of the broker's authority."),
    tls_cert: Path | None = typer.Option(
        None, "--tls-cert", help="Own certificate (PEM). Any of these three turns TLS on."
    ),
    tls_key: Path | None = typer.Option(None, "--tls-key", help="Its key (PEM)."),
    api: str = API,
    token_file: Path | None = TOKEN,
    state: Path = typer.Option(Path("grid"), "--state", help="The folder in which load targets are kept."),
    name: str = typer.Option("grid", "--name", help="How this process is called in the API."),
    act: bool = typer.Option(False, "--act", help="Set budgets; without it only say which."),
) -> None:
    """Hold DSX Flex load targets as power budgets of coldplate, each until its own end."""
    from cli.grid_run import Grid, GridOptions, serve_grid
    from cli.processes import stamped
    from devices.mqtt import Subscriber
    from devices.tls import Tls
    from placement.api_client import Client
    from placement.signature import signed_payload

    host, _, port = broker.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= MAX_PORT:
        raise ConfigError(f"{broker!r} is no broker", where="--broker", remedy="give HOST:PORT")
    keys = {kid: Path(file) for kid, file in _pairs("--key", key).items()}
    other_w = None if other_kw is None else 1e3 * other_kw
    options = GridOptions(feeds=_pairs("--feed", feed), other_w=other_w, acts=act, unsigned=unsigned)
    files = [str(file or "") for file in (tls_ca, tls_cert, tls_key)]
    tls = Tls(*files) if any(files) else None
    password = _password(password_file) if password_file else ""
    topics = [f"grid/v1/isv/{name_}/loadtarget/set" for name_ in isv]
    bus = Subscriber(host, int(port), f"coldplate-{name}", topics, username=username, password=password, tls=tls)
    secret = token(token_file)
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o750)
    except OSError as error:
        raise StoreError(f"{state}: the folder can't be used: {error.strerror}") from error
    if not act:
        print("dry run: no budget is set; --act does it")
    with closing(Client(api, secret)) as client, closing(Client(api, secret)) as teller:
        held = Grid(client, state / "targets.json", options, partial(signed_payload, keys=keys), stamped)
        tell = (lambda report: teller.report(name, report)) if secret else None
        asyncio.run(serve_grid(held, bus, tell))


def _password(file: Path) -> str:
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"can't be read: {why}", where=str(file), remedy="give a file with the password") from error


def _pairs(option: str, texts: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for tag, sign, value in pairs:
        if not (tag and sign and value):
            raise ConfigError(f"{tag + sign + value!r} is no pair", where=option, remedy="give NAME=VALUE")
    return {tag: value for tag, _, value in pairs}
