"""What can be said of a sample only by the ones before it: jumps, stuck sensors, duplicates, counters.

Every point has a chain: its usable samples, each later than the one before. A chain's end is kept by slot, so that the
verdicts do not depend on how a stream is cut into batches: `follow` puts the kept end before the new samples of its
point and compares neighbours. Rows are taken in the order of their arrival.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from collector.checks import Mask, jumps
from collector.rules import Floats, RuleColumns
from plant.samples import FUTURE_S

STUCK_FLOOR_S = 600.0
"""No run of equal values shorter than this [s] is called stuck."""
STUCK_TIMES = 3.0
"""How many times its longest natural run a value may stay the same."""
ROLL_OVER_NEAR = 0.1
"""A counter's fall is a roll-over if it was this close to its end and is this close to its start (share)."""

Index = npt.NDArray[np.intp]
_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Found:
    """Verdicts by row, in the order of the rows that were given."""

    jumped: Mask
    stuck: Mask
    contradicted: Mask


class Chains:
    """The ends of all points' chains."""

    def __init__(self, rules: RuleColumns) -> None:
        size = len(rules.minimum)
        self._rules = rules
        self.time_s, self.value = np.full(size, -np.inf), np.full(size, np.nan)
        self._since_s = np.full(size, np.nan)
        self._witnessed = np.full(size, np.nan)
        self._moved = np.zeros(size, dtype=np.bool_)
        known = np.isfinite(rules.natural_run_s)
        self._learns = (rules.witness >= 0) & ~known
        self._longest_s = np.maximum(np.where(known, rules.natural_run_s, 0.0), STUCK_FLOOR_S / STUCK_TIMES)

    def grown(self, rules: RuleColumns) -> Chains:
        """The same chains, with room for points that were unknown so far."""
        more, size = Chains(rules), len(self.time_s)
        for name in ("time_s", "value", "_since_s", "_witnessed", "_moved", "_longest_s"):
            getattr(more, name)[:size] = getattr(self, name)
        return more

    def set_back(self, slot: Index, received_s: Floats) -> None:
        """Chains that end so far ahead of an arrival that the clock must have been set back since begin anew."""
        ahead = self.time_s[slot] > received_s + FUTURE_S
        if ahead.any():
            self.time_s[slot[ahead]] = -np.inf

    def follow(self, slot: Index, time_s: Floats, value: Floats) -> Found:
        """Judge rows against what came before them, and keep the ends. Values are finite."""
        found = Found(*(np.zeros(len(slot), dtype=np.bool_) for _ in range(3)))
        if not len(slot):
            return found
        order = np.argsort(slot, kind="stable")
        runs = _Segments(slot[order])
        times = runs.headed(self.time_s[runs.slots], time_s[order])
        values = runs.headed(self.value[runs.slots], value[order])
        if not (times[runs.at] > times[runs.at - 1]).all():
            kept, contradicted = _advancing(runs, times, values)
            found.contradicted[order[contradicted]] = True
            rest = order[kept]
            rest.sort()
            part = self.follow(slot[rest], time_s[rest], value[rest])
            found.jumped[rest], found.stuck[rest] = part.jumped, part.stuck
            return found
        with np.errstate(invalid="ignore", over="ignore"):
            self._compare(_Rows(runs, order, times, values), found)
        return found

    def _compare(self, rows: _Rows, found: Found) -> None:
        runs, rules = rows.runs, self._rules
        slot, at = runs.slot, runs.at
        gap_s, step = rows.time_s[at] - rows.time_s[at - 1], rows.value[at] - rows.value[at - 1]
        jumped = jumps(step, gap_s, rules.max_jump[slot], rules.period_s[slot])
        fell = rules.counter[slot] & (step < 0)
        if fell.any():
            over = _rolled_over(rows.value[at - 1], rows.value[at], rules.rolls_over_at[slot])
            jumped = (jumped & ~over) | (fell & ~over)
        found.jumped[rows.order] = jumped
        same = (np.abs(step) <= rules.same[slot]) & (gap_s <= rules.max_age_s[slot])
        found.stuck[rows.order] = self._stuck(rows, same)
        self.time_s[runs.slots], self.value[runs.slots] = rows.time_s[runs.ends], rows.value[runs.ends]

    def _stuck(self, rows: _Rows, same: Mask) -> Mask:
        """Rows whose value stays the same for too long although their witness moved since the run began."""
        runs = rows.runs
        begun = runs.begun(same)
        since_s = runs.headed(self._since_s[runs.slots], rows.time_s[runs.at])[begun]
        seen = self._seen(rows)
        shown = runs.headed(self._witnessed[runs.slots], seen)
        was = shown[begun]
        late = same & np.isnan(was[runs.at]) & np.isfinite(seen)
        if late.any():  # a witness that is first heard of within a run counts from there
            first = late & ~runs.headed(np.zeros(len(runs.slots), dtype=np.bool_), late)[runs.at - 1]
            was = shown[runs.begun(same & ~first)]
        at_slot = runs.slot
        far = self._rules.move[at_slot] + self._rules.move_share[at_slot] * np.abs(was[runs.at])
        moves = runs.headed(self._moved[runs.slots], same & (np.abs(seen - was[runs.at]) > far))
        count = np.cumsum(moves)
        moved = count - count[begun] + moves[begun] > 0
        length_s = rows.time_s - since_s
        longest_s = self._learn(runs, same, length_s, moved)
        ends = runs.ends
        self._since_s[runs.slots], self._witnessed[runs.slots] = since_s[ends], was[ends]
        self._moved[runs.slots] = moved[ends]
        at = runs.at
        mask: Mask = same & moved[at] & (length_s[at] > STUCK_TIMES * longest_s)
        return mask

    def _seen(self, rows: _Rows) -> Floats:
        """What each row's witness showed when the row came; NaN without one."""
        runs, seen = rows.runs, np.full(len(rows.order), np.nan)
        witness = self._rules.witness[runs.slot]
        asking = np.flatnonzero(witness >= 0)
        if not len(asking):
            return seen
        wide, witness = len(rows.order) + 1, witness[asking]
        keys = runs.headed(runs.slots * wide, runs.slot * wide + rows.order + 1)
        place = np.searchsorted(keys, witness * wide + rows.order[asking] + 1) - 1
        here = (place >= 0) & (keys[place] // wide == witness)
        seen[asking] = np.where(here, rows.value[place], self.value[witness])
        return seen

    def _learn(self, runs: _Segments, same: Mask, length_s: Floats, moved: Mask) -> Floats:
        """The longest natural run known at each row; a run that was called stuck teaches nothing.

        Only runs that may break the record are looked at one by one: few, once a point is known.
        """
        slot = runs.slot
        longest_s = self._longest_s[slot]
        ended_s, had_moved = length_s[runs.at - 1], moved[runs.at - 1]
        with np.errstate(invalid="ignore"):
            candidates = np.flatnonzero(~same & self._learns[slot] & (ended_s > longest_s))
        for row in candidates.tolist():
            known_s, run_s = longest_s[row], ended_s[row]
            if run_s > known_s and not (had_moved[row] and run_s > STUCK_TIMES * known_s):
                longest_s[row : runs.stop(row)] = run_s
                self._longest_s[slot[row]] = run_s
        return longest_s


class _Segments:
    """Rows sorted by slot, with a head before each slot's rows that stands for what is kept of it.

    slots: each slot once; slot: of each row; at: where the rows lie among rows and heads; ends: where each slot's last
    row lies.
    """

    def __init__(self, slot: Index) -> None:
        count = len(slot)
        first = np.empty(count, dtype=np.bool_)
        first[0] = True
        np.not_equal(slot[1:], slot[:-1], out=first[1:])
        starts = np.flatnonzero(first)
        self.slot, self.slots = slot, slot[starts]
        self.number = np.cumsum(first) - 1
        self.at = np.arange(count) + self.number + 1
        self._heads = starts + np.arange(len(starts))
        self._size = count + len(starts)
        self._stops = np.append(starts[1:], count)
        self.ends = np.append(self._heads[1:], self._size) - 1

    def headed(self, kept: npt.NDArray[_Scalar], rows: npt.NDArray[_Scalar]) -> npt.NDArray[_Scalar]:
        """A column of heads and rows."""
        column = np.empty(self._size, dtype=rows.dtype)
        column[self._heads], column[self.at] = kept, rows
        return column

    def begun(self, same: Mask) -> Index:
        """Where each element's run of equal values began: at a head, or at a row that differs from the one before."""
        place = np.arange(self._size)
        place[self.at[same]] = 0
        return np.maximum.accumulate(place)

    def stop(self, row: int) -> int:
        """The end of a row's slot among the rows."""
        return int(self._stops[self.number[row]])


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows sorted by slot (order: of arrival), and their columns with heads."""

    runs: _Segments
    order: Index
    time_s: Floats
    value: Floats


def _advancing(runs: _Segments, times: Floats, values: Floats) -> tuple[Mask, Mask]:
    """Which rows are later than all before them, and which repeat the newest one's time with another value."""
    rank = np.unique(times, return_inverse=True)[1]
    size = len(times)
    segment = runs.headed(np.arange(len(runs.slots)), runs.number)
    newest = np.maximum.accumulate(segment * size + rank)
    before = newest[runs.at - 1]
    mine = runs.number * size + rank[runs.at]
    later = mine > before
    place = np.arange(size)
    place[runs.at[~later]] = 0
    held = values[np.maximum.accumulate(place)[runs.at]]
    return later, (mine == before) & (held != values[runs.at])


def _rolled_over(before: Floats, after: Floats, end: Floats) -> Mask:
    """Whether a counter's fall from `before` to `after` is a roll-over at `end`; never where that is NaN."""
    with np.errstate(invalid="ignore"):
        mask: Mask = (before >= (1.0 - ROLL_OVER_NEAR) * end) & (after <= ROLL_OVER_NEAR * end)
    return mask
