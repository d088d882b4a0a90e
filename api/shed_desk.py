"""The newest report of every process that takes load off."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from placement.shed_reports import MOST_PROCESSES, ShedProcess, ShedReport, process_of


@dataclass(slots=True)
class ShedDesk:
    """real_s: ages count by it, however fast a demo runs."""

    real_s: Callable[[], float] = time.monotonic
    _kept: dict[str, tuple[ShedReport, float]] = field(default_factory=dict)

    def take(self, name: str, report: ShedReport) -> bool:
        """Keep it in the place of its last one; False where there are too many names already."""
        if name not in self._kept and len(self._kept) >= MOST_PROCESSES:
            return False
        self._kept[name] = (report, self.real_s())
        return True

    def processes(self) -> tuple[ShedProcess, ...]:
        """How all stand, by name."""
        return tuple(
            process_of(name, report, self.real_s() - came_s) for name, (report, came_s) in sorted(self._kept.items())
        )
