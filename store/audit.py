"""The audit chain: one JSON line an entry, each with the SHA-256 of itself and the entry before; fsynced one by one."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from plant.clock import Clock, ScaledClock
from plant.errors import ColdplateError, ConfigError, RefusedError, StoreError
from plant.running import AuditEntry
from store import codec
from store.files import sync_folder

GENESIS = "0" * 64
_BLOCK = 65_536
Detail = Mapping[str, str | float | int | bool | None]


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The newest entry of a chain: written down elsewhere, it is an anchor that shows later truncation."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """What `verify` found: entries that hold, the head of them, and the first fault in words (empty: none)."""

    entries: int
    head: AuditHead
    fault: str = ""

    @property
    def ok(self) -> bool:
        """Whether every entry holds."""
        return not self.fault


def _hash(entry: AuditEntry) -> str:
    return hashlib.sha256(codec.encode(replace(entry, hash=""))).hexdigest()


def _line(entry: AuditEntry) -> bytes:
    return codec.encode(entry) + b"\n"


def _entry(line: bytes) -> AuditEntry:
    return codec.from_plain(AuditEntry, codec.decode(line))


def read(path: Path) -> Iterator[AuditEntry]:
    """Entries in order, unverified; a torn last line is left out.

    Raises:
        ConfigError: a line is not an entry.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield _entry(line)
            except ConfigError as error:
                raise ConfigError(f"not an audit entry: {error}", where=f"{path}:{number}") from error


def verify(path: Path, anchor: AuditHead | None = None) -> AuditCheck:
    """Check every byte of a chain; with an anchor (a head noted earlier) also that nothing was cut off.

    Raises:
        ConfigError: no such file.
    """
    try:
        with path.open("rb") as lines:
            return _checked(lines, path, anchor)
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror}", where=str(path)) from error


def _checked(lines: Iterable[bytes], path: Path, anchor: AuditHead | None) -> AuditCheck:
    """Line by line: a chain grows for years."""
    head, anchored = AuditHead(0, GENESIS), anchor is None or anchor == AuditHead(0, GENESIS)
    for number, line in enumerate(lines, 1):
        fault = _fault(line, head)
        if fault:
            return AuditCheck(head.seq, head, f"{path}:{number}: record {head.seq + 1} {fault}")
        entry = _entry(line)
        head = AuditHead(entry.seq, entry.hash)
        anchored = anchored or head == anchor
    if not anchored and anchor is not None:
        fault = f"{path}: record {anchor.seq} with hash {anchor.hash[:12]}… is not there; cut off or rewritten"
        return AuditCheck(head.seq, head, fault)
    return AuditCheck(head.seq, head)


def _fault(line: bytes, head: AuditHead) -> str:
    try:
        entry = _entry(line)
    except ColdplateError as error:
        return f"is not an entry ({error})"
    if entry.seq != head.seq + 1:
        return f"has number {entry.seq}"
    if entry.previous != head.hash:
        return "does not follow the one before it"
    if entry.hash != _hash(entry) or line != _line(entry):
        return "was changed: its hash does not match"
    return ""


class AuditLog:
    """One writer's chain, `FOLDER/WRITER.jsonl`. Append only; one process at a time."""

    def __init__(self, folder: Path, writer: str, clock: Clock | None = None) -> None:
        """Open or begin the chain; a torn last line (power loss, kill) is cut off and noted.

        Raises:
            RefusedError: another process writes it.
            StoreError: it can't be opened.
        """
        self.path, self._writer = folder / f"{writer}.jsonl", writer
        self._clock = clock or ScaledClock()
        self.head = AuditHead(0, GENESIS)
        self._file = self._open()
        try:
            self._repair()
        except BaseException:
            os.close(self._file)
            raise

    def append(self, at_s: float, actor: str, action: str, subject: str, detail: Detail) -> AuditEntry:
        """Write one entry; it is on the disk when this returns.

        Raises:
            StoreError: it can't be written; the chain is as before.
        """
        if os.fstat(self._file).st_nlink == 0:
            self._start_over(at_s)
        return self._write(at_s, actor, action, subject, detail)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _open(self) -> int:
        """The file, locked, and its name durable."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise StoreError(f"{self.path}: can't be opened: {error.strerror}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            sync_folder(self.path.parent)
        except BlockingIOError:
            os.close(file)
            raise RefusedError(f"{self.path}: another process writes this audit chain; stop it first") from None
        except OSError as error:
            os.close(file)
            raise StoreError(f"{self.path}: can't be opened: {error.strerror}") from error
        return file

    def _repair(self) -> None:
        last, torn = _end(self._file)
        self.head = _head(last, self.path)
        if torn:
            os.ftruncate(self._file, os.fstat(self._file).st_size - len(torn))
            self._write(self._clock.now(), "coldplate", "audit_repaired", self._writer, _loss(torn))

    def _start_over(self, at_s: float) -> None:
        """Go on in a new file; until one says what was lost, the old one stays open and each entry tries again."""
        lost, gone = self.head, self._file
        detail: Detail = {"previous_seq": lost.seq, "previous_hash": lost.hash}
        self._file = self._open()
        try:
            self._repair()
            self._write(at_s, "coldplate", "audit_file_vanished", self._writer, detail)
        except BaseException:
            os.close(self._file)
            self._file, self.head = gone, lost
            raise
        os.close(gone)

    def _write(self, at_s: float, actor: str, action: str, subject: str, detail: Detail) -> AuditEntry:
        plain = codec.to_plain(dict(detail))
        given = AuditEntry(
            seq=self.head.seq + 1,
            at_s=at_s,
            writer=self._writer,
            actor=actor,
            action=action,
            subject=subject,
            detail=plain,
            previous=self.head.hash,
            hash="",
        )
        blank = _entry(codec.encode(given))  # as it will be read: 1 where a float is due is 1.0
        entry = replace(blank, hash=_hash(blank))
        self._put(_line(entry))
        self.head = AuditHead(entry.seq, entry.hash)
        return entry

    def _put(self, line: bytes) -> None:
        size = os.fstat(self._file).st_size
        try:
            written = os.write(self._file, line)
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, size)
            raise StoreError(f"{self.path}: can't be written: {error.strerror}; free some space") from error
        if written < len(line):
            os.ftruncate(self._file, size)
            raise StoreError(f"{self.path}: disk full; free some space")


def _end(file: int) -> tuple[bytes | None, bytes]:
    """The last whole line without its end, None where there is none, and what stands after it."""
    at, content = os.fstat(file).st_size, b""
    while at > 0 and content.count(b"\n") < 2:
        size = min(at, max(_BLOCK, len(content)))
        at -= size
        content = os.pread(file, size, at) + content
    whole, newline, torn = content.rpartition(b"\n")
    return (whole.rpartition(b"\n")[2] if newline else None), torn


def _head(last: bytes | None, path: Path) -> AuditHead:
    if last is None:
        return AuditHead(0, GENESIS)
    try:
        entry = _entry(last)
    except ConfigError:  # goes on, so that nothing stops; `verify` will name the record
        with path.open("rb") as lines:
            return AuditHead(sum(line.endswith(b"\n") for line in lines), hashlib.sha256(last).hexdigest())
    return AuditHead(entry.seq, entry.hash)


def _loss(lost: bytes) -> Detail:
    return {"lost_bytes": len(lost), "lost_text": lost[:200].decode("ascii", "backslashreplace")}
