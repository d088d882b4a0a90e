"""`coldplate serve`: the page and the API, in a process that talks to no device."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI

from api.app import create_app
from cli.listening import Listening
from plant.clock import ScaledClock
from plant.topology import Site
from sites import load_site
from store.open import open_store, store_url
from store.state import StateDir

_STOP_GRACE_S = 3
_KEPT_S = 120
"""Longer than kube-scheduler keeps an idle connection (90 s): who ends it first must not be us, as a question that is
on its way then is lost, and an extender that can be ignored with it."""


def make_app(site: Site, state: Path, at: Listening, clock: ScaledClock, store: str | None = None) -> FastAPI:
    """The application over a state directory."""
    kept = StateDir(state)
    return create_app(
        site=site,
        bus_path=state / "bus.sock",
        store=open_store(store_url(store), state, site.retention, read_only=True, clock=clock),
        token=kept.token(),
        extender_token=kept.token("extender-token") if at.open else "",
        allowed_hosts=at.allowed_hosts,
        state=state,
        clock=clock,
    )


class PageServer(uvicorn.Server):
    """Ends its streams before it waits for connections, and ends with its parent where told to."""

    def __init__(self, app: FastAPI, at: Listening) -> None:
        config = uvicorn.Config(
            app,
            **at.uvicorn(),
            access_log=False,
            log_level="warning",
            log_config=None,
            lifespan="on",
            server_header=False,
            timeout_graceful_shutdown=_STOP_GRACE_S,
            timeout_keep_alive=_KEPT_S,
        )
        super().__init__(config)
        self._service = app.state.service
        self._has_parent = False
        self._impatient = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of uvicorn
        """Stop on a signal; a second one stops at once, unless a parent sends what a terminal sent already."""
        self.force_exit, self._impatient = self._impatient, not self._has_parent
        self.stop()

    def stop(self) -> None:
        """End the streams, then the server."""
        self._service.closing = True
        self.should_exit = True

    async def work(self, *, until_stdin_closes: bool) -> None:
        """Serve until told to stop."""
        self._has_parent = until_stdin_closes
        if until_stdin_closes:
            loop = asyncio.get_running_loop()
            threading.Thread(target=_call_at_end_of_input, args=(loop, self.stop), daemon=True).start()
        await self.serve()


def _call_at_end_of_input(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    # os.read, as a thread that waits in sys.stdin would hold its lock when the interpreter ends
    while os.read(sys.stdin.fileno(), 4096):
        pass
    with contextlib.suppress(RuntimeError):  # the loop has ended already
        loop.call_soon_threadsafe(stop)


def serve(
    site_path: Path,
    state: Path,
    at: Listening,
    clock: str = "",
    endpoints: Mapping[str, tuple[str, int]] | None = None,
    store: str | None = None,
    *,
    until_stdin_closes: bool = False,
) -> None:
    """Serve until SIGTERM, SIGINT, or (where asked) the end of standard input.

    Raises:
        ConfigError: the site file is wrong, the port is in use, or certificate and key don't fit.
    """
    at.check()
    site = load_site(site_path, dict(endpoints) if endpoints else None)
    app = make_app(site, state, at, ScaledClock.parse(clock), store)
    asyncio.run(PageServer(app, at).work(until_stdin_closes=until_stdin_closes))
