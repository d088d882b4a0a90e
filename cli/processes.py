"""Child processes of a run: started by us, ended by us, and never outliving their parent."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path

from plant.errors import ConfigError

STOP_GRACE_S = 15.0


def check_port_free(host: str, port: int) -> None:
    """Say so before anything starts when the page's port is taken.

    Raises:
        ConfigError: in use, or not an address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            where = f"port {port} on {host}"
            raise ConfigError(f"{error.strerror or error}", where=where, remedy="choose another with --port") from error


def command(*arguments: str | Path) -> list[str]:
    """The command line of another `coldplate` process in this environment."""
    return [sys.executable, "-m", "cli.main", *map(str, arguments)]


def stop_on_signals(stop: asyncio.Event) -> None:
    """SIGTERM and SIGINT set `stop`."""
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)


async def end(process: asyncio.subprocess.Process) -> None:
    """Ask it to stop; kill it after a grace."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_GRACE_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def stamped(text: str) -> None:
    """Print a line with its time."""
    print(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {text}", flush=True)
