"""`coldplate demo`: a simulated plant in one process, `coldplate run` in another, and this one to watch both.

Only here is writing enabled, and only for the endpoints that the demo itself started: it writes the
commissioning record that a real site gets from `coldplate commission`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from cli.processes import command, end, stop_on_signals
from plant.clock import ScaledClock
from plant.errors import ConfigError, StoreError
from sites import load_site
from store.embedded import EmbeddedStore
from store.state import StateDir

PLANT_READY_REAL_S = 60.0
RESTART_REAL_S = 2.0
PAGE_LOOK_REAL_S = 0.2
BUSY_LOAD = 2.0
"""Of what each core runs or holds waiting, from which on a demo falls behind."""


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """What `coldplate demo` was asked for."""

    host: str
    port: int
    speed: float
    site_path: Path | None
    state: Path | None
    broker: str | None


def shipped_site(name: str) -> Path:
    """A site file that comes with coldplate: from the checkout, or from the installed package."""
    checkout = Path(__file__).parents[1] / "site-configs" / f"{name}.yaml"
    return checkout if checkout.exists() else Path(str(resources.files("sites") / "examples" / f"{name}.yaml"))


async def demo(options: DemoOptions) -> int:
    """Run until Ctrl-C or SIGTERM; the exit status."""
    stop = asyncio.Event()
    stop_on_signals(stop)
    site_path = options.site_path or shipped_site("demo-pod")
    site = load_site(site_path)
    folder = options.state or Path(tempfile.mkdtemp(prefix="coldplate-demo-"))
    state = StateDir(folder)
    clock = ScaledClock(speed=options.speed, origin_epoch_s=await _start_time(folder))
    plant = await _start_plant(site_path, clock, folder, options.broker)
    try:
        endpoints = await _endpoints(plant, folder / "endpoints.json", stop)
        own = [f"{host}:{port}" for host, port in endpoints.values()]
        state.write_json("commissioning.json", {"endpoints": own, "by": "coldplate demo", "start_mode": "auto"})
        _say_where(site.name, folder, endpoints)
        telling = asyncio.create_task(_say_page(options, state.token()))
        try:
            await _keep_running(options, site_path, folder, clock, stop)
        finally:
            telling.cancel()
    finally:
        await end(plant)
    return 0


async def _start_time(folder: Path) -> float:
    """Now, or just after the newest sample of a state that an earlier (faster) demo left."""
    history = folder / "history.sqlite"
    if not history.exists():
        return time.time()
    with contextlib.suppress(StoreError):
        store = EmbeddedStore.open(history, {}, read_only=True)
        newest = await store.newest_s()
        await store.close()
        return max(time.time(), newest + 1.0)
    return time.time()


async def _start_plant(
    site_path: Path, clock: ScaledClock, folder: Path, broker: str | None
) -> asyncio.subprocess.Process:
    (folder / "endpoints.json").unlink(missing_ok=True)
    arguments = [str(site_path), "--clock", clock.spec(), "--state", str(folder), "--fallback-ports"]
    arguments += ["--broker", broker] if broker else []
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulator.serve", *arguments, "--until-stdin-closes", stdin=asyncio.subprocess.PIPE
    )


async def _endpoints(plant: asyncio.subprocess.Process, path: Path, stop: asyncio.Event) -> dict[str, tuple[str, int]]:
    """Where the simulated devices answer, once they do.

    Raises:
        ConfigError: the plant ended or never got ready.
    """
    deadline = time.monotonic() + PLANT_READY_REAL_S
    while not path.exists():
        if plant.returncode is not None or time.monotonic() > deadline or stop.is_set():
            raise ConfigError("the simulated plant did not start", remedy="its own message stands above")
        await asyncio.sleep(0.1)
    return {link: (host, int(port)) for link, (host, port) in json.loads(path.read_text("utf-8")).items()}


def _say_where(name: str, folder: Path, endpoints: dict[str, tuple[str, int]]) -> None:
    print(f"{name}: simulated devices answer at")
    for link, (host, port) in endpoints.items():
        print(f"  {link:12} {host}:{port}")
    print(f"state in {folder}; the page starts …", flush=True)


async def _say_page(options: DemoOptions, token: str) -> None:
    """The page's address, once it answers there: whoever follows it sooner meets a refused connection."""
    while not await _answers(options.host, options.port):  # noqa: ASYNC110 - another process's socket has no event
        await asyncio.sleep(PAGE_LOOK_REAL_S)
    address = f"http://{options.host}:{options.port}/"
    print(f"page     {address}")
    print(f"with commands allowed  {address}#token={token}")
    print("Ctrl-C ends it", flush=True)
    if busy := too_busy(options.speed, os.getloadavg()[0], os.cpu_count() or 1):
        print(busy, flush=True)


async def _answers(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


def too_busy(speed: float, load: float, cores: int) -> str:
    """What to do where other work leaves no time for a clock so fast; empty where there is time.

    load: processes that run or wait to; such a computer can't read devices in time, and what is stale is let go.
    """
    if load <= BUSY_LOAD * cores or speed <= 1.0:
        return ""
    return (
        f"this computer is busy (load {load:.0f} on {cores} cores): at {speed:g} times real time values may go stale "
        "and devices be let go; end other work, or start with a lower SPEED"
    )


async def _keep_running(
    options: DemoOptions, site_path: Path, folder: Path, clock: ScaledClock, stop: asyncio.Event
) -> None:
    """`coldplate run`, started again when somebody kills it: part of what there is to see."""
    arguments: list[str | Path] = [
        "run",
        site_path,
        "--state",
        folder,
        "--host",
        options.host,
        "--port",
        str(options.port),
    ]
    arguments += ["--clock", clock.spec(), "--endpoints", folder / "endpoints.json"]
    arguments += ["--jobs", folder / "job-list.json"]
    arguments += ["--store", "embedded"]  # simulated samples never go to a site's own server
    while not stop.is_set():
        process = await asyncio.create_subprocess_exec(*command(*arguments))
        (folder / "run.pid").write_text(str(process.pid), encoding="utf-8")
        ended = asyncio.create_task(process.wait())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        await end(process)
        if not stop.is_set():
            print(f"coldplate run ended with status {process.returncode}; started again", flush=True)
            await asyncio.sleep(RESTART_REAL_S)
