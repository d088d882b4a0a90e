"""`coldplate probe`, `devices` and `simulate`: unknown devices, known ones, and those that are not there."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from cli.processes import stop_on_signals
from plant.errors import ConfigError, RefusedError, SilentError

if TYPE_CHECKING:
    from devices.modbus import ModbusEndpoint
    from devices.probing import Found, Row
    from devices.profiles import Profile, ProfilePoint, Table

_TABLES = ("holding", "input", "coil", "discrete")
_WORD_MOST = 0x10000
_HEAD = f"{'address':>13}  {'hex':<6}  {'bits':<19}  {'u16':>6} {'s16':>6}"


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command("probe")(probe)
    app.command("devices")(devices)
    app.command("simulate")(simulate)


def devices() -> None:
    """Print every shipped device profile as Markdown: source, revision, fallback, points, bounds, alarm bits."""
    from devices.catalogue import catalogue_text

    typer.echo(catalogue_text(), nl=False)


def simulate(
    profile: str = typer.Argument(..., help="A shipped Modbus profile, or a profile's file."),
    port: int = typer.Option(1502, "--port", min=1, max=65535, help="TCP port on the loopback address."),
    unit: int = typer.Option(1, "--unit", min=0, max=255, help="Unit id."),
) -> None:
    """Serve a simulated device of a profile on loopback until interrupted, to try a profile, a site file or `probe`."""
    from simulator.broker import LOOPBACK
    from simulator.profile_device import serve_profile

    def ready(host: str, bound: int) -> None:
        typer.echo(f"{profile} as unit {unit} at {host}:{bound}; Ctrl-C ends it")

    async def serve() -> None:
        stop = asyncio.Event()
        stop_on_signals(stop)
        serving = asyncio.create_task(serve_profile(_profile(profile), LOOPBACK, port, unit, ready))
        ended = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, ended}, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if ended.done():
            serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving

    asyncio.run(serve())


def probe(
    host: str = typer.Argument(..., help="Name or address of a Modbus TCP device or gateway."),
    port: int = typer.Option(502, "--port", min=1, max=65535, help="TCP port."),
    unit: int = typer.Option(1, "--unit", min=0, max=255, help="Unit id; behind a gateway each device has its own."),
    table: str = typer.Option("holding", "--table", help="holding, input, coil or discrete."),
    first: int = typer.Option(0, "--first", min=0, max=_WORD_MOST - 1, help="First address, counted from 0."),
    count: int = typer.Option(100, "--count", min=1, max=_WORD_MOST, help="How many addresses to try."),
    framing: str = typer.Option("tcp", "--framing", help="tcp, or rtu for RTU frames over TCP."),
    pause_s: float = typer.Option(0.05, "--pause", min=0, max=10, help="Quiet time between requests [s]."),
    timeout_s: float = typer.Option(2.0, "--timeout", min=0.05, max=60, help="Time for each answer [s]."),
    out: Path | None = typer.Option(None, "--draft", help="Write a first device profile to this file."),
    profile: str = typer.Option("", "--profile", help="Read the device by a shipped profile, or by a profile's file."),
) -> None:
    """Read an unknown Modbus device, gently and without writing, and show every register in every reading.

    A star marks what looks like a measurement or a counter. Registers that the device refuses are left out.
    """
    _check(table, framing, out)
    known = _profile(profile) if profile else None
    endpoint = _endpoint(host, port, timeout_s, pause_s, rtu=framing == "rtu")
    if known is not None:
        asyncio.run(_told(endpoint, unit, _by_profile(endpoint, unit, known)))
        return
    wanted, area = cast("Table", table), range(first, min(first + count, _WORD_MOST))
    asyncio.run(_told(endpoint, unit, _explored(endpoint, unit, wanted, area, out)))


def _check(table: str, framing: str, out: Path | None) -> None:
    if table not in _TABLES:
        raise ConfigError(f"{table!r}", where="--table", remedy=f"use one of {', '.join(_TABLES)}")
    if framing not in {"tcp", "rtu"}:
        raise ConfigError(f"{framing!r}", where="--framing", remedy="use tcp or rtu")
    if out is not None and out.exists():
        raise ConfigError("exists", where=str(out), remedy="give another name, or move it away")


def _profile(name: str) -> Profile:
    from devices.profiles import load_profile, read_profile

    is_file = Path(name).suffix in {".yaml", ".yml"}
    if is_file and not Path(name).is_file():
        raise ConfigError("no such file", where=name, remedy="give a profile's file, or the name of a shipped profile")
    found = read_profile(Path(name)) if is_file else load_profile(name)
    if found.transport != "modbus-tcp":
        raise ConfigError(f"{name} speaks {found.transport}", where="--profile", remedy="give a Modbus profile")
    return found


def _endpoint(host: str, port: int, timeout_s: float, pause_s: float, *, rtu: bool) -> ModbusEndpoint:
    from devices.modbus import ModbusEndpoint

    return ModbusEndpoint(host, port, timeout_s=timeout_s, pause_s=pause_s, rtu=rtu)


async def _told(endpoint: ModbusEndpoint, unit: int, work: Awaitable[None]) -> None:
    """Do it, and say in one sentence what to try next where nobody answers."""
    from devices.modbus import BusyError

    place, connected = f"{endpoint.name} unit {unit}", False
    try:
        await work
    except BusyError as error:
        raise SilentError(f"{error}; try another --unit, or ask again later") from error
    except SilentError as error:
        connected = await _connects(endpoint)
        if not connected:
            raise SilentError(f"{place}: nobody listens there; check power, cable, host and --port") from error
        remedy = "try another --unit, --framing rtu or a longer --timeout"
        raise SilentError(f"{place}: the port is open, but no valid answer comes; {remedy}") from error
    except RefusedError as error:
        raise RefusedError(f"{error}; try another --table") from error
    finally:
        await endpoint.close()


async def _connects(endpoint: ModbusEndpoint) -> bool:
    try:
        async with asyncio.timeout(endpoint.timeout_s):
            _, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    except (OSError, ValueError):  # TimeoutErrors are of the first; what is no host name, of the second
        return False
    writer.close()
    return True


async def _explored(endpoint: ModbusEndpoint, unit: int, table: Table, area: range, out: Path | None) -> None:
    from devices.probing import explore, sunspec_map

    found = await explore(lambda address, size: endpoint.read(unit, table, address, size), area.start, len(area))
    models = await sunspec_map(endpoint, unit) if table == "holding" else []
    place = f"{endpoint.name} unit {unit}"
    for line in _report(place, table, found):
        typer.echo(line)
    for address, model, length in models:
        typer.echo(f"SunSpec: model {model} with {length} registers after its header at {address}")
    if any(200 < model < 205 for _, model, _ in models):
        typer.echo("SunSpec: the profile sunspec-meter reads it")
    if out is not None:
        _write_draft(out, place, table, found)


def _report(place: str, table: Table, found: Found) -> Iterator[str]:
    from devices.probing import float_order, rows, text_runs

    yield f"{place} {table}: {len(found.words)} registers after {found.requests} reads, {found.refused} of them refused"
    yield from (f"stopped: {found.stopped}; narrow it with --first and --count" for _ in range(bool(found.stopped)))
    if not found.words:
        yield "nothing to show; try another --table, or other addresses with --first"
        return
    yield f"readable: {', '.join(f'{r.start}..{r.stop - 1}' for r in found.ranges())}"
    if table in {"coil", "discrete"}:
        yield from (f"{address:>6}  {word}" for address, word in sorted(found.words.items()))
        return
    order = float_order(found.words)
    if order:
        yield f"32-bit floats seem to come as {order}"
    yield from (f"text at {address}, {size} registers: {text}" for address, size, text in text_runs(found.words))
    yield from _table(rows(found.words))


def _table(rows: list[Row]) -> Iterator[str]:
    from devices.probing import ORDERS, plausible_counter, plausible_float

    heads = "".join(f"  {f'u32 {o}':>11} {f's32 {o}':>12} {f'f32 {o}':>13}" for o in ORDERS)
    yield _HEAD + heads
    for row in rows:
        place = f"{row.address:>6} {f'0x{row.address:04X}':>6}"
        line = f"{place}  0x{row.word:04X}  {row.bits}  {row.word:>6} {row.signed:>6}"
        for _, unsigned, signed, real in row.wide:
            marks = [
                " *"[plausible_counter(unsigned)],
                " *"[plausible_counter(abs(signed))],
                " *"[plausible_float(real)],
            ]
            line += f"  {unsigned:>10}{marks[0]} {signed:>11}{marks[1]} {real:>12.6g}{marks[2]}"
        yield line.rstrip()


def _write_draft(out: Path, place: str, table: Table, found: Found) -> None:
    from devices.probing import draft
    from devices.profiles import read_profile

    if not found.words:
        raise RefusedError(f"{place}: nothing could be read, so there is no draft; try another --table or --first")
    name = re.sub(r"[^a-z0-9-]+", "-", out.stem.lower()).strip("-") or "draft"
    try:
        out.write_text(draft(name, place, table, found), encoding="utf-8")
    except OSError as error:
        remedy = "give a place that can be written to"
        raise ConfigError(f"can't be written: {error.strerror}", where=str(out), remedy=remedy) from error
    points = len(read_profile(out).points)
    typer.echo(f"{out}: a draft with {points} points; edit it, then run: coldplate probe HOST --profile {out}")


async def _by_profile(endpoint: ModbusEndpoint, unit: int, profile: Profile) -> None:
    from devices.probing import read_texts
    from devices.readplan import UnitReader

    reader = UnitReader(endpoint, profile, unit)
    for period_s in reader.periods:
        reading = await reader.read(period_s)
        for point, value in zip(reading.points, reading.values.tolist(), strict=True):
            typer.echo(_shown(point, value))
    for point in reader.unreadable:
        typer.echo(f"{point.name:<44} the device does not have it")
    for name, text in (await read_texts(endpoint, profile, unit)).items():
        typer.echo(f"{name:<44} {text!r}")


def _shown(point: ProfilePoint, value_si: float) -> str:
    """One point in the unit of its profile, and whether it is plausible."""
    from plant.quantities import to_si

    factor, offset = to_si(point.unit)
    value = (value_si - offset) / factor
    if value != value:  # noqa: PLR0124 - NaN
        return f"{point.name:<44} no value"
    low = point.min is not None and value < point.min
    high = point.max is not None and value > point.max
    unit = "" if point.unit in {"1", "code"} else f" {point.unit}"
    words = point.states.get(round(value), "") or ", ".join(n for b, n in point.bits.items() if int(value) >> b & 1)
    remark = "  below what is plausible" if low else "  above what is plausible" if high else ""
    return f"{point.name:<44} {value:.8g}{unit}{f'  {words}' if words else ''}{remark}"
