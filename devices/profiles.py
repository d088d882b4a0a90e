"""Device profiles: what a model's registers or topics mean. Data in YAML, checked here.

A profile says where each point lies, its scale, what is plausible, and how the device falls back when leases stop.
"""

from __future__ import annotations

import math
import os
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from devices.profile_checks import faults
from plant.errors import ConfigError
from plant.quantities import Quantity, to_si

Table = Literal["holding", "input", "coil", "discrete"]
RegisterType = Literal["u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64"]
WORDS: dict[str, int] = {"u16": 1, "s16": 1, "u32": 2, "s32": 2, "u64": 4, "s64": 4, "f32": 2, "f64": 4}


OWN_PROFILES = "COLDPLATE_PROFILES"
"""Environment variable that names a folder with a site's own profiles."""


Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""As written: no text, no `true`, nothing endless."""
Whole = Annotated[int, Field(strict=True)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReadableRange(_Strict):
    """Registers first..last of a table that may be read in one block."""

    table: Table
    first: Whole
    last: Whole


class TextRegister(_Strict):
    """A register of letters, two in a word, such as a serial number: no point, but read by `coldplate probe`."""

    name: str
    table: Literal["holding", "input"]
    address: Whole = Field(ge=0, le=0xFFFF)
    words: Whole = Field(ge=1, le=125)


class Fallback(_Strict):
    """How the device lets go by itself. kind `none` makes it advisory only.

    heartbeat, enable, owner: names of its points; the remote setpoint holds for timeout_s [s] after the last change
    of the heartbeat register, then the device returns to its commissioned default by its own ramp.
    """

    kind: Literal["native_heartbeat", "guardian", "none"]
    heartbeat: str = ""
    timeout_s: Number = 0.0
    enable: str = ""
    owner: str = ""


class ProfilePoint(_Strict):
    """One point. si = raw * scale in `unit`, then converted.

    Modbus points have table, address and type; MQTT ones object and point, or field; Redfish and JSON ones a path,
    DCGM and Sparkplug ones a field (the metric's name). min, max, max_jump, quantum, rolls_over_at are in `unit`.
    invalid: raw words that mean "no value". fixed: binary fixed point, si = raw * 2^-fixed. bit, bit_width: the part of
    the register that is meant, counted from its lowest bit. scale_from: name of a point of the same profile that holds
    a power of ten (SunSpec's `_SF`). bits: names of flags; alarms: a set flag is an alarm of the device.
    setpoint: on the DSX bus, the setpoint that is in force and no measurement.
    natural_run_s: the longest that a healthy sensor reads the same [s]; rolls_over_at: a counter's end.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
    quantity: Quantity
    unit: str
    period_s: Number
    max_age_s: Number = 0.0
    min: Number | None = None
    max: Number | None = None
    max_jump: Number | None = None
    writable: bool = False
    table: Table | None = None
    address: Whole | None = None
    type: RegisterType = "u16"
    order: Literal["ABCD", "CDAB", "BADC", "DCBA"] = "ABCD"
    scale: Annotated[float, Field(strict=True)] = 1.0
    fixed: Whole = Field(default=0, ge=0, le=63)
    scale_from: str = ""
    bit: Whole | None = Field(default=None, ge=0, le=63)
    bit_width: Whole = Field(default=1, ge=1, le=63)
    quantum: Number | None = None
    natural_run_s: Number | None = None
    rolls_over_at: Number | None = None
    invalid: tuple[Whole, ...] = ()
    states: dict[int, str] = Field(default_factory=dict)
    bits: dict[int, str] = Field(default_factory=dict)
    alarms: bool = False
    object: str = ""
    point: str = ""
    area: tuple[str, ...] = ()
    setpoint: bool = False
    field: str = ""
    path: str = ""

    @model_validator(mode="after")
    def _unit_known(self) -> ProfilePoint:
        try:
            to_si(self.unit)
        except ConfigError as error:  # for a ValueError pydantic tells the place
            raise ValueError(str(error)) from error
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

    @property
    def counter_end(self) -> float:
        """Where a counter rolls over [SI]: as declared, else its integer register's end; NaN where neither is known."""
        if self.rolls_over_at is not None:
            return self.rolls_over_at * to_si(self.unit)[0]
        if not self.table or self.scale_from or self.type[0] not in "us":  # a scale that may change has no known end
            return math.nan
        return float(2.0 ** (16 * self.words - (self.type[0] == "s"))) * self.factor

    def bound(self, value: float | None) -> float | None:
        """A bound given in `unit`, in SI."""
        factor, offset = to_si(self.unit)
        return None if value is None else value * factor + offset


class Profile(_Strict):
    """A device model.

    max_words, max_gap: largest read, and the largest hole between two points that one read may span where `readable`
    allows it; pause_s: quiet time that the device needs between requests [s]; connect_delay_s: and after connecting.
    sunspec_models: addresses count from the header of the first of these models that the device has.
    topic: of a plain JSON publisher, with `{object}` where the equipment's name stands, and `{point}` where each point
    has a topic of its own (its field, else its name). time_path, time_unit: where its messages say when ("": nowhere);
    sequence_path: where they are counted, so that a gap shows.
    texts: what the device says of itself in letters.
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
    max_words: Whole = Field(default=125, ge=1, le=125)
    max_gap: Whole = Field(default=125, ge=0)
    pause_s: Number = Field(default=0.0, ge=0)
    connect_delay_s: Number = Field(default=0.0, ge=0)
    sunspec_models: tuple[Whole, ...] = ()
    topic: str = ""
    time_path: str = ""
    time_unit: Literal["s", "ms", "iso"] = "ms"
    sequence_path: str = ""
    texts: tuple[TextRegister, ...] = ()
    points: tuple[ProfilePoint, ...]

    def point(self, name: str) -> ProfilePoint:
        """The point of that name. Raises: KeyError."""
        found = next((p for p in self.points if p.name == name), None)
        if found is None:
            raise KeyError(name)
        return found


def profile_names() -> list[str]:
    """Every shipped profile, and those of the folder that COLDPLATE_PROFILES names; a shipped name can't be taken."""
    return sorted({*shipped_names(), *_own_names()})


def shipped_names() -> list[str]:
    """Every shipped profile."""
    folder = resources.files("devices") / "models"
    return sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml"))


def _own_folder() -> Path | None:
    folder = os.environ.get(OWN_PROFILES)
    return Path(folder) if folder else None


def _own_names() -> list[str]:
    folder = _own_folder()
    return [path.stem for path in folder.glob("*.yaml")] if folder is not None else []


@cache
def load_profile(name: str) -> Profile:
    """A profile by name.

    Raises:
        ConfigError: unknown, or its file is wrong.
    """
    if name in shipped_names():
        return read_profile(Path(str(resources.files("devices") / "models" / f"{name}.yaml")))
    folder = _own_folder()
    if folder is None or name not in _own_names():
        raise ConfigError(f"unknown profile {name!r}", remedy=f"use one of {', '.join(profile_names())}")
    path = folder / f"{name}.yaml"
    profile = read_profile(path)
    if profile.profile != name:
        remedy = f"write `profile: {name}`, or rename the file"
        raise ConfigError(f"the profile calls itself {profile.profile!r}", where=str(path), remedy=remedy)
    return profile


def read_profile(path: Path) -> Profile:
    """A profile from a file.

    Raises:
        ConfigError: malformed, or its first fault, with file, line and remedy.
    """
    text, tree = _read_yaml(path)
    try:
        profile = Profile.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "profile"
        found = f", found {first['input']!r}" if isinstance(first["input"], str | int | float) else ""
        raise ConfigError(
            f"{name}: {first['msg'][0].lower()}{first['msg'][1:]}{found}",
            where=f"{path}:{_line(text, first['loc'])}",
            remedy="compare with a shipped profile, e.g. devices/models/generic-cdu.yaml",
        ) from error
    for fault in faults(profile):
        raise ConfigError(fault.text, where=f"{path}:{_line(text, fault.place)}", remedy=fault.remedy)
    return profile


def _read_yaml(path: Path) -> tuple[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"can't be read: {reason}", where=str(path), remedy="give a readable UTF-8 file") from error
    try:
        return text, YAML(typ="safe").load(text)
    except (YAMLError, ValueError, RecursionError) as error:  # a ValueError: e.g. a date that does not exist
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise ConfigError(f"not YAML: {problem}", where=where, remedy="correct the file's syntax") from error


def _line(text: str, place: tuple[str | int, ...]) -> int:
    """The line of a place of the file; of the nearest thing around it where the place itself is not written."""
    node: Any = YAML().load(text)
    line = 0
    for step in place:
        if not isinstance(node, CommentedMap | CommentedSeq) or not _has(node, step):
            break
        line = (node.lc.key(step) if isinstance(node, CommentedMap) else node.lc.item(step))[0]
        node = node[step]
    return line + 1


def _has(node: CommentedMap | CommentedSeq, step: str | int) -> bool:
    if isinstance(node, CommentedMap):
        return step in node
    return isinstance(step, int) and step < len(node)
