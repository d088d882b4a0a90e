"""Instruments that are not perfect: bias, drift, noise, coarse registers and stuck values, all from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from plant.points import Point, PointId
from plant.quantities import Quantity
from plant.topology import Site
from simulator.chance import hashed, seed_number

NOISE_PERIOD_S = 1.0
DAY_S = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """One instrument's faults, in the point's SI unit; all zero is a perfect one.

    noise: standard deviation; bias: constant error; gain: relative error (0.05 reads 5 % high); drift_per_day; quantum:
    step of its register; stuck_from_s: from when it repeats its value [s since 1970].
    """

    noise: float = 0.0
    bias: float = 0.0
    gain: float = 0.0
    drift_per_day: float = 0.0
    quantum: float = 0.0
    stuck_from_s: float | None = None


@dataclass(slots=True)
class Sensors:
    """The instruments of a plant: what `apply` makes of true readings. Nothing is changed for points not named."""

    by_point: Mapping[PointId, Sensor]
    since_s: float
    seed: int = 1
    _held: dict[PointId, float] = field(default_factory=dict)

    def apply(self, values: dict[PointId, float], time_s: float) -> None:
        """Falsify readings [SI] in place, as they are at time_s [s since 1970]."""
        for point in self.by_point.keys() & values.keys():
            values[point] = self._shown(point, values[point], time_s)

    def _shown(self, point: PointId, true: float, time_s: float) -> float:
        sensor = self.by_point[point]
        if sensor.stuck_from_s is not None and time_s >= sensor.stuck_from_s and point in self._held:
            return self._held[point]
        days = max(time_s - self.since_s, 0.0) / DAY_S
        value = true * (1.0 + sensor.gain) + sensor.bias + sensor.drift_per_day * days
        value += sensor.noise * self._gauss(point, time_s)
        if sensor.quantum > 0.0:
            value = round(value / sensor.quantum) * sensor.quantum
        self._held[point] = value
        return value

    def _gauss(self, point: PointId, time_s: float) -> float:
        """Nearly normal, a function of seed, point and time: the sum of twelve uniforms (Irwin-Hall), variance 4."""
        seed, tick = seed_number(self.seed, point, "sensor"), int(time_s / NOISE_PERIOD_S) * 12
        return sum(hashed(seed, tick + index) for index in range(12)) / 2.0


# typical installed accuracy: Pt100 class A in a well, magnetic flow meter, membrane pressure transmitter, class 1 meter
TYPICAL: Mapping[Quantity, Sensor] = {
    Quantity.TEMPERATURE: Sensor(noise=0.03, bias=0.15, drift_per_day=0.0003, quantum=0.01),
    Quantity.VOLUME_FLOW: Sensor(noise=2e-5, gain=0.01, quantum=1e-6),
    Quantity.DIFFERENTIAL_PRESSURE: Sensor(noise=200.0, bias=300.0, quantum=100.0),
    Quantity.POWER: Sensor(gain=0.01),
}


def typical_sensors(points: Iterable[Point], since_s: float, seed: int) -> Sensors:
    """Instruments of ordinary quality on every measured temperature, flow, pressure and power of a plant.

    Bias, gain and drift are each drawn normally with the typical figure as one standard deviation.
    """
    found: dict[PointId, Sensor] = {}
    for point in points:
        typical = TYPICAL.get(point.quantity)
        if typical is not None and "setpoint" not in point.id:
            rng = random.Random(f"{seed}:{point.id}")
            found[point.id] = Sensor(
                noise=typical.noise,
                bias=rng.gauss(0.0, typical.bias),
                gain=rng.gauss(0.0, typical.gain),
                drift_per_day=rng.gauss(0.0, typical.drift_per_day),
                quantum=typical.quantum,
            )
    return Sensors(found, since_s, seed)


def site_sensors(site: Site, start_s: float) -> Sensors | None:
    """The instruments that a site file says are not perfect, from start_s [s since 1970]; None where all are."""
    if not site.sensors:
        return None
    found = {
        point: Sensor(
            noise=row.noise,
            bias=row.bias,
            gain=row.gain,
            drift_per_day=row.drift_per_day,
            quantum=row.quantum,
            stuck_from_s=None if row.stuck_after_s is None else start_s + row.stuck_after_s,
        )
        for row in site.sensors
        for point in site.points
        if fnmatchcase(point, row.points)
    }
    return Sensors(found, start_s, site.workload.seed)
