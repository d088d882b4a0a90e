"""`coldplate run`: edge and control here, page and API in a child that ends with us, also when we are killed."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

from cli.edge import Edge, EdgeOptions
from cli.listening import Listening
from cli.logs import LogFormat
from cli.processes import command, end, stop_on_signals

log = logging.getLogger("coldplate.run")

RESTART_REAL_S = 2.0


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """An edge, and where its page is served."""

    edge: EdgeOptions
    at: Listening
    log_format: LogFormat = LogFormat.TEXT


async def run(options: RunOptions) -> None:
    """Work until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    stop_on_signals(stop)
    edge = Edge(options.edge)
    serving = asyncio.create_task(_keep_serving(options, stop))
    try:
        await edge.run(stop)
    finally:
        stop.set()
        await serving


async def _keep_serving(options: RunOptions, stop: asyncio.Event) -> None:
    """A page that falls over is started again; control does not notice."""
    while not stop.is_set():
        process = await _serve(options)
        ended = asyncio.create_task(process.wait())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        await end(process)
        if not stop.is_set():
            log.warning("page and API ended with status %s; started again", process.returncode)
            await asyncio.sleep(RESTART_REAL_S)


async def _serve(options: RunOptions) -> asyncio.subprocess.Process:
    edge = options.edge
    arguments: list[str | Path] = [
        "serve",
        edge.site_path,
        "--state",
        edge.state,
        *options.at.arguments(),
    ]
    arguments += ["--clock", edge.clock.spec(), "--until-stdin-closes", "--log-format", options.log_format.value]
    arguments += ["--endpoints", edge.endpoints] if edge.endpoints else []
    arguments += ["--store", edge.store] if edge.store else []
    # The child reads its standard input to the end: the pipe closes when this process is gone, however it went.
    return await asyncio.create_subprocess_exec(*command(*arguments), stdin=asyncio.subprocess.PIPE)
