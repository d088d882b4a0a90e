"""The shapes of answers, and how they become JSON (numbers that are not there become null)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
from fastapi import Response

from placement.rooms import Room
from placement.shed.plan import ShedPlan
from plant.intents import ModeState
from plant.points import PointId
from plant.records import Condition, Forecast, Headroom, JobOutlook, ModelParameter, Plan, RideThrough, ShedRequest
from plant.running import ActuatorState, AuditEntry, LinkState, SwitchbackState

encode = msgspec.json.Encoder().encode
Responses = dict[int | str, dict[str, Any]]
"""What FastAPI calls `responses`: status to description and model."""


def reply(body: object, status: int = 200) -> Response:
    """A JSON response; NaN and infinities become null."""
    return Response(encode(body), status_code=status, media_type="application/json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What went wrong in one sentence, and what to do about it."""

    error: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveValue:
    """A point's newest value [SI] with its source time [s since 1970], age [s], quality and reasons."""

    id: PointId
    value: float | None
    time_s: float | None
    age_s: float | None
    quality: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PointValue(LiveValue):
    """A live value with the point's quantity and SI unit."""

    quantity: str
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Live values at `now_s` [s since 1970]."""

    now_s: float
    points: list[PointValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class RackGpus:
    """The GPUs of one rack: temperatures [°C], power [W], utilisation [1]; `live` of them are heard."""

    rack: str
    gpus: int
    live: int
    max_temperature_c: float | None
    mean_temperature_c: float | None
    hottest: str | None
    power_w: float | None
    mean_utilisation: float | None
    xid_gpus: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpus:
    """GPUs summed up by rack at `now_s` [s since 1970]."""

    now_s: float
    racks: list[RackGpus]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstantaneousPue:
    """Site power over IT power at one moment [1]; category 1 to 3 is where IT power is metered (ISO/IEC 30134-2)."""

    value: float
    label: str
    category: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How it goes: times [s since 1970, site clock], powers [W]."""

    site: str
    site_name: str
    site_name_zh: str
    version: str
    now_s: float
    speed: float
    edge_connected: bool
    store_ok: bool
    live_points: int
    total_points: int
    forecast_at: float | None
    accepted_commands: int
    refused_commands: int
    instantaneous_pue: InstantaneousPue | None
    it_w: float | None
    site_w: float | None
    cooling_w: float | None
    modes: list[ModeState]
    conditions: list[Condition]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesInfo:
    """One point's history in columns: times [s since 1970], values [SI], quality."""

    point: PointId
    quantity: str
    unit: str
    times_s: list[float]
    values: list[float | None]
    quality: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """History of some points in [start_s, end_s); step_s 0 means raw samples."""

    start_s: float
    end_s: float
    step_s: float
    aggregate: str
    series: list[SeriesInfo]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecasts:
    """The newest forecast, if any."""

    forecast: Forecast | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plans:
    """The current plan of each loop."""

    plans: list[Plan]


@dataclass(frozen=True, slots=True, kw_only=True)
class Modes:
    """The mode of each loop."""

    modes: list[ModeState]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What is wrong, worst first."""

    conditions: list[Condition]


@dataclass(frozen=True, slots=True, kw_only=True)
class Headrooms:
    """Watts that each rack can still take."""

    headroom: list[Headroom]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """Watts that each CDU or node can still take."""

    headroom: list[Room]


@dataclass(frozen=True, slots=True, kw_only=True)
class RideThroughs:
    """Seconds to the first case limit if a pump stops now, by CDU."""

    ride_through: list[RideThrough]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Parameters of the plant as identified from telemetry."""

    model: list[ModelParameter]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShedRequests:
    """Load that loops ask to have taken off, empty while cooling has reserve; and how to do it with the known jobs."""

    shed: list[ShedRequest]
    plans: list[ShedPlan] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Switchbacks:
    """Where the switchback is that this run was given; null without one."""

    switchback: SwitchbackState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Connections to devices."""

    links: list[LinkState]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leases:
    """What the actuator holds now, if it is heard."""

    actuator: ActuatorState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Who did what, newest first."""

    entries: list[AuditEntry] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFlag:
    """The process runs."""

    live: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyFlag:
    """The edge is heard."""

    ready: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownJobs:
    """The newest list of one source: told age_s ago, valid for left_s more [s]; a stale one is not believed."""

    source: str
    actor: str
    at_s: float
    age_s: float
    valid_until_s: float
    left_s: float
    stale: bool
    jobs: tuple[JobOutlook, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """What schedulers told, by source, at `now_s` [s since 1970]."""

    now_s: float
    lists: list[KnownJobs]
