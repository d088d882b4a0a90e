"""A checked plant: equipment, what feeds what, cooling groups, limits, money and weather."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from plant.job_knowledge import JobKnowledge
from plant.leases import Envelope
from plant.points import Point, PointId
from plant.pumping import WhenLost


@dataclass(frozen=True, kw_only=True)
class Link:
    """How to reach one endpoint. transport: `modbus-tcp`, `mqtt` or `http`."""

    id: str
    transport: str
    host: str
    port: int
    options: Mapping[str, str | float | bool] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where some of an equipment's points come from: a device profile at a link.

    unit: Modbus unit id; object: the name by which the other side knows it, by default its id: DSX objectName, the id
    of a Redfish unit, or the host names of a rack's GPUs on dcgm-exporter pages (`collector.dcgm_join`); gpus: how many
    of a rack's GPUs it tells of, from the first one on, 0 for all of them.
    """

    profile: str
    link: str
    unit: int = 1
    object: str = ""
    gpus: int = 0


@dataclass(frozen=True, kw_only=True)
class Equipment:
    """One thing that stands in the plant.

    kind: utility | ups | pdu | meter | rack | cdu | manifold | sidecar | fws-loop | pump | dry-cooler | cooling-tower
    | economiser | chiller | air-unit | rear-door | power-shelf | room.
    feeds: ids of what it supplies with power, coolant or (for a meter) nothing; a meter has `meters` instead.
    design: design figures, SI, names carry units, e.g. `heat_w`, `flow_m3_s`.
    """

    id: str
    kind: str
    name: str = ""
    name_zh: str = ""
    sources: tuple[Source, ...] = ()
    feeds: tuple[str, ...] = ()
    meters: str = ""
    design: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


ENABLE = "enable:"
"""How the role of a unit's enable command begins: `enable:tower-1`."""
ENABLE_COMMAND, RUNNING = "enable_command", "running"
"""Names of the points by which a unit is switched, and by which it tells that it runs."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One unit of the facility plant that may be switched; minimum times and the time that a start takes [s].

    command: 1 lets it run, 0 stops it; running: where it says that it does.
    """

    unit: str
    kind: str
    command: PointId
    running: PointId
    min_on_s: float
    min_off_s: float
    start_s: float

    @property
    def role(self) -> str:
        """Its command's role in the cooling group."""
        return f"{ENABLE}{self.unit}"


@dataclass(frozen=True, kw_only=True)
class Reset:
    """Trim and respond of one setpoint [SI]: SP0, SPmin, SPmax, SPtrim, SPres, SPres-max, I of ASHRAE Guideline 36."""

    start: float
    minimum: float
    maximum: float
    trim: float
    respond: float
    respond_max: float
    ignored: int = 0


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A site's own reset rule: each role's trim and respond every every_s [s].

    near_k: a rack asks while its hottest GPU is nearer than this to the case limit [K].
    """

    resets: Mapping[str, Reset]
    every_s: float = 300.0
    near_k: float = 3.0


@dataclass(frozen=True, kw_only=True)
class CoolingGroup:
    """CDUs on one manifold (or a sidecar alone): one supply and one differential-pressure setpoint, held by the master.

    commands: role -> point, roles `supply_temperature`, `differential_pressure` (or in its place `flow` or
    `pump_speed`, and `flow:MEMBER` or `pump_speed:MEMBER` where each member takes its own),
    `facility_supply_temperature`, `tower_temperature` (condenser water leaving the tower), `air_temperature` (air at
    the racks' inlets), and `enable:UNIT` of each of `stages`.
    design: role -> the setpoint that the designer chose and the devices fall back to [SI].
    drivable: whether every commanded device has a fallback of its own (else the loop is advisory only).
    excitation: `off`, or `small`: probing steps in mode auto while the plant is not known well.
    heartbeats: for each commanded device, its heartbeat point and timeout [s].
    reserve: `n+1` (the loss of its largest CDU leaves every limit whole) or `none`.
    swing: what its GPUs' power may rise to before any loop answers: `nameplate`, or `learned` from telemetry.
    rule: the site's own reset rule, which a switchback alternates with coldplate; None: design setpoints.
    stages: units that may be switched; least_running: of each kind, never fewer than so many run.
    when_lost: what the CDUs that are left hold when one is lost.
    """

    id: str
    members: tuple[str, ...]
    master: str
    racks: tuple[str, ...]
    commands: Mapping[str, PointId]
    design: Mapping[str, float]
    drivable: bool
    fallback: Mapping[str, str] = field(default_factory=dict)
    excitation: str = "off"
    reserve: str = "n+1"
    swing: str = "nameplate"
    rule: Rule | None = None
    stages: tuple[Stage, ...] = ()
    least_running: Mapping[str, int] = field(default_factory=dict)
    when_lost: WhenLost = WhenLost.MAKES_UP

    def taken(self, role: str) -> tuple[PointId, ...]:
        """Every point that takes a role's setpoint: the master's, and those of members that take their own."""
        return tuple(p for r, p in self.commands.items() if r == role or r.startswith(f"{role}:"))


@dataclass(frozen=True, kw_only=True)
class Drive:
    """How one device is driven and lets go by itself: see `devices.profiles.Fallback`; link: its commands' way."""

    equipment: str
    kind: str
    link: str = ""
    heartbeat: PointId = ""
    timeout_s: float = 0.0
    enable: PointId = ""
    owner: PointId = ""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A bound that must hold, with where it comes from. quantity is a name such as `case_temperature`; SI."""

    id: str
    quantity: str
    minimum: float | None
    maximum: float | None
    source: str


@dataclass(frozen=True, kw_only=True)
class OutOfService:
    """Something that people took out of service until a time [s since 1970].

    subject: id of an equipment or of a point, or the start of several points' ids such as `rack-01/gpu-03`.
    """

    subject: str
    reason: str
    until_s: float

    def covers(self, point: PointId) -> bool:
        """Whether a point belongs to it."""
        return point == self.subject or point.startswith(f"{self.subject}/")


@dataclass(frozen=True, kw_only=True)
class Tariff:
    """Energy price by hour of the site's day [currency/kWh] and demand charge [currency/kW/month].

    water_per_m3: make-up water [currency/m³]; heat_per_kwh: heat that is sold [currency/kWh], where the facility water
    comes back at heat_above_c [°C] or warmer, at most heat_most_w [W].
    """

    currency: str
    energy_per_kwh: tuple[float, ...]
    demand_per_kw_month: float = 0.0
    water_per_m3: float = 0.0
    heat_per_kwh: float = 0.0
    heat_above_c: float = math.inf
    heat_most_w: float = math.inf
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Climate:
    """Weather for simulated sites: sinusoids over year and day plus seeded weather systems; see `simulator.weather`."""

    mean_c: float
    annual_amplitude_k: float
    daily_amplitude_k: float
    dew_point_depression_k: float
    front_amplitude_k: float = 3.0
    seed: int = 1


@dataclass(frozen=True, kw_only=True)
class Workload:
    """The simulated job mix: each rack is `training`, `inference` or `idle`; see `simulator.load`."""

    seed: int
    racks: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class SensorFault:
    """What is wrong with simulated instruments whose point fits a pattern [SI]; see `simulator.sensors.Sensor`.

    stuck_after_s: from when after the start they repeat their value [s].
    """

    points: str
    noise: float = 0.0
    bias: float = 0.0
    gain: float = 0.0
    drift_per_day: float = 0.0
    quantum: float = 0.0
    stuck_after_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Site:
    """A whole plant as loaded and checked from its file.

    objective: `money` or `energy`; carbon_price_per_kg: what emitted carbon counts [currency/kg].
    """

    id: str
    name: str
    name_zh: str
    path: str
    timezone: str
    coolant: str
    glycol_percent: float
    gpus_per_rack: int
    links: Mapping[str, Link]
    equipment: Mapping[str, Equipment]
    points: Mapping[PointId, Point]
    groups: Mapping[str, CoolingGroup]
    drives: Mapping[str, Drive]
    envelopes: Mapping[PointId, Envelope]
    limits: Mapping[str, Limit]
    tariff: Tariff
    carbon_kg_per_kwh: float
    carbon_source: str
    climate: Climate
    workload: Workload
    retention: Mapping[str, float]
    out_of_service: tuple[OutOfService, ...] = ()
    jobs: JobKnowledge = field(default_factory=JobKnowledge)
    sensors: tuple[SensorFault, ...] = ()
    objective: str = "money"
    carbon_price_per_kg: float = 0.0

    def of_kind(self, kind: str) -> list[Equipment]:
        """All equipment of a kind, in the file's order."""
        return [e for e in self.equipment.values() if e.kind == kind]

    @cached_property
    def fed_by(self) -> Mapping[str, tuple[str, ...]]:
        """For each equipment, the ids that feed it."""
        sources: dict[str, list[str]] = {e: [] for e in self.equipment}
        for equipment in self.equipment.values():
            for target in equipment.feeds:
                sources[target].append(equipment.id)
        return {target: tuple(ids) for target, ids in sources.items()}

    def points_of(self, equipment: str) -> list[Point]:
        """All points of one equipment."""
        return [p for p in self.points.values() if p.equipment == equipment]
