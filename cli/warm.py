"""A warm start: the heat of the last hours from the store, for the forecast of a controller that was just started."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from controller.fluids import fluid
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
