"""Group commit: many small batches become one fsync, off the event loop; a failing disk stops nobody."""

from __future__ import annotations

import asyncio

from collector.conditions import Ledger
from collector.spool import Spool
from plant.clock import Clock
from plant.errors import StoreError
from plant.samples import SampleBatch

COMMIT_EVERY_S = 0.2
RETRY_EVERY_S = 1.0
MAX_BACKLOG_SAMPLES = 500_000
GRACE_S = 5.0
_MAX_FRAME_SAMPLES = 20_000


class SpoolWriter:
    """Feeds the spool. Times here are real seconds: disks do not follow a scaled clock."""

    def __init__(self, spool: Spool, clock: Clock, ledger: Ledger, *, grace_s: float = GRACE_S) -> None:
        self._spool, self._clock, self._ledger, self._grace_s = spool, clock, ledger, grace_s
        self._waiting: list[SampleBatch] = []
        self._waiting_samples = 0
        self._lock = asyncio.Lock()
        self.lost_samples = 0
        self._failing_since: float | None = None

    def put(self, batch: SampleBatch) -> None:
        """Queue for the next commit. Beyond the backlog limit the oldest are lost, and counted."""
        self._waiting.append(batch)
        self._waiting_samples += len(batch)
        while self._waiting_samples > MAX_BACKLOG_SAMPLES and len(self._waiting) > 1:
            oldest = self._waiting.pop(0)
            self._waiting_samples -= len(oldest)
            self.lost_samples += len(oldest)

    async def commit(self) -> None:
        """All that was put before is accepted when this returns.

        Raises:
            StoreError: the disk refuses; everything stays queued.
        """
        async with self._lock:
            batches, self._waiting = self._waiting, []
            self._waiting_samples -= sum(map(len, batches))
            try:
                await asyncio.shield(asyncio.to_thread(self._spool.append, list(_frames(batches))))
            except StoreError as error:
                self._requeue(batches)
                self._failed(str(error))
                raise
            self._healed()

    async def commit_or_give_up(self) -> None:
        """Commit; while the disk refuses, retry for the grace time [s], then go on without it.

        Live values matter more than history: a publisher must not be held up for as long as a disk is full.
        """
        while True:
            try:
                return await self.commit()
            except StoreError:
                since, now = self._failing_since, asyncio.get_running_loop().time()
                if since is not None and now - since > self._grace_s:
                    return None
                await asyncio.sleep(COMMIT_EVERY_S)

    async def run(self) -> None:
        """Commit at least every 0.2 s until cancelled, then once more."""
        try:
            while True:
                try:
                    await self.commit()
                    await asyncio.sleep(COMMIT_EVERY_S)
                except StoreError:
                    await asyncio.sleep(RETRY_EVERY_S)
        finally:
            self._last_commit()

    def _last_commit(self) -> None:
        batches, self._waiting = self._waiting, []
        self._waiting_samples = 0
        try:
            self._spool.append(list(_frames(batches)))
        except StoreError:
            self.lost_samples += sum(map(len, batches))

    def _requeue(self, batches: list[SampleBatch]) -> None:
        later, self._waiting = self._waiting, []
        self._waiting_samples = 0
        for batch in [*batches, *later]:
            self.put(batch)

    def _failed(self, error: str) -> None:
        if self._failing_since is None:
            self._failing_since = asyncio.get_running_loop().time()
        params: dict[str, str | float] = {"error": error, "waiting": self._waiting_samples, "lost": self.lost_samples}
        self._ledger.raise_("spool_failing", "spool", self._clock.now(), params)

    def _healed(self) -> None:
        self._failing_since = None
        self._ledger.clear("spool_failing", "spool")


def _frames(batches: list[SampleBatch]) -> list[SampleBatch]:
    """Small batches joined, up to a frame's size."""
    frames: list[SampleBatch] = []
    pending: list[SampleBatch] = []
    size = 0
    for batch in batches:
        if pending and size + len(batch) > _MAX_FRAME_SAMPLES:
            frames.append(SampleBatch.joined(pending))
            pending, size = [], 0
        pending.append(batch)
        size += len(batch)
    return [*frames, SampleBatch.joined(pending)] if pending else frames
