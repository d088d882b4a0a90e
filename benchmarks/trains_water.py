"""The facility and condenser water of a hall with trains: units that are switched, and what a minute does to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.trains_bank import Bank, Machine
from benchmarks.trains_machines import NEW, Wear, chiller_of, plates_of, pump_of, tower_of
from benchmarks.trains_units import WATER_J_M3_K, GordonNgChiller, rising_root
from plant.topology import Equipment, Site
from simulator.staging import LoadSequence, Switch, towers_behind

ECONOMISER_GAIN_K = 1.0
"""Plates are let in while condenser water is colder than what comes back by this."""
CHILLER_ABOVE_K, START_ABOVE_K = 0.3, 0.5
CHILLER_START_S, START_SHARE = 300.0, 0.25
"""A chiller that starts is at full capacity after this, and begins with this share of it."""
PUMP_MOST = 1.15
"""Of its design flow a pump can give this."""
BASIN_S = 60.0
FRICTION = {"static": 0.5, "pipes": 0.2, "economisers": 0.2, "chillers": 0.1}
"""How the facility pumps' design head splits; that of exchangers falls with those that share the flow."""
TOWER_SHORT_K = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """The building management system's own rule; see `simulator.staging`.

    One more unit above `up` of what runs, one less where the rest would be below `down`. least_towers, least_pumps: so
    many run always.
    """

    tower_up: float = 0.90
    tower_down: float = 0.75
    chiller_up: float = 0.90
    chiller_down: float = 0.70
    pump_up: float = 0.95
    pump_down: float = 0.80
    least_towers: int = 1
    least_pumps: int = 1
    releases: bool = True

    @classmethod
    def at(cls, up: float) -> Staging:
        """Towers from a load on, pumps 5 % later, each with its usual width to the next one down."""
        return cls(tower_up=up, tower_down=up - 0.15, pump_up=up + 0.05, pump_down=up - 0.10)


@dataclass(slots=True)
class Flows:
    """What a minute came to: flows [m³/s], heats and powers [W], temperatures [°C].

    fan_share: of the fan that has most left. fans, heats_w, drawn_w: fan speed, heat and power of each unit that runs.
    """

    facility_m3_s: float = 0.0
    condenser_m3_s: float = 0.0
    economised_w: float = 0.0
    chilled_w: float = 0.0
    between_c: float = 27.0
    hot_c: float = 30.0
    fan_share: float = 0.0
    powers_w: dict[str, float] = field(default_factory=dict)
    """By component, see `benchmarks.plants.PlantTruth`."""
    fans: dict[str, float] = field(default_factory=dict)
    heats_w: dict[str, float] = field(default_factory=dict)
    drawn_w: dict[str, float] = field(default_factory=dict)


class TrainsWater:
    """Everything between the CDUs and the outdoor air; off units carry nothing, see `benchmarks.trains_bank`."""

    def __init__(self, site: Site, staging: Staging, wear: Wear = NEW) -> None:
        kinds = "cooling-tower", "economiser", "chiller", "pump"
        units = {kind: site.of_kind(kind) for kind in kinds}
        self.switches = {e.id: Switch.of(e) for kind in kinds for e in units[kind]}
        for chiller in units["chiller"]:
            self.switches[chiller.id].thermostat = staging.releases
        self.towers = self._bank(units["cooling-tower"], lambda d: tower_of(d, wear), "flow_m3_s")
        self.economisers = self._bank(units["economiser"], lambda d: plates_of(d, wear), "flow_m3_s")
        self.chillers = self._bank(units["chiller"], lambda d: chiller_of(d, wear), "heat_w")
        self.pumps = self._bank(units["pump"], lambda d: pump_of(d, wear), "flow_m3_s")
        self.tower_heat_w = sum(t.design["heat_w"] for t in units["cooling-tower"]) / sum(self.towers.sizes)
        self.head_pa = max(pump.head_pa for pump in self.pumps.machines)
        self.half_m3 = 0.5 * sum(p.design["volume_m3"] for p in units["pump"])
        self.basin_m3 = BASIN_S * sum(self.towers.sizes)
        self.design_m3_s = sum(site.equipment[m].design["facility_flow_m3_s"] for m in _cdus(site))
        self._towers_of = {
            e.id: [self.switches[tower] for tower in towers_behind(site, e.id)]
            for e in (*units["economiser"], *units["chiller"])
        }
        rule = staging
        self._tower_rule = LoadSequence(self.towers.switches, rule.tower_up, rule.tower_down, rule.least_towers)
        self._chiller_rule = LoadSequence(self.chillers.switches, rule.chiller_up, rule.chiller_down, 0)
        self._pump_rule = LoadSequence(self.pumps.switches, rule.pump_up, rule.pump_down, rule.least_pumps)
        self._least_towers = rule.least_towers
        self.supply_c, self.return_c, self.tower_c = 27.0, 34.0, 24.0
        self.now = Flows(facility_m3_s=0.7 * self.design_m3_s)

    def command(self, asked: Mapping[str, float]) -> None:
        """Enable commands by unit; nobody commands those not named."""
        for name, switch in self.switches.items():
            switch.asked = asked[name] >= 0.5 if name in asked else None

    @property
    def deliverable_m3_s(self) -> float:
        """The most that the running pumps give."""
        return PUMP_MOST * self.pumps.size

    def step(
        self, dt_s: float, heat_w: float, flow_m3_s: float, setpoint_c: float, tower_c: float, wet_c: float
    ) -> None:
        """A minute with the users' heat [W] and flow [m³/s]; tower_c: asked of the towers, wet_c: wet bulb [°C]."""
        self._stage(dt_s, setpoint_c, tower_c)
        self.carry(dt_s, heat_w, flow_m3_s, setpoint_c, tower_c, wet_c)

    def carry(
        self, dt_s: float, heat_w: float, flow_m3_s: float, setpoint_c: float, tower_c: float, wet_c: float
    ) -> None:
        """As `step`, by what runs now, whatever the sequences would do."""
        now = Flows(facility_m3_s=flow_m3_s)
        chillers_m3_s = sum(len(on) * chiller.condenser_m3_s for chiller, on in self.chillers.running())
        economiser_m3_s = self._economise(now, setpoint_c, max(self.towers.size - chillers_m3_s, 0.0))
        self._chill(now, setpoint_c)
        pumps_w = self.pumping_w(flow_m3_s)
        now.powers_w["facility_pumps"] = sum(pumps_w.values())
        now.drawn_w |= pumps_w
        self._reject(now, dt_s, economiser_m3_s + chillers_m3_s, tower_c, wet_c)
        out_c = now.between_c - now.chilled_w / (flow_m3_s * WATER_J_M3_K) if flow_m3_s > 0.0 else self.supply_c
        warmed_c = out_c + _rise_k(now.powers_w["facility_pumps"], flow_m3_s)
        back_c = self.supply_c + _rise_k(heat_w, flow_m3_s)
        self.supply_c = _mixed(self.supply_c, warmed_c, flow_m3_s * dt_s / self.half_m3)
        self.return_c = _mixed(self.return_c, back_c, flow_m3_s * dt_s / self.half_m3)
        self.now = now

    def shown(self, unit: str, kind: str) -> dict[str, float]:
        """What one unit of a kind shows while it runs; its temperatures also where it stands."""
        now = self.now
        drawn_w = now.drawn_w.get(unit, 0.0)
        if kind == "cooling-tower":
            return {
                "leaving_temperature": self.tower_c,
                "entering_temperature": now.hot_c,
                "flow": self.towers.part(unit, now.condenser_m3_s),
                "fan_speed": now.fans.get(unit, 0.0),
                "active_power": drawn_w,
            }
        if kind == "economiser":
            flow = self.economisers.part(unit, now.facility_m3_s)
            return {"leaving_temperature": self.supply_c, "entering_temperature": self.return_c, "flow": flow}
        if kind == "chiller":
            heat_w = now.heats_w.get(unit, 0.0)
            return {
                "leaving_temperature": self.supply_c,
                "entering_temperature": now.between_c,
                "cooling_power": heat_w,
                "active_power": drawn_w,
                "load": heat_w / self.chillers.size_of(unit),
            }
        return {"flow": self.pumps.part(unit, now.facility_m3_s), "active_power": drawn_w}

    def _bank(
        self, units: Sequence[Equipment], made: Callable[[Mapping[str, float]], Machine], size: str
    ) -> Bank[Machine]:
        """The units with one machine for all that are alike."""
        known: dict[tuple[tuple[str, float], ...], Machine] = {}
        for unit in units:
            known.setdefault(_figures(unit), made(unit.design))
        return Bank(
            switches=[self.switches[e.id] for e in units],
            machines=[known[_figures(e)] for e in units],
            sizes=[getattr(known[_figures(e)], size, e.design[size]) for e in units],
        )

    def _stage(self, dt_s: float, setpoint_c: float, tower_c: float) -> None:
        now = self.now
        short = now.fan_share > 0.95 and self.tower_c > tower_c + TOWER_SHORT_K
        self._tower_rule.least = max(self._least_towers, self.chillers.count)
        self._tower_rule.step(dt_s, self._tower_load(), short=short)
        self._pump_rule.step(dt_s, self.pumps.units(now.facility_m3_s))
        for name, towers in self._towers_of.items():
            self.switches[name].permitted = any(tower.running for tower in towers)
        gain = self.return_c - self.tower_c > ECONOMISER_GAIN_K
        for unit in self.economisers.switches:
            unit.step(dt_s)
            if unit.asked is None and unit.permitted and unit.free:
                unit.turn(gain)
        wanted_w = now.facility_m3_s * WATER_J_M3_K * max(now.between_c - setpoint_c - CHILLER_ABOVE_K, 0.0)
        if not self.chillers.count and self.supply_c < setpoint_c + START_ABOVE_K:
            wanted_w = 0.0
        self._chiller_rule.step(dt_s, self.chillers.units(wanted_w))

    def _tower_load(self) -> float:
        """In towers: by heat, and by condenser water where more of it is asked than they give at least."""
        now = self.now
        heat_w = now.economised_w + now.chilled_w + now.powers_w.get("chillers", 0.0)
        by_heat = self.towers.units(heat_w / self.tower_heat_w)
        asked = self.towers.units(now.condenser_m3_s)
        return max(by_heat, asked) if now.condenser_m3_s > 1.02 * self._least_m3_s() else by_heat

    def _least_m3_s(self) -> float:
        return sum(len(on) * tower.least * tower.pump.flow_m3_s for tower, on in self.towers.running())

    def _economise(self, now: Flows, setpoint_c: float, free_m3_s: float) -> float:
        """Heat through the plates, whose valves stand alike; returns their condenser water."""
        now.between_c, flow = self.return_c, now.facility_m3_s
        plates = [(plate, len(on)) for plate, on in self.economisers.running()]
        if not plates or flow <= 0.0 or self.return_c <= max(self.tower_c, setpoint_c):
            return 0.0
        difference_k, wanted_w = self.return_c - self.tower_c, flow * WATER_J_M3_K * (self.return_c - setpoint_c)
        hot, cold_m3_s = flow / self.economisers.size, sum(count * plate.cold_m3_s for plate, count in plates)

        def per_kelvin(cold: float) -> float:
            return sum(n * p.per_kelvin(hot * p.hot_m3_s, cold * p.cold_m3_s) for p, n in plates)

        most = min(free_m3_s / cold_m3_s, 1.2)
        opened = rising_root(lambda cold: per_kelvin(cold) - wanted_w / difference_k, 0.0, most)
        now.economised_w = min(wanted_w, per_kelvin(opened) * difference_k)
        now.between_c = self.return_c - now.economised_w / (flow * WATER_J_M3_K)
        return opened * cold_m3_s

    def _chill(self, now: Flows, setpoint_c: float) -> None:
        flow, on = now.facility_m3_s, [u for u in self._chillers() if u[0].running]
        now.powers_w["chillers"] = 0.0
        if not on or flow <= 0.0:
            return
        wanted_w = flow * WATER_J_M3_K * max(now.between_c - setpoint_c, 0.0)
        ready = [c.heat_w * min(START_SHARE + switch.since_s / CHILLER_START_S, 1.0) for switch, c in on]
        now.chilled_w = min(wanted_w, sum(ready))
        leaving_c = now.between_c - now.chilled_w / (flow * WATER_J_M3_K)
        for (switch, chiller), most_w in zip(on, ready, strict=True):
            share_w = now.chilled_w * most_w / sum(ready)
            drawn_w = chiller.power_w(share_w, leaving_c, self.tower_c)
            now.powers_w["chillers"] += drawn_w
            now.heats_w[switch.id], now.drawn_w[switch.id] = share_w, drawn_w

    def _chillers(self) -> list[tuple[Switch, GordonNgChiller]]:
        return list(zip(self.chillers.switches, self.chillers.machines, strict=True))

    def pumping_w(self, flow_m3_s: float) -> dict[str, float]:
        """Power of each facility pump that runs [W]. Head: users, pipes by all flow, exchangers by their share."""
        share = flow_m3_s / self.design_m3_s
        head = FRICTION["static"] + FRICTION["pipes"] * share**2
        for name, bank in (("economisers", self.economisers), ("chillers", self.chillers)):
            if bank.count:
                head += FRICTION[name] * (share * bank.duty / bank.size) ** 2
        each = flow_m3_s / max(self.pumps.size, 1e-9)
        drawn_w: dict[str, float] = {}
        for pump, on in self.pumps.running():
            drawn_w |= dict.fromkeys(on, pump.power_w(each * pump.flow_m3_s, head * self.head_pa))
        return drawn_w

    @property
    def least_tower_pumps_w(self) -> float:
        """What the condenser pumps of the running towers draw at least [W]."""
        return sum(len(on) * tower.pump_w(tower.least) for tower, on in self.towers.running())

    def _reject(self, now: Flows, dt_s: float, asked_m3_s: float, tower_c: float, wet_c: float) -> None:
        now.condenser_m3_s = min(max(asked_m3_s, self._least_m3_s()), self.towers.size)
        now.powers_w |= {"tower_pumps": 0.0, "fans": 0.0}
        towers = list(self.towers.running())
        if not towers:
            return
        share = now.condenser_m3_s / self.towers.size
        now.powers_w["tower_pumps"] = sum(len(on) * tower.pump_w(share) for tower, on in towers)
        gained_w = now.economised_w + now.chilled_w + now.powers_w["chillers"] + now.powers_w["tower_pumps"]
        now.hot_c = self.tower_c + _rise_k(gained_w, now.condenser_m3_s)
        mixed, now.fan_share = 0.0, math.inf
        for tower, on in towers:
            cell, wanted_c = tower.cell, max(tower_c, 6.0)
            cooled_c, fan = cell.cooled(wanted_c, now.hot_c, wet_c, share * cell.flow_m3_s)
            mixed += len(on) * cell.flow_m3_s / self.towers.size * cooled_c
            now.powers_w["fans"] += len(on) * cell.fans_w(fan)
            now.fan_share = min(now.fan_share, fan)
            now.fans |= dict.fromkeys(on, fan)
            now.drawn_w |= dict.fromkeys(on, cell.fans_w(fan) + tower.pump_w(share))
        self.tower_c = _mixed(self.tower_c, mixed, now.condenser_m3_s * dt_s / self.basin_m3)


def _figures(unit: Equipment) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(unit.design.items()))


def _cdus(site: Site) -> tuple[str, ...]:
    return tuple(e.id for e in site.of_kind("cdu"))


def _rise_k(heat_w: float, flow_m3_s: float) -> float:
    return heat_w / (flow_m3_s * WATER_J_M3_K) if flow_m3_s > 0.0 else 0.0


def _mixed(held_c: float, entering_c: float, exchanges: float) -> float:
    """A mixed volume after so many of its contents have come in (implicit Euler, so never unstable) [°C]."""
    return (held_c + exchanges * entering_c) / (1.0 + exchanges)
