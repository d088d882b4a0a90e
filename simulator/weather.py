"""Weather of a configured climate: a function of time and seed only."""

from __future__ import annotations

import math
from dataclasses import dataclass

from plant.topology import Climate
from simulator.chance import seed_number, smooth_noise

YEAR_S = 365.2425 * 86400.0
WARMEST_DAY_S = 200 * 86400.0  # 19 July, after the 1 January of 1970
WARMEST_HOUR_S = 15 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """Outdoor air. Temperatures [degC]; relative_humidity [1]."""

    dry_bulb_c: float
    dew_point_c: float
    wet_bulb_c: float
    relative_humidity: float


def vapour_pressure_pa(at_c: float) -> float:
    """Saturation pressure over water [Pa] at `at_c` [degC] (Magnus form, WMO-No. 8)."""
    return 611.2 * math.exp(17.62 * at_c / (243.12 + at_c))


def wet_bulb_c(dry_bulb_c: float, relative_humidity: float) -> float:
    """Wet bulb [degC] of air at sea level (Stull 2011, J. Appl. Meteor. Climatol. 50, within 1 K)."""
    rh = min(max(100.0 * relative_humidity, 5.0), 99.0)
    found = (
        dry_bulb_c * math.atan(0.151977 * math.sqrt(rh + 8.313659))
        + math.atan(dry_bulb_c + rh)
        - math.atan(rh - 1.676331)
        + 0.00391838 * math.pow(rh, 1.5) * math.atan(0.023101 * rh)
        - 4.686035
    )
    return min(found, dry_bulb_c)


def weather(climate: Climate, time_s: float, utc_offset_s: float = 0.0) -> Weather:
    """Weather at time_s [s since 1970, UTC] of a place utc_offset_s [s] ahead of UTC.

    Dry bulb = yearly mean + sinusoid over the year + sinusoid over the day + fronts of three days and gusts of hours.
    """
    year = math.cos(2 * math.pi * (time_s - WARMEST_DAY_S) / YEAR_S)
    day = math.cos(2 * math.pi * (time_s + utc_offset_s - WARMEST_HOUR_S) / 86400.0)
    front = smooth_noise(seed_number(climate.seed, "front"), time_s, 3 * 86400.0)
    gust = smooth_noise(seed_number(climate.seed, "gust"), time_s, 2 * 3600.0)
    moisture = smooth_noise(seed_number(climate.seed, "moisture"), time_s, 86400.0)
    slow_c = climate.mean_c + climate.annual_amplitude_k * year + climate.front_amplitude_k * front
    dry_c = slow_c + climate.daily_amplitude_k * day + 0.3 * gust
    dew_c = min(slow_c - climate.dew_point_depression_k * (1.0 + 0.3 * moisture), dry_c - 0.2)
    humidity = vapour_pressure_pa(dew_c) / vapour_pressure_pa(dry_c)
    return Weather(
        dry_bulb_c=dry_c,
        dew_point_c=dew_c,
        wet_bulb_c=max(wet_bulb_c(dry_c, humidity), dew_c),
        relative_humidity=humidity,
    )
