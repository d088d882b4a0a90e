"""The form of a site file: what may stand in it, field by field (the JSON Schema is made from this)."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from sites.form_base import Form, Id, Positive
from sites.form_groups import GroupForm
from sites.form_sensors import SensorForm

Kind = Literal[
    "utility",
    "ups",
    "pdu",
    "meter",
    "rack",
    "cdu",
    "manifold",
    "sidecar",
    "fws-loop",
    "pump",
    "dry-cooler",
    "cooling-tower",
    "economiser",
    "chiller",
    "air-unit",
    "rear-door",
    "power-shelf",
    "room",
]
LimitQuantity = Literal[
    "case_temperature",
    "rack_return_temperature",
    "tcs_supply_temperature",
    "tcs_differential_pressure",
    "dew_point_margin",
    "rack_flow_m3_s",
    "fws_supply_temperature",
    "air_inlet_temperature",
]


class CoolantForm(Form):
    """The technology coolant."""

    fluid: Literal["water", "propylene-glycol", "ethylene-glycol"]
    """What is mixed into the water."""
    percent: Annotated[float, Field(ge=0, le=60)] = 0.0
    """Glycol by mass [%]: 25 % by volume (PG25, EG25) are 25.8 % of propylene and 27 % of ethylene glycol."""


class HeadForm(Form):
    """The site itself."""

    id: Id
    """Short name, used in topics and paths."""
    name: str
    """Name for people, English."""
    name_zh: str = ""
    """Name for people, Chinese."""
    timezone: str
    """IANA name such as Europe/Berlin; tariffs and reports use it."""
    gpus_per_rack: Annotated[int, Field(ge=1, le=1000)]
    """GPUs in each rack that has a per-GPU profile."""
    coolant: CoolantForm
    """The technology coolant."""


class LinkForm(Form):
    """How to reach one endpoint."""

    transport: Literal["modbus-tcp", "mqtt", "http"]
    """Protocol."""
    host: Annotated[str, Field(min_length=1)]
    """Name or address."""
    port: Annotated[int, Field(ge=1, le=65535)]
    """TCP port; by custom Modbus has 502, MQTT 1883, dcgm-exporter 9400, Redfish 443."""
    options: dict[str, str | float | bool] = Field(default_factory=dict)
    """Settings of the transport."""


class SourceForm(Form):
    """Where some of an equipment's points come from; of two sources that name a point the first owns it."""

    profile: str
    """Device profile; `coldplate validate` lists the known ones when it is wrong."""
    link: str
    """Id under `links`."""
    unit: Annotated[int, Field(ge=0, le=247)] = 1
    """Unit id on Modbus."""
    object: str = ""
    """Name by which the other side knows the equipment: DSX objectName, Redfish id, GPU hosts; default its id."""
    gpus: Annotated[int, Field(ge=0, le=1000)] = 0
    """How many of a rack's GPUs a per-GPU source tells of, from the first one on; 0 for all of them."""


class EquipmentForm(Form):
    """One thing that stands in the plant."""

    id: Id
    """Short name; points are called ID/NAME."""
    kind: Kind
    """What it is."""
    name: str = ""
    """Name for people."""
    name_zh: str = ""
    """The same in Chinese, for the page."""
    sources: list[SourceForm] = Field(default_factory=list)
    """Where its points come from."""
    feeds: list[str] = Field(default_factory=list)
    """Ids of what it supplies with power, coolant or air; never in a circle."""
    meters: str = ""
    """For a meter: the id of what it measures."""
    design: dict[str, float] = Field(default_factory=dict)
    """Design figures, SI, names carry units (heat_w, flow_m3_s, ua_w_k)."""
    tags: dict[str, str] = Field(default_factory=dict)
    """Anything else worth noting."""


class LimitForm(Form):
    """A bound that must hold."""

    id: Id
    """Short name."""
    quantity: LimitQuantity
    """What is bounded; temperatures [°C], margins [K], flow [m³/s], pressure [Pa]."""
    min: float | None = None
    """Lower bound [SI]."""
    max: float | None = None
    """Upper bound [SI]."""
    source: str
    """Where the figure comes from."""


class HeatForm(Form):
    """Heat of the returning facility water that the site sells."""

    per_kwh: Annotated[float, Field(ge=0)]
    """What it brings [currency/kWh]."""
    above_c: float
    """Facility water must come back at this temperature or warmer [°C]."""
    most_w: Positive | None = None
    """What the buyer takes at most [W]."""


class TariffForm(Form):
    """What energy costs."""

    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    """ISO 4217 code."""
    energy_per_kwh: dict[str, float]
    """Price [currency/kWh] as `default` and by hours of the site's day, e.g. "07-20" (07:00 to 20:00)."""
    demand_per_kw_month: Annotated[float, Field(ge=0)] = 0.0
    """Demand charge [currency/kW/month]."""
    water_per_m3: Annotated[float, Field(ge=0)] = 0.0
    """Make-up water of cooling towers, sewage included [currency/m³]."""
    heat: HeatForm | None = None
    """Heat that the site sells, if it does."""
    source: str = ""
    """Where the prices come from."""


class CarbonForm(Form):
    """Carbon of the electricity."""

    kg_per_kwh: Annotated[float, Field(ge=0, le=3)]
    """Carbon dioxide equivalent [kg/kWh]; 360 g/kWh are 0.36."""
    price_per_kg: Annotated[float, Field(ge=0)] = 0.0
    """What a kilogram counts in the objective [currency/kg]; leave it out where the tariff has it already."""
    source: str = ""
    """Where the figure comes from."""


class RetentionForm(Form):
    """How long history is kept [days]."""

    raw_days: Positive = 7.0
    """Samples as they came."""
    minute_days: Positive = 90.0
    """One-minute rollups."""
    quarter_hour_days: Positive = 3660.0
    """Fifteen-minute rollups."""
    gpu_raw_days: Positive = 2.0
    """Samples of per-GPU points."""


class ClimateForm(Form):
    """Weather; only simulated devices read this."""

    mean_c: float = 11.0
    """Mean dry bulb of the year [°C]."""
    annual_amplitude_k: float = 10.0
    """Half of summer against winter [K]."""
    daily_amplitude_k: float = 5.0
    """Half of day against night [K]."""
    dew_point_depression_k: Annotated[float, Field(ge=0)] = 6.0
    """Dry bulb less dew point [K]."""
    front_amplitude_k: float = 3.0
    """Size of weather systems [K]."""
    seed: int = 1
    """Seed of the weather systems."""


class WorkloadForm(Form):
    """Jobs; only simulated devices read this."""

    seed: int = 1
    """Seed of the job mix."""
    racks: dict[str, Literal["training", "inference", "idle"]] = Field(default_factory=dict)
    """What each rack does; racks that are not named train."""


class JobsForm(Form):
    """What a scheduler's jobs are made of."""

    file: str = ""
    """A job list (docs/api.md) that is read again whenever it changes; beside the site file, or an absolute path."""
    nodes: dict[str, list[str]] = Field(default_factory=dict)
    """Nodes of each rack, also as ranges such as gpu[001-018]."""
    leaves: dict[str, list[str]] = Field(default_factory=dict)
    """Nodes of each network leaf; a place for a workload then tears none apart that can hold all of it."""
    names: dict[str, dict[str, str]] = Field(default_factory=dict)
    """By scheduler (the --name of its adapter) what it calls nodes that it calls otherwise, ranges for ranges."""
    gpu_power_w: dict[str, Positive] = Field(default_factory=dict)
    """What a GPU in work draws with its share of the node [W], by the scheduler's name of its type."""


def _as_text(value: object) -> object:
    """YAML reads an unquoted date-time as one; the form wants its text."""
    return value.isoformat() if isinstance(value, date) else value


class OutOfServiceForm(Form):
    """Something that people took out of service; its values are kept, but nothing acts on them or complains of them."""

    what: Annotated[str, Field(min_length=1)]
    """Id of an equipment or of a point, or the start of several such as rack-01/gpu-03."""
    reason: Annotated[str, Field(min_length=3)]
    """Why, for whoever looks at it next."""
    until: Annotated[str, BeforeValidator(_as_text)]
    """ISO date-time, in the site's time zone where it names none; after it the points count again."""


class SiteForm(Form):
    """A coldplate site file. It never enables writing; every loop starts in advisory mode."""

    schema_version: Annotated[Literal[1], Field(alias="schema")]
    """Version of this form."""
    site: HeadForm
    """The site itself."""
    links: dict[Id, LinkForm]
    """Endpoints by id."""
    equipment: Annotated[list[EquipmentForm], Field(min_length=1)]
    """Everything that stands in the plant."""
    cooling_groups: list[GroupForm] = Field(default_factory=list)
    """What is commanded together."""
    limits: list[LimitForm] = Field(default_factory=list)
    """Bounds that must hold."""
    out_of_service: list[OutOfServiceForm] = Field(default_factory=list)
    """What people took out of service, with reason and end."""
    tariff: TariffForm
    """What energy costs."""
    carbon: CarbonForm
    """Carbon of the electricity."""
    objective: Literal["money", "energy"] = "money"
    """What plans minimise: money by tariff and carbon price, or electric energy whatever its price."""
    retention: RetentionForm = Field(default_factory=RetentionForm)
    """How long history is kept."""
    climate: ClimateForm = Field(default_factory=ClimateForm)
    """Weather of a simulated site."""
    workload: WorkloadForm = Field(default_factory=WorkloadForm)
    """Jobs of a simulated site."""
    jobs: JobsForm = Field(default_factory=JobsForm)
    """Where job knowledge comes from."""
    sensors: list[SensorForm] = Field(default_factory=list)
    """Instruments of a simulated site that are not perfect."""
