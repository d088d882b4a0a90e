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
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.quality_plant import (
    DAY_MIN,
    ERRORS,
    GLYCOL,
    MONTH_MIN,
    RACKS,
    UNITS,
    Error,
    Floats,
    Plant,
    known,
    means_of,
)
from benchmarks.quality_sensors import lines, throughput
from collector.balance import WINDOW_MINUTES, Means, Residuals, Uncertainty, heat_change, residuals
from collector.baselines import Detector
from collector.culprit import BEFORE_MINUTES, Suspect, isolate
from collector.fluids import glycol_share

ERROR_FROM = DAY_MIN
"""Errors begin at a random minute of the second day, when the baselines are known."""
SEARCH_MIN = 180
WELL_LOADED_K = 5.0


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


# The cost -------------------------------------------------------------------------------------------------------------
