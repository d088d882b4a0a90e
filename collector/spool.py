"""The spool: accepted samples on disk until the store has them. Survives `kill -9` and a full disk.

Segment files of frames; a frame is accepted once `append` returns (written and fsynced). The read cursor moves only
after the store took a frame, so a crash repeats at most some writes, which the store takes idempotently.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from collector.frames import HEADER, decode_body, encode_frame, frame_at, scan
from plant.clock import Clock
from plant.errors import PermanentError, StoreError
from plant.samples import SampleBatch

CURSOR_FILE = "cursor.json"
POISON_FOLDER = "set-aside"
MAX_SET_ASIDE = 100
_SEGMENTS = 16
_MAX_SEGMENT_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place between two frames."""

    segment: int
    offset: int


@dataclass(frozen=True, slots=True)
class SpooledBatch:
    """One frame, with the place behind it. batch is None if the frame can't be read."""

    batch: SampleBatch | None
    samples: int
    start: Cursor
    end: Cursor


@dataclass(slots=True)
class _Segment:
    size: int
    samples: int


class Spool:
    """Bounded first-in first-out of sample batches in `folder`. Blocking calls; thread-safe.

    max_bytes: beyond it the oldest segment goes, counted in `dropped_samples`. clock: dates what is set aside.
    """

    def __init__(self, folder: Path, max_bytes: int, clock: Clock) -> None:
        self.folder, self.max_bytes, self._clock = folder, max_bytes, clock
        self._segment_bytes = min(max(max_bytes // _SEGMENTS, 4096), _MAX_SEGMENT_BYTES)
        self._lock = threading.Lock()
        self._file: int | None = None
        self._active = 0
        self.dropped_samples = 0
        self.damaged_frames = 0
        self.set_aside_batches = 0
        self.accepted_samples = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._segments = self._repair()
        self._cursor = self._load_cursor()
        self._active = max([*self._segments, self._cursor.segment], default=0)

    # --- writing ---

    def append(self, batches: Sequence[SampleBatch]) -> None:
        """Take batches, durably: once this returns they are accepted.

        Raises:
            StoreError: the disk is full or failing; nothing of this call was accepted.
        """
        frames = [(encode_frame(batch), len(batch)) for batch in batches if len(batch)]
        if not frames:
            return
        with self._lock:
            try:
                self._write(b"".join(frame for frame, _ in frames), sum(n for _, n in frames))
            except OSError as error:
                self._abandon()
                raise StoreError(f"spool {self.folder}: {error.strerror or error}; free some space") from error
            self._drop_oldest()

    def _write(self, data: bytes, samples: int) -> None:
        file = self._writable()
        segment = self._segments[self._active]
        done = 0
        while done < len(data):
            done += os.write(file, data[done:])
        os.fdatasync(file)
        segment.size += len(data)
        segment.samples += samples
        self.accepted_samples += samples

    def _writable(self) -> int:
        if self._file is not None and self._segments[self._active].size < self._segment_bytes:
            return self._file
        self._close_file()
        number = self._active + 1
        file = os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o640)
        self._file, self._active = file, number
        self._segments[number] = _Segment(0, 0)
        _sync_folder(self.folder)
        return file

    def _abandon(self) -> None:
        """After a failed write or sync the file's tail is unknown: cut it and go on in a new segment."""
        if self._file is not None:
            try:
                os.ftruncate(self._file, self._segments[self._active].size)
            except OSError:
                self.damaged_frames += 1
            self._close_file()
            if not self._segments[self._active].size:
                self._remove(self._active)

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _drop_oldest(self) -> None:
        while self.size_bytes > self.max_bytes and len(self._segments) > 1:
            oldest = min(self._segments)
            self.dropped_samples += self._unread_samples(oldest)
            self._remove(oldest)
            if self._cursor.segment <= oldest:
                self._cursor = Cursor(min(self._segments), 0)

    # --- reading ---

    def read(self) -> SpooledBatch | None:
        """The oldest frame not yet committed; None if the store has everything."""
        with self._lock:
            while (segment := self._readable()) is not None:
                found = self._frame(segment)
                if found is not None:
                    return found
                if segment == self._active:
                    return None
                self._next_segment(segment)
            return None

    def commit(self, cursor: Cursor) -> None:
        """All before `cursor` is in the store; segments that are done go.

        Raises:
            StoreError: the cursor can't be kept now; a restart would repeat some writes.
        """
        with self._lock:
            if (cursor.segment, cursor.offset) < (self._cursor.segment, self._cursor.offset):
                return  # its segment was dropped meanwhile
            self._cursor = cursor
            try:
                for number in [n for n in self._segments if n < cursor.segment]:
                    self._remove(number)
                self._save_cursor()
            except OSError as error:
                raise StoreError(f"spool {self.folder}: cannot keep the cursor: {error.strerror or error}") from error

    def set_aside(self, spooled: SpooledBatch, reason: str) -> None:
        """Keep a frame that the store will never take, with the reason, for a person; the oldest hundred stay."""
        self.set_aside_batches += 1
        folder = self.folder / POISON_FOLDER
        body = {"at_s": self._clock.now(), "reason": reason, "samples": spooled.samples}
        try:
            folder.mkdir(exist_ok=True)
            if len(list(folder.glob("*.frame"))) < MAX_SET_ASIDE:
                name = f"{spooled.start.segment:08d}-{spooled.start.offset}"
                (folder / f"{name}.frame").write_bytes(self._bytes_of(spooled))
                (folder / f"{name}.json").write_bytes(msgspec.json.encode(body))
        except OSError:
            return  # the count stands; a full disk must not stop the rest

    @property
    def size_bytes(self) -> int:
        """Bytes on disk, read or not."""
        return sum(segment.size for segment in list(self._segments.values()))

    @property
    def pending_samples(self) -> int:
        """About how many samples wait for the store (whole segments are counted)."""
        return sum(s.samples for n, s in list(self._segments.items()) if n >= self._cursor.segment)

    def close(self) -> None:
        """Let go of the files."""
        with self._lock:
            self._close_file()

    def _readable(self) -> int | None:
        numbers = [n for n in self._segments if n >= self._cursor.segment]
        if not numbers:
            return None
        if min(numbers) != self._cursor.segment:
            self._cursor = Cursor(min(numbers), 0)
        return self._cursor.segment

    def _frame(self, segment: int) -> SpooledBatch | None:
        offset, size = self._cursor.offset, self._segments[segment].size
        with self._path(segment).open("rb") as file:
            file.seek(offset)
            head = file.read(HEADER.size)
            length = HEADER.unpack(head)[0] if len(head) == HEADER.size else 0
            data = head + file.read(min(length, size - offset))
        frame = frame_at(data, 0) if offset < size else None
        if frame is None:
            return None
        end, samples = frame
        try:
            batch: SampleBatch | None = decode_body(data[HEADER.size : end])
        except PermanentError:
            batch = None
        return SpooledBatch(batch, samples, Cursor(segment, offset), Cursor(segment, offset + end))

    def _next_segment(self, segment: int) -> None:
        if self._cursor.offset < self._segments[segment].size:
            self.damaged_frames += 1
        self._cursor = Cursor(segment + 1, 0)
        self._remove(segment)

    def _unread_samples(self, segment: int) -> int:
        if segment != self._cursor.segment:
            return self._segments[segment].samples if segment > self._cursor.segment else 0
        data = self._path(segment).read_bytes()
        return sum(samples for _, _, samples in scan(data, self._cursor.offset))

    def _bytes_of(self, spooled: SpooledBatch) -> bytes:
        with self._path(spooled.start.segment).open("rb") as file:
            file.seek(spooled.start.offset)
            return file.read(spooled.end.offset - spooled.start.offset)

    # --- files ---

    def _repair(self) -> dict[int, _Segment]:
        """Cut torn tails and count what is there."""
        segments: dict[int, _Segment] = {}
        for path in sorted(self.folder.glob("*.seg")):
            data = path.read_bytes()
            frames = list(scan(data))
            size = frames[-1][1] if frames else 0
            if size < len(data):
                self.damaged_frames += 1
                os.truncate(path, size)
            if size:
                segments[int(path.stem)] = _Segment(size, sum(samples for _, _, samples in frames))
            else:
                path.unlink()
        return segments

    def _load_cursor(self) -> Cursor:
        first = Cursor(min(self._segments, default=0), 0)
        try:
            saved = msgspec.json.decode((self.folder / CURSOR_FILE).read_bytes(), type=Cursor)
        except (FileNotFoundError, msgspec.MsgspecError):
            return first
        return saved if saved.segment >= first.segment else first

    def _save_cursor(self) -> None:
        fresh = self.folder / f"{CURSOR_FILE}.new"
        fresh.write_bytes(msgspec.json.encode(self._cursor))
        fresh.replace(self.folder / CURSOR_FILE)

    def _remove(self, segment: int) -> None:
        if segment == self._active:
            self._close_file()
        self._path(segment).unlink(missing_ok=True)
        del self._segments[segment]

    def _path(self, segment: int) -> Path:
        return self.folder / f"{segment:08d}.seg"


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
