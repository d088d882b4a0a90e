"""The controller under adverse conditions: wrong design figures, late data, missing sensors."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from benchmarks.baselines import Ours
from benchmarks.drive import Operator
from plant.live import Snapshot
from plant.points import PointId
from plant.topology import Site

ROBUST = ("ours-model-high", "ours-model-low", "ours-late", "ours-blind")
OFF_SHARE = 0.20
UNCERTAIN = (
    *("ua_w_k", "case_resistance_k_w", "pump_efficiency", "efficiency", "cop", "fan_power_w", "head_pa"),
    *("internal_dp_pa", "approach_k"),
)
"""Design figures that nobody measures at handover; flows, rated heats and limits are."""
LATE_S, LATE_CYCLE_S = 120.0, 60.0
MISSING_SHARE = 0.30


def adverse(controller: str, site: Site) -> Operator:
    """The operator of one of `ROBUST`."""
    made: dict[str, Callable[[], Operator]] = {
        "ours-model-high": lambda: Ours(wrong(site, 1.0 + OFF_SHARE)),
        "ours-model-low": lambda: Ours(wrong(site, 1.0 - OFF_SHARE)),
        "ours-late": lambda: Late(Ours(site)),
        "ours-blind": lambda: Blind(Ours(site)),
    }
    return made[controller]()


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
    """Whoever decides never sees 30 % of the points: the same ones all the time."""

    operator: Operator

    def decide(self, snapshot: Snapshot, now_s: float) -> Mapping[PointId, float]:
        """Setpoints by what is left."""
        left = {point: reading for point, reading in snapshot.readings.items() if not _missing(point)}
        return self.operator.decide(replace(snapshot, readings=left), now_s)


def _missing(point: PointId) -> bool:
    return zlib.crc32(point.encode()) % 1000 < 1000 * MISSING_SHARE
