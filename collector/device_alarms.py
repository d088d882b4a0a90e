"""Alarm bits that devices set themselves, by the names of their profiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from collector import wiring
from collector.checks import has_reason
from collector.conditions import Ledger
from plant.clock import Clock
from plant.points import PointId
from plant.samples import Reason, SampleBatch
from plant.slots import UNKNOWN, Slots
from plant.topology import Site

CODE = "device_alarm"
_SHOWN = 8


class DeviceAlarms:
    """Raises one condition for each equipment that has alarm bits set; a batch without alarm points costs one lookup.

    A register that can't be read leaves its last alarms standing: nobody has said that they are over. Nor do readings
    from the past say it.
    """

    def __init__(self, site: Site, clock: Clock, ledger: Ledger) -> None:
        self._clock, self._ledger = clock, ledger
        self._bits = dict(alarm_bits(site))
        self._names = tuple(self._bits)
        self._slots = Slots({point: i for i, point in enumerate(self._names)})
        self._set: dict[PointId, int] = {}

    def take(self, batch: SampleBatch) -> None:
        """Note the alarm registers of a judged batch."""
        if not self._names:
            return
        slot = self._slots.of(batch.names)[batch.index]
        late, off = (has_reason(batch.code, reason) for reason in (Reason.BACKFILL, Reason.OUT_OF_SERVICE))
        for row in np.flatnonzero((slot != UNKNOWN) & (np.isfinite(batch.value) | off) & ~late).tolist():
            self._note(self._names[slot[row]], 0 if off[row] else int(batch.value[row]))

    def _note(self, point: PointId, flags: int) -> None:
        if flags == self._set.get(point, 0):
            return
        self._set[point] = flags
        equipment = wiring.equipment_of(point)
        names = [name for p in self._names if wiring.equipment_of(p) == equipment for name in self._alarms(p)]
        if not names:
            self._ledger.clear(CODE, equipment)
            return
        shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        params: dict[str, str | float] = {"equipment": equipment, "count": len(names), "alarms": shown}
        self._ledger.raise_(CODE, equipment, self._clock.now(), params)

    def _alarms(self, point: PointId) -> Iterator[str]:
        """Names of the bits that are set; a bit that the profile does not name is shown by its number."""
        flags, names = self._set.get(point, 0), self._bits[point]
        for bit in range(flags.bit_length()):
            if flags >> bit & 1:
                yield names.get(bit) or f"{point.rpartition('/')[2]} bit {bit}"


def alarm_bits(site: Site) -> Iterator[tuple[PointId, Mapping[int, str]]]:
    """Every alarm register of a site, with the names of its bits."""
    for link in site.links:
        for wire in wiring.wires(site, link):
            for point in wire.profile.points:
                if point.alarms and not wire.profile.per_gpu:
                    yield f"{wire.equipment}/{point.name}", point.bits
