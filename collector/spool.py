"""The spool: accepted samples on disk until the store has them. Survives `kill -9` and a full disk.

Segment files of frames; a frame is accepted once `append` returns (written and synced). The cursor moves only after the
store took a frame, so a crash repeats at most some writes, which the store takes idempotently. For a store that may
forget what it acknowledged, what lies before the cursor is kept for a while and can be read again.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from collector.frames import SEGMENT_MARK, FrameEncoder, scan
from collector.leaps import LeapWatch
from collector.spool_files import Cursor, Segment, SpoolFiles, known_s
from collector.spool_reader import SpooledBatch, SpoolReader
from plant.clock import Clock
from plant.errors import StoreError
from plant.samples import SampleBatch

MAX_AGE_S = 7 * 86_400.0
_SEGMENTS = 16
_MAX_SEGMENT_BYTES = 8 * 1024 * 1024
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class Dropped:
    """What the spool had to give up: samples by reason, and until when the last of them were received [s]."""

    by_size: int = 0
    by_age: int = 0
    until_s: float = -np.inf


@dataclass(frozen=True, slots=True)
class Damage:
    """Accepted samples that were lost on the disk: places that can't be read; about how many were in deleted files."""

    places: int = 0
    samples: int = 0


class Spool:
    """Bounded first-in first-out of sample batches in `folder`. Blocking calls; thread-safe.

    max_bytes, max_age_s: beyond either the oldest segment goes, counted in `dropped`; age is site time since samples
    were received, not known of those before the clock was set ahead.
    """

    def __init__(self, folder: Path, max_bytes: int, clock: Clock, *, max_age_s: float = MAX_AGE_S) -> None:
        self.folder, self.max_bytes, self.max_age_s, self._clock = folder, max_bytes, max_age_s, clock
        self._files = SpoolFiles(folder)
        self._segment_bytes = min(max(max_bytes // _SEGMENTS, 4096), _MAX_SEGMENT_BYTES)
        self._leaps = LeapWatch(clock)
        self._lock = threading.Lock()
        self._encoder = FrameEncoder()
        self._reader = SpoolReader(self._files, self._note_damage)
        self._file: int | None = None
        self.dropped = Dropped()
        self.accepted_samples = self.set_aside_batches = self.set_aside_samples = 0
        self.last_sync_s = self.slowest_sync_s = 0.0
        self._segments, torn = self._files.repair()
        places = sum(len(segment.damaged) for segment in self._segments.values())
        self.damage = Damage(places)
        self.damaged_frames = torn + places
        self._cursor, self._kept = self._files.load_cursor(Cursor(min(self._segments, default=0), 0))
        self._active = max([*self._segments, self._cursor.segment], default=0)

    def append(self, batches: Sequence[SampleBatch]) -> None:
        """Take batches, durably: once this returns they are accepted. Each becomes a frame.

        Raises:
            StoreError: the disk is full or failing; nothing of this call was accepted.
        """
        self.append_groups([[batch] for batch in batches])

    def append_groups(self, groups: Sequence[Sequence[SampleBatch]]) -> None:
        """Take groups of batches, each group as one frame, all with one sync.

        Raises:
            StoreError: the disk is full or failing; nothing of this call was accepted.
        """
        counted = [(group, sum(map(len, group))) for group in groups]
        with self._lock:
            frames = [self._encoder.encode(group) for group, samples in counted if samples]
            if not frames:
                return
            try:
                self._write(frames, sum(samples for _, samples in counted))
            except OSError as error:
                self._abandon()
                remedy = "free some space" if error.errno in _FULL else "check the disk and the folder's rights"
                raise StoreError(f"spool {self.folder}: {error.strerror or error}; {remedy}") from error
            self._drop_oldest()

    @property
    def dropped_samples(self) -> int:
        """Samples that the spool had to give up before the store had them."""
        return self.dropped.by_size + self.dropped.by_age

    def _write(self, frames: list[bytes], samples: int) -> None:
        file, segment = self._writable(), self._segments[self._active]
        data = b"".join(frames if segment.size else [SEGMENT_MARK, *frames])
        done = 0
        while done < len(data):
            done += os.write(file, data[done:])
        began = time.perf_counter()
        os.fdatasync(file)
        self.last_sync_s = time.perf_counter() - began
        self.slowest_sync_s = max(self.slowest_sync_s, self.last_sync_s)
        segment.size += len(data)
        segment.samples += samples
        segment.newest_s = known_s(self._clock.now())
        self.accepted_samples += samples

    def _writable(self) -> int:
        if self._file is not None:
            segment, found = self._segments[self._active], os.fstat(self._file)
            young = self._clock.now() - segment.begun_s < self.max_age_s / _SEGMENTS
            if not found.st_nlink:
                self._lose(self._active, 0)
            elif found.st_size == segment.size < self._segment_bytes and young:
                return self._file
        self._close_file()
        number = self._active + 1
        self._file, self._active = self._files.begin(number), number
        self._segments[number] = Segment(begun_s=self._clock.now())
        return self._file

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
        while len(self._segments) > 1 and self.size_bytes > self.max_bytes:
            self._drop(min(self._segments), aged=False)
        now_s, leapt = self._leaps.look()
        for segment in self._segments.values() if leapt else ():
            segment.newest_s = np.inf
        too_old_s = now_s - self.max_age_s
        while self._segments and self._segments[oldest := min(self._segments)].newest_s < too_old_s:
            self._drop(oldest, aged=True)

    def _drop(self, number: int, *, aged: bool) -> None:
        lost, segment = self._unread_samples(number), self._segments[number]
        if lost:
            was = self.dropped
            until_s = max(was.until_s, segment.newest_s if np.isfinite(segment.newest_s) else -np.inf)
            self.dropped = Dropped(was.by_size + lost * (not aged), was.by_age + lost * aged, until_s)
        self._remove(number)
        following = Cursor(min(self._segments, default=number + 1), 0)
        self._cursor, self._kept = max(self._cursor, following), max(self._kept, following)

    def read(self) -> SpooledBatch | None:
        """The oldest frame not yet committed; None if the store has everything."""
        return next(iter(self.read_on()), None)

    def read_on(self, after: Cursor | None = None, samples: int = 1) -> list[SpooledBatch]:
        """Frames behind `after` (None: behind the last commit) until they hold at least so many samples, or all.

        The files are read outside of the lock, so a long backlog does not hold up a writer.

        Raises:
            StoreError: a file can't be read now.
        """
        frames: list[SpooledBatch] = []
        wanted = samples
        with self._lock:
            self._drop_oldest()
        while wanted > 0 and (place := self._place(after)) is not None:
            found, after = self._frames(*place, wanted)
            frames += found
            wanted -= sum(frame.samples for frame in found)
        return frames

    def commit(self, cursor: Cursor, *, keep_from: Cursor | None = None) -> None:
        """All before `cursor` is in the store. What lies before `keep_from` (None: `cursor`) is not needed any more.

        Raises:
            StoreError: the cursor can't be kept now; a restart would repeat some writes.
        """
        with self._lock:
            self._cursor = max(self._cursor, cursor)  # its segment may have been dropped meanwhile
            self._kept = max(self._kept, min(keep_from or cursor, cursor))
            for number in [n for n in self._segments if n < self._kept.segment]:
                self._remove(number)
            try:
                self._files.save_cursor(self._cursor, self._kept)
            except OSError as error:
                raise StoreError(f"spool {self.folder}: cannot keep the cursor: {error.strerror or error}") from error

    def rewind(self) -> Cursor:
        """Go back to the oldest place that was kept, to read it again; returns where reading had been."""
        with self._lock:
            was, self._cursor = self._cursor, self._kept
            return was

    def set_aside(self, spooled: SpooledBatch, reason: str) -> None:
        """Keep samples that the store will never take, with the reason, for a person; the first hundred lots stay."""
        self.set_aside_batches += 1
        self.set_aside_samples += spooled.samples
        body: dict[str, str | float] = {"at_s": self._clock.now(), "reason": reason, "samples": spooled.samples}
        try:
            name = f"{spooled.start.segment:08d}-{spooled.start.offset}"
            self._files.set_aside(name, self._reader.bytes_of(spooled), body)
        except OSError:
            return  # the count stands; a full disk must not stop the rest

    @property
    def size_bytes(self) -> int:
        """Bytes on disk, read or not."""
        return sum(segment.size for segment in list(self._segments.values()))

    @property
    def pending_samples(self) -> int:
        """About how many samples wait for the store (whole segments are counted)."""
        waiting = [(n, s) for n, s in list(self._segments.items()) if Cursor(n, s.size) > self._cursor]
        return sum(segment.samples for _, segment in waiting)

    def close(self) -> None:
        """Let go of the files."""
        with self._lock:
            self._close_file()

    def _place(self, after: Cursor | None) -> tuple[Cursor, Segment] | None:
        """Where the next frame is to be looked for, and the segment as it is now."""
        with self._lock:
            cursor = self._cursor if after is None else max(after, self._kept)
            for number in sorted(n for n in self._segments if n >= cursor.segment):
                segment = self._segments[number]
                offset = cursor.offset if number == cursor.segment else 0
                if offset < segment.size:
                    return Cursor(number, offset), Segment(segment.size, old=segment.old, damaged=segment.damaged)
            return None

    def _frames(self, place: Cursor, segment: Segment, samples: int) -> tuple[list[SpooledBatch], Cursor]:
        """Frames of one segment from a place on, and the place behind them; none of a file that is gone."""
        number = place.segment
        try:
            return self._reader.frames(place, segment, samples)
        except FileNotFoundError:
            with self._lock:
                self._lose(number, place.offset)
            return [], Cursor(number, segment.size)
        except OSError as error:
            raise StoreError(f"spool {self._files.path(number)}: cannot be read: {error.strerror or error}") from error

    def _note_damage(self, segment: Segment, offset: int) -> None:
        if offset not in segment.damaged:
            segment.damaged.add(offset)
            self.damaged_frames += 1
            self.damage = Damage(self.damage.places + 1, self.damage.samples)

    def _lose(self, number: int, offset: int) -> None:
        """A file that somebody took away, from where it was still needed; one dropped meanwhile is counted already."""
        segment = self._segments.get(number)
        if segment is None:
            return
        offset = max(offset, self._cursor.offset if number == self._cursor.segment else 0)
        left = round(segment.samples * (1 - offset / max(segment.size, 1))) if number >= self._cursor.segment else 0
        self._remove(number)
        if left:
            self.damaged_frames += 1
            self.damage = Damage(self.damage.places + 1, self.damage.samples + left)

    def _unread_samples(self, number: int) -> int:
        segment = self._segments[number]
        if number != self._cursor.segment:
            return segment.samples if number > self._cursor.segment else 0
        try:
            data = self._files.data(number, self._cursor.offset, segment.size)
        except OSError:
            return segment.samples
        return sum(frame.samples for frame in scan(data, 0, old=segment.old))

    def _remove(self, segment: int) -> None:
        if segment == self._active:
            self._close_file()
        del self._segments[segment]
        self._files.remove(segment)
