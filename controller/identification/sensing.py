"""How the errors of instruments pass into what is computed from them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from controller.identification.estimates import Observation


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Standard deviations of an instrument: noise and bias, each as `absolute` [SI] and as a share of its reading."""

    noise: float = 0.0
    bias: float = 0.0
    noise_share: float = 0.0
    bias_share: float = 0.0

    def at(self, value: float) -> tuple[float, float]:
        """(noise, bias) at a reading [SI]."""
        size = abs(value)
        return self.noise + self.noise_share * size, self.bias + self.bias_share * size


# typical installed accuracy: Pt100 class A in a well, magnetic flow meter, membrane transmitter, class 1 meter
TEMPERATURE = Accuracy(noise=0.05, bias=0.15)
FLOW = Accuracy(noise_share=0.005, bias_share=0.01)
PRESSURE = Accuracy(noise=300.0, bias=500.0)
POWER = Accuracy(noise_share=0.002, bias_share=0.01)
CASE = Accuracy(noise=0.1, bias=0.5)
"""Median over many GPUs' own sensors."""
GPU_SPREAD, CASE_STEP_K = 0.03, 1.0
"""How far one GPU and its plate lie from their rack's mean [1], and the steps in which it tells its temperature [K]."""
LOOP_FLOW = Accuracy(noise_share=0.01, bias_share=0.05)
"""A rack's share of its loop's flow, where it has no meter of its own."""
SPEED = Accuracy(noise=0.005, bias=0.005)


@dataclass(frozen=True, slots=True)
class Read:
    """A reading [SI] and how exact its instrument is."""

    value: float
    accuracy: Accuracy


PART_LOAD, PLATE_PART_LOAD = 0.25, 0.05
"""What a part load may mislead by: this share of how far it is from design [1]; plates conduct nearly alike at any."""


def of_gpus(count: int, rise_k: float, load: float) -> Accuracy:
    """How exact the median rise [K] of so many GPUs of one rack is, seen at a load [1], for their rise at full load.

    Whole degrees average out as far as the GPUs' own spread dithers them: of the rounding's sawtooth a normal spread of
    s steps leaves exp(-2 pi² s²) of the first harmonic, whose amplitude is a step over pi. The sensors' common offset
    is in what they are held against the limit with, too: it misleads only by the load that is missing.
    """
    spread_k = GPU_SPREAD * rise_k
    dithered = math.exp(-2.0 * (math.pi * spread_k / CASE_STEP_K) ** 2) if count > 1 else 1.0
    rounding_k = CASE_STEP_K / math.sqrt(12.0 * count), dithered * CASE_STEP_K / (math.pi * math.sqrt(2.0))
    offset_k = CASE.bias * max(1.0 - load, 0.0)
    return Accuracy(noise=math.hypot(CASE.noise, *rounding_k), bias=math.hypot(offset_k, spread_k / math.sqrt(count)))


def seen(
    function: Callable[..., float], *reads: Read, load: float = 1.0, part_load: float = PART_LOAD, doubt: float = 0.0
) -> Observation | None:
    """The observation of a log ratio computed from readings, first order in their errors; None where it has no value.

    function takes the readings' values and returns the logarithm, or NaN where they tell nothing. load: share of design
    at which this was seen, where the parameter is meant at design and the way there is the model's guess; part_load:
    how far that misleads for good; doubt: what else may [1].
    """
    values = [r.value for r in reads]
    here = function(*values) if all(math.isfinite(v) for v in values) else math.nan
    if not math.isfinite(here):
        return None  # nor may the slopes be asked for: what is told beside a silent instrument may be zero
    noise, bias = (PART_LOAD * (1.0 - load)) ** 2, (part_load * (1.0 - load)) ** 2 + doubt**2
    for index, read in enumerate(reads):
        sigmas = read.accuracy.at(read.value)
        step = max(0.1 * max(sigmas), 1e-12)
        slope = (function(*values[:index], values[index] + step, *values[index + 1 :]) - here) / step
        noise += (slope * sigmas[0]) ** 2
        bias += (slope * sigmas[1]) ** 2
    return Observation(here, noise, bias) if math.isfinite(noise) and math.isfinite(bias) else None
