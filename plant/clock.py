"""One clock for every room of a run: real, scaled (a fast demo) or driven by hand (tests and studies)."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Protocol


class Clock(Protocol):
    """Site time. `now` is for people and stores, `monotonic` for ages and leases."""

    def now(self) -> float:
        """Seconds since 1970 [s], UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never step back [s]."""
        ...

    def real(self, seconds: float) -> float:
        """How long to really wait [s] for `seconds` of site time."""
        ...


@dataclass(frozen=True, slots=True)
class ScaledClock:
    """Runs `speed` times as fast as the machine's clock, from a shared origin.

    CLOCK_MONOTONIC is the same for all processes of one host, so processes given the same origin agree on the time.
    """

    speed: float = 1.0
    origin_mono_s: float = field(default_factory=time.monotonic)
    origin_epoch_s: float = field(default_factory=time.time)

    def monotonic(self) -> float:
        """Scaled seconds since the origin [s]."""
        return (time.monotonic() - self.origin_mono_s) * self.speed

    def now(self) -> float:
        """Scaled time of day [s since 1970]; at speed 1 the machine's own."""
        return time.time() if self.speed == 1.0 else self.origin_epoch_s + self.monotonic()

    def real(self, seconds: float) -> float:
        """Real seconds for `seconds` of site time [s]."""
        return seconds / self.speed

    def spec(self) -> str:
        """Text from which `parse` makes the same clock in another process."""
        return f"{self.speed!r}:{self.origin_mono_s!r}:{self.origin_epoch_s!r}"

    @classmethod
    def parse(cls, text: str) -> ScaledClock:
        """The inverse of `spec`; an empty text is the machine's own clock."""
        return cls(*map(float, text.split(":"))) if text else cls()


@dataclass(slots=True)
class ManualClock:
    """A clock that moves only when told to."""

    epoch_s: float = 1_767_225_600.0  # 2026-01-01
    elapsed_s: float = 0.0

    def now(self) -> float:
        """Seconds since 1970 [s]."""
        return self.epoch_s + self.elapsed_s

    def monotonic(self) -> float:
        """Seconds since it was made [s]."""
        return self.elapsed_s

    def real(self, seconds: float) -> float:  # noqa: ARG002 - by-hand time never waits
        """No wait at all [s]."""
        return 0.0

    def advance(self, seconds: float) -> None:
        """Move on by `seconds` [s]."""
        self.elapsed_s += seconds
