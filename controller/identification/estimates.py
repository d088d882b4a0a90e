"""One parameter, followed online: the logarithm of its value over the site file's, with its uncertainty.

A scalar Kalman filter on a slow random walk, whose gain never falls below one over its memory, so that old readings
fade within half a day. What averaging can't remove, errors of instruments and of the model's form, is kept apart and
added: an interval that shrank with the number of readings would promise what no sensor can hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

BOUND = math.log(2.0)
"""No sensor can mislead a parameter further than a factor of two from the site file."""
START_SD = 0.25
MEMORY = 144.0
"""Observations, half a day of them: see `OBSERVE_EVERY_S`."""
OBSERVE_EVERY_S = 300.0
WALK_PER_S = 0.03**2 / 86400.0
"""Variance that a day without readings adds."""
PLACE_SD, LOAD_SD = 0.3, 0.25
"""What is known at one flow may be off by so much at e times that flow, what is known at no load by so much at full
load: the model's form is a guess away from where it was seen."""
LOAD_FADES_PER_S = 0.1 / 86400.0
WILDEST_SD = 4.0
"""A reading further off than this many standard deviations counts as this far."""
EARLY_COUNT, LEAST_COUNT = 2, 12
CONFIRMED_COUNT = 72
"""Six hours of settled operation; before it nothing better than the site file's figure is believed."""
SURE_SD = 0.12
Z95 = 1.96


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at a parameter: log of seen over the site file's, with variances of noise and of instruments' bias.

    place: log of the flow over design at which it was seen, 0 where flow does not matter; load: share of design [1].
    """

    log: float
    noise: float
    bias: float
    place: float = 0.0
    load: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What is known of a parameter.

    log: of value over the site file's; variance: of the filter; bias: variance that no averaging removes; since_s,
    at_s: first and last observation [s since 1970]; place: where the last one was seen, see `Observation`; load: the
    highest of late at which it was seen [1].
    """

    log: float = 0.0
    variance: float = START_SD**2
    bias: float = 0.0
    count: int = 0
    since_s: float = math.inf
    at_s: float = -math.inf
    place: float = 0.0
    load: float = 0.0

    @property
    def ratio(self) -> float:
        """Value over the site file's [1]."""
        return math.exp(self.log)

    @property
    def sd(self) -> float:
        """Standard deviation of the logarithm, instruments and form of the model included."""
        return math.sqrt(self.variance + self.bias)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the ratio."""
        return math.exp(self.log - Z95 * self.sd), math.exp(self.log + Z95 * self.sd)

    @property
    def sure(self) -> bool:
        """Whether the plan may use it at all."""
        return self.count >= LEAST_COUNT and self.sd <= SURE_SD

    @property
    def confirmed(self) -> bool:
        """Whether good news may be believed, as far as the interval's cautious end goes."""
        return self.sure and self.count >= CONFIRMED_COUNT

    def cautious(self, *, less_is_worse: bool) -> float:
        """The ratio that a plan uses, 1 being the site file's.

        A worse one as estimated once sure, before that, from the second look on, as far as the interval proves it; a
        better one when confirmed, by the interval's cautious end.
        """
        low, high = self.interval
        if less_is_worse == (self.log < 0):
            proven = min(high, 1.0) if less_is_worse else max(low, 1.0)
            return self.ratio if self.sure else proven if self.count >= EARLY_COUNT else 1.0
        if not self.confirmed:
            return 1.0
        return max(low, 1.0) if less_is_worse else min(high, 1.0)


def updated(before: Estimate, seen: Observation, form_sd: float, now_s: float) -> Estimate:
    """One observation more. form_sd: how far the model's form alone may be off [1]; now_s [s since 1970]."""
    aged = _aged(before, seen, now_s) if before.count else 0.0
    prior = min(before.variance + aged, START_SD**2)
    noise = seen.noise + form_sd**2
    gain = max(prior / (prior + noise), form_sd**2 / noise / MEMORY)
    widest = WILDEST_SD * math.sqrt(prior + noise + seen.bias)
    off = min(max(seen.log - before.log, -widest), widest)
    bias = seen.bias + form_sd**2
    return Estimate(
        log=min(max(before.log + gain * off, -BOUND), BOUND),
        variance=(1.0 - gain) ** 2 * prior + gain**2 * noise,
        bias=bias if not before.count else before.bias + gain * (bias - before.bias),
        count=before.count + 1,
        since_s=min(before.since_s, now_s),
        at_s=now_s,
        place=seen.place,
        load=max(seen.load, _load(before, now_s)),
    )


def tells_more(before: Estimate, seen: Observation, now_s: float, less: float) -> bool:
    """Whether it was seen at no less load than what is known already, but for so much less [1]."""
    return seen.load >= _load(before, now_s) - less


def _load(before: Estimate, now_s: float) -> float:
    """The load at which it was seen [1], forgotten over days."""
    return before.load - LOAD_FADES_PER_S * max(now_s - before.at_s, 0.0) if before.count else 0.0


def _aged(before: Estimate, seen: Observation, now_s: float) -> float:
    """Variance that has come since the last look: by time, and by seeing it elsewhere."""
    moved = PLACE_SD * (seen.place - before.place)
    loaded = LOAD_SD * max(seen.load - before.load, 0.0)
    return WALK_PER_S * max(now_s - before.at_s, 0.0) + moved**2 + loaded**2
