"""The plant's own truth: energy of each equipment, heat given to the outdoors, limits violated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from plant.topology import Limit

CASE = "case_temperature"
DEW_POINT = "dew_point_margin"


@dataclass(slots=True)
class Ledger:
    """Sums since it was opened.

    energy_j: electrical energy by equipment [J] (a UPS by its output); electric_j: everything that came in at the
    utility feed [J]; rejected_j: heat given to the outdoors [J]; violation_s: seconds outside each limit, by limit id;
    highest_case_c: hottest GPU case so far [degC]; least_dew_margin_k: least supply above the room's dew point [K].
    """

    limits: Mapping[str, Limit]
    seconds: float = 0.0
    energy_j: dict[str, float] = field(default_factory=dict)
    electric_j: float = 0.0
    it_j: float = 0.0
    rejected_j: float = 0.0
    violation_s: dict[str, float] = field(default_factory=dict)
    highest_case_c: float = -273.15
    least_dew_margin_k: float = 1e3
    _bounds: list[tuple[str, str, float, float]] = field(init=False)

    def __post_init__(self) -> None:
        """Unpack the limits, which are looked at in every step."""
        self._bounds = [_bounds_of(limit) for limit in self.limits.values()]

    @property
    def cooling_j(self) -> float:
        """Everything that is neither IT nor UPS loss [J]."""
        return self.electric_j - self.it_j - self.energy_j.get("ups-losses", 0.0)

    @property
    def case_violation_s(self) -> float:
        """Seconds with a GPU case above its limit [s]."""
        return self._of(CASE)

    def judge(self, dt_s: float, extremes: Mapping[str, tuple[float, float]]) -> None:
        """Count dt_s [s] against every limit whose quantity has (lowest, highest) values outside it."""
        self.seconds += dt_s
        self.highest_case_c = max(self.highest_case_c, extremes[CASE][1])
        self.least_dew_margin_k = min(self.least_dew_margin_k, extremes[DEW_POINT][0])
        for limit, quantity, least, most in self._bounds:
            found = extremes.get(quantity)
            if found and (found[0] < least or found[1] > most):
                self.violation_s[limit] = self.violation_s.get(limit, 0.0) + dt_s

    def _of(self, quantity: str) -> float:
        return sum(self.violation_s.get(i, 0.0) for i, limit in self.limits.items() if limit.quantity == quantity)


def _bounds_of(limit: Limit) -> tuple[str, str, float, float]:
    least = -math.inf if limit.minimum is None else limit.minimum
    return limit.id, limit.quantity, least, math.inf if limit.maximum is None else limit.maximum
