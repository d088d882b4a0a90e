"""Feeds the balances from the live table, and turns what they find into quality and conditions."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from collector.balance import MINUTE_S, WINDOW_MINUTES, Floats, Mask, Means, Uncertainty, residuals
from collector.baselines import Detector
from collector.checks import Checked, mark
from collector.conditions import Ledger
from collector.culprit import BEFORE_MINUTES, Isolated, isolate, mean_heard
from collector.fluids import glycol_share
from collector.loop_points import RACK, LoopPoints, loop_points
from collector.minute_means import RACK_LAG_S, minute_means, unrest
from plant.clock import Clock
from plant.live import LiveTable, Reading
from plant.points import PointId
from plant.samples import Quality, Reason
from plant.slots import Slots
from plant.topology import Site

TICK_S = 10.0
"""Site seconds between looks at the live table."""
GLYCOL_POINTS = 2.0
"""What the glycol content may be off [percentage points]."""
_SHOWN = 4


class BalanceWatch:
    """The balances of every coolant loop of a site; two-phase loops and such without the sensors are left out."""

    def __init__(self, site: Site, live: LiveTable, clock: Clock, ledger: Ledger) -> None:
        self._live, self._clock, self._ledger = live, clock, ledger
        sure = Uncertainty(heat=glycol_share(site.coolant, site.glycol_percent, GLYCOL_POINTS))
        self._loops = [_Loop(points, sure) for points in loop_points(site)]
        watched = [point for loop in self._loops for point in loop.points.points]
        self._slots = Slots({point: i for i, point in enumerate(watched)})
        self._names = watched
        self._doubted = np.zeros(len(watched) + 1, dtype=np.bool_)  # the last stands for UNKNOWN
        self._minute_s = -np.inf

    def tick(self) -> None:
        """Look at the live table, every 10 s of site time; each minute the balances are judged."""
        now_s = self._clock.monotonic()
        for loop in self._loops:
            seen = self._live.select(loop.points.points).readings
            loop.look(np.array([_usable(seen.get(point)) for point in loop.points.points]))
        if self._minute_s == -np.inf:
            self._minute_s = now_s
        if now_s - self._minute_s < MINUTE_S:
            return
        self._minute_s = now_s
        for loop in self._loops:
            loop.minute()
        self._tell()

    def mark(self, checked: Checked) -> Checked:
        """Rows of a sensor that the balances convict become UNCERTAIN and say so."""
        if not self._doubted.any():
            return checked
        batch = checked.batch
        rows = self._doubted[self._slots.of(batch.names)[batch.index]]
        return replace(checked, batch=replace(batch, code=mark(batch.code, rows, Quality.UNCERTAIN, Reason.BALANCE)))

    def recalibrated(self, equipment: str) -> bool:
        """Learn the baselines of an equipment's or group's balances anew; whoever calls audits it.

        Returns whether there are any.
        """
        return sum(loop.forget(equipment) for loop in self._loops) > 0

    def state(self) -> dict[str, dict[str, list[float]]]:
        """Baselines of all loops, to be kept over a restart."""
        return {loop.key: loop.detector.state() for loop in self._loops}

    def restore(self, state: Mapping[str, dict[str, list[float]]]) -> None:
        """Take baselines that were kept; those of other equipment are passed over, and learned anew."""
        for loop in self._loops:
            if loop.key in state:
                loop.restore(state[loop.key])

    def _tell(self) -> None:
        verdicts = [verdict for loop in self._loops if (verdict := loop.verdict()) is not None]
        convicted = {point for verdict in verdicts if verdict.decided for point in verdict.points}
        self._doubted[: len(self._names)] = [name in convicted for name in self._names]
        for code in ("heat_balance", "mass_balance"):
            self._ledger.keep_only(code, {v.subject for v in verdicts if v.code == code})
        for verdict in verdicts:
            params: dict[str, str | float] = {
                "equipment": verdict.subject,
                "residual": round(100 * verdict.residual, 1),
                "band": round(100 * verdict.band, 1),
                "minutes": verdict.minutes,
                "points": ", ".join(verdict.points[:_SHOWN]) or "coolant",
            }
            self._ledger.raise_(verdict.code, verdict.subject, self._clock.now(), params)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A balance that does not close: its residual, one standard deviation, for how long, and who is suspected."""

    code: str
    subject: str
    residual: float
    band: float
    minutes: int
    points: tuple[PointId, ...]
    decided: bool


class _Loop:
    """One loop's minutes."""

    def __init__(self, points: LoopPoints, sure: Uncertainty) -> None:
        self.points, self._sure = points, sure
        self.key = "|".join((points.group, *points.racks, *points.units))
        self._balances = points.balances()
        self.detector = Detector((len(self._balances),), sure)
        self._looks: list[Floats] = []
        self._lagged_power: Floats | None = None
        self._recent: deque[Floats] = deque(maxlen=WINDOW_MINUTES + BEFORE_MINUTES)
        self._means: Means | None = None
        self._values = self._latest = np.full(len(points.points), np.nan)
        self._white = np.full(len(self._balances), np.nan)
        self._last: Verdict | None = None

    def look(self, values: Floats) -> None:
        """Take one look at all points, the racks' power lagged as their heat is."""
        racks = len(self.points.racks)
        table = values[: racks * len(RACK)].reshape(racks, len(RACK))
        held = self._lagged_power
        if held is None:
            held = table[:, 3].copy()
        weight = 1.0 - np.exp(-TICK_S / RACK_LAG_S)
        lagged = np.where(np.isfinite(held), held + weight * (table[:, 3] - held), table[:, 3])
        self._lagged_power = lagged
        seen = values.copy()
        seen[3 : racks * len(RACK) : len(RACK)] = lagged
        self._looks.append(seen)

    def minute(self) -> None:
        """Weigh the minute that is over."""
        if not self._looks:
            return
        looks, self._looks = np.array(self._looks), []
        values, then, before = looks.mean(axis=0), self._means, self._values
        means = minute_means(self.points, looks, self._latest)
        restless = np.ones(len(self._balances)) if then is None else unrest(self.points, means, then, values, before)
        found = residuals(means, self.points.known, self._sure)
        self._recent.append(self.detector.minute(found, restless))
        self._means, self._values, self._latest = means, values, looks[-1]
        self._white = np.where(np.isfinite(found.white), found.white, self._white)  # a muted minute has none

    def verdict(self) -> Verdict | None:
        """What is wrong with the loop: one verdict, as one culprit upsets several balances."""
        detector, means = self.detector, self._means
        if means is None or not detector.alarm.any():
            self._last = None
            return None
        worst = np.where(detector.alarm, np.maximum(detector.high, detector.low), -1.0)
        balance = int(np.argmax(worst))
        upward = detector.high[balance] >= detector.low[balance]
        minutes = int((detector.high_minutes if upward else detector.low_minutes)[balance])
        recent = np.array(self._recent)
        since = _rows_of(minutes, np.isfinite(recent[:, balance]))
        mean = mean_heard(recent[-since:])
        if not np.isfinite(mean[balance]):  # muted since: nothing new can be said
            return self._last
        found = isolate(recent, since, means, self.points.known, self._sure)
        kind, subject = self._balances[balance]
        points = self._accused(found)
        if found.decided:
            subject = self.points.owner(found.ranked[0])
        self._last = Verdict(
            code=f"{kind}_balance",
            subject=subject,
            residual=float(mean[balance]),
            band=float(self._white[balance]),
            minutes=minutes,
            points=points,
            decided=found.decided,
        )
        return self._last

    def forget(self, equipment: str) -> bool:
        """Learn anew what is known of an equipment's balances."""
        mine = np.array([name == equipment for _, name in self._balances])
        self.detector.forget(mine)
        return bool(mine.any())

    def restore(self, state: dict[str, list[float]]) -> None:
        """Take kept baselines; unusable ones are learned anew."""
        try:
            self.detector.restore(state)
        except (AttributeError, TypeError, ValueError):
            return

    def _accused(self, found: Isolated) -> tuple[PointId, ...]:
        return tuple(point for suspect in found.ranked for point in self.points.culprits(suspect))


def _rows_of(minutes: int, heard: Mask) -> int:
    """How many of the last rows it takes for so many minutes in which a balance was heard, muted ones among them."""
    places = np.flatnonzero(heard)[-max(minutes, 1) :]
    return len(heard) - int(places[0]) if len(places) else 1


def _usable(reading: Reading | None) -> float:
    """A value that a balance may rest on; one that only a balance doubts counts, or its doubt would never end."""
    if reading is None:
        return np.nan
    doubted = reading.quality is Quality.UNCERTAIN and reading.reason is Reason.BALANCE
    return reading.value if reading.good or doubted else np.nan
