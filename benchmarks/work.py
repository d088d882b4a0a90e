"""Work for benchmark plants: the public Frontier trace scaled to racks, and the simulator's job mix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import numpy as np

from benchmarks.plants import Utilisation
from plant.errors import ConfigError
from plant.topology import Site
from simulator.load import JobMix

TRACE = Path("frontier") / "cdu_power_2024-04-07.csv"
STEP_S, CDUS = 15.0, 25
LOADS = ("frontier", "jobs", "squares")
SQUARES_S, SQUARES_HOLD_S, SQUARES_STEP_S = (1.0, 2.0, 5.0, 10.0), 600.0, 0.5
"""Periods of square waves [s], how long each lasts [s], and the longest step that resolves them [s]."""
SQUARES_LOW, SQUARES_HIGH = 0.1, 1.0
IDLE_SHARE = 0.15
"""Share of full power at no load: what the trace's own quiet hours show."""


@dataclass(slots=True)
class Work:
    """Work that is chosen once the plant, and with it the racks, are known; before that racks are idle."""

    source: Utilisation | None = None

    def __call__(self, rack: str, time_s: float) -> float:
        """Share of full load [0..1] of a rack at time_s [s since 1970]."""
        return 0.0 if self.source is None else self.source(rack, time_s)


@lru_cache(maxsize=2)
def _trace(path: Path) -> list[list[float]]:
    """Share of full load above rest [0..1], by step and CDU; lists, as one element at a time is asked for."""
    rows = np.loadtxt(path, delimiter=",", skiprows=1, usecols=range(1, CDUS + 1))
    share = (rows / np.quantile(rows, 0.999) - IDLE_SHARE) / (1.0 - IDLE_SHARE)
    found: list[list[float]] = np.clip(share, 0.0, 1.0).tolist()
    return found


def frontier(data: Path | None, racks: tuple[str, ...], offset_s: float) -> Utilisation:
    """A day of Frontier for ever: rack i follows CDU i, at its local time of day.

    Raises:
        ConfigError: the trace is not there.
    """
    path = data / TRACE if data is not None else TRACE
    if not path.is_file():
        remedy = "it comes from github.com/HewlettPackard/sustain-lc; name the folder that has `frontier/` with --data"
        raise ConfigError("no Frontier trace", where=str(path), remedy=remedy)
    share = _trace(path)
    last = len(share) - 1
    column = {rack: index % CDUS for index, rack in enumerate(racks)}

    def utilisation(rack: str, time_s: float) -> float:
        row = int(((time_s + offset_s) % 86400.0) / STEP_S)
        return share[min(row, last)][column[rack]]

    return utilisation


def by_month(odd: Utilisation, even: Utilisation, offset_s: float) -> Utilisation:
    """One work in January, March ..., another in the months between, by local standard time."""

    def utilisation(rack: str, time_s: float) -> float:
        month = datetime.fromtimestamp(time_s + offset_s, UTC).month
        return (odd if month % 2 else even)(rack, time_s)

    return utilisation


def squares(rack: str, time_s: float) -> float:
    """Every rack at once between rest and full load, as a synchronous training job does; each period for a while."""
    del rack
    period_s = SQUARES_S[int(time_s / SQUARES_HOLD_S) % len(SQUARES_S)]
    return SQUARES_HIGH if (time_s % period_s) < period_s / 2 else SQUARES_LOW


def job_mix(site: Site, offset_s: float) -> Utilisation:
    """The site's own job mix, see `simulator.load`."""
    power_w: Mapping[str, float] = {e.id: e.design["power_w"] for e in site.of_kind("rack")}
    return JobMix(site.workload, power_w, offset_s).utilisation
