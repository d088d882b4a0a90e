"""Asks each device and broker once, from here. Only for when no edge runs: some devices allow one connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from cli.doctor_checks import Check
from collector.http_readers import DcgmReader, Reader, RedfishReader
from collector.mqtt_options import link_options
from collector.wiring import Wire, wires
from devices.http import HttpEndpoint
from devices.http_options import read_options
from devices.modbus import ModbusEndpoint
from devices.modbus_options import modbus_endpoint
from devices.mqtt_probe import knock
from devices.readplan import UnitReader
from plant.clock import ScaledClock
from plant.errors import ConfigError, RefusedError, SilentError
from plant.topology import Link, Site

MAX_AT_ONCE = 16
_SILENT_REMEDY = "check its power and network, and the link's host, port and unit"
_REFUSED_REMEDY = "check credentials and rights, and that it is the device that its profile describes"


async def link_checks(site: Site) -> list[Check]:
    """Every link of the site, some at once; the units of one link one after another over one connection."""
    slots = asyncio.Semaphore(MAX_AT_ONCE)

    async def one(link: Link) -> list[Check]:
        async with slots:
            try:
                return await _CHECKS[link.transport](site, link, wires(site, link.id))
            except ConfigError as error:
                return [Check(name=f"link {link.id}", status="fail", text=error.message, remedy=error.remedy)]

    return [check for found in await asyncio.gather(*map(one, site.links.values())) for check in found]


async def _modbus(_site: Site, link: Link, found: Sequence[Wire]) -> list[Check]:
    profiles = [wire.profile for wire in found]
    endpoint = modbus_endpoint(link.host, link.port, link.options, profiles, f"link {link.id}")
    try:
        return [await _unit(link, endpoint, wire) for wire in found]
    finally:
        await endpoint.close()


async def _unit(link: Link, endpoint: ModbusEndpoint, wire: Wire) -> Check:
    reader = UnitReader(endpoint, wire.profile, wire.unit)

    async def read() -> str:
        reading = await reader.read(reader.periods[0])
        lacking = f"; {len(reader.unreadable)} points of the profile are refused" if reader.unreadable else ""
        return f"{endpoint.name} unit {wire.unit} gives {len(reading.points)} points{lacking}"

    return await _timed(f"link {link.id}, {wire.equipment}", read)


async def _mqtt(site: Site, link: Link, _found: Sequence[Wire]) -> list[Check]:
    options = link_options(site, link)

    async def connect() -> str:
        await knock(
            link.host,
            link.port,
            protocol=options.protocol,
            username=options.username,
            password=options.secret(),
            tls=options.tls.context() if options.tls else None,
        )
        return f"the broker at {link.host}:{link.port} takes us"

    return [await _timed(f"link {link.id}", connect)]


async def _http(site: Site, link: Link, found: Sequence[Wire]) -> list[Check]:
    endpoint, clock = HttpEndpoint(link.host, link.port, read_options(link.options)), ScaledClock()
    dcgm = [wire for wire in found if wire.profile.format == "dcgm"]
    readers: list[Reader] = [DcgmReader(site, endpoint, dcgm, clock)] if dcgm else []
    readers += [RedfishReader(endpoint, wire, clock) for wire in found if wire.profile.format == "redfish"]
    try:
        return [await _reader(link, endpoint, reader) for reader in readers]
    finally:
        await endpoint.close()


async def _reader(link: Link, endpoint: HttpEndpoint, reader: Reader) -> Check:
    async def read() -> str:
        rows = await reader.read()
        lacking = f"; it lacks {', '.join(reader.missing)}" if reader.missing else ""
        return f"{endpoint.name} gives {len(rows)} points{lacking}"

    return await _timed(f"link {link.id}, {', '.join(wire.equipment for wire in reader.wires)}", read)


async def _timed(name: str, ask: Callable[[], Awaitable[str]]) -> Check:
    began = time.perf_counter()
    try:
        text = await ask()
    except SilentError as error:
        return Check(name=name, status="fail", text=str(error), remedy=_SILENT_REMEDY)
    except RefusedError as error:
        return Check(name=name, status="fail", text=str(error), remedy=_REFUSED_REMEDY)
    took_ms = 1000 * (time.perf_counter() - began)
    lacks = "lacks" in text or "refused" in text
    remedy = "compare the device with its profile" if lacks else ""
    return Check(name=name, status="warn" if lacks else "ok", text=text, remedy=remedy, round_trip_ms=took_ms)


_Ask = Callable[[Site, Link, Sequence[Wire]], Awaitable[list[Check]]]
_CHECKS: dict[str, _Ask] = {"modbus-tcp": _modbus, "mqtt": _mqtt, "http": _http}
