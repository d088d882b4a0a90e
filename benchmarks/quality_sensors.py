"""Single sensors under the quality checks: what is found of frozen and jumping ones, and what judging costs."""

from __future__ import annotations

import math
import time

import numpy as np
import numpy.typing as npt

from benchmarks.quality_plant import Floats
from collector.judge import Judge
from collector.rules import Rule
from plant.samples import Reason, SampleBatch

LINE_PERIOD_S, LINE_POINTS = 10.0, 20


def lines(weeks: int) -> dict[str, float | str]:
    """Well-held temperatures in registers of 0.1 K and lively ones, beside a load that swings; then frozen ones."""
    rng = np.random.default_rng(5)
    names = tuple(f"s{i:02d}/{part}" for i in range(LINE_POINTS) for part in ("temperature", "load"))
    rules = {
        name: Rule(
            quantum=0.1, max_jump=2.0, period_s=LINE_PERIOD_S, max_age_s=40.0, witness=_load_of(name), move_share=0.2
        )
        for name in names
    }
    judge, onsets, slow = Judge(rules, rules), 0, np.full((1, LINE_POINTS), 0.6)
    per_day = int(86_400 / LINE_PERIOD_S)
    frozen_min: list[float] = []
    jumped = false_jumps = 0
    days = 7 * weeks
    for day in range(days + 1):
        load = np.repeat(rng.uniform(0.3, 1.0, (per_day // 180, LINE_POINTS)), 180, axis=0)
        lively = np.where(np.arange(LINE_POINTS) % 2 == 0, 0.0, 8.0)
        slow = _lagged(load, slow)
        values = 30.0 + lively * slow + rng.normal(0, 0.03, load.shape)
        last = day == days
        if last:
            values[per_day // 2 :] = values[per_day // 2]
            values[per_day // 4, :] += 5.0
        code = _judged(judge, names, np.round(values, 1), load, day)
        stuck = (code >> 2) & int(Reason.STUCK) != 0
        jump = (code >> 2) & int(Reason.JUMP) != 0
        if not last:
            onsets += int((stuck[1:] & ~stuck[:-1]).sum())
            false_jumps += int(jump.sum())
        else:
            found = [np.flatnonzero(stuck[per_day // 2 :, i]) for i in range(LINE_POINTS)]
            frozen_min = [float(f[0]) * LINE_PERIOD_S / 60 for f in found if len(f)]
            jumped = int(jump[per_day // 4].sum())
    return {
        "stuck_false_alarms_per_week": round(onsets / weeks, 3),
        "stuck_points_watched": LINE_POINTS,
        "stuck_found_share": round(len(frozen_min) / LINE_POINTS, 3),
        "detection_minutes_stuck_median": round(float(np.median(frozen_min)), 1) if frozen_min else math.inf,
        "jump_found_share": round(jumped / LINE_POINTS, 3),
        "jump_false_alarms_per_week": round(false_jumps / weeks, 3),
    }


def _load_of(name: str) -> str:
    return name.replace("temperature", "load") if name.endswith("temperature") else ""


def _lagged(load: Floats, before: Floats) -> Floats:
    """First order with 120 s, going on from the day before."""
    kept, out = before[-1], np.empty_like(load)
    for row in range(len(load)):
        kept = kept + (LINE_PERIOD_S / 120.0) * (load[row] - kept)
        out[row] = kept
    return out


def _judged(judge: Judge, names: tuple[str, ...], values: Floats, load: Floats, day: int) -> npt.NDArray[np.int32]:
    rows, points = values.shape
    table = np.empty((rows, 2 * points))
    table[:, 0::2], table[:, 1::2] = values, load
    time_s = np.repeat(day * 86_400.0 + LINE_PERIOD_S * np.arange(rows), 2 * points)
    code = np.zeros(table.size, dtype=np.int32)
    index = np.tile(np.arange(2 * points), rows)
    batch = SampleBatch(names=names, index=index, time_s=time_s, received_s=time_s, value=table.ravel(), code=code)
    return judge.judge(batch).batch.code.reshape(rows, 2 * points)[:, 0::2]


def throughput(rows: int) -> dict[str, float | str]:
    """Points a second through the judge in batches of 4,000, and through a plain loop with the same checks."""
    rng = np.random.default_rng(9)
    names = tuple(f"d{i // 20}/p{i % 20}" for i in range(4000))
    rules = {n: Rule(-1e3, 1e3, 50.0, 1.0, 3.0, 0.1, witness=n.replace("/p0", "/p1"), move=1.0) for n in names}
    judge, index = Judge(names, rules), np.arange(len(names))
    batches = []
    for second in range(rows // len(names)):
        time_s = np.full(len(names), float(second))
        value, code = rng.normal(20, 5, len(names)), np.zeros(len(names), dtype=np.int32)
        batch = SampleBatch(names=names, index=index, time_s=time_s, received_s=time_s, value=value, code=code)
        batches.append(batch)
    began = time.process_time()
    verdicts = [judge.judge(batch).batch.code for batch in batches]
    ours_s = time.process_time() - began
    few = batches[: max(len(batches) // 10, 2)]
    plain = PlainLoop(rules)
    samples = [
        list(zip(b.points, b.time_s.tolist(), b.received_s.tolist(), b.value.tolist(), strict=True)) for b in few
    ]
    began = time.process_time()
    codes = [[plain.check(*sample) for sample in batch] for batch in samples]
    theirs_s = time.process_time() - began
    same = all(a.tolist() == b for a, b in zip(verdicts, codes, strict=False))
    ours, theirs = rows / ours_s, sum(map(len, samples)) / theirs_s
    return {
        "judged_points_per_s": round(ours),
        "plain_loop_points_per_s": round(theirs),
        "judge_ratio_to_plain_loop": round(ours / theirs, 1),
        "same_verdicts_as_plain_loop": str(same),
    }


class PlainLoop:
    """The same checks as a loop over samples would have them: one object's state after the other."""

    def __init__(self, rules: dict[str, Rule]) -> None:
        self._rules = rules
        self._last: dict[str, tuple[float, float]] = {}
        self._runs: dict[str, tuple[float, float, bool]] = {}
        self._longest: dict[str, float] = {}

    def check(self, name: str, time_s: float, received_s: float, value: float) -> int:
        """The code of one sample."""
        rule = self._rules[name]
        if time_s - received_s > 300.0:
            time_s = received_s
        if math.isnan(value):
            return 2 | int(Reason.NOT_A_NUMBER) << 2
        if value < rule.minimum or value > rule.maximum or math.isinf(value):
            return 2 | int(Reason.RANGE) << 2
        last = self._last.get(name)
        if last is not None and time_s <= last[0]:
            return 1 | int(Reason.DUPLICATE) << 2 if time_s == last[0] and value != last[1] else 0
        reason = 0
        if last is not None and abs(value - last[1]) > rule.max_jump * max((time_s - last[0]) / rule.period_s, 1.0):
            reason |= int(Reason.JUMP)
        if self._stuck(name, rule, time_s, value, last):
            reason |= int(Reason.STUCK)
        self._last[name] = (time_s, value)
        return (1 | reason << 2) if reason else 0

    def _stuck(self, name: str, rule: Rule, time_s: float, value: float, last: tuple[float, float] | None) -> bool:
        seen = self._last.get(rule.witness, (0.0, math.nan))[1]
        same = last is not None and abs(value - last[1]) <= rule.quantum / 2 and time_s - last[0] <= rule.max_age_s
        if same and name in self._runs and math.isnan(self._runs[name][1]):
            self._runs[name] = (self._runs[name][0], seen, False)
        if not same or name not in self._runs:
            if last is not None and name in self._runs:
                self._learn(name, last[0] - self._runs[name][0], moved=self._runs[name][2])
            self._runs[name] = (time_s, seen, False)
            return False
        since_s, was, moved = self._runs[name]
        moved = moved or abs(seen - was) > rule.move + rule.move_share * abs(was)
        self._runs[name] = (since_s, was, moved)
        return moved and time_s - since_s > 3.0 * self._longest.get(name, 200.0)

    def _learn(self, name: str, run_s: float, *, moved: bool) -> None:
        longest_s = self._longest.get(name, 200.0)
        if run_s > longest_s and not (moved and run_s > 3.0 * longest_s):
            self._longest[name] = run_s
