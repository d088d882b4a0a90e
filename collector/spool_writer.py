"""Group commit: many small batches become one fsync, off the event loop; a failing disk stops nobody."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

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
    """Feeds the spool, from one thread. Times here are real seconds: disks do not follow a scaled clock."""

    def __init__(self, spool: Spool, clock: Clock, ledger: Ledger, *, grace_s: float = GRACE_S) -> None:
        self._spool, self._clock, self._ledger, self._grace_s = spool, clock, ledger, grace_s
        self._waiting: deque[SampleBatch] = deque()
        self._waiting_samples = 0
        self._lock = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="coldplate-spool")
        self._flying: tuple[list[SampleBatch], Future[None]] | None = None
        self.lost_samples = 0
        self.failures = 0
        self._failing_since: float | None = None

    def put(self, batch: SampleBatch) -> None:
        """Queue for the next commit. Beyond the backlog limit the oldest are lost, and counted."""
        self._waiting.append(batch)
        self._waiting_samples += len(batch)
        while self._waiting_samples > MAX_BACKLOG_SAMPLES and len(self._waiting) > 1:
            oldest = self._waiting.popleft()
            self._waiting_samples -= len(oldest)
            self.lost_samples += len(oldest)

    async def commit(self) -> None:
        """All that was put before is accepted when this returns.

        A cancelled commit leaves its append running; the next one waits for that first, so that order stays.

        Raises:
            StoreError: the disk refuses; everything stays queued.
        """
        async with self._lock:
            await self._land()
            batches = self._take()
            if batches:
                self._flying = batches, self._thread.submit(self._spool.append_groups, groups(batches))
                await self._land()
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

    def counters(self) -> dict[str, float]:
        """Running totals and present values; times in seconds."""
        return {
            "spool_lost_samples": self.lost_samples,
            "spool_waiting_samples": self._waiting_samples,
            "spool_write_failures": self.failures,
            "spool_last_sync_s": self._spool.last_sync_s,
            "spool_slowest_sync_s": self._spool.slowest_sync_s,
        }

    async def _land(self) -> None:
        """Wait for the append in flight, if there is one."""
        if self._flying is None:
            return
        batches, done = self._flying
        await asyncio.wait([_quiet(asyncio.wrap_future(done))])  # unlike await, this does not cancel what it waits for
        self._flying = None
        try:
            done.result()
        except StoreError as error:
            self._requeue(batches)
            self._failed(str(error))
            raise
        except BaseException:
            self.lost_samples += sum(map(len, batches))
            raise

    def _last_commit(self) -> None:
        """Off the event loop there is no waiting: what can't be written now is lost, and counted."""
        flying, self._flying = self._flying, None
        batches = self._take()
        if flying is not None and flying[1].exception() is not None:
            batches = [*flying[0], *batches]
        try:
            self._thread.submit(self._spool.append_groups, groups(batches)).result()
        except StoreError:
            self.lost_samples += sum(map(len, batches))

    def _take(self) -> list[SampleBatch]:
        batches, self._waiting = list(self._waiting), deque()
        self._waiting_samples = 0
        return batches

    def _requeue(self, batches: list[SampleBatch]) -> None:
        for batch in [*batches, *self._take()]:
            self.put(batch)

    def _failed(self, error: str) -> None:
        self.failures += 1
        if self._failing_since is None:
            self._failing_since = asyncio.get_running_loop().time()
        params: dict[str, str | float] = {"error": error, "waiting": self._waiting_samples, "lost": self.lost_samples}
        self._ledger.raise_("spool_failing", "spool", self._clock.now(), params)

    def _healed(self) -> None:
        self._failing_since = None
        self._ledger.clear("spool_failing", "spool")


def groups(batches: Sequence[SampleBatch]) -> list[list[SampleBatch]]:
    """Small batches together, up to a frame's size."""
    found: list[list[SampleBatch]] = []
    size = 0
    for batch in batches:
        if not found or size + len(batch) > _MAX_FRAME_SAMPLES:
            found.append([])
            size = 0
        found[-1].append(batch)
        size += len(batch)
    return found


def _quiet(future: asyncio.Future[None]) -> asyncio.Future[None]:
    """A failure is taken from elsewhere: asyncio need not report it as forgotten."""
    future.add_done_callback(lambda f: f.cancelled() or f.exception())
    return future
