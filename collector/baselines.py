"""What residuals of balances are without a fault, and when they depart from it.

What a residual is without a fault is learned: r = a + b/ΔT, of which a stands for flow, power and capture errors within
specification, b [K] for the bias of the temperature pair, by a Kalman filter that follows slow drift of a so far and no
further. The rest, divided by its standard deviation, feeds a two-sided CUSUM (Page 1954): one-minute means in, an alarm
out.
"""

from __future__ import annotations

import numpy as np

from collector.balance import WINDOW_MINUTES, Floats, Mask, Residuals, Uncertainty

ALLOWANCE, ALARM, MOST = 1.25, 4.5, 20.0
"""k, h and the ceiling of the CUSUM [standard deviations]; the ceiling bounds how long an alarm outlives its cause."""
SMOOTH_MINUTES, LEARN_AFTER = 15, 5
"""A steady load's ΔT is averaged over the first, and learned from after the second [minutes]."""
BASELINE_MINUTES = 240
BASELINE_LIMIT = 2.0
"""A baseline takes up no more than this many standard deviations of what is stated as systematic."""
MOST_WANDER = 0.02
"""Slow drift off the baseline is followed up to this much (relative); more is an alarm."""
DAY_MINUTES = 1440.0
MOST_SCORE = 4.0
"""What one minute can weigh at most [standard deviations], so that no single one raises an alarm."""
MUTE_UNREST = 0.25
"""A loop that changes by more than this share in a minute is not steady enough to be weighed."""


class Detector:
    """Baselines and CUSUMs of balances, any shape (…, balances). `minute` takes one-minute residuals in turn."""

    def __init__(self, shape: tuple[int, ...], sure: Uncertainty) -> None:
        self._sure = sure
        self.high, self.low = np.zeros(shape), np.zeros(shape)
        self.high_minutes, self.low_minutes = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        self.alarm = np.zeros(shape, dtype=np.bool_)
        self.healthy = Healthy(shape)
        self._rise, self._steady = np.zeros(shape), np.zeros(shape)

    def minute(self, found: Residuals, unrest: Floats) -> Floats:
        """Take one minute; returns the deviations from the baseline, NaN where muted.

        unrest: relative change of what the balance weighs since the last minute, (…, balances).
        """
        inverse = self._smooth(found.rise, unrest)
        with np.errstate(invalid="ignore", divide="ignore"):
            expected, variance = self.healthy.predict(inverse, found)
            noise = found.white**2 + (self._sure.lag * unrest) ** 2
            deviation = np.where(unrest <= MUTE_UNREST, found.value - expected, np.nan)
            score = np.clip(deviation / np.sqrt(noise + variance), -MOST_SCORE, MOST_SCORE)
        self._follow(score)
        self.healthy.learn(np.where(self._calm(), deviation, np.nan), inverse, noise, self._sure.drift)
        return deviation

    def _calm(self) -> Mask:
        """What may be learned from; in the hour after an alarm nothing of its loop, or the culprit would be learned."""
        quiet = ~self.alarm & (np.maximum(self.high, self.low) < 0.5 * ALARM) & (self._steady >= LEARN_AFTER)
        since = np.maximum(self.high_minutes, self.low_minutes)
        sought = (self.alarm & (since <= WINDOW_MINUTES)).any(axis=-1, keepdims=True)
        found: Mask = quiet & ~sought
        return found

    def _smooth(self, rise: Floats, unrest: Floats) -> Floats:
        """1/ΔT without its noise, which residuals share: a baseline fitted to both would be biased; 0 for none."""
        self._steady = np.where(unrest <= MUTE_UNREST, self._steady + 1, 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            step = np.nan_to_num((rise - self._rise) / np.minimum(self._steady, SMOOTH_MINUTES), posinf=np.inf)
            self._rise = np.where(np.isfinite(rise), self._rise + step, self._rise)
            inverse: Floats = np.where(np.isfinite(rise) & (self._rise > 0), 1.0 / self._rise, 0.0)
        return inverse

    def _follow(self, score: Floats) -> None:
        heard = np.isfinite(score)
        step = np.where(heard, score, 0.0)
        less = np.where(heard, ALLOWANCE, 0.0)
        self.high = np.clip(self.high + step - less, 0.0, MOST)
        self.low = np.clip(self.low - step - less, 0.0, MOST)
        self.high_minutes = np.where(self.high > 0, self.high_minutes + heard, 0)
        self.low_minutes = np.where(self.low > 0, self.low_minutes + heard, 0)
        worst = np.maximum(self.high, self.low)
        self.alarm = (worst > ALARM) | (self.alarm & (worst > 0))

    def forget(self, balances: Mask) -> None:
        """Learn these baselines anew, after a calibration."""
        self.healthy.forget(balances)
        self.high[balances] = self.low[balances] = 0
        self.high_minutes[balances] = self.low_minutes[balances] = 0
        self.alarm[balances] = False

    def state(self) -> dict[str, list[float]]:
        """Baselines, to be kept over a restart."""
        return self.healthy.state()

    def restore(self, state: dict[str, list[float]]) -> None:
        """Take baselines that were kept; those of another plant are refused.

        Raises:
            ValueError: not of this shape, or not finite.
        """
        self.healthy.restore(state)


class Healthy:
    """What each residual is without a fault, a + b/ΔT, with the covariance of a and b; any shape (…, balances).

    offset: a; pair_k: b; baseline: what they came to at the usual ΔT in the first healthy hours. Neither drift nor a
    fault is followed further off it than MOST_WANDER.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.offset, self.pair_k = np.zeros(shape), np.zeros(shape)
        self.minutes = np.zeros(shape)
        self.baseline, self._usual = np.zeros(shape), np.zeros(shape)
        self._offset2, self._pair2, self._both = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self._limit, self._pair_limit = np.zeros(shape), np.zeros(shape)

    def predict(self, inverse: Floats, found: Residuals) -> tuple[Floats, Floats]:
        """The residual expected at 1/ΔT = inverse [1/K], and the variance of that expectation."""
        fresh = self.minutes == 0
        self._offset2 = np.where(fresh, found.systematic**2, self._offset2)
        self._pair2 = np.where(fresh, found.pair_k**2, self._pair2)
        self._limit, self._pair_limit = BASELINE_LIMIT * found.systematic, BASELINE_LIMIT * found.pair_k
        variance = self._offset2 + 2.0 * inverse * self._both + inverse**2 * self._pair2
        return self.offset + inverse * self.pair_k, variance

    def learn(self, deviation: Floats, inverse: Floats, noise: Floats, drift: float) -> None:
        """Kalman step of the balances that have a deviation. drift: what the offset wanders in a day (relative)."""
        heard = np.isfinite(deviation) & np.isfinite(noise)
        offset2 = self._offset2 + drift**2 / DAY_MINUTES
        along, across = offset2 + inverse * self._both, self._both + inverse * self._pair2
        total = np.where(heard, along + inverse * across + noise, 1.0)
        step = np.where(heard, deviation, 0.0) / total
        offset = np.clip(self.offset + along * step, -self._limit, self._limit)
        self.pair_k = np.clip(self.pair_k + across * step, -self._pair_limit, self._pair_limit)
        settled = self.minutes >= BASELINE_MINUTES
        self._usual = np.where(
            settled | ~heard, self._usual, self._usual + (inverse - self._usual) / (self.minutes + 1)
        )
        usually = offset + self._usual * self.pair_k
        held = np.clip(usually, self.baseline - MOST_WANDER, self.baseline + MOST_WANDER)
        self.offset = np.where(settled, offset + held - usually, offset)
        self._offset2 = np.where(heard, offset2 - along**2 / total, self._offset2)
        self._pair2 = np.where(heard, self._pair2 - across**2 / total, self._pair2)
        self._both = np.where(heard, self._both - along * across / total, self._both)
        self.minutes = self.minutes + heard
        self.baseline = np.where(settled, self.baseline, usually)

    def forget(self, balances: Mask) -> None:
        """Know nothing of these any more."""
        for column in self._columns().values():
            column[balances] = 0.0

    def state(self) -> dict[str, list[float]]:
        """All that is known, by name."""
        return {name: column.tolist() for name, column in self._columns().items()}

    def restore(self, state: dict[str, list[float]]) -> None:
        """The inverse of `state`. Raises: as `Detector.restore`."""
        columns = {name: np.array(state.get(name, ()), dtype=np.float64) for name in self._columns()}
        if any(c.shape != self.offset.shape or not np.isfinite(c).all() for c in columns.values()):
            raise ValueError("baselines of another plant")
        self.offset, self.pair_k, self.minutes, self.baseline, self._usual, *covariance = columns.values()
        self._offset2, self._pair2, self._both = covariance

    def _columns(self) -> dict[str, Floats]:
        return {
            "offset": self.offset,
            "pair_k": self.pair_k,
            "minutes": self.minutes,
            "baseline": self.baseline,
            "usual_inverse_rise": self._usual,
            "offset_variance": self._offset2,
            "pair_variance": self._pair2,
            "covariance": self._both,
        }
