"""What the hall with trains comes to once it has settled, by its own machines: for the bound, which knows all of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from benchmarks.judge import outside
from benchmarks.reserve import ReserveWatch
from benchmarks.trains_bank import Bank, Machine
from benchmarks.trains_plant import Array, TrainsPlant
from benchmarks.trains_racks import LEAKAGE_REFERENCE_C
from benchmarks.trains_units import WATER_J_M3_K
from benchmarks.trains_water import PUMP_MOST
from controller import inputs
from simulator.staging import towers_behind

SETTLED_S = 1e9
NEAR_K, SLACK_K = 0.05, 0.03
"""Water counts as being at its setpoint within this; kept to every limit."""
SMOOTH = 0.02
"""Heat that swings by less is taken as even."""
_SUPPLY_STEP_K, _DRAWS = 0.02, 2
Set = frozenset[str]


@dataclass(frozen=True, slots=True)
class Waters:
    """Setpoints of a moment [Pa, °C]."""

    dp_pa: float
    facility_c: float
    tower_c: float


@dataclass(frozen=True, slots=True)
class Settled:
    """What a moment comes to: power of all cooling [W], the supply that limits allow [°C], the pumps that run."""

    cooling_w: float
    supply_c: float
    pumps: Set


@dataclass(frozen=True, slots=True)
class _Loop:
    """The CDUs' loop at its setpoints: supply [°C], its pumps [W], the facility flow that each heat takes [m³/s]."""

    supply_c: float
    tcs_w: float
    flows: tuple[float, ...]


class SteadyTrains:
    """The settled hall over some minutes: its cost by the means of their lower and upper half, limits by the highest.

    Its plant is not to be driven meanwhile.
    """

    def __init__(self, plant: TrainsPlant) -> None:
        self._plant, self._group = plant, next(iter(plant.site.groups.values()))
        self._reserve = ReserveWatch(plant.site)
        self.wet_c, self._pump_sets = np.nan, list(_counted(plant.water.pumps, self._alike("pump")))
        self._cheapest = dict[tuple[Set, tuple[float, ...], tuple[float, ...]], tuple[Set, float]]()

    def at(self, times_s: Sequence[float]) -> None:
        """Take the work of these moments [s since 1970] and the air in their middle, at the mean work's cases."""
        racks, air = self._plant.racks, self._plant.air(float(np.mean(times_s)))
        self.wet_c = air.wet_bulb_c
        uses = [self._plant.use(at_s) for at_s in times_s]
        cases: Array = np.full(len(racks.names), LEAKAGE_REFERENCE_C)
        for _ in range(_DRAWS):
            _, plates_w = racks.draw(np.mean(uses, axis=0), cases)
            draws = [racks.draw(use, cases) for use in uses]
            self._high_w = np.max([power_w for power_w, _ in draws], axis=0)
            self._high_plates_w = np.max([plates for _, plates in draws], axis=0)
            heats_w = [racks.liquid_w(power_w) for power_w, _ in draws]
            self._highest_w, self._heats = max(heats_w), _halves(heats_w)
            design = self._group.design
            supply_c = self.highest_supply_c(design["differential_pressure"], design["facility_supply_temperature"])
            if math.isfinite(supply_c):
                cases = supply_c + racks.rises_k(racks.flows(design["differential_pressure"]), plates_w)
        self._loops = dict[tuple[float, float], _Loop | None]()

    def highest_supply_c(self, dp_pa: float, facility_c: float) -> float:
        """The warmest supply [°C] that keeps every limit and the reserve; -inf where none does."""
        racks, flows = self._plant.racks, self._plant.racks.flows(dp_pa)
        envelope = self._plant.site.envelopes[self._group.commands[inputs.SUPPLY]]
        seen = racks.seen(0.0, flows, self._high_w, racks.rises_k(flows, self._high_plates_w))
        supply = np.arange(envelope.minimum, envelope.maximum + 1e-9, _SUPPLY_STEP_K)
        held = self._reserve.margins_k(
            self._group.id, self._highest_w, supply, np.full_like(supply, dp_pa), np.full_like(supply, facility_c)
        )
        kept = held >= SLACK_K
        for limit in self._plant.site.limits.values():
            if limit.quantity == "rack_flow_m3_s":
                kept &= not outside(limit, seen["rack_flow_m3_s"])
            elif limit.quantity in seen and limit.maximum is not None:
                kept &= supply + seen[limit.quantity] <= limit.maximum - SLACK_K
        return float(supply[kept].max(initial=-np.inf))

    def settled(self, on: Set, waters: Waters, under_w: float = math.inf) -> Settled | None:
        """What comes of setpoints while `on` of towers, economisers and chillers run, and the pumps that draw least.

        None where limits are broken, or where pumps alone draw more than under_w [W].
        """
        loop, water = self._loop(waters.dp_pa, waters.facility_c), self._plant.water
        if loop is None or loop.tcs_w > under_w:
            return None
        pumps, least_w = self._pumps(on, loop.flows)
        self._run(on | pumps)
        if loop.tcs_w + least_w + water.least_tower_pumps_w > under_w:
            return None
        cooling_w = loop.tcs_w
        for (weight, liquid_w), flow in zip(self._heats, loop.flows, strict=True):
            if not self._carried(liquid_w + loop.tcs_w, flow, waters):
                return None
            cooling_w += weight * sum(water.now.powers_w.values())
        return Settled(cooling_w, loop.supply_c, pumps)

    def _carried(self, heat_w: float, flow: float, waters: Waters) -> bool:
        """Whether what runs brings both waters to their setpoints at a heat [W] and a facility flow [m³/s]."""
        water = self._plant.water
        water.supply_c, water.tower_c = waters.facility_c, waters.tower_c
        water.return_c = waters.facility_c + heat_w / (flow * WATER_J_M3_K)
        water.carry(SETTLED_S, heat_w, flow, waters.facility_c, waters.tower_c, self.wet_c)
        return water.supply_c <= waters.facility_c + NEAR_K and water.tower_c <= waters.tower_c + NEAR_K

    def _loop(self, dp_pa: float, facility_c: float) -> _Loop | None:
        """The CDUs' loop at its warmest supply; None where they do not hold it with all pumps."""
        key = (round(dp_pa), round(facility_c, 3))
        if key not in self._loops:
            self._loops[key] = self._settled_loop(dp_pa, facility_c)
        return self._loops[key]

    def _settled_loop(self, dp_pa: float, facility_c: float) -> _Loop | None:
        racks, supply_c = self._plant.racks, self.highest_supply_c(dp_pa, facility_c)
        if supply_c <= facility_c:
            return None
        flow_m3_s = float(racks.flows(dp_pa).sum())
        tcs_w = racks.pumping_w(dp_pa, flow_m3_s)
        most_m3_s = PUMP_MOST * sum(self._plant.water.pumps.sizes)
        found = [
            racks.exchange(liquid_w + tcs_w, flow_m3_s, supply_c, facility_c, most_m3_s) for _, liquid_w in self._heats
        ]
        held = all(reached_c <= supply_c + 1e-3 for _, reached_c in found)
        return _Loop(supply_c, tcs_w, tuple(flow for flow, _ in found)) if held else None

    def _pumps(self, on: Set, flows: tuple[float, ...]) -> tuple[Set, float]:
        """The pumps that draw least beside the rest of `on`, and their power [W]."""
        weights = tuple(weight for weight, _ in self._heats)
        key = on, weights, tuple(round(flow, 4) for flow in flows)
        if key not in self._cheapest:
            drawn_w = (
                (sum(w * self._pumping_w(on | pumps, flow) for w, flow in zip(weights, flows, strict=True)), pumps)
                for pumps in self._pump_sets
            )
            least_w, pumps = min(((d, p) for d, p in drawn_w if not math.isnan(d)), key=lambda drawn: drawn[0])
            self._cheapest[key] = pumps, least_w
        return self._cheapest[key]

    def _pumping_w(self, on: Set, flow_m3_s: float) -> float:
        """Power of the pumps of a set [W], inf where they do not give the flow."""
        self._run(on)
        water = self._plant.water
        return sum(water.pumping_w(flow_m3_s).values()) if water.deliverable_m3_s >= flow_m3_s else np.inf

    def _run(self, on: Set) -> None:
        for name, switch in self._plant.water.switches.items():
            switch.running, switch.since_s = name in on, SETTLED_S

    def sets(self) -> list[Set]:
        """Every number of like towers with their economisers, and of like chillers whose towers run."""
        water = self._plant.water
        towers = [s for s in _counted(water.towers, self._alike("cooling-tower")) if s]
        chillers = _counted(water.chillers, self._alike("chiller"))
        behind = {s: frozenset(towers_behind(self._plant.site, s)) for s in water.switches}
        found = []
        for some, cold in product(towers, chillers):
            plates = [s.id for s in water.economisers.switches if behind[s.id] & some]
            if all(behind[c] & some for c in cold):
                found.append(frozenset((*some, *plates, *cold)))
        return sorted(dict.fromkeys(found), key=lambda s: (self.chillers(s), len(s), sorted(s)))

    def chillers(self, on: Set) -> int:
        """How many chillers run."""
        return sum(s.id in on for s in self._plant.water.chillers.switches)

    def _alike(self, kind: str) -> dict[str, object]:
        """What tells units of a kind apart beside their machines: of towers what only they feed."""
        site = self._plant.site
        fed = [(e, towers_behind(site, e.id)) for k in ("economiser", "chiller") for e in site.of_kind(k)]
        return {
            unit.id: tuple(sorted(str(e.design) for e, towers in fed if towers == [unit.id]))
            for unit in site.of_kind(kind)
        }


def _halves(heats_w: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """(weight, heat) of the highest, which counts for limits alone, and of the means of the upper and lower half."""
    ordered = sorted(heats_w, reverse=True)
    middle = len(ordered) // 2
    high, low = float(np.mean(ordered[:middle])), float(np.mean(ordered[middle:]))
    if ordered[0] - low < SMOOTH * ordered[0]:
        return ((1.0, float(np.mean(ordered))),)
    return ((0.0, ordered[0]), (0.5, high), (0.5, low))


def _counted(bank: Bank[Machine], beside: dict[str, object]) -> Iterable[Set]:
    """So many of each like, the first of them, for every number of every like."""
    likes: dict[object, list[str]] = {}
    for switch, machine in zip(bank.switches, bank.machines, strict=True):
        likes.setdefault((id(machine), beside[switch.id]), []).append(switch.id)
    for counts in product(*(range(len(units) + 1) for units in likes.values())):
        yield frozenset(u for units, count in zip(likes.values(), counts, strict=True) for u in units[:count])
