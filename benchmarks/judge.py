"""Limits of a site held against what a plant truly is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from benchmarks.plants import PlantTruth
from plant.topology import Limit, Site


class Judge:
    """Seconds outside each limit, the hottest case [°C] and the least margin to the dew point [K], since `reset`."""

    def __init__(self, site: Site) -> None:
        self._limits = tuple(site.limits.values())
        self.reset()

    def reset(self) -> None:
        """Forget all."""
        self.violation_s: dict[str, float] = {}
        self.highest_case_c, self.least_dew_margin_k = -273.15, 1e3

    def see(self, values: Mapping[str, Sequence[float]], seconds: float) -> None:
        """Every value of quantities as a limit names them [SI], for so many seconds; those not named are not judged."""
        for limit in self._limits:
            if any(outside(limit, value) for value in values.get(limit.quantity, ())):
                self.violation_s[limit.id] = self.violation_s.get(limit.id, 0.0) + seconds
        self.highest_case_c = max((self.highest_case_c, *values.get("case_temperature", ())))
        self.least_dew_margin_k = min((self.least_dew_margin_k, *values.get("dew_point_margin", ())))

    def truth(self, energy_j: Mapping[str, float], it_j: float, site_j: float | None = None) -> PlantTruth:
        """With a plant's energies [J]; site_j: IT and cooling where the plant has no more than these."""
        return PlantTruth(
            energy_j=dict(energy_j),
            it_j=it_j,
            site_j=it_j + sum(energy_j.values()) if site_j is None else site_j,
            violation_s=dict(self.violation_s),
            highest_case_c=self.highest_case_c,
            least_dew_margin_k=self.least_dew_margin_k,
        )


def outside(limit: Limit, value: float) -> bool:
    """Whether a value breaks a limit; what is no number does."""
    low, high = limit.minimum, limit.maximum
    return (low is not None and value < low) or (high is not None and value > high) or math.isnan(value)
