"""Stores that may forget what they acknowledged: what was acknowledged lately is kept, and sent again after a restart.

Time here is real and monotonic: a server does not follow a scaled clock.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from collector.spool import Spool
from collector.spool_files import Cursor
from plant.errors import RetryError
from plant.ports import DURABLE_ON_ACK, Store

REPLAY_S = 60.0
CHECK_EVERY_S = 5.0
_SAME_START_S = 0.5
"""Servers tell their start in whole seconds: one that lived for less than one is not told from the next."""
_MARK_EVERY_S = 1.0
_MAX_REPEATS = 3


class ReplayWindow:
    """The last `keep_s` [s] of what a store acknowledged, before it was last known not to have restarted.

    Counting back from there, not from now, keeps the window over an outage of any length. A store says when it
    started, or can't (None); one that can't is taken to have restarted whenever it failed.
    """

    def __init__(
        self, spool: Spool, store: Store, *, keep_s: float = REPLAY_S, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._spool, self._store, self._keep_s, self._now = spool, store, keep_s, now
        self.needed = DURABLE_ON_ACK not in store.capabilities
        self._marks: deque[tuple[float, Cursor]] = deque()
        self._keep_from: Cursor | None = None
        self._started_s: float | None = None
        self._checked_at: float | None = None
        self._suspect = True  # nobody watched the store before this process started
        self._repeats = 0
        self.until: Cursor | None = None
        self.replays = 0

    async def check(self) -> bool:
        """Whether the spool went back, because the store may have forgotten something.

        Raises:
            RetryError, OSError: the store does not say.
        """
        now = self._now()
        due = self._checked_at is None or now - self._checked_at >= CHECK_EVERY_S
        if not self.needed or not (due or self._suspect):
            return False
        started_s = await self._store.started_s()
        self._checked_at = now
        if self._restarted(started_s):
            self._started_s, self._suspect = started_s, False
            return self._rewind()
        self._suspect = False
        self._forget(now)
        return False

    def acknowledged(self, cursor: Cursor) -> Cursor:
        """All before `cursor` was acknowledged; from which place on it must be kept."""
        if not self.needed:
            return cursor
        now = self._now()
        if not self._marks or now - self._marks[-1][0] >= _MARK_EVERY_S:
            self._marks.append((now, cursor))
        if self.until is not None and cursor >= self.until:
            self.until, self._repeats = None, 0
        return self._keep_from if self._keep_from is not None else Cursor(0, 0)

    def failed(self, error: Exception) -> None:
        """A write failed. A store that asks for patience is there; any other may have restarted."""
        if not isinstance(error, RetryError) or error.retry_after_s is None:
            self._suspect = True

    def _restarted(self, started_s: float | None) -> bool:
        if started_s is None:
            return self._suspect
        return self._started_s is None or abs(started_s - self._started_s) > _SAME_START_S

    def _rewind(self) -> bool:
        """Go back, but not over and over: a store that fails all the time must get new samples, too."""
        if self.until is not None and self._started_s is None:
            self._repeats += 1
            if self._repeats > _MAX_REPEATS:
                return False
        was = self._spool.rewind()
        self.until = was if self.until is None else max(was, self.until)
        self._marks.clear()
        self.replays += 1
        return True

    def _forget(self, now: float) -> None:
        while self._marks and self._marks[0][0] <= now - self._keep_s:
            self._keep_from = self._marks.popleft()[1]
