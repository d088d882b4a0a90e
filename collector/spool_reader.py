"""Frames of one spool segment, from a place on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from collector.frames import Found, FrameDecoder, FrameEncoder, next_frame
from collector.spool_files import Cursor, Segment, SpoolFiles, after_mark
from plant.errors import PermanentError
from plant.samples import SampleBatch

_CHUNK_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SpooledBatch:
    """One frame, with the place behind it. batch is None if the frame can't be read."""

    batch: SampleBatch | None
    samples: int
    start: Cursor
    end: Cursor


class SpoolReader:
    """Reads what lies in `files`. on_damage is told each gap: the segment, and where in it the gap starts."""

    def __init__(self, files: SpoolFiles, on_damage: Callable[[Segment, int], None]) -> None:
        self._files, self._on_damage = files, on_damage
        self._decoder = FrameDecoder()

    def frames(self, place: Cursor, segment: Segment, samples: int) -> tuple[list[SpooledBatch], Cursor]:
        """Frames from a place on until they hold so many samples, and the place behind them.

        Raises:
            OSError: the file can't be read now, or is gone.
        """
        number, offset = place.segment, place.offset
        frames: list[SpooledBatch] = []
        data = self._files.data(number, offset, segment.size, _CHUNK_BYTES)
        at = 0 if offset or segment.old else after_mark(data)
        while samples > 0 and offset + at < segment.size:
            found = next_frame(data, at, old=segment.old)
            if found is None or found.start != at:
                if more := self._files.data(number, offset + len(data), segment.size):
                    data += more
                    continue
                self._on_damage(segment, offset + at)
            if found is None:
                return frames, Cursor(number, segment.size)
            frames.append(self._spooled(data, found, number, offset))
            samples -= found.samples
            at = found.end
        return frames, Cursor(number, offset + at)

    def bytes_of(self, spooled: SpooledBatch) -> bytes:
        """A frame's bytes, as they lie there if it can't be read. Raises: OSError."""
        if spooled.batch is not None:
            return FrameEncoder().encode([spooled.batch])
        return self._files.data(spooled.start.segment, spooled.start.offset, spooled.end.offset)

    def _spooled(self, data: bytes, found: Found, number: int, offset: int) -> SpooledBatch:
        try:
            batch: SampleBatch | None = self._decoder.decode(data[found.body : found.end])
        except PermanentError:
            batch = None
        return SpooledBatch(
            batch, found.samples, Cursor(number, offset + found.start), Cursor(number, offset + found.end)
        )
