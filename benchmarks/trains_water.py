"""The facility and condenser water of a hall with trains: units that are switched, and what a minute does to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.trains_units import WATER_J_M3_K, GordonNgChiller, PlateExchanger, TowerCell, VariablePump
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

    @classmethod
    def at(cls, up: float) -> Staging:
        """Towers from a load on, pumps 5 % later, each with its usual width to the next one down."""
        return cls(tower_up=up, tower_down=up - 0.15, pump_up=up + 0.05, pump_down=up - 0.10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wear:
    """What is left of the design [1]: of towers' fill, chillers' heat and COP, pumps' efficiency, plates' UA."""

    fill: float = 1.0
    chillers: float = 1.0
    pumps: float = 1.0
    plates: float = 1.0


NEW = Wear()


@dataclass(slots=True)
class Flows:
    """What a minute came to: flows [m³/s], heats and powers [W], temperatures [°C]."""

    facility_m3_s: float = 0.0
    condenser_m3_s: float = 0.0
    economised_w: float = 0.0
    chilled_w: float = 0.0
    between_c: float = 27.0
    hot_c: float = 30.0
    fan_share: float = 0.0
    powers_w: dict[str, float] = field(default_factory=dict)
    """By component, see `benchmarks.plants.PlantTruth`."""


class TrainsWater:
    """Everything between the CDUs and the outdoor air. Off units carry nothing; on ones of a kind share equally."""

    def __init__(self, site: Site, staging: Staging, wear: Wear = NEW) -> None:
        towers, economisers = site.of_kind("cooling-tower"), site.of_kind("economiser")
        chillers, pumps = site.of_kind("chiller"), site.of_kind("pump")
        design, rated = towers[0].design, chillers[0].design
        self.cell = TowerCell(design)
        self.cell.fill *= wear.fill
        worn = {key: wear.chillers * rated[key] for key in ("heat_w", "cop")}
        self.chiller = GordonNgChiller({**rated, **worn})
        self.condenser_pump = VariablePump(
            flow_m3_s=design["flow_m3_s"], head_pa=design["head_pa"], efficiency=wear.pumps * design["efficiency"]
        )
        self.tower_heat_w = design["heat_w"]
        self.condenser_static, self.least_share = design["static_head_fraction"], design["min_flow_fraction"]
        plate = economisers[0].design
        self.plate = PlateExchanger(
            ua_w_k=wear.plates * plate["ua_w_k"], hot_m3_s=plate["flow_m3_s"], cold_m3_s=plate["condenser_flow_m3_s"]
        )
        pump = pumps[0].design
        efficiency = wear.pumps * pump["efficiency"]
        self.pump = VariablePump(flow_m3_s=pump["flow_m3_s"], head_pa=pump["head_pa"], efficiency=efficiency)
        self.most_m3_s = PUMP_MOST * self.pump.flow_m3_s
        self.half_m3 = 0.5 * sum(p.design["volume_m3"] for p in pumps)
        self.basin_m3 = BASIN_S * self.cell.flow_m3_s * len(towers)
        self.design_m3_s = sum(site.equipment[m].design["facility_flow_m3_s"] for m in _cdus(site))
        self.switches = {e.id: Switch.of(e) for e in (*towers, *economisers, *chillers, *pumps)}
        self.towers, self.economisers = self._of(towers), self._of(economisers)
        self.chillers, self.pumps = self._of(chillers), self._of(pumps)
        for chiller in self.chillers:
            chiller.thermostat = True
        self._towers_of = {
            e.id: [self.switches[tower] for tower in towers_behind(site, e.id)] for e in (*economisers, *chillers)
        }
        rule = staging
        self._tower_rule = LoadSequence(self.towers, rule.tower_up, rule.tower_down, rule.least_towers)
        self._chiller_rule = LoadSequence(self.chillers, rule.chiller_up, rule.chiller_down, 0)
        self._pump_rule = LoadSequence(self.pumps, rule.pump_up, rule.pump_down, rule.least_pumps)
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
        return self.most_m3_s * _count(self.pumps)

    def step(
        self, dt_s: float, heat_w: float, flow_m3_s: float, setpoint_c: float, tower_c: float, wet_c: float
    ) -> None:
        """A minute with the users' heat [W] and flow [m³/s]; tower_c: asked of the towers, wet_c: wet bulb [°C]."""
        self._stage(dt_s, setpoint_c, tower_c)
        now = Flows(facility_m3_s=flow_m3_s)
        free_m3_s = self._condenser_left_m3_s()
        economiser_m3_s = self._economise(now, setpoint_c, free_m3_s)
        self._chill(now, setpoint_c)
        self._pump_facility(now)
        self._reject(now, dt_s, economiser_m3_s, tower_c, wet_c)
        out_c = now.between_c - now.chilled_w / (flow_m3_s * WATER_J_M3_K) if flow_m3_s > 0.0 else self.supply_c
        warmed_c = out_c + _rise_k(now.powers_w["facility_pumps"], flow_m3_s)
        back_c = self.supply_c + _rise_k(heat_w, flow_m3_s)
        self.supply_c = _mixed(self.supply_c, warmed_c, flow_m3_s * dt_s / self.half_m3)
        self.return_c = _mixed(self.return_c, back_c, flow_m3_s * dt_s / self.half_m3)
        self.now = now

    def shown(self, kind: str) -> dict[str, float]:
        """What one running unit of a kind shows; its temperatures also where it stands."""
        now, powers = self.now, self.now.powers_w
        if kind == "cooling-tower":
            count = max(_count(self.towers), 1)
            return {
                "leaving_temperature": self.tower_c,
                "entering_temperature": now.hot_c,
                "flow": now.condenser_m3_s / count,
                "fan_speed": now.fan_share,
                "active_power": (powers["fans"] + powers["tower_pumps"]) / count,
            }
        if kind == "economiser":
            flow = now.facility_m3_s / max(_count(self.economisers), 1)
            return {"leaving_temperature": self.supply_c, "entering_temperature": self.return_c, "flow": flow}
        if kind == "chiller":
            count, heat_w = max(_count(self.chillers), 1), self.chiller.heat_w
            return {
                "leaving_temperature": self.supply_c,
                "entering_temperature": now.between_c,
                "cooling_power": now.chilled_w / count,
                "active_power": powers["chillers"] / count,
                "load": now.chilled_w / count / heat_w,
            }
        count = max(_count(self.pumps), 1)
        return {"flow": now.facility_m3_s / count, "active_power": powers["facility_pumps"] / count}

    def _of(self, equipment: Sequence[Equipment]) -> list[Switch]:
        return [self.switches[e.id] for e in equipment]

    def _stage(self, dt_s: float, setpoint_c: float, tower_c: float) -> None:
        now = self.now
        short = now.fan_share > 0.95 and self.tower_c > tower_c + TOWER_SHORT_K
        self._tower_rule.least = max(self._least_towers, _count(self.chillers))
        self._tower_rule.step(dt_s, self._tower_load(), short=short)
        self._pump_rule.step(dt_s, now.facility_m3_s / self.pump.flow_m3_s)
        for name, towers in self._towers_of.items():
            self.switches[name].permitted = any(tower.running for tower in towers)
        gain = self.return_c - self.tower_c > ECONOMISER_GAIN_K
        for unit in self.economisers:
            unit.step(dt_s)
            if unit.asked is None and unit.permitted and unit.free:
                unit.turn(gain)
        wanted_w = now.facility_m3_s * WATER_J_M3_K * max(now.between_c - setpoint_c - CHILLER_ABOVE_K, 0.0)
        if not _count(self.chillers) and self.supply_c < setpoint_c + START_ABOVE_K:
            wanted_w = 0.0
        self._chiller_rule.step(dt_s, wanted_w / self.chiller.heat_w)

    def _tower_load(self) -> float:
        """In towers: by heat, and by condenser water where more of it is asked than they give at least."""
        now, running = self.now, _count(self.towers)
        by_heat = (now.economised_w + now.chilled_w + now.powers_w.get("chillers", 0.0)) / self.tower_heat_w
        asked = now.condenser_m3_s / self.cell.flow_m3_s
        return max(by_heat, asked) if asked > 1.02 * self.least_share * running else by_heat

    def _condenser_left_m3_s(self) -> float:
        """What towers can give beyond the running chillers' need."""
        return max(_count(self.towers) * self.cell.flow_m3_s - _count(self.chillers) * self.chiller.condenser_m3_s, 0.0)

    def _economise(self, now: Flows, setpoint_c: float, free_m3_s: float) -> float:
        """Heat through the plates; returns their condenser water."""
        now.between_c, on, flow = self.return_c, _count(self.economisers), now.facility_m3_s
        if not on or flow <= 0.0 or self.return_c <= max(self.tower_c, setpoint_c):
            return 0.0
        difference_k, wanted_w = self.return_c - self.tower_c, flow * WATER_J_M3_K * (self.return_c - setpoint_c)
        most = min(free_m3_s / on, 1.2 * self.plate.cold_m3_s)
        each = self.plate.cold_for(wanted_w / on, flow / on, difference_k, most)
        now.economised_w = min(wanted_w, on * self.plate.per_kelvin(flow / on, each) * difference_k)
        now.between_c = self.return_c - now.economised_w / (flow * WATER_J_M3_K)
        return on * each

    def _chill(self, now: Flows, setpoint_c: float) -> None:
        on, flow = [c for c in self.chillers if c.running], now.facility_m3_s
        now.powers_w["chillers"] = 0.0
        if not on or flow <= 0.0:
            return
        wanted_w = flow * WATER_J_M3_K * max(now.between_c - setpoint_c, 0.0)
        ready = [self.chiller.heat_w * min(START_SHARE + c.since_s / CHILLER_START_S, 1.0) for c in on]
        now.chilled_w = min(wanted_w, sum(ready))
        leaving_c = now.between_c - now.chilled_w / (flow * WATER_J_M3_K)
        for most_w in ready:
            share_w = now.chilled_w * most_w / sum(ready)
            now.powers_w["chillers"] += self.chiller.power_w(share_w, leaving_c, self.tower_c)

    def _pump_facility(self, now: Flows) -> None:
        """Head: users, pipes by all flow, exchangers by what flows through each of them."""
        share = now.facility_m3_s / self.design_m3_s
        each = {"economisers": _count(self.economisers), "chillers": _count(self.chillers)}
        duty = len(self.economisers) - 1
        head = FRICTION["static"] + FRICTION["pipes"] * share**2
        head += sum(FRICTION[kind] * (share * duty / on) ** 2 for kind, on in each.items() if on)
        pumps = max(_count(self.pumps), 1)
        power_w = pumps * self.pump.power_w(now.facility_m3_s / pumps, head * self.pump.head_pa)
        now.powers_w["facility_pumps"] = power_w

    def _reject(self, now: Flows, dt_s: float, economiser_m3_s: float, tower_c: float, wet_c: float) -> None:
        towers, cell = _count(self.towers), self.cell
        asked_m3_s = economiser_m3_s + _count(self.chillers) * self.chiller.condenser_m3_s
        now.condenser_m3_s = min(max(asked_m3_s, towers * self.least_share * cell.flow_m3_s), towers * cell.flow_m3_s)
        if not towers:
            now.powers_w |= {"tower_pumps": 0.0, "fans": 0.0}
            return
        each = now.condenser_m3_s / towers
        head = self.condenser_static + (1.0 - self.condenser_static) * (each / cell.flow_m3_s) ** 2
        pumps_w = towers * self.condenser_pump.power_w(each, head * self.condenser_pump.head_pa)
        gained_w = now.economised_w + now.chilled_w + now.powers_w["chillers"] + pumps_w
        now.hot_c = self.tower_c + _rise_k(gained_w, now.condenser_m3_s)
        cooled_c, now.fan_share = cell.cooled(max(tower_c, 6.0), now.hot_c, wet_c, each)
        now.powers_w |= {"tower_pumps": pumps_w, "fans": towers * cell.fan_w * now.fan_share**3}
        self.tower_c = _mixed(self.tower_c, cooled_c, now.condenser_m3_s * dt_s / self.basin_m3)


def _cdus(site: Site) -> tuple[str, ...]:
    return tuple(e.id for e in site.of_kind("cdu"))


def _count(units: Sequence[Switch]) -> int:
    return sum(unit.running for unit in units)


def _rise_k(heat_w: float, flow_m3_s: float) -> float:
    return heat_w / (flow_m3_s * WATER_J_M3_K) if flow_m3_s > 0.0 else 0.0


def _mixed(held_c: float, entering_c: float, exchanges: float) -> float:
    """A mixed volume after so many of its contents have come in (implicit Euler, so never unstable) [°C]."""
    return (held_c + exchanges * entering_c) / (1.0 + exchanges)
