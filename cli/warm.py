"""A warm start from the store, for a controller that was just started: the last hours' heat, the month's peak power."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from controller.billing import QUARTER_S, Billing, month_before_s, seen_before
from controller.fluids import fluid
from plant.points import PointId
from plant.ports import RangeQuery, Series, Store
from plant.topology import Site

WINDOW_S = 4 * 3600.0
STEP_S = 60.0
NAMES = ("tcs_flow", "tcs_supply_temperature", "tcs_return_temperature")
Heat = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


async def past_heat(site: Site, store: Store, now_s: float) -> dict[str, Heat]:
    """Minute means of Q = ρ·cp·V̇·(return − supply) [W] per CDU and, where all members have it, per group."""
    heats: dict[str, Heat] = {}
    for group in site.groups.values():
        members = {member: await _heat(site, store, member, now_s) for member in group.members}
        heats |= {member: heat for member, heat in members.items() if len(heat[0])}
        heats[group.id] = _sum(list(members.values()))
    return {subject: heat for subject, heat in heats.items() if len(heat[0])}


async def past_peak(site: Site, store: Store, now_s: float) -> Billing | None:
    """The highest quarter of an hour of this month and the last at the utility feeds; None where not metered."""
    if site.tariff.demand_per_kw_month <= 0.0:
        return None
    feeds = [_power_point(site, e.id) for e in site.of_kind("utility")]
    points = tuple(p for p in feeds if p)
    if not points or len(points) < len(feeds):
        return None
    first_s = month_before_s(now_s, site.timezone) // QUARTER_S * QUARTER_S
    end_s = now_s // QUARTER_S * QUARTER_S  # the quarter under way is not over
    series = await store.range(RangeQuery(points=points, start_s=first_s, end_s=end_s, step_s=QUARTER_S))
    times = _common(list(series))
    return seen_before(times.tolist(), np.sum([_at(s, times) for s in series], axis=0).tolist(), now_s, site.timezone)


def _power_point(site: Site, equipment: str) -> PointId:
    """Where the power of a feed is measured, as `controller.inputs.electric_power` looks for it; empty if nowhere."""
    names = [m.id for m in site.of_kind("meter") if m.meters == equipment]
    return next((p for n in (*names, equipment) if (p := f"{n}/active_power") in site.points), "")


async def _heat(site: Site, store: Store, equipment: str, now_s: float) -> Heat:
    points = tuple(f"{equipment}/{name}" for name in NAMES)
    query = RangeQuery(points=points, start_s=now_s - WINDOW_S, end_s=now_s, step_s=STEP_S)
    flow, supply, back = await store.range(query)
    times = _common([flow, supply, back])
    capacity = fluid(site.coolant, site.glycol_percent).heat_j_m3_k
    return times, np.maximum(capacity * _at(flow, times) * (_at(back, times) - _at(supply, times)), 0.0)


def _common(series: list[Series]) -> npt.NDArray[np.float64]:
    times = series[0].time_s
    for other in series:
        times = np.intersect1d(times, other.time_s[~np.isnan(other.value)])
    return times


def _at(series: Series, times: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return series.value[np.searchsorted(series.time_s, times)]


def _sum(heats: list[Heat]) -> Heat:
    times = heats[0][0]
    for other, _ in heats:
        times = np.intersect1d(times, other)
    return times, np.sum([heat[np.searchsorted(own, times)] for own, heat in heats], axis=0)
