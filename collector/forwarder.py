"""Drains the spool into the store, oldest first; a store that is down only makes the spool longer.

A backlog goes in large writes. There is one forwarder and one write at a time, and what fails
is tried again before anything younger, so the samples of a series arrive in their order.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from collector.conditions import Ledger
from collector.parcels import Parcel, Reader
from collector.replay import REPLAY_S, ReplayWindow
from collector.spool import Spool
from collector.spool_reader import SpooledBatch
from plant.clock import Clock
from plant.errors import RetryError
from plant.ports import Store, WriteResult
from plant.records import Condition
from plant.samples import SampleBatch

IDLE_S = 0.1
FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 15.0
MAX_RETRY_AFTER_S = 300.0
MAX_WRITE_SAMPLES = 50_000
GROWTH_SAMPLES = 1000
MAX_BISECTIONS = 1000
_SHOWN = 3


class Forwarder:
    """Moves frames from the spool to the store. Waits are real seconds; jitter draws from [0, 1).

    monotonic: real time [s], by which a replay window of `replay_s` [s] is kept for stores that may forget.
    """

    def __init__(
        self,
        spool: Spool,
        store: Store,
        clock: Clock,
        *,
        jitter: Callable[[], float] = random.random,
        replay_s: float = REPLAY_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spool, self._store, self._clock, self._jitter = spool, store, clock, jitter
        self._window = ReplayWindow(spool, store, keep_s=replay_s, now=monotonic)
        self._ledger = Ledger()
        self._reader = Reader(spool)
        self._write_samples = MAX_WRITE_SAMPLES
        self._backoff_s = 0.0
        self._retry_after_s: float | None = None
        self._reason = ""
        self.forwarded_samples = 0
        self.replayed_samples = 0
        self.rejected_samples = 0
        self.failures = 0

    async def run(self) -> None:
        """Forward until cancelled."""
        try:
            while True:
                if not await self.forward_one():
                    await asyncio.sleep(self.pause_s())
        finally:
            self._reader.drop_ahead()

    async def drain(self) -> None:
        """Forward until the spool is empty or the store fails."""
        while await self.forward_one():
            pass

    async def forward_one(self) -> bool:
        """Forward what is oldest, in one write; False if there is none or the store does not take it now."""
        try:
            if await self._window.check():
                self._reader.drop_ahead()
            parcel = await self._reader.next(self._write_samples)
            if not parcel.frames:
                return False
            await self._forward(parcel)
        except (RetryError, OSError) as error:
            self._failed(error)
            return False
        return True

    def pause_s(self) -> float:
        """How long to wait after `forward_one` gave False [s]; a store that named a time is given that time."""
        if self._retry_after_s is not None:
            return min(self._retry_after_s, MAX_RETRY_AFTER_S) * (1 + 0.1 * self._jitter())
        return self._backoff_s * (0.5 + 0.5 * self._jitter()) or IDLE_S

    def conditions(self) -> list[Condition]:
        """What is wrong with the store or the spool."""
        dropped = self._spool.dropped
        if self._spool.dropped_samples:
            params: dict[str, str | float] = {
                "lost": self._spool.dropped_samples,
                "by_size": dropped.by_size,
                "by_age": dropped.by_age,
                "until_s": dropped.until_s if np.isfinite(dropped.until_s) else 0.0,
            }
            self._ledger.raise_("spool_overflow", "spool", self._clock.now(), params)
        if (damage := self._spool.damage).places:
            found: dict[str, str | float] = {"places": damage.places, "samples": damage.samples}
            self._ledger.raise_("spool_damaged", "spool", self._clock.now(), found)
        return self._ledger.all()

    def counters(self) -> dict[str, int]:
        """Running totals."""
        return {
            "forwarded_samples": self.forwarded_samples,
            "replayed_samples": self.replayed_samples,
            "store_replays": self._window.replays,
            "rejected_samples": self.rejected_samples,
            "store_failures": self.failures,
            "set_aside_batches": self._spool.set_aside_batches,
            "set_aside_samples": self._spool.set_aside_samples,
            "spool_pending_samples": self._spool.pending_samples,
            "spool_bytes": self._spool.size_bytes,
            "spool_dropped_samples": self._spool.dropped_samples,
            "spool_damaged_frames": self._spool.damaged_frames,
        }

    async def _forward(self, parcel: Parcel) -> None:
        """All of it in one write; where the store refuses that, each frame by itself."""
        if parcel.batch is not None and parcel.whole:
            try:
                result = await self._store.write(parcel.batch)
            except (RetryError, OSError):
                raise
            except Exception as error:  # noqa: BLE001 - whatever the store can't take must not stop what follows
                if len(parcel.frames) == 1:
                    await self._bisect(parcel.frames[0], parcel.batch, _text(error))
                    await self._commit(parcel.frames[0])
                    return
            else:
                await self._took(parcel.frames, parcel.batch, result)
                await self._commit(parcel.frames[-1])
                self._write_samples = min(self._write_samples + GROWTH_SAMPLES, MAX_WRITE_SAMPLES)
                return
        for frame in parcel.frames:
            await self._forward_frame(frame)
            await self._commit(frame)

    async def _forward_frame(self, frame: SpooledBatch) -> None:
        if frame.batch is None:
            await self._set_aside(frame, "the frame can't be read")
            return
        try:
            result = await self._store.write(frame.batch)
        except (RetryError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever the store can't take must not stop what follows
            await self._bisect(frame, frame.batch, _text(error))
        else:
            await self._took([frame], frame.batch, result)

    async def _bisect(self, frame: SpooledBatch, batch: SampleBatch, reason: str) -> None:
        """Store all rows but those that the store refuses even alone; these are set aside.

        Rows go by point, so that a whole poison point is found as one stretch. Beyond a bound of writes, what was not
        tried is set aside, too.
        """
        order = np.argsort(batch.index, kind="stable")
        pieces, refused = _halves(order), [order if len(order) == 1 else order[:0]]
        writes, named = 0, list[str]()
        while pieces:
            rows = pieces.pop()
            if writes == MAX_BISECTIONS:
                refused.append(rows)
                continue
            writes += 1
            piece = batch.take(rows)
            try:
                result = await self._store.write(piece)
            except (RetryError, OSError):
                raise
            except Exception as error:  # noqa: BLE001 - see above
                reason = _text(error)
                pieces += _halves(rows)
                refused += [rows] if len(rows) == 1 else []
            else:
                self._count([frame], result)
                refused.append(rows[list(result.rows)])
                named += result.rejected
        await self._keep_refused([frame], batch, np.sort(np.concatenate(refused)), _joined([reason, *named]))
        self._works()

    async def _took(self, frames: Sequence[SpooledBatch], batch: SampleBatch, result: WriteResult) -> None:
        self._count(frames, result)
        await self._keep_refused(frames, batch, np.array(result.rows, dtype=np.intp), _joined(result.rejected))
        self._works()

    def _count(self, frames: Sequence[SpooledBatch], result: WriteResult) -> None:
        until = self._window.until
        again = sum(frame.samples for frame in frames if until is not None and frame.end <= until)
        again = min(again, result.accepted)
        self.replayed_samples += again
        self.forwarded_samples += result.accepted - again
        self.rejected_samples += len(result.rejected)

    async def _keep_refused(
        self, frames: Sequence[SpooledBatch], batch: SampleBatch, rows: npt.NDArray[np.intp], reason: str
    ) -> None:
        """Rows of a batch of all these frames, one lot a frame, so that a lot has the same name when it comes again."""
        place = np.searchsorted(np.cumsum([frame.samples for frame in frames]), rows, side="right")
        for i in np.unique(place).tolist():
            own = rows[place == i]
            await self._set_aside(SpooledBatch(batch.take(own), len(own), frames[i].start, frames[i].end), reason)

    async def _commit(self, frame: SpooledBatch) -> None:
        keep_from = self._window.acknowledged(frame.end)
        try:
            await asyncio.to_thread(self._spool.commit, frame.end, keep_from=keep_from)
        except RetryError:
            self.failures += 1  # a restart repeats some writes; the store takes them idempotently

    async def _set_aside(self, spooled: SpooledBatch, reason: str) -> None:
        await asyncio.to_thread(self._spool.set_aside, spooled, reason)
        params: dict[str, str | float] = {"count": self._spool.set_aside_samples, "error": reason}
        self._ledger.raise_("samples_set_aside", "store", self._clock.now(), params)

    def _works(self) -> None:
        self._backoff_s = 0.0
        self._retry_after_s = None
        self._ledger.clear("store_lost", "store")

    def _failed(self, error: Exception) -> None:
        """Smaller writes from now on, and what was read ahead is read again: nothing may overtake."""
        self.failures += 1
        self._reader.drop_ahead()
        self._window.failed(error)
        self._write_samples = max(self._write_samples // 2, 1)
        self._backoff_s = min(max(self._backoff_s * 2, FIRST_BACKOFF_S), MAX_BACKOFF_S)
        self._retry_after_s = error.retry_after_s if isinstance(error, RetryError) else None
        self._ledger.raise_("store_lost", "store", self._clock.now(), {"error": str(error)})


def _halves(rows: npt.NDArray[np.intp]) -> list[npt.NDArray[np.intp]]:
    """Two halves, the first one last: it is taken from the end."""
    half = len(rows) // 2
    return [rows[half:], rows[:half]] if half else []


def _joined(reasons: Sequence[str]) -> str:
    return "; ".join(list(dict.fromkeys(reasons))[:_SHOWN])


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
