"""The signed record of commissioning: what was shown of which device, and how far its modes may be raised.

`commissioning.json` holds a chain of records, each with the hash of the one before and an HMAC under the key beside it.
A record counts only for the address, unit and profile that it was made with. A file that does not verify allows
nothing. What the demo writes for its own simulated devices is unsigned, and counts for loopback addresses only.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plant.errors import ConfigError, StoreError
from plant.intents import Mode
from store import codec
from store.state import StateDir

FILE, KEY = "commissioning.json", "commissioning.key"
LADDER = (Mode.ADVISORY, Mode.CONFIRM, Mode.LIMITED, Mode.AUTO)
GENESIS = "0" * 64
_SEALS = ("hash", "mac")


def rung_of(mode: Mode) -> int:
    """Where a mode stands on the ladder: off and advisory at 0, a manual hold with confirm at 1."""
    if mode is Mode.HOLD:
        return LADDER.index(Mode.CONFIRM)
    return LADDER.index(mode) if mode in LADDER else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Commissioned:
    """What may be driven.

    devices: `identity` of a device -> its highest mode; loopback: addresses of the demo's own devices; fault: why a
    file that is there counts for nothing.
    """

    devices: Mapping[str, Mode] = field(default_factory=dict)
    loopback: frozenset[str] = frozenset()
    start_auto: bool = False
    records: tuple[Mapping[str, Any], ...] = ()
    fault: str = ""

    def highest(self, identity: str, address: str) -> Mode:
        """The highest mode of one device; advisory: nothing may be written."""
        return Mode.AUTO if address in self.loopback else self.devices.get(identity, Mode.ADVISORY)


def identity(equipment: str, address: str, unit: int, profile: str) -> str:
    """What a record is about: equipment, `host:port`, unit and its profile's digest, in one word."""
    return hashlib.sha256("\n".join((equipment, address, str(unit), profile)).encode()).hexdigest()


def read_commissioning(state: StateDir) -> Commissioned:
    """What was commissioned. Never raises for a damaged or forged file: `fault` says so, and nothing is allowed."""
    where = str(state.path / FILE)
    try:
        found = state.read_json(FILE)
        if found is None:
            return Commissioned()
        if isinstance(found, dict) and "records" not in found:
            return _unsigned(found)
        records = found["records"] if isinstance(found, dict) else None
        return _verified(records, _key(state.path, make=False), where)
    except (ConfigError, StoreError) as error:
        return Commissioned(fault=str(error))
    except Exception as error:  # noqa: BLE001 - whatever it holds, a file that can't be understood allows nothing
        return Commissioned(fault=f"{where}: not what coldplate writes: {type(error).__name__}: {error}")


def append_record(state: StateDir, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Sign one record and keep it behind the others; an unsigned file of a demo is replaced.

    body: `identity`, `equipment`, `highest` (a mode) and whatever shows why.

    Raises:
        ConfigError: the file that is there does not verify.
        StoreError: it can't be written.
    """
    known = read_commissioning(state)
    if known.fault:
        remedy = "restore commissioning.json and commissioning.key from a backup, or move both away and start again"
        raise ConfigError(known.fault, remedy=remedy)
    key = _key(state.path, make=True)
    previous = str(known.records[-1]["hash"]) if known.records else GENESIS
    plain: dict[str, Any] = {**codec.to_plain(dict(body)), "seq": len(known.records) + 1, "previous": previous}
    digest = _hash(plain)
    record = {**plain, "hash": digest, "mac": _mac(key, digest)}
    records = [*known.records, record]
    state.write_json(FILE, {"records": records, "endpoints": sorted({str(r.get("address", "")) for r in records})})
    return record


def _unsigned(found: Mapping[str, Any]) -> Commissioned:
    endpoints = [str(e) for e in found.get("endpoints", ())]
    foreign = [e for e in endpoints if not _on_loopback(e)]
    if foreign:
        return Commissioned(fault=f"{foreign[0]} is no loopback address, and the record is not signed")
    return Commissioned(loopback=frozenset(endpoints), start_auto=found.get("start_mode") == "auto")


def _on_loopback(endpoint: str) -> bool:
    host = endpoint.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _verified(records: Any, key: bytes, where: str) -> Commissioned:
    previous, devices = GENESIS, {}
    for number, record in enumerate(records if isinstance(records, list) else [None], 1):
        if not isinstance(record, dict):
            raise ConfigError(f"record {number} is none", where=where)
        plain = {k: v for k, v in record.items() if k not in _SEALS}
        digest = _hash(plain)
        whole = record.get("hash") == digest and (record.get("seq"), record.get("previous")) == (number, previous)
        if not whole or not hmac.compare_digest(str(record.get("mac")).encode(), _mac(key, digest).encode()):
            raise ConfigError(f"record {number} was changed, or signed with another key", where=where)
        previous = digest
        devices[str(record["identity"])] = Mode(record["highest"])
    return Commissioned(devices=devices, records=tuple(records))


def _hash(plain: Mapping[str, Any]) -> str:
    return hashlib.sha256(codec.encode(dict(sorted(plain.items())))).hexdigest()


def _mac(key: bytes, digest: str) -> str:
    return hmac.new(key, digest.encode(), hashlib.sha256).hexdigest()


def _key(folder: Path, *, make: bool) -> bytes:
    """The key [32 octets]; readable by the owner only."""
    path = folder / KEY
    try:
        if make and not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_hex(32).encode())
                file.flush()
                os.fsync(file.fileno())
        found = bytes.fromhex(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        raise ConfigError("the key is missing, so no record counts", where=str(path)) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"can't be used: {error}", where=str(path), remedy="restore it from a backup") from error
    if len(found) < 32:
        raise ConfigError("is too short for a key", where=str(path), remedy="restore it from a backup")
    return found
