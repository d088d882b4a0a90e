"""The simulated plant as a process: Modbus TCP devices and MQTT telemetry on loopback, paced by one clock."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TextIO

from plant.clock import Clock, ScaledClock
from plant.errors import ColdplateError, ConfigError
from plant.points import PointId
from plant.topology import Site
from simulator.bms import listen
from simulator.broker import LOOPBACK, EmbeddedBroker, embedded_broker
from simulator.faults import Faults
from simulator.load import job_document
from simulator.loops import modbus_profiles
from simulator.plant import SimulatedPlant
from simulator.registers import RegisterImage
from simulator.telemetry import Bms, pace, publish
from simulator.wire import ModbusServer
from sites import load_site

Address = tuple[str, int]
Endpoints = Mapping[str, Address]
FAULTS = "faults"
JOBS_EVERY_S = 60.0
TICK_S = 2.0
LONGEST_STEP_S = 60.0


class DeviceLog:
    """What the devices did, as JSON lines: t [s since 1970, site time], mono [s], device, event, values."""

    def __init__(self, file: TextIO | None, clock: Clock) -> None:
        self._file, self._clock = file, clock

    def write(self, at_s: float, device: str, event: str, values: Mapping[str, float | str]) -> None:
        """Append one event."""
        if self._file is not None:
            line = {"t": at_s, "mono": self._clock.monotonic(), "device": device, "event": event, "values": values}
            with contextlib.suppress(OSError):  # a full disk stops the log, not the plant
                self._file.write(json.dumps(line) + "\n")
                self._file.flush()


async def serve_plant(
    site: Site,
    clock: Clock,
    *,
    ports: Mapping[str, int] | None = None,
    broker: Address | None = None,
    fallback_ports: bool = False,
    log_path: Path | None = None,
    jobs_path: Path | None = None,
    ready: Callable[[Endpoints], None] | None = None,
    faults: Faults | None = None,
) -> None:
    """Serve until cancelled. `ports` overrides the site file's by link; without a `broker` one is embedded.

    `jobs_path`: where the simulated scheduler writes its job list.
    `ready` gets the address of every link, and of `faults`: a TCP port that takes the lines of `Faults.command`.

    Raises:
        ConfigError: a port is in use.
    """
    async with AsyncExitStack() as stack:
        file = stack.enter_context(log_path.open("a", encoding="utf-8")) if log_path else None
        log = DeviceLog(file, clock)
        plant = SimulatedPlant(site, clock.now(), faults=faults, log=log.write)
        opening = _Opening(site, dict(ports or {}), fallback_ports, stack)
        endpoints = await opening.modbus(plant)
        embedded = None if broker else await opening.broker()
        bus = (embedded.host, embedded.port) if embedded else broker
        assert bus is not None
        endpoints |= {link.id: bus for link in site.links.values() if link.transport == "mqtt"}
        endpoints[FAULTS] = await _open_faults(plant, stack)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_run_physics(plant, clock))
            speech = pace(Bms(plant), clock, embedded.send) if embedded else publish(plant, clock, *bus)
            tasks.create_task(speech)
            tasks.create_task(listen(plant, *bus))
            if jobs_path is not None:
                tasks.create_task(_tell_jobs(plant, clock, jobs_path))
            if ready is not None:
                ready(endpoints)


class _Opening:
    """Opens a site's servers, and leaves closing to the stack."""

    def __init__(self, site: Site, ports: dict[str, int], fallback: bool, stack: AsyncExitStack) -> None:
        self._site, self._ports, self._fallback, self._stack = site, ports, fallback, stack

    def _port(self, link: str) -> int:
        return self._ports.get(link, self._site.links[link].port)

    async def modbus(self, plant: SimulatedPlant) -> dict[str, Address]:
        """One server for each Modbus link."""
        found: dict[str, Address] = {}
        for link, units in _units(plant).items():
            server = ModbusServer(units, plant.faults.silent.__contains__)
            where = f"{self._site.path}: link {link}"
            self._stack.push_async_callback(server.close)
            found[link] = await server.start(LOOPBACK, self._port(link), fallback=self._fallback, where=where)
        return found

    async def broker(self) -> EmbeddedBroker:
        """The embedded broker at the port of the site's first MQTT link."""
        link = next((name for name, entry in self._site.links.items() if entry.transport == "mqtt"), None)
        port = self._port(link) if link else 0
        where = f"{self._site.path}: link {link}"
        return await self._stack.enter_async_context(embedded_broker(port, fallback=self._fallback, where=where))


def _units(plant: SimulatedPlant) -> dict[str, dict[int, RegisterImage]]:
    found: dict[str, dict[int, RegisterImage]] = {}
    for equipment in plant.site.equipment.values():
        for profile, link, unit in modbus_profiles(equipment):
            show = _shown(plant, equipment.id)
            image = RegisterImage(equipment.id, profile, show, plant.command, plant.faults.all_ones)
            found.setdefault(link, {})[unit] = image
    return found


def _shown(plant: SimulatedPlant, equipment: str) -> Callable[[], dict[PointId, float]]:
    return lambda: plant.measured((equipment,))


async def _run_physics(plant: SimulatedPlant, clock: Clock) -> None:
    """Keep the plant at the clock; after a long stop it catches up in pieces, so that the servers go on answering."""
    ahead_s = plant.time_s - clock.monotonic()
    pause_s = min(max(clock.real(TICK_S), 0.05), 0.5)
    while True:
        behind_s = clock.monotonic() + ahead_s - plant.time_s
        plant.step(min(behind_s, LONGEST_STEP_S))
        await asyncio.sleep(0.0 if behind_s > LONGEST_STEP_S else pause_s)


async def _tell_jobs(plant: SimulatedPlant, clock: Clock, path: Path) -> None:
    """The simulated scheduler: writes what it knows of its jobs every minute of site time."""
    while True:
        with contextlib.suppress(OSError):  # a full disk stops the list, not the plant; it goes stale and is told of
            _write_whole(path, job_document(plant.mix.outlook(clock.now()), clock.now()))
        await asyncio.sleep(max(clock.real(JOBS_EVERY_S), 0.2))


async def _open_faults(plant: SimulatedPlant, stack: AsyncExitStack) -> Address:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                writer.write(_obey(plant, line.decode(errors="replace")))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    stack.callback(server.close)
    host, port = server.sockets[0].getsockname()[:2]
    return str(host), int(port)


def _obey(plant: SimulatedPlant, line: str) -> bytes:
    try:
        plant.faults.command(line, plant.measured())
    except ConfigError as error:
        return f"error: {error}\n".encode()
    return b"ok\n"


def write_endpoints(folder: Path, endpoints: Endpoints) -> None:
    """Put the addresses into files, whole or not at all; `endpoints.json` comes last, as the sign of readiness.

    endpoints.json: {link: [host, port]}; faults.json: {"address": [host, port], "pid": number}.
    """
    links = {link: list(address) for link, address in endpoints.items() if link != FAULTS}
    _write_whole(folder / "faults.json", {"address": list(endpoints[FAULTS]), "pid": os.getpid()})
    _write_whole(folder / "endpoints.json", links)


def _write_whole(path: Path, body: object) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(body, indent=1), encoding="utf-8")
    draft.replace(path)


def main(
    site_path: str,
    clock_spec: str,
    state_folder: Path,
    broker: Address | None = None,
    fallback_ports: bool = False,
    until_stdin_closes: bool = False,
) -> None:
    """Serve a site until SIGTERM or SIGINT.

    `endpoints.json`, `devices.jsonl` and `job-list.json` lie in the state folder.
    With `until_stdin_closes` it also ends with the process that holds the other end of its standard input.

    Raises:
        ConfigError: the site file is wrong, or a port is in use.
    """
    state_folder.mkdir(parents=True, exist_ok=True)
    (state_folder / "endpoints.json").unlink(missing_ok=True)
    serving = serve_plant(
        load_site(site_path),
        ScaledClock.parse(clock_spec),
        broker=broker,
        fallback_ports=fallback_ports,
        log_path=state_folder / "devices.jsonl",
        jobs_path=state_folder / "job-list.json",
        ready=lambda endpoints: write_endpoints(state_folder, endpoints),
    )

    async def run() -> None:
        task = asyncio.ensure_future(serving)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        if until_stdin_closes:
            threading.Thread(target=_wait_for_end, args=(asyncio.get_running_loop(), task), daemon=True).start()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    try:
        asyncio.run(run())
    except ExceptionGroup as group:  # `except*` wraps what it raises again in Debian 12's Python 3.11.2
        raise group.exceptions[0] from None


def _wait_for_end(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    """In a thread of its own: a pipe, a file and a terminal can all be read this way."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    with contextlib.suppress(RuntimeError):  # the loop has ended already
        loop.call_soon_threadsafe(task.cancel)


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulator.serve", description=__doc__)
    parser.add_argument("site_path")
    parser.add_argument("--clock", default="", help="the clock's spec; empty is the machine's own")
    parser.add_argument("--state", type=Path, required=True, help="folder for endpoints.json and devices.jsonl")
    parser.add_argument("--broker", default="", help="host:port of an MQTT broker; empty embeds one")
    parser.add_argument("--fallback-ports", action="store_true", help="take a free port where one is in use")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when standard input does")
    return parser.parse_args(words)


def run_from(words: list[str]) -> int:
    """The process's entry: 0 at a clean end, 2 with one sentence on standard error."""
    given = _arguments(words)
    host, _, port = given.broker.rpartition(":")
    try:
        main(
            given.site_path,
            given.clock,
            given.state,
            (host, int(port)) if port else None,
            given.fallback_ports,
            given.until_stdin_closes,
        )
    except ColdplateError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a person reads it
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(run_from(sys.argv[1:]))
