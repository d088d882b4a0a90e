"""Checks of what lies on this machine: site file, state directory, clock, spool and store. They write nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from cli.endpoints import read_endpoints
from plant.errors import ColdplateError, ConfigError
from plant.topology import Site
from sites import load_site
from sites.check import problems
from store.open import EMBEDDED, open_store, store_url
from store.state import VERSION

FEW_BYTES = 1_000_000_000
TOO_FEW_BYTES = 50_000_000
OLD_SPOOL_S = 600.0
EARLIEST_S = 1_767_225_600.0
"""2026-01-01: no correct clock is behind this program."""
LATEST_S = 4_102_444_800.0
"""2100-01-01."""
_CLOCK_SLACK_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Check:
    """What was looked at and found. status: ok, warn (works, look at it) or fail."""

    name: str
    status: Literal["ok", "warn", "fail"]
    text: str
    remedy: str = ""
    round_trip_ms: float | None = None


def site_checks(path: Path, endpoints: Path | None) -> tuple[Site | None, list[Check]]:
    """The site, if it can be loaded, and what its file says wrong."""
    name = "site file"
    found = problems(path)
    checks = [
        Check(
            name=name,
            status="fail" if p.severity == "fault" else "warn",
            text=f"{p.where}: {p.message}",
            remedy=p.remedy,
        )
        for p in found
    ]
    try:
        site = None if any(c.status == "fail" for c in checks) else load_site(path, read_endpoints(endpoints))
    except ConfigError as error:
        where = f"{error.where}: " if error.where else ""
        return None, [*checks, Check(name=name, status="fail", text=where + error.message, remedy=error.remedy)]
    if site is not None:
        text = f"{path}: {len(site.equipment)} equipment, {len(site.links)} links, {len(site.points)} points"
        checks.append(Check(name=name, status="ok", text=text))
    return site, checks


def state_checks(state: Path) -> list[Check]:
    """Whether the directory is there, writable, roomy and of our version."""
    name = "state directory"
    if not state.is_dir():
        return [_absent(state)]
    if not os.access(state, os.R_OK | os.W_OK | os.X_OK):
        remedy = "run as its owner, or give this user the directory"
        return [Check(name=name, status="fail", text=f"{state} can't be written by this user", remedy=remedy)]
    return [Check(name=name, status="ok", text=f"{state} can be written"), _disk(state), _version(state)]


def _absent(state: Path) -> Check:
    above = next((p for p in state.absolute().parents if p.exists()), Path("/"))
    if os.access(above, os.W_OK):
        text, remedy = f"{state} is not there; the first start makes it", "name the right one with --state"
        return Check(name="state directory", status="warn", text=text, remedy=remedy)
    text = f"{state} is not there, and {above} can't be written by this user"
    return Check(name="state directory", status="fail", text=text, remedy="make it, and give it to the service's user")


def _disk(state: Path) -> Check:
    free = shutil.disk_usage(state).free
    text = f"{_size(free)} free"
    if free >= FEW_BYTES:
        return Check(name="disk", status="ok", text=text)
    remedy = "free some space; history and spool live here"
    return Check(name="disk", status="fail" if free < TOO_FEW_BYTES else "warn", text=text, remedy=remedy)


def _version(state: Path) -> Check:
    name = "state version"
    try:
        found = int((state / "version").read_text(encoding="ascii"))
    except FileNotFoundError:
        return Check(name=name, status="ok", text="none yet; the next start marks it")
    except (OSError, ValueError):
        remedy = "restore it from a backup: coldplate state restore"
        return Check(name=name, status="fail", text=f"{state / 'version'} holds no number", remedy=remedy)
    if found > VERSION:
        remedy = "use the newer coldplate, or a backup made by this one"
        return Check(name=name, status="fail", text=f"{found}, newer than this program's {VERSION}", remedy=remedy)
    older = f"{found}, older than {VERSION}; the next start migrates it"
    return Check(name=name, status="ok", text=f"{found}" if found == VERSION else older)


def clock_checks(state: Path, now_s: float | None = None) -> list[Check]:
    """Whether the time of day can be right: not before this program, and not before files that it wrote."""
    now_s = time.time() if now_s is None else now_s
    text = datetime.fromtimestamp(now_s, UTC).isoformat(timespec="seconds")
    remedy = "set the machine's clock, and keep it by NTP or PTP"
    newest_s = max((found.st_mtime for found in _files(state).values()), default=0.0)
    if not EARLIEST_S <= now_s <= LATEST_S:
        return [Check(name="clock", status="fail", text=f"{text} can't be", remedy=remedy)]
    if newest_s > now_s + _CLOCK_SLACK_S:
        behind = f"{text} is {newest_s - now_s:.0f} s before the newest file of the state directory"
        return [Check(name="clock", status="fail", text=behind, remedy=remedy)]
    return [Check(name="clock", status="ok", text=text)]


def spool_checks(state: Path) -> list[Check]:
    """How much waits for the store, since when, and what was set aside."""
    spool = state / "spool"
    if not spool.is_dir():
        return []
    files = _files(spool)
    waiting = [found for p, found in files.items() if p.parent == spool]
    size = sum(found.st_size for found in waiting)
    age_s = time.time() - min((found.st_mtime for found in waiting), default=time.time())
    late = len(waiting) > 2 and age_s > OLD_SPOOL_S
    checks = [
        Check(
            name="spool",
            status="warn" if late else "ok",
            text=f"{_size(size)} in {len(waiting)} files, oldest {age_s:.0f} s",
            remedy="check that the store takes samples, and that an edge runs" if late else "",
        )
    ]
    aside = [p for p in files if p.parent != spool]
    if aside:
        batches = len({p.stem for p in aside})  # each has its frame and its reason
        text = f"{batches} batches that the store would not take are kept in {aside[0].parent}"
        checks.append(Check(name="spool", status="warn", text=text, remedy="look at them; they are not tried again"))
    return checks


async def store_checks(state: Path, site: Site, given: str | None = None) -> list[Check]:
    """Whether history can be read, from wherever `run` would write it."""
    history = state / "history.sqlite"
    try:
        url = store_url(given)
        if url.kind == EMBEDDED and not history.exists():
            text = f"{history} is not there; the first start makes it"
            return [Check(name="store", status="warn", text=text, remedy="if it was there before, restore a backup")]
        store = open_store(url, state, site.retention, read_only=True)
        began = time.perf_counter()
        try:
            newest_s = max((row[0] for row in (await store.last(list(site.points))).values()), default=0.0)
        finally:
            await store.close()
    except ConfigError as error:
        return [Check(name="store", status="fail", text=f"{error.where}: {error.message}", remedy=error.remedy)]
    except ColdplateError as error:
        remedy = "see that it runs and can be reached" if url.kind != EMBEDDED else "restore a backup, or move it away"
        return [Check(name="store", status="fail", text=str(error), remedy=f"{remedy}; samples wait in the spool")]
    took_ms = 1000 * (time.perf_counter() - began)
    newest = datetime.fromtimestamp(newest_s, UTC).isoformat(timespec="seconds") if newest_s else "none"
    text = f"{' '.join((url.kind, *url.addresses))}: newest sample {newest}"
    return [Check(name="store", status="ok", text=text, round_trip_ms=took_ms)]


def _files(folder: Path) -> dict[Path, os.stat_result]:
    """Regular files as they are; what goes while we look is passed over."""
    found: dict[Path, os.stat_result] = {}
    for path in folder.rglob("*") if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):
            looked = path.stat()
            if stat.S_ISREG(looked.st_mode):
                found[path] = looked
    return found


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
