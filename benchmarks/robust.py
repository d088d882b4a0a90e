"""The controller under adverse conditions: wrong design figures, late data, missing sensors."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from benchmarks.baselines import Ours
from benchmarks.drive import Operator
from plant.live import Snapshot
from plant.points import PointId
from plant.topology import Site

ROBUST = (
    *("ours-model-high", "ours-model-low", "ours-late"),
    *("ours-blind", "ours-blind-3", "ours-blind-8", "ours-flaky", "ours-deaf"),
)
"""Wrong figures; data two minutes old; 30 % of the sensors missing, by three draws, then at times; setpoints, too.

The draws: 1, 3 and 8 lose a CDU's heat, 3 the humidity at the towers, 8 the master's supply and the dry coolers' air.
"""
OFF_SHARE = 0.20
UNCERTAIN = (
    *("ua_w_k", "case_resistance_k_w", "pump_efficiency", "efficiency", "cop", "fan_power_w", "head_pa"),
    *("internal_dp_pa", "approach_k"),
)
"""Design figures that nobody measures at handover; flows, rated heats and limits are."""
LATE_S, LATE_CYCLE_S = 120.0, 60.0
MISSING_SHARE = 0.30
PERIODS_S = (600.0, 43200.0)
"""Sensors that come and go: gaps of three minutes to three and a half hours."""
BOOKKEEPING = frozenset(
    {"heartbeat", "heartbeat_timeout", "remote_enable", "owner_epoch", "control_source", "group_master"}
)
Gone = Callable[[PointId, float], bool]
"""(point, time [s since 1970]) -> whether it is missing."""


def adverse(controller: str, site: Site) -> Operator:
    """The operator of one of `ROBUST`; a number at the end of the name is the seed of the draw."""
    name, _, number = controller.rpartition("-")
    name, seed = (name, int(number)) if number.isdigit() else (controller, 1)
    made: dict[str, Callable[[], Operator]] = {
        "ours-model-high": lambda: Ours(wrong(site, 1.0 + OFF_SHARE)),
        "ours-model-low": lambda: Ours(wrong(site, 1.0 - OFF_SHARE)),
        "ours-late": lambda: Late(Ours(site)),
        "ours-blind": lambda: Blind(Ours(site), sensors_gone(seed)),
        "ours-flaky": lambda: Blind(Ours(site), come_and_go(seed)),
        "ours-deaf": lambda: Blind(Ours(site), points_gone(seed)),
    }
    return made[name]()


def wrong(site: Site, factor: float) -> Site:
    """The same site file with every uncertain design figure times `factor`."""

    def off(design: Mapping[str, float]) -> dict[str, float]:
        return {key: value * factor if key in UNCERTAIN else value for key, value in design.items()}

    return replace(site, equipment={name: replace(e, design=off(e.design)) for name, e in site.equipment.items()})


@dataclass(slots=True)
class Late:
    """Whoever decides sees what was shown two minutes ago; cycles are minutes."""

    operator: Operator
    shown: deque[Snapshot] = field(default_factory=lambda: deque(maxlen=1 + round(LATE_S / LATE_CYCLE_S)))

    def decide(self, snapshot: Snapshot, now_s: float) -> Mapping[PointId, float]:
        """Setpoints by the oldest that is kept."""
        self.shown.append(snapshot)
        return self.operator.decide(self.shown[0], now_s)


@dataclass(slots=True)
class Blind:
    """Whoever decides never sees the points that are gone at the moment."""

    operator: Operator
    gone: Gone

    def decide(self, snapshot: Snapshot, now_s: float) -> Mapping[PointId, float]:
        """Setpoints by what is left."""
        left = {point: reading for point, reading in snapshot.readings.items() if not self.gone(point, now_s)}
        return self.operator.decide(replace(snapshot, readings=left), now_s)


def sensors_gone(seed: int) -> Gone:
    """Of sensors a drawn share, for good; what a device says of its setpoints and of its controller stays."""
    return lambda point, _: is_sensor(point) and _drawn(seed, point)[0] < MISSING_SHARE


def points_gone(seed: int) -> Gone:
    """Of all points, setpoints in force among them, a drawn share, for good."""
    return lambda point, _: _drawn(seed, point)[0] < MISSING_SHARE


def come_and_go(seed: int) -> Gone:
    """Each sensor is missing for the same share of its own drawn period, minutes to hours, from a drawn moment on."""

    def gone(point: PointId, now_s: float) -> bool:
        phase, period_s = _drawn(seed, point)
        return is_sensor(point) and (now_s / period_s + phase) % 1.0 < MISSING_SHARE

    return gone


def is_sensor(point: PointId) -> bool:
    """Whether a point is measured: neither a setpoint or command, read back or not, nor a device's bookkeeping."""
    name = point.rpartition("/")[2]
    return not name.endswith(("_setpoint", "_command")) and name not in BOOKKEEPING


@cache
def _drawn(seed: int, point: PointId) -> tuple[float, float]:
    """Where in its period [1] a point begins, evenly; how long that is [s], evenly on a log scale."""
    drawn = random.Random(f"{seed}/{point}")
    return drawn.random(), PERIODS_S[0] * (PERIODS_S[1] / PERIODS_S[0]) ** drawn.random()
