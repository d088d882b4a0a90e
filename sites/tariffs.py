"""Hourly prices from a tariff's hour ranges."""

from __future__ import annotations

import re
from collections.abc import Mapping

from plant.errors import ConfigError

_RANGE = re.compile(r"^([01]?\d|2[0-4])-([01]?\d|2[0-4])$")
_REMEDY = 'give hours as "07-20" (07:00 to 20:00); "22-06" runs over midnight'


def hours_of(text: str) -> list[int]:
    """Hours of the day [h] in a range such as "07-20" (7 to 19) or "22-06".

    Raises:
        ConfigError: not a range of hours.
    """
    match = _RANGE.match(text)
    if match is None:
        raise ConfigError(f"{text!r} is no range of hours", remedy=_REMEDY)
    first, last = int(match[1]) % 24, int(match[2])
    length = (last - first) % 24 or 24
    return [(first + i) % 24 for i in range(length)]


def hourly_prices(prices: Mapping[str, float]) -> tuple[float, ...]:
    """24 prices, hour 0 first, from `default` and ranges of hours.

    Raises:
        ConfigError: a key is no range, an hour is priced twice, or an hour has no price.
    """
    hours: dict[int, float] = {}
    for text in prices:
        if text != "default":
            _take(hours, text, prices[text])
    missing = [h for h in range(24) if h not in hours]
    if missing and "default" not in prices:
        raise ConfigError(f"no price for hour {missing[0]}", remedy="add `default` or the hours that are missing")
    return tuple(hours.get(h, prices.get("default", 0.0)) for h in range(24))


def _take(hours: dict[int, float], text: str, price: float) -> None:
    for hour in hours_of(text):
        if hour in hours:
            raise ConfigError(f"hour {hour} has two prices", remedy="let the ranges of hours not overlap")
        hours[hour] = price
