"""What a silent instrument would show, by balances with what is still told around it. Pure; nothing here is a reading.

Of several ways the surest counts. Installed accuracies are those of `identification.sensing`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from controller.design import rack_design
from controller.fluids import fluid
from controller.identification.sensing import FLOW, POWER, TEMPERATURE, Accuracy
from plant.errors import ConfigError
from plant.live import Snapshot
from plant.topology import CoolingGroup, Site

NEIGHBOUR_K, SHARED_FLOW = 0.3, 0.05
"""CDUs and racks of one manifold lie so near to one another [K]; flows by kind and parallel path [1]."""
FRACTION_SD, GPUS_SD, SIBLINGS_SD = 0.03, 0.08, 0.25
"""Of nameplate: liquid fractions; a rack by its GPUs; by other racks' load, whose work may be quite another."""
WATER_C = 30.0
LOST_SHARE = 0.02
"""Heat that leaves between an exchanger's sides, and what is on its way [1]."""


@dataclass(frozen=True, slots=True)
class Told:
    """A value [SI] and its standard deviation; NaN where nothing tells it."""

    value: float
    sd: float

    def times(self, other: Told) -> Told:
        """The product of two that err independently."""
        return Told(self.value * other.value, math.hypot(self.sd * other.value, other.sd * self.value))

    def less(self, other: Told) -> Told:
        """The difference of two that err independently."""
        return Told(self.value - other.value, math.hypot(self.sd, other.sd))


NOTHING = Told(math.nan, math.nan)


def inferred(site: Site, snapshot: Snapshot, group: CoolingGroup, known_w: Mapping[str, float]) -> dict[str, Told]:
    """Heat [W] of the members that are not in known_w: by facility water, by coolant, or by what is left of racks."""
    missing = [m for m in group.members if m not in known_w]
    if not missing:
        return {}
    found = {m: _surest((_by_water(snapshot, m), _by_coolant(site, snapshot, group, m))) for m in missing}
    silent = [m for m in missing if math.isnan(found[m].value)]
    if silent:
        rest = _racks_w(site, snapshot, group)
        told = [Told(w, math.hypot(*FLOW.at(w)) + LOST_SHARE * w) for w in known_w.values()]
        for other in (*told, *(found[m] for m in missing if m not in silent)):
            rest = rest.less(other)
        found |= dict.fromkeys(silent, Told(max(rest.value, 0.0) / len(silent), rest.sd / len(silent)))
    return {m: NOTHING if math.isnan(t.value) else Told(max(t.value, 0.0), t.sd) for m, t in found.items()}


def _surest(ways: Iterable[Told]) -> Told:
    return min((w for w in ways if math.isfinite(w.value)), key=lambda w: w.sd, default=NOTHING)


def _read(snapshot: Snapshot, point: str, accuracy: Accuracy) -> Told:
    value = snapshot.get(point)
    return Told(value, math.hypot(*accuracy.at(value)))


def _mean(readings: Iterable[Told], sd: float) -> Told:
    """What neighbours show on the average, each so far from the one that is meant."""
    values = [r.value for r in readings if math.isfinite(r.value)]
    return Told(sum(values) / len(values), sd) if values else NOTHING


def _by_water(snapshot: Snapshot, member: str) -> Told:
    """Q = rho cp flow (return - supply) of the facility side."""
    flow = _read(snapshot, f"{member}/fws_flow", FLOW)
    warm, cold = (_read(snapshot, f"{member}/fws_{side}_temperature", TEMPERATURE) for side in ("return", "supply"))
    return _carried(flow, warm.less(cold), fluid("water", 0.0, WATER_C).heat_j_m3_k)


def _by_coolant(site: Site, snapshot: Snapshot, group: CoolingGroup, member: str) -> Told:
    """The same of its own side, with neighbours' readings where its own are missing."""
    flow = _surest((_read(snapshot, f"{member}/tcs_flow", FLOW), _rest_of_flow(site, snapshot, group, member)))
    back, supply = (_temperature(snapshot, group, member, side) for side in ("return", "supply"))
    return _carried(flow, back.less(supply), fluid(site.coolant, site.glycol_percent).heat_j_m3_k)


def _carried(flow: Told, rise: Told, heat_j_m3_k: float) -> Told:
    heat = flow.times(rise)
    return Told(heat_j_m3_k * heat.value, heat_j_m3_k * math.hypot(heat.sd, LOST_SHARE * heat.value))


def _temperature(snapshot: Snapshot, group: CoolingGroup, member: str, side: str) -> Told:
    """A member's own, else the other members' on the same manifold, else its racks'."""
    own = _read(snapshot, f"{member}/tcs_{side}_temperature", TEMPERATURE)
    others = (_read(snapshot, f"{m}/tcs_{side}_temperature", TEMPERATURE) for m in group.members if m != member)
    racks = (_read(snapshot, f"{r}/liquid_{side}_temperature", TEMPERATURE) for r in group.racks)
    ways = own, _mean(others, NEIGHBOUR_K), _mean(racks, 2 * NEIGHBOUR_K)
    return next((way for way in ways if math.isfinite(way.value)), NOTHING)


def _rest_of_flow(site: Site, snapshot: Snapshot, group: CoolingGroup, member: str) -> Told:
    """What the racks get less what the other members send, shared among those that do not tell."""
    sent = [_read(snapshot, f"{m}/tcs_flow", FLOW) for m in group.members if m != member]
    rest = _summed(_rack_flows(site, snapshot, group).values())
    for other in (s for s in sent if math.isfinite(s.value)):
        rest = rest.less(other)
    silent = 1 + sum(math.isnan(s.value) for s in sent)
    return Told(max(rest.value, 0.0) / silent, rest.sd / silent)


def _rack_flows(site: Site, snapshot: Snapshot, group: CoolingGroup) -> dict[str, Told]:
    """Of each rack [m³/s]; one that does not tell lies at the same pressure as the others: design's share of them."""
    try:
        rated = {r: rack_design(site, r).flow_m3_s for r in group.racks}
    except ConfigError:
        return {"": NOTHING}
    shown = {r: _read(snapshot, f"{r}/liquid_flow", FLOW) for r in group.racks}
    share = _mean((Told(shown[r].value / rated[r], 0.0) for r in group.racks), 0.0).value
    return {
        r: told if math.isfinite(told.value) else Told(share * rated[r], SHARED_FLOW * share * rated[r])
        for r, told in shown.items()
    }


def _racks_w(site: Site, snapshot: Snapshot, group: CoolingGroup) -> Told:
    """Heat of all racks into the liquid [W]; one that nothing tells of works as the others do on the average."""
    try:
        rated_w = {r: (k := rack_design(site, r)).power_w * k.liquid_fraction for r in group.racks}
    except ConfigError:
        return NOTHING
    flows = _rack_flows(site, snapshot, group)
    found = {r: _surest(_rack_w(site, snapshot, group, r, flows[r])) for r in group.racks}
    share = _mean((Told(found[r].value / rated_w[r], 0.0) for r in group.racks), 0.0).value
    guess = {r: Told(share * rated_w[r], SIBLINGS_SD * rated_w[r]) for r, w in found.items() if math.isnan(w.value)}
    whole = _summed((found | guess).values())
    return Told(whole.value, math.hypot(whole.sd, FRACTION_SD * whole.value))


def _rack_w(site: Site, snapshot: Snapshot, group: CoolingGroup, rack: str, flow: Told) -> Iterator[Told]:
    """A rack's heat into the liquid [W]: by its power, by its coolant, by its GPUs."""
    kind = rack_design(site, rack)
    power = _read(snapshot, f"{rack}/power", POWER)
    yield Told(power.value * kind.liquid_fraction, power.sd * kind.liquid_fraction)
    back, supply = (_read(snapshot, f"{rack}/liquid_{side}_temperature", TEMPERATURE) for side in ("return", "supply"))
    if math.isnan(supply.value):
        supply = _mean(
            (_read(snapshot, f"{m}/tcs_supply_temperature", TEMPERATURE) for m in group.members), 2 * NEIGHBOUR_K
        )
    yield _carried(flow, back.less(supply), fluid(site.coolant, site.glycol_percent).heat_j_m3_k)
    gpus = [w for i in range(site.gpus_per_rack) if math.isfinite(w := snapshot.get(f"{rack}/gpu-{i:02d}/power"))]
    if gpus:
        rated_w = kind.power_w * kind.liquid_fraction
        yield Told(sum(gpus) / len(gpus) / kind.gpu_power_w * rated_w, GPUS_SD * rated_w)


def _summed(parts: Iterable[Told]) -> Told:
    """The sum of some that err independently."""
    found = list(parts)
    return Told(sum(p.value for p in found), math.hypot(*(p.sd for p in found)))
