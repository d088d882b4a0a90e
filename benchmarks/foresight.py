"""Other forecasts in place of the controller's own: the last value for ever, and the truth.

The seam is `controller.step.step(..., revise=)`. Only heat is put in place: outdoor air enters the plan as measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from controller.design import rack_design
from controller.forecasting.cycle import RAMP_SHARE
from controller.heats import cdu_heats
from plant.live import Snapshot
from plant.records import Forecast, HeatForecast
from plant.topology import CoolingGroup, Site

Revise = Callable[[Forecast], Forecast]
PERFECT_SHARE = 0.005
"""How far the truth's outer quantiles lie from it."""
_NORMAL = {0.025: -1.96, 0.05: -1.645, 0.1: -1.282, 0.25: -0.674, 0.5: 0.0, 0.75: 0.674}
_NORMAL |= {1 - q: -z for q, z in _NORMAL.items()}


class Foresight(Protocol):
    """What makes a forecast's stand-in of each cycle."""

    def __call__(self, snapshot: Snapshot, now_s: float) -> Revise:
        """How this cycle's forecast is to be revised."""


def _revised(ahead: Forecast, made: Mapping[str, Callable[[HeatForecast], HeatForecast]]) -> Forecast:
    return replace(ahead, heats=tuple(made.get(h.subject, _same)(h) for h in ahead.heats))


def _same(heat: HeatForecast) -> HeatForecast:
    return heat


def persistence(site: Site) -> Foresight:
    """The last value, and the band around it that the forecast has before it knows its errors."""

    def foresight(snapshot: Snapshot, now_s: float) -> Revise:
        del now_s
        made = {g.id: _flat(site, snapshot, g) for g in site.groups.values()}
        return lambda ahead: _revised(ahead, made)

    return foresight


def _flat(site: Site, snapshot: Snapshot, group: CoolingGroup) -> Callable[[HeatForecast], HeatForecast]:
    now_w = sum(h.heat_w for h in cdu_heats(site, snapshot, group).values())
    most_w = sum(d.power_w * d.liquid_fraction for d in (rack_design(site, r) for r in group.racks))

    def flat(heat: HeatForecast) -> HeatForecast:
        minutes = np.arange(1, len(heat.times_s) + 1)
        bands = [now_w + _normal(q) * RAMP_SHARE * most_w * np.sqrt(minutes) for q in heat.quantiles]
        rows = tuple(tuple(np.maximum(band, 0.0).tolist()) for band in bands)
        return replace(heat, heat_w=rows, model="persistence")

    return flat if math.isfinite(now_w) else _same


def _normal(quantile: float) -> float:
    nearest = min(_NORMAL, key=lambda known: abs(known - quantile))
    return _NORMAL[nearest]


def perfect(site: Site, utilisation: Callable[[str, float], float]) -> Foresight:
    """The work to come, as heat by the racks' own line from utilisation to power; quantiles stand close together."""
    seen = _Line()

    def foresight(snapshot: Snapshot, now_s: float) -> Revise:
        racks = [r for g in site.groups.values() for r in g.racks]
        for rack in racks:
            seen.add(utilisation(rack, now_s), snapshot.get(f"{rack}/power"))
        made = {g.id: _true(site, g, utilisation, seen.line()) for g in site.groups.values()}
        return lambda ahead: _revised(ahead, made)

    return foresight


@dataclass(slots=True)
class _Line:
    """Power of a rack [W] against its utilisation [1]: both plants' racks have such a line, leakage aside."""

    rows: list[tuple[float, float]] = field(default_factory=list)

    def add(self, share: float, power_w: float) -> None:
        if math.isfinite(power_w):
            self.rows.append((share, power_w))

    def line(self) -> npt.NDArray[np.float64] | None:
        """Slope and power at rest; None while utilisations are too alike to tell."""
        shares, powers_w = np.array(self.rows or [(0.0, 0.0)]).T
        return np.polyfit(shares, powers_w, 1) if np.ptp(shares) > 0.05 else None


def _true(
    site: Site,
    group: CoolingGroup,
    utilisation: Callable[[str, float], float],
    line: npt.NDArray[np.float64] | None,
) -> Callable[[HeatForecast], HeatForecast]:
    shares = {rack: rack_design(site, rack).liquid_fraction for rack in group.racks}

    def true(heat: HeatForecast) -> HeatForecast:
        if line is None:
            return heat
        slope_w, rest_w = line
        heat_w = np.array(
            [sum(f * (rest_w + slope_w * utilisation(r, t)) for r, f in shares.items()) for t in heat.times_s]
        )
        rows = tuple(tuple((heat_w * (1 + PERFECT_SHARE * _normal(q) / 1.645)).tolist()) for q in heat.quantiles)
        return replace(heat, heat_w=rows, model="perfect")

    return true
