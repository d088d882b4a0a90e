"""Heat and mass balances of a coolant loop: residuals, their uncertainty, detection, and who is the culprit. Pure.

A rack's liquid takes up the captured share of its electrical power: r = (ρ·cp·V·ΔT − c·P) / (c·P). The racks' heat
arrives at the CDUs' secondary side, less what the coolant between stores (manifold), and goes on to their primary side
with the pump's power (CDU). The racks' flows add up to the CDUs' (mass). All residuals are relative. Arrays may have
leading dimensions (…): balances stand in the last one, in the order racks, manifold, mass, CDUs.

What a residual is without a fault is learned: r = a + b/ΔT, of which a stands for flow, power and capture errors within
specification, b [K] for the bias of the temperature pair, by a Kalman filter that follows slow drift of a so far and no
further. The rest, divided by its standard deviation, feeds a two-sided CUSUM (Page 1954): one-minute means in, an alarm
out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MINUTE_S, LOOKS = 60.0, 6
"""Means are of a minute with so many looks."""
MUTE_BELOW_K = 2.0
"""Below this temperature difference [K] a heat balance says nothing."""
MUTE_BELOW_FLOW = 0.03
"""Below this share of a loop's design flow its meters show their own zero: the mass balance says nothing."""
ALLOWANCE, ALARM, MOST = 1.25, 4.5, 20.0
"""k, h and the ceiling of the CUSUM [standard deviations]; the ceiling bounds how long an alarm outlives its cause."""
SMOOTH_MINUTES, LEARN_AFTER = 15, 5
"""A steady load's ΔT is averaged over the first, and learned from after the second [minutes]."""
BASELINE_MINUTES = 240
BASELINE_LIMIT = 2.0
"""A baseline takes up no more than this many standard deviations of what is stated as systematic."""
WINDOW_MINUTES = 60
BEFORE_MINUTES = 120
"""A culprit is sought by how the last hour differs from these minutes before, so that drift does not matter."""
MOST_WANDER = 0.02
"""Slow drift off the baseline is followed up to this much (relative); more is an alarm."""
DAY_MINUTES = 1440.0
MOST_SCORE = 4.0
"""What one minute can weigh at most [standard deviations], so that no single one raises an alarm."""
MUTE_UNREST = 0.25
"""A loop that changes by more than this share in a minute is not steady enough to be weighed."""
UNMODELLED = 0.0015
"""What two such means of a residual differ by without an error and without noise (relative)."""
DECIDED = 9.0
"""Twice the logarithm of the likelihood ratio by which the first suspect must lead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertainty:
    """Standard deviations.

    Of one-minute means: flow and power relative, temperature [K] of one sensor. What is systematic: capture fraction
    (relative), heat capacity by the glycol content (relative), bias of a flow meter (relative) and of a temperature
    pair [K]. drift: what a residual wanders in a day (relative). lag: share of a change from
    minute to minute that the balance may not have followed.
    """

    flow: float = 0.01
    temperature_k: float = 0.03
    power: float = 0.005
    capture: float = 0.03
    heat: float = 0.005
    flow_bias: float = 0.02
    pair_k: float = 0.1
    drift: float = 0.003
    lag: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """One-minute means [SI].

    Racks (…, n): flow, rise (return − supply), power; units (…, m): flow and rise of the
    secondary side, flow and rise of the primary side, pump power. NaN where a sensor is not to be trusted.
    stored_w (…, 1): what the coolant between racks and units took up.
    """

    rack_flow: Floats
    rack_rise: Floats
    rack_power: Floats
    unit_flow: Floats
    unit_rise: Floats
    primary_flow: Floats
    primary_rise: Floats
    pump_power: Floats
    stored_w: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """Heat capacity of the coolant and of the primary side's water [J/(m³ K)], capture fraction of each rack (n,).

    least_flow: of the whole loop [m³/s]; below it its flows are not weighed.
    half_j_k: heat capacity of half the coolant between racks and units [J/K]; 0 where it is not known.
    """

    coolant: float
    water: float
    capture: Floats
    least_flow: float = 0.0
    half_j_k: float = 0.0


@dataclass(frozen=True, slots=True)
class Residuals:
    """Relative residuals (…, balances), NaN where muted.

    white: their standard deviation; rise: the ΔT [K] that each rests on, infinite for mass. What a baseline takes up,
    as standard deviations, (balances,): systematic, relative; pair_k, bias of the temperature pairs [K].
    """

    value: Floats
    white: Floats
    rise: Floats
    systematic: Floats
    pair_k: Floats


def residuals(means: Means, known: Constants, sure: Uncertainty) -> Residuals:
    """All balances of a loop."""
    with np.errstate(invalid="ignore", divide="ignore"):
        value, rise = _values(means, known)
        white = np.sqrt(_variances(means, known, sure))
        heard = np.isfinite(value) & (rise >= MUTE_BELOW_K)
    systematic = np.sqrt(_systematic(means, sure))
    return Residuals(np.where(heard, value, np.nan), white, rise, systematic, _pairs(means, sure))


def _values(means: Means, known: Constants) -> tuple[Floats, Floats]:
    rack_w, unit_w = heats(means, known)
    liquid_w = known.capture * means.rack_power
    racks_w, racks_flow = _sum(rack_w), _sum(means.rack_flow)
    primary_w = known.water * means.primary_flow * means.primary_rise
    value = np.concatenate(
        [
            (rack_w - liquid_w) / liquid_w,
            (_sum(unit_w) + means.stored_w - racks_w) / racks_w,
            np.where(racks_flow >= known.least_flow, (_sum(means.unit_flow) - racks_flow) / racks_flow, np.nan),
            (primary_w - unit_w - means.pump_power) / unit_w,
        ],
        axis=-1,
    )
    loop_rise = racks_w / (known.coolant * racks_flow)
    both = np.minimum(means.unit_rise, means.primary_rise)
    rise = np.concatenate([means.rack_rise, loop_rise, np.full_like(loop_rise, np.inf), both], axis=-1)
    return value, rise


def heats(means: Means, known: Constants) -> tuple[Floats, Floats]:
    """Heat [W] that the coolant takes up in each rack, and gives off in each unit."""
    return known.coolant * means.rack_flow * means.rack_rise, known.coolant * means.unit_flow * means.unit_rise


def heat_change(means: Means, before: Means, known: Constants) -> Floats:
    """Relative change of what each balance weighs from one minute to the next (…, balances); 0 for mass."""
    now, then = _weighed(means, known), _weighed(before, known)
    with np.errstate(invalid="ignore", divide="ignore"):
        change: Floats = np.nan_to_num(np.abs(now - then) / np.abs(now), nan=0.0, posinf=1.0)
    return change


def _weighed(means: Means, known: Constants) -> Floats:
    rack_w, unit_w = heats(means, known)
    racks_w = _sum(rack_w)
    return np.concatenate([known.capture * means.rack_power, racks_w, np.ones_like(racks_w), unit_w], axis=-1)


def _variances(means: Means, known: Constants, sure: Uncertainty) -> Floats:
    rack_w, unit_w = heats(means, known)
    flow2 = sure.flow**2
    rack2, unit2 = flow2 + _rise2(means.rack_rise, sure), flow2 + _rise2(means.unit_rise, sure)
    primary2 = flow2 + _rise2(means.primary_rise, sure)
    share_w, share_unit_w = rack_w / _sum(rack_w), unit_w / _sum(unit_w)
    share, share_unit = means.rack_flow / _sum(means.rack_flow), means.unit_flow / _sum(means.unit_flow)
    return np.concatenate(
        [
            rack2 + sure.power**2,
            _sum(share_w**2 * rack2) + _sum(share_unit_w**2 * unit2) + _stored2(means, known, sure, _sum(rack_w)),
            flow2 * (_sum(share**2) + _sum(share_unit**2)),
            unit2 + primary2,
        ],
        axis=-1,
    )


def _stored2(means: Means, known: Constants, sure: Uncertainty, racks_w: Floats) -> Floats:
    """Variance of the stored heat: it rests on single looks, of which a minute's mean has six."""
    sensors = 1.0 / means.rack_flow.shape[-1] + 1.0 / means.unit_flow.shape[-1]
    found: Floats = 2.0 * LOOKS * sensors * (sure.temperature_k * known.half_j_k / (MINUTE_S * racks_w)) ** 2
    return found


def _systematic(means: Means, sure: Uncertainty) -> Floats:
    """Variance of what does not change: without the temperature pairs, which weigh by 1/ΔT."""
    racks, units = means.rack_flow.shape[-1], means.unit_flow.shape[-1]
    by_rack = sure.capture**2 + sure.heat**2 + sure.flow_bias**2
    by_unit = sure.heat**2 + 2.0 * sure.flow_bias**2
    return np.array([by_rack] * racks + [sure.flow_bias**2, sure.flow_bias**2] + [by_unit] * units)


def _pairs(means: Means, sure: Uncertainty) -> Floats:
    """Bias [K] of the temperature pairs of each balance: a CDU's has two."""
    racks, units = means.rack_flow.shape[-1], means.unit_flow.shape[-1]
    return sure.pair_k * np.array([1.0] * (racks + 2) + [math.sqrt(2.0)] * units)


def _rise2(rise: Floats, sure: Uncertainty) -> Floats:
    found: Floats = 2.0 * (sure.temperature_k / rise) ** 2
    return found


def _sum(column: Floats) -> Floats:
    total: Floats = column.sum(axis=-1, keepdims=True)
    return total


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


@dataclass(frozen=True, slots=True)
class Suspect:
    """One possible culprit.

    kind: `rack_flow`, `rack_temperatures`, `rack_power` (or its capture fraction),
    `unit_flow`, `unit_temperatures`, `primary` (flow or temperatures) or `coolant`; number: of its rack or unit.
    """

    kind: str
    number: int


def suspects(racks: int, units: int) -> list[Suspect]:
    """Everything that can be wrong in a loop, in the order of `signatures`."""
    of_racks = [Suspect(kind, i) for kind in ("rack_flow", "rack_temperatures", "rack_power") for i in range(racks)]
    of_units = [Suspect(kind, i) for kind in ("unit_flow", "unit_temperatures", "primary") for i in range(units)]
    return [*of_racks, *of_units, Suspect("coolant", 0)]


def signatures(means: Means, known: Constants) -> Floats:
    """How each balance answers to a relative error of each suspect: (balances, suspects), for means without lead."""
    rack_w, unit_w = heats(means, known)
    heat, heat_unit = rack_w / rack_w.sum(), unit_w / unit_w.sum()
    flow, flow_unit = means.rack_flow / means.rack_flow.sum(), means.unit_flow / means.unit_flow.sum()
    n, m = len(heat), len(heat_unit)
    one, none = np.eye(n), np.zeros
    unit = np.eye(m)
    columns = [
        np.vstack([one, -heat, -flow, none((m, n))]),
        np.vstack([one, -heat, none(n), none((m, n))]),
        np.vstack([-one, none(n), none(n), none((m, n))]),
        np.vstack([none((n, m)), heat_unit, flow_unit, -unit]),
        np.vstack([none((n, m)), heat_unit, none(m), -unit]),
        np.vstack([none((n, m)), none(m), none(m), unit]),
        np.concatenate([np.ones(n), [0.0, 0.0], -np.ones(m)])[:, None],
    ]
    return np.hstack(columns)


@dataclass(frozen=True, slots=True)
class Isolated:
    """The suspects that explain the deviations best, and whether the first one leads clearly."""

    ranked: tuple[Suspect, ...]
    error: float
    decided: bool


def isolate(minutes: Floats, since: int, means: Means, known: Constants, sure: Uncertainty) -> Isolated:
    """Which single error explains how the deviations (minutes, balances) changed: generalised likelihood ratio.

    since: how many of the last minutes lie after the error's onset. The covariance is that of the sensors' own noise
    through the same signatures, so that balances which share a sensor are not counted as two witnesses. Balances that
    were muted are left out.
    """
    since = min(max(since, 1), len(minutes))
    after, before = minutes[-since:][-WINDOW_MINUTES:], minutes[:-since][-BEFORE_MINUTES:]
    deviation = mean_heard(after) - np.nan_to_num(mean_heard(before))
    scatter = 1.0 / len(after) + 1.0 / max(len(before), 1)
    heard = np.isfinite(deviation)
    shape = signatures(means, known)[heard]
    shape = np.where(np.isfinite(shape), shape, 0.0)
    noise = shape @ np.diag(_sensor_variances(means, sure)) @ shape.T
    inverse = np.linalg.inv(scatter * noise + UNMODELLED**2 * np.eye(int(heard.sum())))
    along = shape.T @ inverse @ deviation[heard]
    length = np.einsum("bs,bc,cs->s", shape, inverse, shape)
    gain = np.where(length > 0, along**2 / np.maximum(length, 1e-12), 0.0)
    order = np.argsort(-gain)
    names = suspects(means.rack_flow.shape[-1], means.unit_flow.shape[-1])
    best = order[0]
    return Isolated(
        ranked=tuple(names[i] for i in order.tolist() if gain[best] - gain[i] < DECIDED),
        error=float(along[best] / length[best]) if length[best] > 0 else 0.0,
        decided=bool(gain[best] - gain[order[1]] >= DECIDED),
    )


def _sensor_variances(means: Means, sure: Uncertainty) -> Floats:
    racks, units = means.rack_flow.shape[-1], means.unit_flow.shape[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        primary = sure.flow**2 + _rise2(means.primary_rise, sure)
        found = np.concatenate(
            [
                np.full(racks, sure.flow**2),
                _rise2(means.rack_rise, sure),
                np.full(racks, sure.power**2),
                np.full(units, sure.flow**2),
                _rise2(means.unit_rise, sure),
                primary,
                [0.0],
            ]
        )
    return np.where(np.isfinite(found), found, 1.0)


def mean_heard(minutes: Floats) -> Floats:
    """Of each balance, over the minutes in which it was heard; NaN where there are none."""
    heard = np.isfinite(minutes)
    count = heard.sum(axis=0)
    total = np.where(heard, minutes, 0.0).sum(axis=0)
    mean: Floats = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean
