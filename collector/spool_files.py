"""The spool's folder: segment files of frames, the cursor's file, and what was set aside. No locks, no counting."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from collector.frames import SEGMENT_MARK, is_old, scan

CURSOR_FILE = "cursor.json"
POISON_FOLDER = "set-aside"
MAX_SET_ASIDE = 100
_CLOCK_SET_S = 946_684_800.0
"""Before 2000 no clock had been set yet: the age of such samples is not known, so they do not go by age."""


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """A place between two frames."""

    segment: int
    offset: int


@dataclass(slots=True)
class Segment:
    """size: accepted bytes; newest_s: receive time of its newest sample; damaged: known gaps, by where they start."""

    size: int = 0
    samples: int = 0
    newest_s: float = -np.inf
    old: bool = False
    begun_s: float = -np.inf
    damaged: set[int] = field(default_factory=set)


class _SavedCursor(msgspec.Struct):
    segment: int
    offset: int
    kept: Cursor | None = None


class SpoolFiles:
    """The files in `folder`. Every method may raise OSError unless it says otherwise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, segment: int) -> Path:
        """Where a segment lies."""
        return self.folder / f"{segment:08d}.seg"

    def begin(self, segment: int) -> int:
        """A new segment's file, open for appending, its name synced."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path(segment), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o640)
        _sync_folder(self.folder)
        return file

    def data(self, segment: int, start: int, end: int, at_most: int | None = None) -> bytes:
        """Bytes from start to end, or no more than so many."""
        with self.path(segment).open("rb") as file:
            file.seek(start)
            return file.read(end - start if at_most is None else min(at_most, end - start))

    def remove(self, segment: int) -> None:
        """Delete a segment; one that can't be would come again after a restart, which the store takes idempotently."""
        with contextlib.suppress(OSError):
            self.path(segment).unlink()

    def repair(self) -> tuple[dict[int, Segment], int]:
        """Cut torn tails, note damage: the segments by number, and how many tails were torn."""
        segments: dict[int, Segment] = {}
        torn = 0
        for path in sorted(p for p in self.folder.glob("*.seg") if p.stem.isdecimal()):  # any other is not ours
            data = path.read_bytes()
            segment = _examined(data)
            if segment.size < len(data):
                torn += 1
                os.truncate(path, segment.size)
            if segment.size:
                segments[int(path.stem)] = segment
            else:
                path.unlink()
        return segments, torn

    def load_cursor(self, first: Cursor) -> tuple[Cursor, Cursor]:
        """The saved cursor, and the place from which on samples were kept; neither before `first`."""
        try:
            saved = msgspec.json.decode((self.folder / CURSOR_FILE).read_bytes(), type=_SavedCursor)
        except (FileNotFoundError, msgspec.MsgspecError):
            return first, first
        cursor = Cursor(saved.segment, saved.offset)
        return max(cursor, first), max(saved.kept or cursor, first)

    def save_cursor(self, cursor: Cursor, kept: Cursor) -> None:
        """Keep both over a restart."""
        fresh = self.folder / f"{CURSOR_FILE}.new"
        fresh.write_bytes(msgspec.json.encode(_SavedCursor(cursor.segment, cursor.offset, kept)))
        fresh.replace(self.folder / CURSOR_FILE)

    def set_aside(self, name: str, frame: bytes, body: dict[str, str | float]) -> None:
        """Keep a frame with what is to be said of it; the first hundred stay."""
        folder = self.folder / POISON_FOLDER
        folder.mkdir(exist_ok=True)
        if len(list(folder.glob("*.frame"))) < MAX_SET_ASIDE:
            (folder / f"{name}.frame").write_bytes(frame)
            (folder / f"{name}.json").write_bytes(msgspec.json.encode(body))


def _examined(data: bytes) -> Segment:
    segment = Segment(old=is_old(data))
    at = 0 if segment.old else after_mark(data)
    for frame in scan(data, at, old=segment.old):
        if frame.start != at:
            segment.damaged.add(at)
        segment.samples += frame.samples
        segment.newest_s = max(segment.newest_s, known_s(frame.newest_s))
        segment.size = at = frame.end
    return segment


def known_s(time_s: float) -> float:
    """A time by which samples may grow too old; infinite if no clock had been set."""
    return time_s if time_s > _CLOCK_SET_S else np.inf


def after_mark(data: bytes) -> int:
    """Where frames begin; a damaged mark is skipped like any damage."""
    return len(SEGMENT_MARK) if data.startswith(SEGMENT_MARK) else 0


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
