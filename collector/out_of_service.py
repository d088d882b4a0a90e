"""Points and equipment that people took out of service: kept in history, never used, and given back at their time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from collector.checks import Checked
from collector.conditions import Ledger
from plant.clock import Clock
from plant.points import PointId
from plant.records import Condition
from plant.samples import Quality, Reason, quality_code
from plant.slots import UNKNOWN, Slots
from plant.topology import OutOfService, Site

ACTIVE, EXPIRED = "out_of_service", "out_of_service_expired"
_CODE = quality_code(Quality.BAD, Reason.OUT_OF_SERVICE)


class ServiceBook:
    """What is out of service at a site, by the site file; after an entry's end its points count again."""

    def __init__(self, site: Site, clock: Clock, ledger: Ledger) -> None:
        self._entries, self._clock, self._ledger = site.out_of_service, clock, ledger
        self._zone = ZoneInfo(site.timezone)
        self._whole = {entry.subject: entry for entry in self._entries if entry.subject in site.equipment}
        until: dict[PointId, float] = {}
        for entry in self._entries:
            for point in filter(entry.covers, site.points):
                until[point] = max(entry.until_s, until.get(point, entry.until_s))
        self._slot = {point: i for i, point in enumerate(until)}
        self._slots = Slots(self._slot)
        self._until_s = np.array([*until.values(), -np.inf])  # the last stands for UNKNOWN

    def covers(self, point: PointId) -> bool:
        """Whether a point is out of service now."""
        return bool(self._clock.now() < self._until_s[self._slot.get(point, UNKNOWN)])

    def mark(self, checked: Checked) -> Checked:
        """Rows that are out of service become BAD and say so, and keep their value as it was read.

        They count neither as bad nor as skewed: what they read needs nobody's attention.
        """
        if not self._slot:
            return checked
        batch = checked.batch
        out = self._clock.now() < self._until_s[self._slots.of(batch.names)[batch.index]]
        if not out.any():
            return checked
        code = np.where(out, (batch.code & ~3) | _CODE, batch.code).astype(np.int32)
        value = np.where(out, checked.raw, batch.value)
        return replace(
            checked,
            batch=replace(batch, value=value, code=code),
            bad=checked.bad & ~out,
            skewed=checked.skewed & ~out,
        )

    def judge(self) -> None:
        """Bring the conditions up to date."""
        now_s = self._clock.now()
        active = {e.subject: e for e in self._entries if now_s < e.until_s}
        expired = {e.subject: e for e in self._entries if e.subject not in active}
        for code, entries in ((ACTIVE, active), (EXPIRED, expired)):
            self._ledger.keep_only(code, entries)
            for subject, entry in entries.items():
                self._ledger.raise_(code, subject, now_s, self._params(entry))

    def excuses(self, condition: Condition) -> bool:
        """Whether a condition is about an equipment that is wholly out of service, and says no more than that."""
        entry = self._whole.get(condition.subject)
        told = condition.code in {ACTIVE, EXPIRED}
        return entry is not None and not told and self._clock.now() < entry.until_s

    def _params(self, entry: OutOfService) -> dict[str, str | float]:
        until = datetime.fromtimestamp(entry.until_s, self._zone).isoformat(sep=" ", timespec="minutes")
        return {"what": entry.subject, "reason": entry.reason, "until": until}
