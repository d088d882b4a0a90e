"""The judge of quality: one implementation for streams and for history, with the same verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from collector.chain import Chains, Found
from collector.checks import Checked, Codes, Mask, came_bad, clamped, has_reason, mark, out_of_range
from collector.rules import Rule, RuleColumns
from plant.points import PointId
from plant.samples import Quality, Reason, SampleBatch
from plant.slots import GrowingSlots


class Judge:
    """Judges samples against rules and against the samples before them; every point has a slot."""

    def __init__(self, points: Iterable[PointId], rules: Mapping[PointId, Rule]) -> None:
        self._rules = rules
        self._slots = GrowingSlots(points)
        self.names = self._slots.names
        self._columns = RuleColumns(self.names, rules)
        self._chains = Chains(self._columns)

    def slots(self, names: tuple[PointId, ...]) -> npt.NDArray[np.intp]:
        """The slot of each name; names that are new get one."""
        slot = self._slots.of(names)
        if len(self._slots) > len(self.names):
            self._grow()
        return slot

    def judge(self, batch: SampleBatch) -> Checked:
        """Not a number, range, clock, and by the samples before: jump, stuck, duplicate, counter.

        BAD values become NaN; codes already there stay. Any number of rows of a point, in the order of their arrival.
        """
        slot, rules = self.slots(batch.names)[batch.index], self._columns
        time_s, skewed, skew_s = clamped(batch.time_s, batch.received_s)
        missing, bad_before = np.isnan(batch.value), came_bad(batch.code)
        outside = ~missing & out_of_range(batch.value, rules.minimum[slot], rules.maximum[slot])
        apart = has_reason(batch.code, Reason.BACKFILL | Reason.DUPLICATE)
        usable = np.flatnonzero(~(missing | outside | bad_before | apart))
        self._chains.set_back(slot, batch.received_s)
        found = self._chains.follow(slot[usable], time_s[usable], batch.value[usable])
        code = mark(batch.code, missing & ~bad_before, Quality.BAD, Reason.NOT_A_NUMBER)
        code = mark(code, outside, Quality.BAD, Reason.RANGE)
        code = mark(code, skewed, Quality.UNCERTAIN, Reason.CLOCK)
        code = _marked(code, usable, found)
        bad = came_bad(code)
        judged = replace(batch, time_s=time_s, value=np.where(bad, np.nan, batch.value), code=code)
        return Checked(judged, batch.value, bad, skewed, skew_s)

    def _grow(self) -> None:
        self.names = self._slots.names
        self._columns = RuleColumns(self.names, self._rules)
        self._chains = self._chains.grown(self._columns)


def _marked(code: Codes, rows: npt.NDArray[np.intp], found: Found) -> Codes:
    for mask, reason in (
        (found.jumped, Reason.JUMP),
        (found.stuck, Reason.STUCK),
        (found.contradicted, Reason.DUPLICATE),
    ):
        if mask.any():
            code = mark(code, _spread(mask, rows, len(code)), Quality.UNCERTAIN, reason)
    return code


def _spread(mask: Mask, rows: npt.NDArray[np.intp], count: int) -> Mask:
    wide = np.zeros(count, dtype=np.bool_)
    wide[rows] = mask
    return wide
