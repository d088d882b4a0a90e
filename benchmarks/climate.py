"""Weather from EnergyPlus weather files, and twelve weighted days of a year."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from plant.errors import ConfigError
from simulator.weather import Weather, wet_bulb_c

Array = npt.NDArray[np.float64]

CLIMATES = {"phoenix": "*Phoenix*.epw", "atlanta": "*Atlanta*.epw", "chicago": "*Chicago*.epw"}
YEAR = 2025
"""Typical years have no calendar year; this one is not a leap year."""
HOURS = 8760


@dataclass(frozen=True, slots=True, eq=False)
class Climate:
    """A typical year by hours of local standard time: dry bulb, dew point [°C], relative humidity [1]; (8760,)."""

    name: str
    path: Path
    offset_s: float
    dry_bulb_c: Array
    dew_point_c: Array
    humidity: Array

    def at(self, time_s: float) -> Weather:
        """Outdoor air at time_s [s since 1970], linear between the hours (an EPW row ends its hour)."""
        position = ((time_s + self.offset_s - _year_start_s()) / 3600.0 - 1.0) % HOURS
        before = int(position)
        share, after = position - before, (before + 1) % HOURS
        dry, dew, humid = (
            float(c[before] * (1 - share) + c[after] * share)
            for c in (self.dry_bulb_c, self.dew_point_c, self.humidity)
        )
        wet = max(wet_bulb_c(dry, humid), min(dew, dry))
        return Weather(dry_bulb_c=dry, dew_point_c=dew, wet_bulb_c=wet, relative_humidity=humid)

    def start_s(self, day: int) -> float:
        """Local midnight that begins day 0..364 [s since 1970]."""
        return _year_start_s() + 86400.0 * day - self.offset_s


@dataclass(frozen=True, slots=True)
class WeightedDay:
    """A day 0..364 that stands for `weight` days of the year."""

    day: int
    weight: float


def _year_start_s() -> float:
    return datetime(YEAR, 1, 1, tzinfo=UTC).timestamp()


def read_climate(data: Path | None, name: str) -> Climate:
    """One of `CLIMATES`, from the folder `weather` of the public data.

    Raises:
        ConfigError: no data, or the file is not an hourly weather file of a year.
    """
    remedy = "weather files are at climate.onebuilding.org; name the folder that has `weather/` with --data DIR"
    found = sorted((data / "weather").glob(CLIMATES[name])) if data is not None else []
    if not found:
        raise ConfigError(f"no weather file for {name} ({CLIMATES[name]})", where=str(data or "--data"), remedy=remedy)
    return read_epw(name, found[0])


@lru_cache(maxsize=8)
def read_epw(name: str, path: Path) -> Climate:
    """An EPW file: 8 lines of header, then 8,760 hours.

    Raises:
        ConfigError: it is something else.
    """
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = list(csv.reader(file))
    try:
        offset_s = float(rows[0][8]) * 3600.0
        columns = np.array([[float(row[i]) for i in (6, 7, 8)] for row in rows[8:]])
    except (IndexError, ValueError) as error:
        raise ConfigError(f"not an EPW file: {error}", where=str(path), remedy="give an hourly EPW file") from error
    if len(columns) != HOURS:
        raise ConfigError(f"{len(columns)} hours", where=str(path), remedy=f"give a year of {HOURS} hours")
    return Climate(name, path, offset_s, columns[:, 0], columns[:, 1], columns[:, 2] / 100.0)


def twelve_days(climate: Climate) -> list[WeightedDay]:
    """Of each month the day whose mean wet bulb is nearest the month's; in the warmest month the warmest day.

    Each weighs the days of its month, so that the weights make a year.
    """
    pairs = zip(climate.dry_bulb_c.tolist(), climate.humidity.tolist(), strict=True)
    daily = np.array([wet_bulb_c(dry, humid) for dry, humid in pairs]).reshape(365, 24).mean(axis=1)
    edges = np.cumsum([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
    months = [daily[a:b] for a, b in pairwise(edges.tolist())]
    warmest = int(np.argmax([m.mean() for m in months]))
    chosen = [int(np.argmax(m) if i == warmest else np.argmin(np.abs(m - m.mean()))) for i, m in enumerate(months)]
    return [WeightedDay(int(edges[i]) + day, float(len(months[i]))) for i, day in enumerate(chosen)]


def warmest_day(climate: Climate) -> WeightedDay:
    """The warmest of the twelve, alone."""
    days = twelve_days(climate)
    means = [climate.dry_bulb_c[24 * d.day : 24 * d.day + 24].mean() for d in days]
    return WeightedDay(days[int(np.argmax(means))].day, 1.0)
