"""A hall with trains of tower, economiser, chiller and pump, and a quasi-steady plant that stands for it.

The plant shares nothing with the controller's model: towers by a constant-effectiveness law, chillers by a straight COP.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import sites
from controller import inputs
from controller.loops import Decision, Memory, plan_loop
from controller.stage_state import look
from plant.leases import Envelope
from plant.live import Reading, Snapshot
from plant.points import Point
from plant.quantities import Quantity
from plant.records import HeatForecast
from plant.samples import Quality, Reason
from plant.topology import CoolingGroup, Equipment, Site, Stage

ROOT = Path(__file__).parents[2]
NOW_S = 1_783_764_000.0
RHO_CP = 4.16e6
TIMES_S = {
    "cooling-tower": (600.0, 600.0),
    "economiser": (0.0, 0.0),
    "chiller": (1800.0, 1200.0),
    "pump": (600.0, 600.0),
}
DESIGNS: dict[str, dict[str, float]] = {
    "cooling-tower": {
        "heat_w": 420e3, "flow_m3_s": 0.018, "approach_k": 3.9, "wet_bulb_c": 25.6, "fan_power_w": 7500.0,
        "air_flow_m3_s": 13.3, "head_pa": 150e3, "efficiency": 0.7, "min_flow_fraction": 0.5,
    },
    "economiser": {"heat_w": 400e3, "flow_m3_s": 0.010, "condenser_flow_m3_s": 0.011, "ua_w_k": 167e3},
    "chiller": {"heat_w": 240e3, "cop": 6.0, "condenser_flow_m3_s": 0.013, "rating_leaving_c": 16.0},
    "pump": {"flow_m3_s": 0.010, "head_pa": 180e3, "efficiency": 0.65},
}  # fmt: skip
NAMES = {"cooling-tower": "tower", "economiser": "economiser", "chiller": "chiller", "pump": "pump"}


def trains(count: int, least: dict[str, int] | None = None) -> Site:
    """The tower-cooled hall with so many trains in place of its one; together they have its size at three."""
    hall = sites.load_site(ROOT / "site-configs" / "hall.yaml")
    old = {"tower", "economiser", "chiller", "fws-pumps"}
    kept = {e.id: e for e in hall.equipment.values() if e.id not in old and e.meters not in old and e.kind != "utility"}
    racks = {r.id: replace(r, design={**r.design, "design_tolerance": 0.0}) for r in kept.values() if r.kind == "rack"}
    kept |= racks  # no GPU tells: their plates are as good as their figures say
    made = {u.id: u for n in range(1, count + 1) for u in _train(n, count, hall.groups["tcs-1"].members)}
    stages = tuple(_stage(unit) for unit in made.values())
    group = hall.groups["tcs-1"]
    shared = {"facility_supply_temperature": "economiser-1", "tower_temperature": "tower-1"}
    commands = {r: f"{shared[r]}/leaving_temperature_setpoint" if r in shared else p for r, p in group.commands.items()}
    envelopes = {commands[r]: replace(hall.envelopes[p], point=commands[r]) for r, p in group.commands.items()}
    envelopes |= {s.command: _switch(s) for s in stages}
    group = replace(
        group,
        commands=commands | {s.role: s.command for s in stages},
        design={**group.design, **{s.role: 1.0 for s in stages}},
        stages=stages,
        least_running={"cooling-tower": 1, "pump": 1} | (least or {}),
    )
    points = {p: v for p, v in hall.points.items() if p.partition("/")[0] in kept}
    points |= {p.id: p for u in made for p in _points(u)}
    return replace(hall, equipment=made | kept, groups={group.id: group}, envelopes=envelopes, points=points)


def all_on(site: Site) -> Site:
    """The same with nothing that may be switched."""
    group = site.groups["tcs-1"]
    commands = {r: p for r, p in group.commands.items() if not r.startswith("enable:")}
    return replace(site, groups={group.id: replace(group, commands=commands, stages=())})


def _train(number: int, count: int, cdus: tuple[str, ...]) -> list[Equipment]:
    feeds: dict[str, tuple[str, ...]] = {
        "cooling-tower": (f"economiser-{number}",),
        "economiser": (f"chiller-{number}",),
        "chiller": tuple(f"pump-{n}" for n in range(1, count + 1)),
        "pump": cdus,
    }
    return [
        Equipment(id=f"{NAMES[kind]}-{number}", kind=kind, feeds=feeds[kind], design=design)
        for kind, design in DESIGNS.items()
    ]


def _stage(unit: Equipment) -> Stage:
    on_s, off_s = TIMES_S[unit.kind]
    return Stage(
        unit=unit.id, kind=unit.kind, command=f"{unit.id}/enable_command", running=f"{unit.id}/running",
        min_on_s=on_s, min_off_s=off_s, start_s=300.0,
    )  # fmt: skip


def _switch(stage: Stage) -> Envelope:
    return Envelope(
        point=stage.command, minimum=0, maximum=1, max_step=1, min_dwell_s=stage.min_on_s, min_off_s=stage.min_off_s
    )


def switch(command: str) -> Envelope:
    """The envelope of any unit's switch."""
    return Envelope(point=command, minimum=0, maximum=1, max_step=1, min_dwell_s=600, min_off_s=600)


def _points(unit: str) -> list[Point]:
    names = {
        "effective_enable_command": Quantity.STATE, "running": Quantity.STATE, "outdoor_dry_bulb": Quantity.TEMPERATURE,
        "outdoor_wet_bulb": Quantity.TEMPERATURE, "effective_leaving_temperature_setpoint": Quantity.TEMPERATURE,
    }  # fmt: skip
    return [
        Point(
            id=f"{unit}/{name}", quantity=quantity, equipment=unit, link="", period_s=5.0, minimum=None, maximum=None,
            quantum=None, writable=False, max_age_s=60.0,
        )
        for name, quantity in names.items()
    ]  # fmt: skip


@dataclass
class Hall:
    """The plant and its controller, step by step. enabled, broken: units; energy_j: of the facility side."""

    site: Site
    now_s: float = NOW_S
    wet_bulb_c: float = 15.0
    enabled: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    setpoints: dict[str, float] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    energy_j: float = 0.0
    short_s: float = 0.0
    switched: list[tuple[float, str, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.enabled = set(self.units)
        self.setpoints = {r: inputs.design_value(self.group, r) for r in inputs.own_setpoints(self.group)}

    @property
    def group(self) -> CoolingGroup:
        """The one loop."""
        return self.site.groups["tcs-1"]

    @property
    def units(self) -> tuple[str, ...]:
        """Everything that can be switched in the plant, whether or not the site file says so."""
        return tuple(e.id for e in self.site.equipment.values() if e.kind in NAMES)

    def running(self, name: str) -> int:
        """How many towers, chillers or pumps carry their share."""
        return sum(u.startswith(f"{name}-") for u in self.enabled - self.broken)

    def snapshot(self, heat_w: float, *, silent: frozenset[str] = frozenset()) -> Snapshot:
        """What the instruments show."""
        values: dict[str, float] = {}
        for unit in self.units:
            values[f"{unit}/effective_enable_command"] = float(unit in self.enabled)
            values[f"{unit}/running"] = float(unit in self.enabled - self.broken)
            values[f"{unit}/outdoor_dry_bulb"] = self.wet_bulb_c + 7.0
            values[f"{unit}/outdoor_wet_bulb"] = self.wet_bulb_c
        values = {p: v for p, v in values.items() if p.partition("/")[0] not in silent}
        for role, point in inputs.own_setpoints(self.group).items():
            values[inputs.effective_point(self.site, point)] = self.setpoints[role]
        for member in self.group.members:
            rise_k = heat_w / len(self.group.members) / (0.0116 * 3.96e6)
            values |= {
                f"{member}/tcs_flow": 0.0116,
                f"{member}/tcs_supply_temperature": self.setpoints["supply_temperature"],
            }
            values[f"{member}/tcs_return_temperature"] = self.setpoints["supply_temperature"] + rise_k
            values |= {f"{member}/room_dew_point": 12.0}
            values |= {f"{member}/fws_supply_temperature": self.setpoints["facility_supply_temperature"]}
        values |= {f"{rack}/power": heat_w / 0.87 / len(self.group.racks) for rack in self.group.racks}
        readings = {p: Reading(v, self.now_s, 0.0, Quality.GOOD, Reason.NONE) for p, v in values.items()}
        return Snapshot(at_s=self.now_s, readings=readings)

    def decide(
        self,
        ahead_w: list[float],
        spread: float = 0.03,
        silent: frozenset[str] = frozenset(),
        now_w: float | None = None,
    ) -> Decision:
        """One decision, with heat [W] expected minute by minute and measured now, and what it remembers."""
        now_w = ahead_w[0] if now_w is None else now_w
        shown = self.snapshot(now_w, silent=silent)
        self.memory = replace(self.memory, seen=look(self.memory.seen, self.site, shown, self.now_s))
        rows = tuple(tuple(w * (1 + k * spread) for w in ahead_w) for k in (-1, 0, 1))
        heat = HeatForecast(
            subject="tcs-1", times_s=tuple(self.now_s + 60 * (i + 1) for i in range(len(ahead_w))),
            quantiles=(0.05, 0.5, 0.95), heat_w=rows, model="given",
        )  # fmt: skip
        decision = plan_loop(self.site, shown, self.group, heat, self.memory, now_w, self.now_s)
        self.memory = replace(self.memory, target=decision.target, moves=decision.moves)
        return decision

    def follow(self, decision: Decision) -> None:
        """The devices do as they are told at once."""
        assert decision.plan is not None
        roles = {point: role for role, point in self.group.commands.items()}
        for setpoint in decision.plan.setpoints:
            role, unit = roles[setpoint.point], setpoint.point.partition("/")[0]
            if not role.startswith("enable:"):
                self.setpoints[role] = setpoint.value
            elif (setpoint.value > 0) != (unit in self.enabled):
                self.switched.append((self.now_s, unit, setpoint.value > 0))
                (self.enabled.add if setpoint.value > 0 else self.enabled.remove)(unit)

    def advance(self, heat_w: float, seconds: float) -> None:
        """Time passes: what the facility side draws, and whether it carries the heat."""
        facility_w, enough = self.power_w(heat_w)
        self.energy_j += facility_w * seconds
        self.short_s += 0.0 if enough else seconds
        self.now_s += seconds

    def power_w(self, heat_w: float) -> tuple[float, bool]:
        """Power of pumps, towers and chillers now [W], and whether they carry the heat."""
        towers, chillers, pumps = (self.running(n) for n in ("tower", "chiller", "pump"))
        if not towers or not pumps:
            return 0.0, False
        facility_c, tower_c = (self.setpoints[r] for r in ("facility_supply_temperature", "tower_temperature"))
        tower_c = max(tower_c, self.wet_bulb_c + 2.0)
        tcs_m3_s = 0.0232 * (self.setpoints["differential_pressure"] / 110e3) ** 0.54
        back_c = self.setpoints["supply_temperature"] + heat_w / (tcs_m3_s * 3.96e6)
        rise_k = max(back_c - 2.0 - facility_c, 4.0)
        flow = heat_w / (rise_k * RHO_CP)
        plates = self.running("economiser")
        units, ratio = 167e3 * plates / (flow * RHO_CP), min(flow / (0.011 * max(plates, 1)), 0.999)
        decay = math.exp(-units * (1 - ratio))
        most_w = max(facility_c + rise_k - tower_c, 0.0) * flow * RHO_CP * (1 - decay) / (1 - ratio * decay)
        free_w = min(heat_w, most_w)
        chilled_w = heat_w - free_w
        enough = chilled_w <= chillers * 240e3 and flow <= pumps * 0.0105
        running = min(
            chillers, math.ceil(chilled_w / 240e3 - 1e-6)
        )  # those that may run follow a sequence of their own
        load = max(chilled_w / (max(running, 1) * 240e3), 0.15)
        lift = 1 + 0.03 * (tower_c - 29.4) - 0.03 * (facility_c - 16.0)
        chiller_w = running * 40e3 * (0.15 + 0.85 * load) * lift
        condenser = min(max(1.1 * flow, 0.009 * towers), 0.018 * towers)  # what the plates take, and the towers' least
        pump_w = condenser * 150e3 / 0.7 * (0.5 + 0.5 * (condenser / (0.018 * max(towers, 1))) ** 2)
        hot_c = tower_c + (heat_w + chiller_w) / (condenser * RHO_CP)
        air = (heat_w + chiller_w) / (max(towers, 1) * 8.66 * (saturated(hot_c) - saturated(self.wet_bulb_c)))
        fan_w = towers * 7500.0 * min(air, 1.0) ** 3 if air > 0.125 else 0.0
        water_w = flow * 180e3 / 0.65 * (0.5 + 0.5 * (flow / 0.030) ** 2)
        return fan_w + pump_w + chiller_w + water_w + 200.0 * pumps, enough and air < 1.3


def saturated(at_c: float) -> float:
    """Enthalpy of saturated air [J/kg]; at design 8.66 kg/s of it would take a tower's 420 kW with nothing lost."""
    vapour_pa = 611.2 * math.exp(17.62 * at_c / (243.12 + at_c))
    moisture = 0.622 * vapour_pa / (101325.0 - vapour_pa)
    return 1006.0 * at_c + moisture * (2.501e6 + 1860.0 * at_c)


def day(hall: Hall, heat_w: list[float], step_s: int = 600) -> list[Decision]:
    """So many steps under a known heat [W] of each, wrapped at the end; decisions, made at every step."""
    minutes = step_s // 60
    profile = [w for w in heat_w for _ in range(minutes)]
    made = []
    for number, now_w in enumerate(heat_w):
        start = number * minutes
        decision = hall.decide([profile[(start + m) % len(profile)] for m in range(120)])
        hall.follow(decision)
        hall.advance(now_w, step_s)
        made.append(decision)
    return made


def sinus(low_w: float, high_w: float, steps: int = 144) -> list[float]:
    """Heat [W] over a day, lowest at its start."""
    return [low_w + (high_w - low_w) * 0.5 * (1 - math.cos(2 * math.pi * i / steps)) for i in range(steps)]
