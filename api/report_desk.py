"""The newest report of every process of one kind, with its age; kept in the state directory over restarts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

R = TypeVar("R")
S = TypeVar("S")
FORGOTTEN_S = 7 * 86_400.0
"""A process that has told nothing for so long is no longer of interest [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told(Generic[R]):
    """A report as it came. came_s: by the steady clock [s]; host_s: by the host's [s since 1970]."""

    report: R
    came_s: float
    host_s: float


@dataclass(slots=True)
class ReportDesk(Generic[R, S]):
    """most: names at once; stand: how one stands, of its name, report, age [s] and the host's time of its coming.

    real_s: ages count by it, however fast a demo runs; host_s: the host's clock [s since 1970].
    """

    most: int
    stand: Callable[[str, R, float, float], S]
    real_s: Callable[[], float] = time.monotonic
    host_s: Callable[[], float] = time.time
    changes: int = 0
    _told: dict[str, Told[R]] = field(default_factory=dict)

    def take(self, name: str, report: R) -> bool:
        """Keep it in the place of its last one; False where there are too many names already."""
        if name not in self._told and len(self._known()) >= self.most:
            return False
        self._told[name] = Told(report=report, came_s=self.real_s(), host_s=self.host_s())
        self.changes += 1
        return True

    def forget(self, name: str) -> bool:
        """It is gone for good; False where it never reported."""
        known = self._told.pop(name, None) is not None
        self.changes += known
        return known

    def state(self, name: str) -> S:
        """How one stands.

        Raises:
            KeyError: it has never reported.
        """
        told = self._told[name]
        return self.stand(name, told.report, self.real_s() - told.came_s, told.host_s)

    def states(self) -> tuple[S, ...]:
        """How all stand, by name; those that are forgotten no more."""
        return tuple(self.state(name) for name in sorted(self._known()))

    def kept(self) -> dict[str, tuple[float, R]]:
        """What outlives the process: name -> when it came [s since 1970], and the report."""
        return {name: (told.host_s, told.report) for name, told in self._known().items()}

    def recall(self, kept: Mapping[str, tuple[float, R]]) -> None:
        """Take over what an earlier process kept; ages go on."""
        for name, (host_s, report) in kept.items():
            age_s = max(self.host_s() - host_s, 0.0)
            self._told[name] = Told(report=report, came_s=self.real_s() - age_s, host_s=host_s)

    def _known(self) -> dict[str, Told[R]]:
        return {name: told for name, told in self._told.items() if self.real_s() - told.came_s < FORGOTTEN_S}
