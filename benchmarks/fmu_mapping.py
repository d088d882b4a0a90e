"""What an FMU's variables mean: a small YAML file beside it. See docs/plants.md, section FMU."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from plant.errors import ConfigError

Weathers = Literal["dry_bulb_c", "dew_point_c", "wet_bulb_c", "relative_humidity"]
NOT_A_COMPONENT = ("it", "site")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Variable(_Strict):
    """One variable of the FMU: SI = scale x variable + offset; a bare name has scale 1."""

    variable: str
    scale: float = 1.0
    offset: float = 0.0

    def si(self, raw: float) -> float:
        """Its value in the site file's units."""
        return self.scale * raw + self.offset

    def raw(self, si: float) -> float:
        """The other way round."""
        return (si - self.offset) / self.scale


class FromWeather(_Strict):
    """A reading that the FMU has not, but the scenario's weather has."""

    weather: Weathers


def _spelled(given: object) -> object:
    return {"variable": given} if isinstance(given, str) else given


def _several(given: object) -> object:
    return given if isinstance(given, list) else [given]


One = Annotated[Variable, BeforeValidator(_spelled)]
Some = Annotated[tuple[One, ...], BeforeValidator(_several)]


class FmuMapping(_Strict):
    """The file. Points as the site file names them; components as `PlantTruth.energy_j`, and `it`, `site`."""

    site: str
    fmu: str = ""
    step_s: Annotated[float, Field(gt=0, le=60)] = 60.0
    warm_up_s: Annotated[float, Field(ge=0)] = 3600.0
    clock: Literal["run", "year"] = "run"
    parameters: dict[str, float] = Field(default_factory=dict)
    commands: dict[str, One]
    readings: dict[str, One | FromWeather]
    weather: dict[Weathers, One] = Field(default_factory=dict)
    utilisation: dict[str, One] = Field(default_factory=dict)
    power_w: dict[str, Some] = Field(default_factory=dict)
    energy_j: dict[str, Some] = Field(default_factory=dict)
    limits: dict[str, Some] = Field(default_factory=dict)
    not_judged: tuple[str, ...] = ()

    def written(self) -> dict[str, str]:
        """Variables that are set, and what for."""
        found = {v.variable: f"commands.{point}" for point, v in self.commands.items()}
        found |= {v.variable: f"weather.{name}" for name, v in self.weather.items()}
        found |= {v.variable: f"utilisation.{rack}" for rack, v in self.utilisation.items()}
        return found | {name: f"parameters.{name}" for name in self.parameters}

    def read(self) -> dict[str, str]:
        """Variables that are looked at, and what for."""
        found = {v.variable: f"readings.{point}" for point, v in self.readings.items() if isinstance(v, Variable)}
        blocks: dict[str, Mapping[str, tuple[Variable, ...]]] = {
            "power_w": self.power_w,
            "energy_j": self.energy_j,
            "limits": self.limits,
        }
        for block, rows in blocks.items():
            found |= {v.variable: f"{block}.{name}" for name, several in rows.items() for v in several}
        return found


def read_mapping(path: Path) -> tuple[FmuMapping, Path]:
    """The mapping and its FMU: of a YAML file, or of the YAML file beside an FMU under its name.

    Raises:
        ConfigError: a file is missing or says what it may not.
    """
    beside = path.with_suffix(".yaml") if path.suffix == ".fmu" else path
    remedy = "write what its variables mean into that file: docs/plants.md, section FMU"
    try:
        tree = YAML(typ="safe").load(beside.read_text(encoding="utf-8"))
        mapping = FmuMapping.model_validate(tree)
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror}", where=str(beside), remedy=remedy) from error
    except UnicodeDecodeError as error:
        raise ConfigError("not UTF-8 text", where=str(beside), remedy=remedy) from error
    except YAMLError as error:
        raise ConfigError(f"not YAML: {str(error).splitlines()[0]}", where=str(beside), remedy=remedy) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ConfigError(f"{place}: {first['msg'].lower()}", where=str(beside), remedy=remedy) from error
    found = path if path.suffix == ".fmu" else beside.parent / mapping.fmu
    if not found.is_file():
        raise ConfigError(f"no FMU {found.name}", where=str(beside), remedy="name it as `fmu:`, beside this file")
    return mapping, found


def missing(asked: Mapping[str, str], known: Iterable[str], where: Path) -> ConfigError | None:
    """The first variable that the FMU does not have."""
    names = list(known)
    for name, purpose in asked.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, n=3)
            remedy = f"did you mean {' or '.join(near)}?" if near else "open it with `fmpy info` to see its variables"
            return ConfigError(f"{purpose}: the FMU has no variable {name!r}", where=str(where), remedy=remedy)
    return None
