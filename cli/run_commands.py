"""`run`, `edge`, `serve` and `demo`: the long-lived commands.

Each imports its rooms when it is called: a demo is five processes, and none should load what only another needs.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer

from cli import logs
from cli.processes import check_port_free, stop_on_signals
from plant.clock import ScaledClock
from plant.errors import ConfigError

SITE = typer.Argument(..., exists=True, dir_okay=False, help="The site file.")
STATE = typer.Option(Path("state"), "--state", help="The one directory that holds everything this site remembers.")
HOST = typer.Option("127.0.0.1", "--host", help="Address for the page and API; loopback unless you say otherwise.")
PORT = typer.Option(8080, "--port", min=1, max=65535, help="Port for the page and API.")
NAMES = typer.Option(None, "--name", help="Another name that browsers may call it by, e.g. a proxy's. Again for more.")
TLS_CERT = typer.Option(None, "--tls-cert", help="Certificate and its chain (PEM): https instead of http.")
TLS_KEY = typer.Option(None, "--tls-key", help="The certificate's key (PEM, without a password).")
CLOCK = typer.Option("", "--clock", hidden=True, help="Origin and speed of a simulated site's clock.")
ENDPOINTS = typer.Option(None, "--endpoints", help="JSON file {link: [host, port]} that overrides addresses.")
JOBS = typer.Option(
    None,
    "--jobs",
    dir_okay=False,
    help="A job list (docs/api.md), read again when it changes; else the site's jobs.file.",
)
SWITCHBACK = typer.Option(
    None,
    "--switchback",
    exists=True,
    dir_okay=False,
    help="A plan of `coldplate switchback plan`: blocks of the site's own rule and of coldplate in their turn.",
)
STORE = typer.Option(
    None, "--store", help="Where samples go: embedded (default), or a server's URL; by default $COLDPLATE_STORE."
)
MAX_SPEED = 60.0


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("run")(run_site)
    app.command("edge")(edge_only)
    app.command("serve")(serve_only)
    app.command("demo")(run_demo)


def run_site(
    site: Path = SITE,
    state: Path = STATE,
    host: str = HOST,
    port: int = PORT,
    name: list[str] | None = NAMES,
    tls_cert: Path | None = TLS_CERT,
    tls_key: Path | None = TLS_KEY,
    clock: str = CLOCK,
    endpoints: Path | None = ENDPOINTS,
    store: str | None = STORE,
    jobs: Path | None = JOBS,
    switchback: Path | None = SWITCHBACK,
    log_format: logs.LogFormat = logs.OPTION,
) -> None:
    """Run a site: edge and control in this process, page and API in a child."""
    from cli.edge import EdgeOptions
    from cli.listening import Listening
    from cli.run import RunOptions, run

    logs.set_up(log_format)
    at = Listening(host=host, port=port, names=tuple(name or ()), tls_cert=tls_cert, tls_key=tls_key)
    at.check()
    edge = EdgeOptions(
        site_path=site,
        state=state,
        clock=ScaledClock.parse(clock),
        endpoints=endpoints,
        store=store,
        jobs=jobs,
        switchback=switchback,
    )
    asyncio.run(run(RunOptions(edge=edge, at=at, log_format=log_format)))


def edge_only(
    site: Path = SITE,
    state: Path = STATE,
    clock: str = CLOCK,
    endpoints: Path | None = ENDPOINTS,
    store: str | None = STORE,
    jobs: Path | None = JOBS,
    switchback: Path | None = SWITCHBACK,
    log_format: logs.LogFormat = logs.OPTION,
) -> None:
    """Run edge and control alone, without a page."""
    from cli.edge import Edge, EdgeOptions

    logs.set_up(log_format)
    options = EdgeOptions(
        site_path=site,
        state=state,
        clock=ScaledClock.parse(clock),
        endpoints=endpoints,
        store=store,
        jobs=jobs,
        switchback=switchback,
    )
    edge = Edge(options)

    async def work() -> None:
        stop = asyncio.Event()
        stop_on_signals(stop)
        await edge.run(stop)

    asyncio.run(work())


def serve_only(
    site: Path = SITE,
    state: Path = STATE,
    host: str = HOST,
    port: int = PORT,
    name: list[str] | None = NAMES,
    tls_cert: Path | None = TLS_CERT,
    tls_key: Path | None = TLS_KEY,
    clock: str = CLOCK,
    endpoints: Path | None = ENDPOINTS,
    store: str | None = STORE,
    until_stdin_closes: bool = typer.Option(False, "--until-stdin-closes", hidden=True),
    log_format: logs.LogFormat = logs.OPTION,
) -> None:
    """Serve page and API alone, over a state directory that an edge works in."""
    from cli.endpoints import read_endpoints
    from cli.listening import Listening
    from cli.serve import serve

    logs.set_up(log_format)
    serve(
        site_path=site,
        state=state,
        at=Listening(host=host, port=port, names=tuple(name or ()), tls_cert=tls_cert, tls_key=tls_key),
        clock=clock,
        endpoints=read_endpoints(endpoints),
        store=store,
        until_stdin_closes=until_stdin_closes,
    )


def run_demo(
    port: int = PORT,
    speed: float = typer.Option(20.0, "--speed", help="How many times faster than real time, 1 to 60."),
    site: Path | None = typer.Option(None, "--site", help="Another site file; the demo pod by default."),
    state: Path | None = typer.Option(None, "--state", help="Keep its state here; a temporary directory by default."),
    host: str = HOST,
    broker: str | None = typer.Option(None, "--broker", help="host:port of an MQTT broker; embedded by default."),
) -> None:
    """Simulate a plant over real protocols and bring it under control: open the printed address."""
    from cli.demo import DemoOptions, demo

    logs.set_up(logs.LogFormat.TEXT)
    if not 1.0 <= speed <= MAX_SPEED:
        raise ConfigError(
            f"--speed {speed:g}", remedy=f"choose 1 to {MAX_SPEED:g}; leases are shorter than a second above"
        )
    check_port_free(host, port)
    options = DemoOptions(host=host, port=port, speed=speed, site_path=site, state=state, broker=broker)
    raise typer.Exit(asyncio.run(demo(options)))
