"""Whether a clock was set ahead: what was kept before by its time is then of an age that nobody knows."""

from __future__ import annotations

from plant.clock import Clock

LEAP_S = 3600.0
"""A clock that goes so much further [s] than time did was set ahead."""


class LeapWatch:
    """Site time, looked at now and then."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen_s, self._seen_mono_s = clock.now(), clock.monotonic()

    def look(self) -> tuple[float, bool]:
        """Site time [s since 1970], and whether its clock was set ahead since the last look."""
        now_s, mono_s = self._clock.now(), self._clock.monotonic()
        leapt = now_s - self._seen_s > mono_s - self._seen_mono_s + LEAP_S
        self._seen_s, self._seen_mono_s = now_s, mono_s
        return now_s, leapt
