"""Where every sample passes: checked, shown live at once, then spooled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from collector.checks import Checked, Rule, check, newest_good
from collector.conditions import Ledger
from collector.spool_writer import SpoolWriter
from collector.wiring import equipment_of
from plant.clock import Clock
from plant.live import LiveTable
from plant.points import Point, PointId
from plant.samples import Quality, Reason, SampleBatch, indexed, quality_code, split_code

_IMPOSSIBLE = Reason.RANGE | Reason.NOT_A_NUMBER
_SHOWN = 3


class Intake:
    """Takes batches from the links, on the event loop's thread; never waits.

    on_batch: told of every judged batch, e.g. to publish it to other processes.
    """

    def __init__(
        self,
        live: LiveTable,
        writer: SpoolWriter,
        rules: Mapping[PointId, Rule],
        clock: Clock,
        ledger: Ledger,
        on_batch: Callable[[SampleBatch], None],
    ) -> None:
        self._live, self._writer, self._rules = live, writer, rules
        self._clock, self._ledger, self._on_batch = clock, ledger, on_batch
        self._newest: dict[PointId, tuple[float, float]] = {}
        self._bad: dict[PointId, str] = {}
        self._skewed: dict[PointId, float] = {}
        self.samples = 0
        self.bad_samples = 0

    def take(self, batch: SampleBatch) -> None:
        """Judge a batch, show it, and queue it for the spool."""
        if not len(batch):
            return
        checked = check(batch, self._rules, self._newest)
        self._newest.update(newest_good(checked))
        self._live.update(checked.batch)
        self._writer.put(checked.batch)
        self._on_batch(checked.batch)
        self.samples += len(batch)
        self.bad_samples += int(checked.bad.sum())
        self._note(checked)

    def take_values(self, points: Sequence[PointId], values: npt.NDArray[np.float64]) -> None:
        """Values [SI] read just now."""
        now_s = np.full(len(points), self._clock.now())
        code = np.zeros(len(points), dtype=np.int32)
        names, index = indexed(points)
        self.take(SampleBatch(names=names, index=index, time_s=now_s, received_s=now_s, value=values, code=code))

    def take_silence(self, points: Sequence[PointId]) -> None:
        """Mark points whose device no longer answers."""
        now_s = self._clock.now()
        code = quality_code(Quality.BAD, Reason.NO_COMM)
        self.take(SampleBatch.of([(point, now_s, now_s, np.nan, code) for point in points]))

    def _note(self, checked: Checked) -> None:
        for point in checked.batch.points if self._bad or self._skewed else ():
            self._bad.pop(point, None)
            self._skewed.pop(point, None)
        for row in np.flatnonzero(checked.bad).tolist():
            if split_code(int(checked.batch.code[row]))[1] & _IMPOSSIBLE:
                self._bad[checked.batch.names[checked.batch.index[row]]] = f"{checked.raw[row]:.6g}"
        for row in np.flatnonzero(checked.skewed).tolist():
            self._skewed[checked.batch.names[checked.batch.index[row]]] = float(checked.skew_s[row])

    def judge(self, points: Mapping[PointId, Point], excused: Callable[[Point], bool]) -> None:
        """Bring the conditions on values up to date; `excused` points are silent for a reason already told."""
        self._judge_bad()
        self._judge_skewed()
        self._judge_stale(points, excused)

    def _judge_bad(self) -> None:
        groups = _by_equipment(self._bad)
        self._ledger.keep_only("bad_values", groups)
        for equipment, points in groups.items():
            example = ", ".join(f"{p} = {self._bad[p]}" for p in points[:_SHOWN])
            self._raise("bad_values", equipment, {"equipment": equipment, "count": len(points), "example": example})

    def _judge_skewed(self) -> None:
        groups = _by_equipment(self._skewed)
        self._ledger.keep_only("clock_skew", groups)
        for equipment, points in groups.items():
            skew = round(self._skewed[points[0]])
            self._raise("clock_skew", equipment, {"equipment": equipment, "skew": skew, "point": points[0]})

    def _judge_stale(self, points: Mapping[PointId, Point], excused: Callable[[Point], bool]) -> None:
        stale = _by_equipment(self._stale(points, excused))
        self._ledger.keep_only("stale_points", stale)
        totals: dict[str, int] = defaultdict(int)
        for point in points.values():
            totals[point.equipment] += 1
        for equipment, found in stale.items():
            shown = ", ".join(found[:_SHOWN])
            params: dict[str, str | float] = {"equipment": equipment, "count": len(found), "points": shown}
            self._raise("stale_points", equipment, params | {"total": totals[equipment]})

    def _stale(self, points: Mapping[PointId, Point], excused: Callable[[Point], bool]) -> list[PointId]:
        return [name for name in self._live.missing() if name in points and not excused(points[name])]

    def _raise(self, code: str, subject: str, params: dict[str, str | float]) -> None:
        self._ledger.raise_(code, subject, self._clock.now(), params)


def _by_equipment(points: Mapping[PointId, object] | Sequence[PointId]) -> dict[str, list[PointId]]:
    groups: dict[str, list[PointId]] = defaultdict(list)
    for point in points:
        groups[equipment_of(point)].append(point)
    return groups
