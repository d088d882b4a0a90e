"""What the quality checks find and what they cry wolf about, on a simulated quarter; and what judging costs.

The plant: eight racks and two CDUs as in the demo pod, one-minute means. Noise model: white noise of one-minute means
(flow 1 %, temperature 0.03 K a sensor, power 0.5 %); slow drift (flow 0.4 %, temperature pair 0.02 K, capture 0.5 %;
Ornstein-Uhlenbeck with 10 days); constant errors within specification that a baseline takes up (flow ±2 %, pair
±0.1 K, power ±1 %, capture ±3 %, heat capacity ±0.25 %); training jobs that start and stop, inference that follows the
day, 15 % of a step's heat a minute late; readings rounded to 1 l/min, 0.02 K and 0.1 kW. Errors are injected one at a
time.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from collector.balance import (
    BEFORE_MINUTES,
    WINDOW_MINUTES,
    Constants,
    Detector,
    Means,
    Residuals,
    Suspect,
    Uncertainty,
    heat_change,
    isolate,
    residuals,
)
from collector.fluids import glycol_share, volume_heat
from collector.judge import Judge
from collector.rules import Rule
from plant.samples import Reason, SampleBatch

Floats = npt.NDArray[np.float64]
RACKS, UNITS = 8, 2
DAY_MIN, MONTH_MIN = 1440, 30 * 1440
RACK_FLOW, RACK_W, PRIMARY_FLOW = 0.0029, 132e3, 0.0135
GLYCOL = ("propylene-glycol", 25.0)
DRIFT_MIN = 10 * DAY_MIN
LATE = 0.15
ERROR_FROM = DAY_MIN
"""Errors begin at a random minute of the second day, when the baselines are known."""
SEARCH_MIN = 180
WELL_LOADED_K = 5.0
FLOW_PERCENT, PAIR_K, POWER_PERCENT, CAPTURE_PERCENT, GLYCOL_POINTS = 5.0, 0.3, 5.0, 6.0, 15.0
LINE_PERIOD_S, LINE_POINTS = 10.0, 20


@dataclass(frozen=True, slots=True)
class Error:
    """An error to inject: what it is called, whom the balances ought to convict, and what it does to the truth."""

    name: str
    culprit: Callable[[int], Suspect]
    apply: Callable[[dict[str, Floats], tuple[slice | int, ...]], None]


def _scaled(column: str, factor: float) -> Callable[[dict[str, Floats], tuple[slice | int, ...]], None]:
    def apply(columns: dict[str, Floats], where: tuple[slice | int, ...]) -> None:
        columns[column][where] *= factor

    return apply


def _added(column: str, offset: float) -> Callable[[dict[str, Floats], tuple[slice | int, ...]], None]:
    def apply(columns: dict[str, Floats], where: tuple[slice | int, ...]) -> None:
        columns[column][where] += offset

    return apply


def _glycol(columns: dict[str, Floats], where: tuple[slice | int, ...]) -> None:
    """Less heat capacity than assumed: every rise on the coolant's side is larger for the same heat."""
    factor = 1.0 + glycol_share(*GLYCOL, GLYCOL_POINTS)
    columns["rack_rise_true"][where[0], where[1]] *= factor
    columns["unit_rise"][where[0], where[1]] *= factor


def _capture(columns: dict[str, Floats], where: tuple[slice | int, ...]) -> None:
    """Less of one rack's power goes into the liquid, and so less arrives at the units and beyond."""
    rises = columns["rack_rise_true"]
    share = rises[where] / rises[where[0], where[1]].sum(axis=-1)
    rises[where] *= 1 - CAPTURE_PERCENT / 100
    for column in ("unit_rise", "primary_rise"):
        columns[column][where[0], where[1]] *= (1 - CAPTURE_PERCENT / 100 * share)[:, None]


ERRORS = (
    Error("flow", lambda i: Suspect("rack_flow", i), _scaled("rack_flow", 1 + FLOW_PERCENT / 100)),
    Error("temperature", lambda i: Suspect("rack_temperatures", i), _added("rack_rise", PAIR_K)),
    Error("power", lambda i: Suspect("rack_power", i), _scaled("rack_power", 1 + POWER_PERCENT / 100)),
    Error("capture", lambda i: Suspect("rack_power", i), _capture),
    Error("unit_flow", lambda i: Suspect("unit_flow", i % UNITS), _scaled("unit_flow", 1 + FLOW_PERCENT / 100)),
    Error("glycol", lambda _: Suspect("coolant", 0), _glycol),
)


def known() -> Constants:
    """What the balances assume."""
    water = volume_heat("water", 0.0)
    return Constants(coolant=volume_heat(*GLYCOL), water=water, capture=np.full(RACKS, 0.87))


def run(quick: bool, data: Path | None) -> dict[str, float | str]:  # noqa: ARG001 - no data from outside is needed
    """The figures; `quick` takes two weeks instead of a quarter, and fewer errors."""
    sure = Uncertainty(heat=glycol_share(*GLYCOL, 2.0))
    days, loops, each = (14, 4, 20) if quick else (90, 4, 40)
    figures: dict[str, float | str] = {"noise_model": (__doc__ or "").split("Noise model: ")[1].replace("\n", " ")}
    figures |= false_alarms(days, loops, sure)
    figures |= confusion(each, sure)
    figures |= lines(1 if quick else 4)
    return figures | throughput(200_000 if quick else 1_000_000)


# The balances ---------------------------------------------------------------------------------------------------------


class Plant:
    """Many copies of a loop, in chunks of minutes: true values, and what their sensors say."""

    def __init__(self, copies: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.copies = copies
        rng, racks = self.rng, (copies, RACKS)
        self.flow_error, self.unit_flow_error = (
            rng.uniform(-0.02, 0.02, racks),
            rng.uniform(-0.02, 0.02, (copies, UNITS)),
        )
        self.primary_error = rng.uniform(-0.02, 0.02, (copies, UNITS))
        self.pair_k, self.unit_pair_k = rng.uniform(-0.1, 0.1, racks), rng.uniform(-0.1, 0.1, (copies, UNITS))
        self.primary_pair_k = rng.uniform(-0.1, 0.1, (copies, UNITS))
        self.power_error, self.capture_error = rng.uniform(-0.01, 0.01, racks), rng.uniform(-0.03, 0.03, racks)
        self.heat_error = rng.uniform(-0.0025, 0.0025, (copies, 1))
        self._drift: dict[str, Floats] = {}
        self._level = rng.uniform(0.4, 0.9, racks)
        self._left = np.zeros(racks)
        self._last: Floats | None = None
        self._minute = 0

    def chunk(self, minutes: int) -> dict[str, Floats]:
        """Columns of the next minutes, each (minutes, copies, racks or units), as sensors show them."""
        rng = self.rng
        power = RACK_W * self._load(minutes)
        late = np.concatenate([(power[:1] if self._last is None else self._last[None]), power[:-1]])
        self._last = power[-1]
        capture = 0.87 * (1 + self.capture_error + self._drifting("capture", minutes, RACKS, 0.005))
        heat = capture * ((1 - LATE) * power + LATE * late)
        capacity = known().coolant * (1 + self.heat_error)
        flow = RACK_FLOW * (1 + 0.02 * np.sin(2 * np.pi * np.arange(minutes) / DAY_MIN))[:, None, None]
        flow = np.broadcast_to(flow, heat.shape)
        unit_flow = np.repeat(flow.sum(axis=2, keepdims=True) / UNITS, UNITS, axis=2)
        unit_heat = np.repeat(heat.sum(axis=2, keepdims=True) / UNITS, UNITS, axis=2)
        pump = 5e3
        noisy = {
            "rack_flow": flow * (1 + self.flow_error + self._drifting("flow", minutes, RACKS, 0.004)),
            "unit_flow": unit_flow * (1 + self.unit_flow_error + self._drifting("unit", minutes, UNITS, 0.004)),
            "primary_flow": np.full(unit_flow.shape, PRIMARY_FLOW) * (1 + self.primary_error),
        }
        noisy = {name: column * (1 + rng.normal(0, 0.01, column.shape)) for name, column in noisy.items()}
        pair = self.pair_k + self._drifting("pair", minutes, RACKS, 0.02)
        rises = {
            "rack_rise_true": heat / (capacity * flow),
            "unit_rise": unit_heat / (capacity * unit_flow) + self.unit_pair_k,
            "primary_rise": (unit_heat + pump) / (known().water * PRIMARY_FLOW) + self.primary_pair_k,
        }
        noise = {name: rng.normal(0, 0.03 * math.sqrt(2), column.shape) for name, column in rises.items()}
        rises["unit_rise"] += noise["unit_rise"]
        rises["primary_rise"] += noise["primary_rise"]
        rises["rack_rise"] = pair + noise["rack_rise_true"]
        measured = power * (1 + self.power_error) * (1 + rng.normal(0, 0.005, power.shape))
        return {**noisy, **rises, "rack_power": measured, "pump_power": np.full(unit_heat.shape, pump)}

    def _load(self, minutes: int) -> Floats:
        """Share of full power (minutes, copies, racks): half of the racks train in jobs, half infer by the day."""
        load = np.empty((minutes, self.copies, RACKS))
        rng = self.rng
        for minute in range(minutes):
            over = self._left <= 0
            if over.any():
                idle = rng.random(over.shape) < 0.25
                self._level = np.where(over, np.where(idle, 0.25, rng.uniform(0.6, 1.0, over.shape)), self._level)
                self._left = np.where(over, rng.exponential(360, over.shape) + 20, self._left)
            self._left -= 1
            load[minute] = self._level
        at = self._minute + np.arange(minutes)
        day = 0.55 + 0.25 * np.sin(2 * np.pi * at / DAY_MIN)
        load[:, :, RACKS // 2 :] = day[:, None, None] + rng.normal(0, 0.02, (minutes, self.copies, RACKS // 2))
        self._minute += minutes
        return load

    def _drifting(self, name: str, minutes: int, width: int, spread: float) -> Floats:
        """Ornstein-Uhlenbeck drift, a new value for each chunk and a line between."""
        before = self._drift.get(name, np.zeros((self.copies, width)))
        keep = math.exp(-minutes / DRIFT_MIN)
        after = keep * before + spread * math.sqrt(1 - keep**2) * self.rng.normal(0, 1, before.shape)
        self._drift[name] = after
        along = (np.arange(minutes) / minutes)[:, None, None]
        return before + along * (after - before)


def means_of(columns: dict[str, Floats]) -> Means:
    """What the sensors show, rounded as registers are."""
    return Means(
        rack_flow=_rounded(columns["rack_flow"], 1 / 60000),
        rack_rise=_rounded(columns["rack_rise_true"] + columns["rack_rise"], 0.02),
        rack_power=_rounded(columns["rack_power"], 100.0),
        unit_flow=_rounded(columns["unit_flow"], 1 / 60000),
        unit_rise=_rounded(columns["unit_rise"], 0.02),
        primary_flow=_rounded(columns["primary_flow"], 1 / 60000),
        primary_rise=_rounded(columns["primary_rise"], 0.02),
        pump_power=columns["pump_power"],
        stored_w=np.zeros_like(columns["unit_flow"][..., :1]),
    )


def _rounded(column: Floats, step: float) -> Floats:
    return np.round(column / step) * step


def _at(means: Means, place: tuple[int, int] | npt.NDArray[np.intp]) -> Means:
    return Means(**{field.name: getattr(means, field.name)[place] for field in fields(Means)})


def _scan(plant: Plant, minutes: int, detector: Detector, sure: Uncertainty, inject: _Injector) -> Iterator[_Step]:
    """Minute by minute through a chunk."""
    columns = plant.chunk(minutes)
    inject(columns)
    means, constants = means_of(columns), known()
    found = residuals(means, constants, sure)
    before = _at(means, np.maximum(np.arange(minutes) - 1, 0))
    unrest = heat_change(means, before, constants)
    for minute in range(minutes):
        rows = found.value[minute], found.white[minute], found.rise[minute]
        one = Residuals(*rows, found.systematic, found.pair_k)
        yield _Step(means, minute, detector.minute(one, unrest[minute]))


def _nothing(_columns: dict[str, Floats]) -> None:
    """A healthy day."""


@dataclass(frozen=True, slots=True)
class _Step:
    """One minute of a chunk's means, and the deviations in it."""

    means: Means
    minute: int
    deviation: Floats


_Injector = Callable[[dict[str, Floats]], None]


def false_alarms(days: int, loops: int, sure: Uncertainty) -> dict[str, float | str]:
    """Healthy loops for a quarter: every alarm is false."""
    plant, detector = Plant(loops, 1), Detector((loops, RACKS + 2 + UNITS), sure)
    raised, before = 0, detector.alarm
    for _ in range(days):
        for _ in _scan(plant, DAY_MIN, detector, sure, _nothing):
            raised += int((detector.alarm & ~before).sum())
            before = detector.alarm
    months = loops * (RACKS + UNITS) * days * DAY_MIN / MONTH_MIN
    return {
        "simulated_days": days,
        "device_months": round(months, 1),
        "false_alarms": raised,
        "false_alarms_per_device_month": round(raised / months, 4),
    }


def confusion(each: int, sure: Uncertainty) -> dict[str, float | str]:
    """Each error in `each` loops: how soon it is found, and who is convicted."""
    figures: dict[str, float | str] = {}
    right = total = 0
    for number, error in enumerate(ERRORS):
        found_min, loaded_min, convicted = _injected(error, each, sure, seed=100 + number)
        seen = Counter(convicted)
        label = "flow_5pct" if error.name == "flow" else error.name
        heard = sorted(found_min)
        figures[f"detection_minutes_{label}_median"] = float(np.median(heard)) if heard else math.inf
        figures[f"detection_minutes_{label}_p95"] = float(np.percentile(heard, 95)) if heard else math.inf
        if loaded_min:
            figures[f"detection_minutes_{label}_p95_from_5_k"] = float(np.percentile(loaded_min, 95))
        figures[f"detected_share_{label}"] = round(len(heard) / each, 3)
        figures[f"confusion_{label}"] = ", ".join(f"{name} {count}" for name, count in seen.most_common())
        right += seen["right"]
        total += each
    return figures | {"correct_culprit_share": round(right / total, 3)}


def _injected(error: Error, each: int, sure: Uncertainty, seed: int) -> tuple[list[int], list[int], list[str]]:
    plant, detector = Plant(each, seed), Detector((each, RACKS + 2 + UNITS), sure)
    width = UNITS if error.name.startswith("unit") else RACKS
    victims = np.arange(each) % width
    starts = plant.rng.integers(BEFORE_MINUTES, DAY_MIN - SEARCH_MIN, each)

    def inject(columns: dict[str, Floats]) -> None:
        for loop in range(each):
            error.apply(columns, (slice(int(starts[loop]), None), loop, int(victims[loop])))

    for _ in _scan(plant, ERROR_FROM, detector, sure, _nothing):
        pass
    steps = list(_watched(_scan(plant, DAY_MIN, detector, sure, inject), detector))
    found_min: list[int] = []
    loaded_min: list[int] = []
    convicted: list[str] = []
    for loop in range(each):
        start = int(starts[loop])
        alarmed = [m for m in range(start, start + SEARCH_MIN) if steps[m][1][loop].any()]
        if not alarmed or steps[start - 1][1][loop].any():
            convicted.append("missed")
            continue
        found_min.append(alarmed[0] - start + 1)
        if (
            steps[0][0].means.rack_rise[start : alarmed[0] + 1, loop, int(victims[loop]) % RACKS].mean()
            >= WELL_LOADED_K
        ):
            loaded_min.append(found_min[-1])
        convicted.append(_convict(steps, loop, alarmed[0], error.culprit(int(victims[loop])), sure))
    return found_min, loaded_min, convicted


def _watched(steps: Iterator[_Step], detector: Detector) -> Iterator[tuple[_Step, npt.NDArray[np.bool_], Floats]]:
    for step in steps:
        since = np.maximum(detector.high_minutes, detector.low_minutes)
        yield step, detector.alarm, np.where(detector.alarm, since, 0)


def _convict(
    steps: list[tuple[_Step, npt.NDArray[np.bool_], Floats]], loop: int, alarm: int, truth: Suspect, sure: Uncertainty
) -> str:
    """Whom the balances name once they are sure, as it goes on in the run; at most an hour after the alarm."""
    onset = max(int(steps[alarm][2][loop].max()), 1)
    for minute in range(alarm, min(alarm + WINDOW_MINUTES, len(steps))):
        first = max(alarm - onset + 1 - BEFORE_MINUTES, 0)
        rows = np.array([steps[m][0].deviation[loop] for m in range(first, minute + 1)])
        found = isolate(rows, onset + minute - alarm, _at(steps[minute][0].means, (minute, loop)), known(), sure)
        if found.decided:
            return "right" if found.ranked[0] == truth else found.ranked[0].kind
    return "undecided"


# Single sensors -------------------------------------------------------------------------------------------------------


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


# The cost -------------------------------------------------------------------------------------------------------------


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
