"""The form of what is commanded together: setpoints, their bounds, and what the loop is to keep."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sites.form_base import Form, Id, Positive
from sites.form_rule import RuleForm
from sites.form_stages import Count, StageForm, StageKind

Role = Literal[
    "supply_temperature",
    "differential_pressure",
    "facility_supply_temperature",
    "tower_temperature",
    "air_temperature",
    "flow",
    "pump_speed",
]
PointPath = Annotated[str, Field(pattern=r"^[^/\s]+/[^\s]+$")]


class GroupDesignForm(Form):
    """The designer's fixed setpoints: what devices fall back to, and the baseline of savings."""

    supply_temperature_c: float | None = None
    """TCS supply [°C]."""
    differential_pressure_pa: float | None = None
    """TCS differential pressure [Pa]."""
    facility_supply_temperature_c: float | None = None
    """Facility water leaving the heat rejection [°C]."""
    tower_temperature_c: float | None = None
    """Condenser water leaving the cooling tower [°C]."""
    air_temperature_c: float | None = None
    """Air at the racks' inlets, as the air unit holds it [°C]."""
    flow_m3_s: float | None = None
    """TCS flow of a sidecar, or of CDUs that take one [m³/s]."""
    pump_speed: float | None = None
    """Speed of CDU pumps that take one, as a share of full speed [1]."""


class WritableForm(Form):
    """What may be written to one command point, apart from any optimiser; SI."""

    min: float
    """Lowest value [SI]."""
    max: float
    """Highest value [SI]."""
    max_step: Positive
    """Largest change in one write [SI]."""
    min_dwell_s: Annotated[float, Field(ge=0)]
    """Shortest time between two different values [s]."""
    dew_point_margin_k: Annotated[float, Field(ge=0)] | None = None
    """Where given, the value stays above the room's dew point by this [K]."""
    source: str
    """Where these figures come from."""


class GroupForm(Form):
    """CDUs on one manifold, or a sidecar alone: one setpoint of each role, held by the master."""

    id: Id
    """Short name."""
    members: Annotated[list[str], Field(min_length=1)]
    """Ids of CDUs or of one sidecar."""
    master: str
    """The member that takes the commands."""
    commands: dict[Role, PointPath]
    """Which point takes the setpoint of each role."""
    flow_by: Literal["master", "each"] = "master"
    """Of `flow` or `pump_speed`: one setpoint of the master for the loop, or each CDU its own of the same name."""
    design: GroupDesignForm
    """The designer's fixed setpoints."""
    writable: dict[Role, WritableForm]
    """What may be written, role by role."""
    stages: list[StageForm] = Field(default_factory=list)
    """Units of the facility plant that may be switched; they belong to the group that sets the facility water."""
    least_running: dict[StageKind, Count] = Field(default_factory=dict)
    """Of each kind so many units run at least; by custom one tower, dry cooler and pump, and no chiller."""
    fallback: dict[str, str] = Field(default_factory=dict)
    """Cause and effect: where the plant goes, by itself, when something is lost."""
    excitation: Literal["off", "small"] = "off"
    """Small probing steps of pressure, in mode auto only, while exchangers, plates and flows are not known well."""
    reserve: Literal["n+1", "none"] = "n+1"
    """`n+1`: the loss of the largest CDU must leave every limit whole; `none`: the site takes that risk for energy."""
    swing: Literal["nameplate", "learned"] = "nameplate"
    """GPU power that must be carried before any loop answers: at once all of it, or as telemetry has shown so far."""
    rule: RuleForm | None = None
    """The site's own reset rule, which a switchback alternates with coldplate; without it, design setpoints."""
