"""`coldplate commission SITE`: show that each device lets go by itself, sign it, and climb the ladder of modes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actuator.checkout import Instrument
from actuator.commissioning import Ask, Commissioning
from actuator.drives import setpoints_of
from actuator.faults import LOCKING
from cli.commissioned import address_and_identity
from cli.edge import modbus_endpoints
from cli.endpoints import read_endpoints
from cli.hands import bms_integrations, hands
from devices.dsx import REPUBLISH_S
from plant.clock import ScaledClock
from plant.errors import ColdplateError, ConfigError, RefusedError
from plant.intents import Mode
from plant.points import PointId
from plant.running import AuditEntry
from plant.topology import Site
from sites import load_site
from store import codec
from store.audit import AuditLog, read, verify
from store.commissioning import LADDER, append_record, read_commissioning, rung_of
from store.state import StateDir

LEAST_DAYS = 7.0
"""How long a loop's devices must have been driven without a fault before they may go one rung higher."""
DAY_S = 86400.0
BUS_PATIENCE_S = 1.3 * REPUBLISH_S
LOOK_REAL_S = 0.1


@dataclass(frozen=True, kw_only=True)
class CommissionOptions:
    """What to commission, and by whom. equipment: () for every device that can be driven."""

    site_path: Path
    state: Path
    clock: ScaledClock
    endpoints: Path | None
    equipment: tuple[str, ...]
    person: str


def chosen(site: Site, wanted: Iterable[str]) -> list[str]:
    """Drives to commission: all of the wanted devices; of every device where none is wanted.

    Raises:
        ConfigError: one can't be driven, or there is none.
    """
    able = {n: d for n, d in site.drives.items() if d.kind == "native_heartbeat" and _has_setpoint(site, d.equipment)}
    devices, asked = list(dict.fromkeys(d.equipment for d in able.values())), set(wanted)
    for name in sorted(asked - set(devices)):
        remedy = f"use one of {', '.join(devices)}" if devices else "no device here has a fallback of its own"
        raise ConfigError(f"{name!r} can't be driven", where="--equipment", remedy=remedy)
    if not devices:
        remedy = "it needs a profile whose fallback is native_heartbeat, and a group that commands it"
        raise ConfigError("no device of this site can be driven", where=site.path, remedy=remedy)
    return [n for n, d in able.items() if not asked or d.equipment in asked]


def _has_setpoint(site: Site, equipment: str) -> bool:
    return any(point.rpartition("/")[0] == equipment for point in site.envelopes)


async def commission(options: CommissionOptions, ask: Ask) -> bool:
    """Every chosen device in turn; True if all passed and are signed.

    Raises:
        RefusedError: an edge runs this site, or one of its records is not whole.
    """
    site = load_site(options.site_path, read_endpoints(options.endpoints))
    names = chosen(site, options.equipment)
    state = StateDir(options.state)
    epoch = state.acquire()
    audit = AuditLog(state.path / "audit", "commissioning", options.clock)
    endpoints = modbus_endpoints(site, options.site_path)
    integrations = bms_integrations(site, options.clock)
    devices = hands(site, endpoints, integrations, options.clock)
    listening = [asyncio.create_task(bms.run()) for bms in integrations.values()]
    passed = True
    logging.getLogger("actuator").setLevel(logging.CRITICAL)  # what goes wrong stands in the checks
    try:
        for name in names:
            if site.drives[name].link in integrations:
                await _heard(options, devices[name], setpoints_of(site, site.drives[name]))
            passed = await _one(options, site, name, devices[name], audit, epoch, state, ask) and passed
    finally:
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
        for endpoint in endpoints.values():
            await endpoint.close()
        audit.close()
        state.release()
    return passed


async def _heard(options: CommissionOptions, device: Instrument, setpoints: Iterable[PointId]) -> None:
    """A bus says everything once in a while only: wait that long for its setpoints, then the checkout speaks."""
    end_s = options.clock.monotonic() + BUS_PATIENCE_S
    for point in setpoints:
        while options.clock.monotonic() < end_s:
            with contextlib.suppress(ColdplateError):
                if math.isfinite(await device.read_back(point)):
                    break
            await asyncio.sleep(LOOK_REAL_S)


async def _one(
    options: CommissionOptions, site: Site, name: str, device: Instrument, audit: AuditLog, epoch: int,
    state: StateDir, ask: Ask,
) -> bool:  # fmt: skip
    print(f"{name}:")
    work = Commissioning(site, name, device, options.clock, audit, epoch, person=options.person)
    told = 0

    def asked(question: str) -> bool:
        nonlocal told
        told = _tell(work, told)
        return ask(question)

    passed = await work.run(asked)
    _tell(work, told)
    if not passed and not work.failed:
        print(f"{name}: not commissioned, nothing was signed")
        return False
    record = _sign(options, site, state, work, name)
    if passed:
        print(f"{name}: passed; record {record['seq']} is signed, modes up to {Mode.CONFIRM}")
    else:
        print(f"{name}: failed; record {record['seq']} is signed, advisory only: {work.failed}")
    return passed


def _sign(options: CommissionOptions, site: Site, state: StateDir, work: Commissioning, name: str) -> Mapping[str, Any]:
    """What was shown, for or against the device: a failure takes back what an earlier record allowed."""
    address, about = address_and_identity(site, site.drives[name])
    highest = Mode.CONFIRM if work.passed else Mode.ADVISORY
    body = {
        "identity": about, "equipment": name, "address": address, "highest": highest.value,
        "outcome": "passed" if work.passed else "failed", "failed": work.failed,
        "at_s": options.clock.now(), "by": options.person, "checks": [codec.to_plain(c) for c in work.checks],
    }  # fmt: skip
    return append_record(state, body)


def _tell(work: Commissioning, told: int) -> int:
    for check in work.checks[told:]:
        print(f"  {'ok  ' if check.ok else 'FAIL'} {check.kind:8} {check.subject}: {check.text}")
    return len(work.checks)


def raise_loop(options: CommissionOptions, loop: str, reason: str) -> Mode:
    """One rung higher for a loop's devices, if their time on this one was long enough and without faults.

    Raises:
        ConfigError: no such loop.
        RefusedError: not commissioned, too early, or not without faults; says which.
    """
    site = load_site(options.site_path, read_endpoints(options.endpoints))
    if loop not in site.groups:
        raise ConfigError(f"no loop {loop!r}", where="--raise", remedy=f"use one of {', '.join(site.groups)}")
    if not reason.strip():
        raise ConfigError("raising a loop needs a reason", where="--reason", remedy="say why it is trusted")
    state = StateDir(options.state)
    known = read_commissioning(state)
    if known.fault:
        raise RefusedError(known.fault)
    entries = _driven_history(state)
    steps = []
    devices = list(dict.fromkeys(p.rpartition("/")[0] for p in site.groups[loop].commands.values()))
    drives = [(n, d) for name in devices for n, d in site.drives.items() if d.equipment == name]
    for name, drive in drives:
        address, about = address_and_identity(site, drive)
        present = next((r for r in reversed(known.records) if r["identity"] == about), None)
        steps.append((name, address, about, _next(name, present, entries, options.clock.now())))
    mode = min((to for *_, to in steps), key=rung_of)
    for name, address, about, to in steps:
        if rung_of(to) <= rung_of(mode):
            body = {"identity": about, "equipment": name, "address": address, "highest": mode.value, "reason": reason}
            append_record(state, {**body, "at_s": options.clock.now(), "by": options.person})
    return mode


def _driven_history(state: StateDir) -> list[AuditEntry]:
    path = state.path / "audit" / "edge.jsonl"
    if not path.exists():
        return []
    check = verify(path)
    if not check.ok:
        raise RefusedError(f"the audit does not verify, so it proves nothing: {check.fault}")
    return list(read(path))


def _next(name: str, present: object, entries: list[AuditEntry], now_s: float) -> Mode:
    if not isinstance(present, dict):
        raise RefusedError(f"{name}: not commissioned as it is now; run coldplate commission first")
    rung = rung_of(Mode(present["highest"]))
    if rung == 0:
        raise RefusedError(f"{name}: its last commissioning failed ({present.get('failed', '')}); repeat it first")
    if rung + 1 >= len(LADDER):
        raise RefusedError(f"{name}: is at {LADDER[-1]} already")
    since_s = float(present["at_s"])
    if now_s - since_s < LEAST_DAYS * DAY_S:
        days = (now_s - since_s) / DAY_S
        raise RefusedError(f"{name}: at {LADDER[rung]} for {days:.1f} days; {LEAST_DAYS:g} are needed")
    device, since = name.partition("@")[0], [e for e in entries if e.at_s >= since_s]
    own = [e for e in since if e.subject.partition("/")[0] == device]
    if not any(e.action == "written" for e in own):
        raise RefusedError(f"{name}: nothing was written to it since its record, so nothing was shown")
    faults = [e for e in own if e.action == "relinquish" and str(e.detail.get("reason")).partition(":")[0] in LOCKING]
    if faults:
        raise RefusedError(f"{name}: {faults[-1].detail.get('reason')}; commission it again when that is mended")
    days = _driven_s(since, device, now_s) / DAY_S
    if days < LEAST_DAYS:
        raise RefusedError(f"{name}: was driven for {days:.1f} days since its record; {LEAST_DAYS:g} are needed")
    return LADDER[rung + 1]


def _driven_s(entries: Iterable[AuditEntry], device: str, now_s: float) -> float:
    """How long a device was held, by the audit [s]: from what was written to it until it was let go.

    Of a hold that ended with its process no more counts than until its last write.
    """
    total_s, since_s, last_s = 0.0, math.nan, math.nan
    for entry in entries:
        ours = entry.subject.partition("/")[0] == device
        if ours and entry.action == "written":
            since_s, last_s = entry.at_s if math.isnan(since_s) else since_s, entry.at_s
        elif ours and entry.action == "write" and entry.detail.get("takes"):
            total_s, since_s = total_s + _span(since_s, last_s), math.nan
        elif entry.action == "relinquish" and (entry.subject == "all" or device in entry.subject.split(", ")):
            total_s, since_s = total_s + _span(since_s, entry.at_s), math.nan
    return total_s + _span(since_s, now_s)


def _span(since_s: float, until_s: float) -> float:
    return 0.0 if math.isnan(since_s) else max(until_s - since_s, 0.0)
