"""Hints as given, in two files of the state directory: a line each, the older file dropped when the newer is full.

A line is written before the hint is given; a kill of the process loses none, a power failure the last seconds.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from placement.workload_hints import WorkloadHints
from store import codec

NEW, OLD = "hints.jsonl", "hints.old.jsonl"
MOST_BYTES = 16_000_000
SCHEMA = 1
log = logging.getLogger("coldplate.hints")


class _Hint(msgspec.Struct):
    id: str
    valid_until: float


class _Head(msgspec.Struct):
    v: int
    hint: _Hint | None = None
    ended: str = ""


_decode = msgspec.json.Decoder(_Head).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A hint as written down, or that its outcome was told (`ended`); valid_until [s since 1970, site clock]."""

    id: str
    valid_until: float
    ended: bool
    text: bytes


class HintJournal:
    """folder: the state directory."""

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        """Nothing is opened yet."""
        self._new, self._old, self._most = folder / NEW, folder / OLD, most_bytes
        self._file, self._size, self._told = -1, 0, False

    def given(self, body: bytes) -> None:
        """Write one down, as the JSON that was answered; where that fails, hints go on and the log tells it once."""
        self._write(b'{"v":%d,"hint":%b}\n' % (SCHEMA, body))

    def ended(self, hint_id: str) -> None:
        """Write down that its outcome was told."""
        self._write(msgspec.json.encode({"v": SCHEMA, "ended": hint_id}) + b"\n")

    def read(self) -> Iterator[Line]:
        """What stands there, oldest first; a torn line is left out."""
        for path in (self._old, self._new):
            try:
                lines = path.read_bytes().splitlines()
            except FileNotFoundError:
                continue
            except OSError as error:
                log.warning("hints of the last server are not used: %s: %s", path, error)
                continue
            yield from (found for text in lines if (found := _line(text)) is not None)

    def close(self) -> None:
        """End it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _write(self, line: bytes) -> None:
        try:
            if self._file < 0 or self._size + len(line) > self._most:
                self._open(len(line))
            os.write(self._file, line)
            self._size += len(line)
            self._told = False
        except OSError as error:
            if not self._told:
                log.warning("hints are not kept over a restart: %s", error)
            self._told = True

    def _open(self, length: int) -> None:
        self.close()
        if self._new.exists() and self._new.stat().st_size + length > self._most:
            self._new.replace(self._old)
        self._file = os.open(self._new, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._file).st_size
        # a torn last line must not take the next one with it
        if self._size:
            os.write(self._file, b"\n")


def whole(line: Line) -> WorkloadHints:
    """The hint of a line; read only when somebody asks for it, as there are thousands.

    Raises:
        ConfigError: it is none.
    """
    return codec.from_plain(WorkloadHints, codec.decode(line.text)["hint"])


def _line(text: bytes) -> Line | None:
    try:
        head = _decode(text)
    except msgspec.DecodeError:
        return None
    if head.v != SCHEMA or (head.hint is None and not head.ended):
        return None
    if head.hint is None:
        return Line(id=head.ended, valid_until=0.0, ended=True, text=b"")
    return Line(id=head.hint.id, valid_until=head.hint.valid_until, ended=False, text=text)
