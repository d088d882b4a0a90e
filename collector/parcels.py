"""What goes to the store in one write, read from the spool in a thread, and ahead while there is a backlog."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from collector.spool import Spool
from collector.spool_files import Cursor
from collector.spool_reader import SpooledBatch
from plant.samples import SampleBatch


@dataclass(frozen=True, slots=True)
class Parcel:
    """Frames that go in one write; `batch` holds those that could be read (None: none)."""

    frames: list[SpooledBatch]
    batch: SampleBatch | None

    @property
    def samples(self) -> int:
        """In all frames."""
        return sum(frame.samples for frame in self.frames)

    @property
    def whole(self) -> bool:
        """Whether every frame could be read."""
        return all(frame.batch is not None for frame in self.frames)


class Reader:
    """The spool's oldest frames, a parcel after another."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._ahead: asyncio.Task[Parcel] | None = None

    async def next(self, samples: int) -> Parcel:
        """The oldest, of about so many samples; without frames when the spool is empty."""
        ahead, self._ahead = self._ahead, None
        parcel = await ahead if ahead is not None else None
        if parcel is None or not parcel.frames:
            parcel = await asyncio.to_thread(self._read, None, samples)
        if parcel.samples >= samples:  # there is a backlog
            reading = asyncio.to_thread(self._read, parcel.frames[-1].end, samples)
            self._ahead = asyncio.create_task(reading)
        return parcel

    def drop_ahead(self) -> None:
        """Forget what was read ahead: the next parcel is the spool's oldest again."""
        if self._ahead is not None:
            self._ahead.cancel()
            self._ahead = None

    def _read(self, after: Cursor | None, samples: int) -> Parcel:
        frames = self._spool.read_on(after, samples)
        batches = [frame.batch for frame in frames if frame.batch is not None]
        return Parcel(frames, SampleBatch.joined(batches) if batches else None)
