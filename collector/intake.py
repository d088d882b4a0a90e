"""Where every sample passes: gathered for a moment, judged together, shown live, then spooled."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from collector.checks import Checked, Mask, has_reason
from collector.conditions import Ledger
from collector.judge import Judge
from collector.rules import Rule
from collector.spool_writer import SpoolWriter
from collector.wiring import equipment_of
from plant.clock import Clock
from plant.live import LiveTable
from plant.points import Point, PointId
from plant.samples import Quality, Reason, SampleBatch, quality_code

GATHER_S = 0.05
"""Real seconds for which rows are gathered until they are judged together; no more than a second of site time."""
GATHER_ROWS = 20_000
RESET_TOLD_S = 86_400.0
"""How long a counter that was set back stands as a condition [s]."""
_IMPOSSIBLE = Reason.RANGE | Reason.NOT_A_NUMBER
_SHOWN = 3


def _unmarked(checked: Checked) -> Checked:
    return checked


class Intake:
    """Takes batches from the links, on the event loop's thread; never waits.

    What comes within 50 ms is judged in one go: the cost of a judgement is by the call, not by the row.
    on_batch: told of every judged batch, e.g. to publish it to other processes; mark: has the last word on a batch,
    e.g. for what is out of service.
    """

    def __init__(
        self,
        live: LiveTable,
        writer: SpoolWriter,
        rules: Mapping[PointId, Rule],
        clock: Clock,
        ledger: Ledger,
        on_batch: Callable[[SampleBatch], None],
        mark: Callable[[Checked], Checked] = _unmarked,
    ) -> None:
        self._live, self._writer = live, writer
        self._clock, self._ledger, self._on_batch, self._mark = clock, ledger, on_batch, mark
        self._judge = Judge(rules, rules)
        self._noted = _Noted()
        self._counters = frozenset(name for name, rule in rules.items() if rule.counter)
        self._resets: dict[PointId, float] = {}
        self._waiting: list[SampleBatch] = []
        self._blocks = _Blocks()
        self._rows = 0
        self._gather_s = min(GATHER_S, clock.real(1.0))
        self._timer: asyncio.TimerHandle | None = None
        self.samples = 0
        self.bad_samples = 0

    def take(self, batch: SampleBatch) -> None:
        """Queue a batch for the next judgement."""
        if not len(batch):
            return
        self._settle_blocks()
        self._waiting.append(batch)
        self._gathered(len(batch))

    def take_values(self, points: Sequence[PointId], values: npt.NDArray[np.float64]) -> None:
        """Values [SI] read just now. The same tuple of points with every reading of a block costs no look-up."""
        names = points if isinstance(points, tuple) else tuple(points)
        self._blocks.add(self._judge.slots(names), values, self._clock.now())
        self._gathered(len(names))

    def take_silence(self, points: Sequence[PointId]) -> None:
        """Mark points whose device no longer answers."""
        now_s = self._clock.now()
        code = quality_code(Quality.BAD, Reason.NO_COMM)
        self.take(SampleBatch.of([(point, now_s, now_s, np.nan, code) for point in points]))

    def flush(self) -> None:
        """Judge what was gathered, show it, and queue it for the spool."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._settle_blocks()
        batches, self._waiting, self._rows = self._waiting, [], 0
        if not batches:
            return
        checked = self._mark(self._judge.judge(SampleBatch.joined(self._by_slot(batches))))
        self._live.update(checked.batch)
        self._writer.put(checked.batch)
        self._on_batch(checked.batch)
        self.samples += len(checked.batch)
        self.bad_samples += int(np.count_nonzero(checked.bad))
        self._note(checked)

    async def commit(self) -> None:
        """All that was taken before is in the spool when this returns, or the disk refuses for too long."""
        self.flush()
        await self._writer.commit_or_give_up()

    def _gathered(self, rows: int) -> None:
        self._rows += rows
        if self._rows >= GATHER_ROWS:
            self.flush()
        elif self._timer is None:
            try:
                self._timer = asyncio.get_running_loop().call_later(self._gather_s, self.flush)
            except RuntimeError:  # no loop: a study that runs straight through
                self.flush()

    def _settle_blocks(self) -> None:
        if self._blocks.times:
            self._waiting.append(self._blocks.batch(self._judge.names))
            self._blocks = _Blocks()

    def _by_slot(self, batches: list[SampleBatch]) -> list[SampleBatch]:
        """The batches under the judge's own names, so that all of them share one tuple."""
        slots = [self._judge.slots(batch.names) for batch in batches]
        names = self._judge.names  # only now, as new names lengthen it
        return [replace(b, names=names, index=slot[b.index]) for b, slot in zip(batches, slots, strict=True)]

    def _note(self, checked: Checked) -> None:
        batch = checked.batch
        used = ~has_reason(batch.code, Reason.OUT_OF_SERVICE)
        impossible = checked.bad & has_reason(batch.code, _IMPOSSIBLE) & used
        self._noted.take(checked, impossible, has_reason(batch.code, Reason.STUCK) & used)
        if not self._counters:
            return
        for row in np.flatnonzero(has_reason(batch.code, Reason.JUMP) & used).tolist():
            name = batch.names[batch.index[row]]
            if name in self._counters:
                self._resets[name] = self._clock.now()

    def judge(self, points: Mapping[PointId, Point], excused: Callable[[Point], bool]) -> None:
        """Bring the conditions on values up to date; `excused` points are silent for a reason already told."""
        self.flush()
        self._judge_bad()
        self._judge_skewed()
        self._judge_stuck()
        self._judge_resets()
        self._judge_stale(points, excused)

    def _judge_bad(self) -> None:
        bad = self._named(self._noted.bad)
        groups = _by_equipment(bad)
        self._ledger.keep_only("bad_values", groups)
        for equipment, points in groups.items():
            example = ", ".join(f"{p} = {self._noted.bad_value[bad[p]]:.6g}" for p in points[:_SHOWN])
            self._raise("bad_values", equipment, {"equipment": equipment, "count": len(points), "example": example})

    def _judge_skewed(self) -> None:
        skewed = self._named(self._noted.skewed)
        groups = _by_equipment(skewed)
        self._ledger.keep_only("clock_skew", groups)
        for equipment, points in groups.items():
            skew = round(float(self._noted.skew_s[skewed[points[0]]]))
            self._raise("clock_skew", equipment, {"equipment": equipment, "skew": skew, "point": points[0]})

    def _judge_stuck(self) -> None:
        groups = _by_equipment(self._named(self._noted.stuck))
        self._ledger.keep_only("stuck_values", groups)
        for equipment, points in groups.items():
            shown = ", ".join(points[:_SHOWN])
            self._raise("stuck_values", equipment, {"equipment": equipment, "count": len(points), "points": shown})

    def _judge_resets(self) -> None:
        old_s = self._clock.now() - RESET_TOLD_S
        self._resets = {point: at_s for point, at_s in self._resets.items() if at_s > old_s}
        groups = _by_equipment(self._resets)
        self._ledger.keep_only("meter_reset", groups)
        for equipment, points in groups.items():
            self._raise("meter_reset", equipment, {"equipment": equipment, "points": ", ".join(points[:_SHOWN])})

    def _judge_stale(self, points: Mapping[PointId, Point], excused: Callable[[Point], bool]) -> None:
        stale = _by_equipment(self._stale(points, excused))
        self._ledger.keep_only("stale_points", stale)
        totals: dict[str, int] = defaultdict(int)
        for point in points.values() if stale else ():
            totals[point.equipment] += 1
        for equipment, found in stale.items():
            shown = ", ".join(found[:_SHOWN])
            params: dict[str, str | float] = {"equipment": equipment, "count": len(found), "points": shown}
            self._raise("stale_points", equipment, params | {"total": totals[equipment]})

    def _stale(self, points: Mapping[PointId, Point], excused: Callable[[Point], bool]) -> list[PointId]:
        return [name for name in self._live.missing() if name in points and not excused(points[name])]

    def _named(self, mask: Mask) -> dict[PointId, int]:
        names = self._judge.names
        return {names[i]: i for i in np.flatnonzero(mask).tolist()}

    def _raise(self, code: str, subject: str, params: dict[str, str | float]) -> None:
        self._ledger.raise_(code, subject, self._clock.now(), params)


@dataclass(slots=True)
class _Blocks:
    """Blocks of values that were read, until they become one batch: appending is all that a block costs."""

    slots: list[npt.NDArray[np.intp]] = field(default_factory=list)
    values: list[npt.NDArray[np.float64]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def add(self, slots: npt.NDArray[np.intp], values: npt.NDArray[np.float64], at_s: float) -> None:
        self.slots.append(slots)
        self.values.append(values)
        self.times.append(at_s)

    def batch(self, names: tuple[PointId, ...]) -> SampleBatch:
        """All of them as one batch."""
        index, value = np.concatenate(self.slots), np.concatenate(self.values)
        time_s = np.repeat(np.array(self.times), [len(slots) for slots in self.slots])
        code = np.zeros(len(index), dtype=np.int32)
        return SampleBatch(names=names, index=index, time_s=time_s, received_s=time_s, value=value, code=code)


class _Noted:
    """By slot, what was wrong with each point's last row."""

    def __init__(self) -> None:
        self.bad, self.skewed, self.stuck = (np.zeros(0, dtype=np.bool_) for _ in range(3))
        self.bad_value, self.skew_s = np.zeros(0), np.zeros(0)

    def take(self, checked: Checked, bad: Mask, stuck: Mask) -> None:
        """Note a batch; of several rows of a point the last one counts."""
        slot, more = checked.batch.index, len(checked.batch.names) - len(self.bad)
        if more > 0:
            self.bad, self.skewed, self.stuck = (np.pad(c, (0, more)) for c in (self.bad, self.skewed, self.stuck))
            self.bad_value, self.skew_s = (np.pad(c, (0, more)) for c in (self.bad_value, self.skew_s))
        self.bad[slot], self.skewed[slot], self.stuck[slot] = bad, checked.skewed, stuck
        self.bad_value[slot], self.skew_s[slot] = checked.raw, checked.skew_s


def _by_equipment(points: Iterable[PointId]) -> dict[str, list[PointId]]:
    groups: dict[str, list[PointId]] = defaultdict(list)
    for point in points:
        groups[equipment_of(point)].append(point)
    return groups
