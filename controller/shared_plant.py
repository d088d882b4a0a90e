"""Several loops on one facility plant: the one that commands its water reckons with what the others bring and need."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from controller import inputs
from controller.constraints import Bounds
from controller.design import loop_design
from controller.facility_plant import facility_owner
from controller.model import loop_flow
from plant.leases import Envelope
from plant.live import Snapshot
from plant.points import PointId
from plant.records import HeatForecast
from plant.topology import CoolingGroup, Site

USUAL_RISE_K = 8.0
"""Rise of the facility water in CDUs that do not tell their flow."""
VALVE_SHARE = 0.9
"""Share of a CDU's design facility flow that may be needed to hold its supply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What the other loops of a plant bring: heat at a quantile by minute [W], facility flow [m³/s].

    warmest_c: facility water [°C] with which each of them still holds its present supply.
    """

    likely_w: tuple[float, ...] = (0.0,)
    worst_w: tuple[float, ...] = (0.0,)
    flow_m3_s: float = 0.0
    warmest_c: float = np.inf


ALONE = Beside()


def beside(site: Site, snapshot: Snapshot, group: CoolingGroup, heats: Iterable[HeatForecast]) -> Beside:
    """All other loops that share a group's plant.

    Raises:
        StaleError: a setpoint of one is not good.
        ConfigError: a design figure of one is missing.
    """
    owner = facility_owner(site, group)
    others = [
        g
        for g in site.groups.values()
        if g.id != group.id and inputs.FLOW not in g.commands and facility_owner(site, g).id == owner.id
    ]
    known = {h.subject: h for h in heats}
    found = [(g, known[g.id]) for g in others if g.id in known]
    if not found:
        return ALONE
    return Beside(
        likely_w=_summed(h.at(0.5) for _, h in found),
        worst_w=_summed(h.at(0.95) for _, h in found),
        flow_m3_s=sum(_flow_m3_s(snapshot, g, h) for g, h in found),
        warmest_c=min(_warmest_c(site, snapshot, g, max(h.at(0.95))) for g, h in found),
    )


def _summed(rows: Iterable[tuple[float, ...]]) -> tuple[float, ...]:
    return tuple(sum(minute) for minute in zip(*rows, strict=False))


def _flow_m3_s(snapshot: Snapshot, group: CoolingGroup, heat: HeatForecast) -> float:
    shown = sum(snapshot.get(f"{m}/fws_flow") for m in group.members)
    return shown if np.isfinite(shown) else heat.at(0.5)[0] / (USUAL_RISE_K * 4.18e6)


def _warmest_c(site: Site, snapshot: Snapshot, group: CoolingGroup, heat_w: float) -> float:
    """Return water less what the wide open valves need: T = supply + Q/C - Q/(heat per kelvin)."""
    design = loop_design(site, group)
    now = inputs.current_setpoints(site, snapshot, group)
    stream_w_k = loop_flow(design, np.array([now[inputs.DP]])) * design.coolant.heat_j_m3_k
    water_w_k = np.array([VALVE_SHARE * design.cdu_facility_flow_m3_s * design.water.heat_j_m3_k])
    per_kelvin_w = design.plate.per_kelvin(stream_w_k, water_w_k)
    return float((now[inputs.SUPPLY] + heat_w / stream_w_k - heat_w / per_kelvin_w)[0])


def envelopes_of(site: Site, group: CoolingGroup, now: Mapping[str, float]) -> tuple[Envelope, ...]:
    """Of each setpoint; one that another group commands, or nobody, stays where it is."""
    points = inputs.setpoint_points(site, group)
    return tuple(site.envelopes[p] if role in group.commands else _fixed(p, now[role]) for role, p in points.items())


def _fixed(point: PointId, value: float) -> Envelope:
    return Envelope(point=point, minimum=value, maximum=value, max_step=math.inf, min_dwell_s=0.0)


def bounds_beside(own: Bounds, beside: Beside) -> Bounds:
    """Facility water no warmer than any loop on the plant can live with."""
    low_c, high_c = own.facility_c
    return replace(own, facility_c=(low_c, max(low_c, min(high_c, beside.warmest_c))))
