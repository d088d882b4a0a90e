"""The shape of `GET /v1/site`: what stands where."""

from __future__ import annotations

from dataclasses import dataclass

from plant.points import PointId


@dataclass(frozen=True, slots=True, kw_only=True)
class PointInfo:
    """A declared point: bounds [unit], period and greatest age [s], names of states and alarm bits."""

    id: PointId
    name: str
    quantity: str
    unit: str
    writable: bool
    minimum: float | None
    maximum: float | None
    period_s: float
    max_age_s: float
    states: dict[str, str]
    bits: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class EquipmentInfo:
    """One thing of the plant with its points (none per GPU)."""

    id: str
    kind: str
    name: str
    name_zh: str
    feeds: tuple[str, ...]
    fed_by: tuple[str, ...]
    meters: str
    design: dict[str, float]
    tags: dict[str, str]
    points: list[PointInfo]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvelopeInfo:
    """What may be written to one command's point [SI]."""

    point: PointId
    minimum: float
    maximum: float
    max_step: float
    min_dwell_s: float
    dew_point_margin_k: float | None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupInfo:
    """A cooling group, which is one loop: its commands, design setpoints [SI] and envelopes by role."""

    id: str
    members: tuple[str, ...]
    master: str
    racks: tuple[str, ...]
    drivable: bool
    commands: dict[str, PointId]
    design: dict[str, float]
    envelopes: dict[str, EnvelopeInfo]
    fallback: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitInfo:
    """A bound that must hold [SI], with its source."""

    id: str
    quantity: str
    minimum: float | None
    maximum: float | None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Coolant:
    """The fluid of the technology loop."""

    fluid: str
    glycol_percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TariffInfo:
    """Energy price by hour of the day [currency/kWh], demand charge [currency/kW/month]."""

    currency: str
    energy_per_kwh: tuple[float, ...]
    demand_per_kw_month: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Carbon:
    """Grid carbon [kg/kWh]."""

    kg_per_kwh: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteInfo:
    """What stands where."""

    id: str
    name: str
    name_zh: str
    timezone: str
    coolant: Coolant
    gpus_per_rack: int
    equipment: list[EquipmentInfo]
    groups: list[GroupInfo]
    limits: list[LimitInfo]
    tariff: TariffInfo
    carbon: Carbon
