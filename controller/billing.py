"""What the site pays by: prices of this quarter of an hour, and the month's peak that a demand charge goes by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from controller.inputs import electric_power
from controller.objective import Prices
from plant.live import Snapshot
from plant.topology import Site

QUARTER_S, MINUTE_S = 900.0, 60.0
KNOWN_QUARTERS = 96
"""A day of quarters tells what a month's peak will be at least; before it no demand charge counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Billing:
    """The running month: its highest quarter so far and last month's [W], quarters seen, and the quarter under way.

    month: of the site's calendar, counted from year 0; sum_w, count: readings of the quarter under way.
    """

    month: int = -1
    peak_w: float = 0.0
    last_peak_w: float = 0.0
    quarters: int = 0
    quarter: int = -1
    sum_w: float = 0.0
    count: int = 0

    @property
    def expected_w(self) -> float:
        """Power that the month is billed for anyhow [W]; inf while too little has been seen to say."""
        known = self.last_peak_w > 0.0 or self.quarters >= KNOWN_QUARTERS
        return max(self.peak_w, self.last_peak_w) if known else math.inf


def joined(one: Billing, other: Billing) -> Billing:
    """What both know of the later of their months: higher peaks, more quarters; the quarter under way is one's."""
    if one.month != other.month:
        before, later = sorted((one, other), key=lambda b: b.month)
        next_to = before.month == later.month - 1
        return replace(later, last_peak_w=max(later.last_peak_w, before.peak_w if next_to else 0.0))
    return replace(
        one,
        peak_w=max(one.peak_w, other.peak_w),
        last_peak_w=max(one.last_peak_w, other.last_peak_w),
        quarters=max(one.quarters, other.quarters),
    )


def seen_before(time_s: Sequence[float], power_w: Sequence[float], now_s: float, timezone: str) -> Billing:
    """The running month from means of quarters of an hour [W] that begin at time_s [s since 1970]."""
    this = _month(now_s, timezone)
    months = [(_month(t, timezone), w) for t, w in zip(time_s, power_w, strict=True) if math.isfinite(w)]
    own = [w for month, w in months if month == this]
    last = [w for month, w in months if month == this - 1]
    return Billing(month=this, peak_w=max(own, default=0.0), last_peak_w=max(last, default=0.0), quarters=len(own))


def month_before_s(now_s: float, timezone: str) -> float:
    """When the month before the running one began [s since 1970]."""
    year, month = divmod(_month(now_s, timezone) - 2, 12)
    return datetime(year, month + 1, 1, tzinfo=ZoneInfo(timezone)).timestamp()


def _month(at_s: float, timezone: str) -> int:
    """Month of the site's calendar, counted from year 0."""
    at = datetime.fromtimestamp(at_s, UTC).astimezone(ZoneInfo(timezone))
    return at.year * 12 + at.month


def billed(before: Billing, power_w: float, now_s: float, timezone: str) -> Billing:
    """One reading of the site's power more [W]; NaN leaves it as it is."""
    if not math.isfinite(power_w):
        return before
    month, quarter = _month(now_s, timezone), int(now_s // QUARTER_S)
    if quarter == before.quarter:
        return replace(before, sum_w=before.sum_w + power_w, count=before.count + 1)
    ended = before
    if before.count:
        mean_w = before.sum_w / before.count
        ended = replace(before, peak_w=max(before.peak_w, mean_w), quarters=before.quarters + 1)
    if month != before.month:
        last_w = ended.peak_w if month == before.month + 1 else 0.0
        ended = Billing(month=month, last_peak_w=last_w)
    return replace(ended, month=month, quarter=quarter, sum_w=power_w, count=1)


def site_power_w(site: Site, snapshot: Snapshot) -> float:
    """Electric power of the whole site [W] at its utility feeds; NaN where one is not metered."""
    feeds = site.of_kind("utility")
    return sum(electric_power(site, snapshot, e.id) for e in feeds) if feeds else math.nan


def prices_now(site: Site, billing: Billing, now_s: float, minutes: int, rest_w: float) -> Prices:
    """What counts in the next minutes; rest_w: site power without a loop's commanded plant [W]."""
    tariff = site.tariff
    energy = Prices(currency=tariff.currency, energy_per_kwh=energy_price(site, now_s, minutes))
    if site.objective == "energy":
        return energy
    return replace(
        energy,
        energy_per_kwh=energy.energy_per_kwh + site.carbon_price_per_kg * site.carbon_kg_per_kwh,
        water_per_m3=tariff.water_per_m3,
        heat_per_kwh=tariff.heat_per_kwh,
        heat_above_c=tariff.heat_above_c,
        heat_most_w=tariff.heat_most_w,
        demand_per_kw=tariff.demand_per_kw_month,
        peak_w=billing.expected_w,
        rest_w=rest_w,
    )


def energy_price(site: Site, now_s: float, minutes: int) -> float:
    """Mean price of energy in the next minutes [currency/kWh]."""
    zone = ZoneInfo(site.timezone)
    hours = [datetime.fromtimestamp(now_s + MINUTE_S * i, UTC).astimezone(zone).hour for i in range(minutes)]
    return sum(site.tariff.energy_per_kwh[h] for h in hours) / minutes
