"""Drains the spool into the store, oldest first; a store that is down only makes the spool longer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from collector.conditions import Ledger
from collector.spool import Spool, SpooledBatch
from plant.clock import Clock
from plant.errors import RetryError
from plant.ports import Store
from plant.records import Condition

IDLE_S = 0.1
FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 15.0


class Forwarder:
    """Moves frames from the spool to the store. Waits are real seconds; jitter draws from [0, 1)."""

    def __init__(
        self, spool: Spool, store: Store, clock: Clock, *, jitter: Callable[[], float] = random.random
    ) -> None:
        self._spool, self._store, self._clock, self._jitter = spool, store, clock, jitter
        self._ledger = Ledger()
        self._backoff_s = 0.0
        self.forwarded_samples = 0
        self.rejected_samples = 0
        self.failures = 0

    async def run(self) -> None:
        """Forward until cancelled."""
        while True:
            if not await self.forward_one():
                await asyncio.sleep(self._backoff_s * (0.5 + 0.5 * self._jitter()) or IDLE_S)

    async def drain(self) -> None:
        """Forward until the spool is empty or the store fails."""
        while await self.forward_one():
            pass

    async def forward_one(self) -> bool:
        """Forward the oldest frame; False if there is none or the store does not take it now."""
        try:
            spooled = await asyncio.to_thread(self._spool.read)
            if spooled is None:
                return False
            await self._write(spooled)
        except (RetryError, OSError) as error:
            self._failed(error)
            return False
        await self._commit(spooled)
        return True

    def conditions(self) -> list[Condition]:
        """What is wrong with the store or the spool."""
        dropped = self._spool.dropped_samples
        if dropped:
            self._ledger.raise_("spool_overflow", "spool", self._clock.now(), {"lost": dropped})
        return self._ledger.all()

    def counters(self) -> dict[str, int]:
        """Running totals."""
        return {
            "forwarded_samples": self.forwarded_samples,
            "rejected_samples": self.rejected_samples,
            "store_failures": self.failures,
            "set_aside_batches": self._spool.set_aside_batches,
            "spool_pending_samples": self._spool.pending_samples,
            "spool_bytes": self._spool.size_bytes,
            "spool_dropped_samples": self._spool.dropped_samples,
            "spool_damaged_frames": self._spool.damaged_frames,
        }

    async def _write(self, spooled: SpooledBatch) -> None:
        if spooled.batch is None:
            await self._set_aside(spooled, "the frame can't be read")
            return
        try:
            result = await self._store.write(spooled.batch)
        except (RetryError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever the store can't take must not stop what follows
            await self._set_aside(spooled, f"{type(error).__name__}: {error}")
            return
        self.forwarded_samples += result.accepted
        self.rejected_samples += len(result.rejected)
        self._backoff_s = 0.0
        self._ledger.clear("store_lost", "store")

    async def _commit(self, spooled: SpooledBatch) -> None:
        try:
            await asyncio.to_thread(self._spool.commit, spooled.end)
        except RetryError:
            self.failures += 1  # a restart repeats some writes; the store takes them idempotently

    async def _set_aside(self, spooled: SpooledBatch, reason: str) -> None:
        await asyncio.to_thread(self._spool.set_aside, spooled, reason)
        params: dict[str, str | float] = {"count": self._spool.set_aside_batches, "error": reason}
        self._ledger.raise_("samples_set_aside", "store", self._clock.now(), params)

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        self._backoff_s = min(max(self._backoff_s * 2, FIRST_BACKOFF_S), MAX_BACKOFF_S)
        self._ledger.raise_("store_lost", "store", self._clock.now(), {"error": str(error)})
