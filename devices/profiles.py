"""Device profiles: what a model's registers or topics mean. Data in YAML, checked here.

A profile says where each point lies, its scale, what is plausible, and how the device falls back when leases stop.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from plant.errors import ConfigError
from plant.quantities import Quantity, to_si

Table = Literal["holding", "input", "coil", "discrete"]
RegisterType = Literal["u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64"]
WORDS: dict[str, int] = {"u16": 1, "s16": 1, "u32": 2, "s32": 2, "u64": 4, "s64": 4, "f32": 2, "f64": 4}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReadableRange(_Strict):
    """Registers first..last of a table that may be read in one block."""

    table: Table
    first: int
    last: int


class Fallback(_Strict):
    """How the device lets go by itself. kind `none` makes it advisory only.

    heartbeat, enable, owner: names of its points; the remote setpoint holds for timeout_s [s] after the last change
    of the heartbeat register, then the device returns to its commissioned default by its own ramp.
    """

    kind: Literal["native_heartbeat", "guardian", "none"]
    heartbeat: str = ""
    timeout_s: float = 0.0
    enable: str = ""
    owner: str = ""


class ProfilePoint(_Strict):
    """One point. si = raw * scale in `unit`, then converted.

    Modbus points have table, address and type; MQTT ones object and point, or field; Redfish and JSON ones a path,
    DCGM and Sparkplug ones a field (the metric's name). min, max, max_jump, quantum, rolls_over_at are in `unit`.
    invalid: raw words that mean "no value". fixed: binary fixed point, si = raw * 2^-fixed. bit, bit_width: the part of
    the register that is meant, counted from its lowest bit. scale_from: name of a point of the same profile that holds
    a power of ten (SunSpec's `_SF`). bits: names of flags; alarms: a set flag is an alarm of the device.
    natural_run_s: the longest that a healthy sensor reads the same [s]; rolls_over_at: a counter's end.
    """

    name: str
    quantity: Quantity
    unit: str
    period_s: float
    max_age_s: float = 0.0
    min: float | None = None
    max: float | None = None
    max_jump: float | None = None
    writable: bool = False
    table: Table | None = None
    address: int | None = None
    type: RegisterType = "u16"
    order: Literal["ABCD", "CDAB", "BADC", "DCBA"] = "ABCD"
    scale: float = 1.0
    fixed: int = Field(default=0, ge=0, le=63)
    scale_from: str = ""
    bit: int | None = Field(default=None, ge=0, le=63)
    bit_width: int = Field(default=1, ge=1, le=63)
    quantum: float | None = None
    natural_run_s: float | None = None
    rolls_over_at: float | None = None
    invalid: tuple[int, ...] = ()
    states: dict[int, str] = Field(default_factory=dict)
    bits: dict[int, str] = Field(default_factory=dict)
    alarms: bool = False
    object: str = ""
    point: str = ""
    area: tuple[str, ...] = ()
    field: str = ""
    path: str = ""

    @model_validator(mode="after")
    def _unit_known(self) -> ProfilePoint:
        to_si(self.unit)
        return self

    @property
    def words(self) -> int:
        """Registers that it takes."""
        return WORDS[self.type]

    @property
    def factor(self) -> float:
        """Si = raw * factor + offset."""
        return self.scale * 2.0**-self.fixed * to_si(self.unit)[0]

    @property
    def offset(self) -> float:
        """Si = raw * factor + offset."""
        return to_si(self.unit)[1]

    def bound(self, value: float | None) -> float | None:
        """A bound given in `unit`, in SI."""
        factor, offset = to_si(self.unit)
        return None if value is None else value * factor + offset


class Profile(_Strict):
    """A device model.

    max_words, max_gap: largest read, and the largest hole between two points that one read may span where `readable`
    allows it; pause_s: quiet time that the device needs between requests [s]; connect_delay_s: and after connecting.
    sunspec_models: addresses count from the header of the first of these models that the device has.
    topic: of a plain JSON publisher, with `{object}` where the equipment's name stands.
    """

    profile: str
    kind: str
    transport: Literal["modbus-tcp", "mqtt", "http"]
    format: Literal["", "dsx", "gpu", "sparkplug", "json", "dcgm", "redfish"] = ""
    title: str = ""
    revision: str
    source: str
    note: str = ""
    fallback: Fallback
    readable: tuple[ReadableRange, ...] = ()
    per_gpu: bool = False
    max_words: int = Field(default=125, ge=1, le=125)
    max_gap: int = Field(default=0, ge=0)
    pause_s: float = Field(default=0.0, ge=0)
    connect_delay_s: float = Field(default=0.0, ge=0)
    sunspec_models: tuple[int, ...] = ()
    topic: str = ""
    points: tuple[ProfilePoint, ...]

    def point(self, name: str) -> ProfilePoint:
        """The point of that name. Raises: KeyError."""
        return next(p for p in self.points if p.name == name)


def profile_names() -> list[str]:
    """Every shipped profile."""
    folder = resources.files("devices") / "models"
    return sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml"))


@cache
def load_profile(name: str) -> Profile:
    """A shipped profile by name.

    Raises:
        ConfigError: unknown, or its file is wrong.
    """
    if name not in profile_names():
        raise ConfigError(f"unknown profile {name!r}", remedy=f"use one of {', '.join(profile_names())}")
    return read_profile(Path(str(resources.files("devices") / "models" / f"{name}.yaml")))


def read_profile(path: Path) -> Profile:
    """A profile from a file.

    Raises:
        ConfigError: malformed, with the place.
    """
    try:
        data: Any = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        return Profile.model_validate(data)
    except YAMLError as error:
        raise ConfigError(f"not YAML: {error}", where=str(path)) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{place}: {first['msg']}", where=str(path)) from error
