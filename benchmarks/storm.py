"""Work that storms: nearly nothing, then within minutes nearly everything, several times a day; and who tells of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from plant.records import JobOutlook

DAY_S, RISE_S = 86400.0, 300.0
HOURS = ((11.05, 12.3), (12.72, 14.0), (17.05, 18.5), (21.55, 22.6))
"""Local hours at which each storm begins and ends: after a calm night, 25 minutes later, and after hours."""
CALM, STORM = 0.105, 0.91
ADDED_W = 3.3e6
"""Shares of full load: 1.6 and 4.9 MW of the hall with six trains; what lies between them."""
TOLD_AHEAD_S = 7200.0
TOLD_SHARE, TOLD_SD_SHARE = 0.9, 0.15
"""The scheduler guesses a job's power 10 % too low, and knows that it may be 15 % off."""
TOLD_LATE_S, TOLD_SD_S = 60.0, 120.0
"""It expects a job a minute late, and knows that it may be two off."""


@dataclass(frozen=True, slots=True)
class Storms:
    """Every rack at once; offset_s: local standard time less UTC [s]."""

    offset_s: float

    def utilisation(self, rack: str, time_s: float) -> float:
        """Share of full load [1] at time_s [s since 1970]."""
        del rack
        day_s = (time_s + self.offset_s) % DAY_S
        storm = max(_risen(day_s, 3600.0 * begin, 3600.0 * end) for begin, end in HOURS)
        return CALM + (STORM - CALM) * storm

    def outlook(self, racks: Sequence[str], now_s: float) -> tuple[JobOutlook, ...]:
        """The storms that run or begin within two hours, as a scheduler tells them at now_s [s since 1970]."""
        today_s = now_s - (now_s + self.offset_s) % DAY_S
        days = product((today_s, today_s + DAY_S), HOURS)
        storms = [(day_s + 3600.0 * begin, day_s + 3600.0 * end) for day_s, (begin, end) in days]
        return tuple(_told(racks, now_s, *s) for s in storms if s[0] < now_s + TOLD_AHEAD_S and s[1] > now_s)


def _risen(day_s: float, begin_s: float, end_s: float) -> float:
    """How much of a storm there is [1]: it rises and falls within `RISE_S`."""
    return min(max(min((day_s - begin_s) / RISE_S, 1.0 - (day_s - end_s) / RISE_S), 0.0), 1.0)


def _told(racks: Sequence[str], now_s: float, begin_s: float, end_s: float) -> JobOutlook:
    begun = begin_s <= now_s
    return JobOutlook(
        job=f"storm-{begin_s:.0f}",
        racks=tuple(racks),
        start_s=begin_s if begun else max(begin_s + TOLD_LATE_S, now_s + 1.0),
        end_s=end_s,
        power_w=TOLD_SHARE * ADDED_W,
        power_sd_w=TOLD_SD_SHARE * TOLD_SHARE * ADDED_W,
        start_sd_s=TOLD_SD_S,
        end_sd_s=TOLD_SD_S,
    )
