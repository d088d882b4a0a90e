"""The newest report of every process beside a scheduler."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from placement.scheduler_reports import MOST_SCHEDULERS, Report, SchedulerState, state_of


@dataclass(slots=True)
class SchedulerDesk:
    """Ages count by real_s, skews by host_s [s since 1970]: schedulers live in real time, however fast a demo runs."""

    real_s: Callable[[], float] = time.monotonic
    host_s: Callable[[], float] = time.time
    _kept: dict[str, tuple[Report, float, float]] = field(default_factory=dict)

    def take(self, name: str, report: Report) -> bool:
        """Keep it in the place of its last one; False where there are too many names already."""
        if name not in self._kept and len(self._kept) >= MOST_SCHEDULERS:
            return False
        self._kept[name] = (report, self.real_s(), report.sent_at - self.host_s())
        return True

    def state(self, name: str) -> SchedulerState:
        """How one stands.

        Raises:
            KeyError: it has never reported.
        """
        report, came_s, skew_s = self._kept[name]
        return state_of(name, report, self.real_s() - came_s, skew_s)

    def states(self) -> list[SchedulerState]:
        """How all stand, by name."""
        return [self.state(name) for name in sorted(self._kept)]
