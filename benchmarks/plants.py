"""The seam between a controller and a plant that it has never seen: points out, setpoints in. See docs/plants.md.

`load_plant` finds a plant by name, or by `module:factory` of whoever wants to plug in another.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from benchmarks.climate import Climate
from plant.errors import ConfigError
from plant.points import PointId
from plant.records import JobOutlook
from plant.topology import Site

Utilisation = Callable[[str, float], float]
"""(rack, time [s since 1970]) -> share of full load [0..1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Weather and work that a plant is asked to live through; a plant with its own of either may ignore it."""

    climate: Climate
    utilisation: Utilisation
    step_s: float | None = None
    """Longest step [s] that resolves the work; a plant that can't go so short may ignore it, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantTruth:
    """Sums since `reset`, as the plant itself sees them.

    energy_j: electrical energy by component [J], of `tcs_pumps`, `facility_pumps`, `tower_pumps`, `fans`, `chillers`,
    `air_units` those that it has; it_j, site_j: IT and whole site [J]; violation_s: seconds outside each limit, by the
    id of the site's limit; highest_case_c: hottest GPU case [°C]; least_dew_margin_k: least supply above dew point [K].
    """

    energy_j: Mapping[str, float] = field(default_factory=dict)
    it_j: float = 0.0
    site_j: float = 0.0
    violation_s: Mapping[str, float] = field(default_factory=dict)
    highest_case_c: float = -273.15
    least_dew_margin_k: float = 1e3

    @property
    def cooling_j(self) -> float:
        """All components together [J]."""
        return sum(self.energy_j.values())


class Plant(Protocol):
    """What stands behind the seam. A plant moves only while it is told to."""

    site: Site
    """Its site file, loaded: the only thing that a controller knows of it."""

    def reset(self, start_s: float) -> None:
        """Begin anew at start_s [s since 1970] in a steady state under the site's design setpoints."""

    def advance(self, setpoints: Mapping[PointId, float], seconds: float) -> Mapping[PointId, float]:
        """Take setpoints [SI] (those not named stay), let `seconds` [s] pass, and return what the instruments show."""

    def truth(self) -> PlantTruth:
        """Energies and violations since `reset`."""

    def close(self) -> None:
        """Let go of processes and files."""


@runtime_checkable
class Sequenced(Protocol):
    """What a plant whose units follow a sequence of their own may offer beside, so that baselines can tune it."""

    def sequence(self, up: float) -> None:
        """One more unit from this load of those that run [1]; holds from the next `reset` on."""


@runtime_checkable
class Working(Protocol):
    """A plant with work of its own in place of the scenario's."""

    def work(self, rack: str, time_s: float) -> float:
        """Share of full load [1] of a rack at time_s [s since 1970]."""


@runtime_checkable
class Scheduled(Protocol):
    """A plant whose scheduler tells of jobs."""

    def outlook(self, now_s: float) -> tuple[JobOutlook, ...]:
        """What it tells at now_s [s since 1970]."""


Factory = Callable[[Scenario], Plant]
PLANTS: dict[str, str] = {
    "twin": "benchmarks.twin_plant:TwinPlant",
    "hall": "benchmarks.energyplus_plant:EnergyPlusPlant",
    "trains": "benchmarks.trains_plant:TrainsPlant",
}
VARIANTS: dict[str, str] = {
    "twin-flow": "benchmarks.flow_twin:of_master",
    "twin-flow-each": "benchmarks.flow_twin:of_each",
    "twin-speed": "benchmarks.flow_twin:speed",
    "trains-told": "benchmarks.trains_variants:told",
    "trains-untold": "benchmarks.trains_variants:untold",
    "trains-tight": "benchmarks.trains_variants:tight",
    "trains-worn": "benchmarks.trains_variants:worn",
    "trains-hot": "benchmarks.trains_variants:hot",
    "trains-cold": "benchmarks.trains_variants:cold",
    "trains-misread": "benchmarks.trains_variants:misread",
    "trains-unequal": "benchmarks.trains_variants:unequal",
    "trains-partload": "benchmarks.trains_variants:partload",
    "trains-storm": "benchmarks.trains_variants:Stormy",
    "trains-storm-told": "benchmarks.trains_variants:StormyTold",
    "trains-storm-released": "benchmarks.trains_variants:StormyReleased",
}
"""Run only when they are asked for."""
TUNED_AS = {
    "twin-flow": "twin",
    "twin-flow-each": "twin",
    "twin-speed": "twin",
    "trains-told": "trains",
    "trains-untold": "trains",
    "trains-worn": "trains",
    "trains-hot": "trains",
    "trains-misread": "trains",
    "trains-storm": "trains-partload",
    "trains-storm-told": "trains-partload",
    "trains-storm-released": "trains-partload",
}
"""Whose kept tunings a quick run takes: nobody tunes to wear, weather or a load that is not foreseen."""
FMU = "fmu"


def load_plant(name: str) -> Factory:
    """What makes a plant for a scenario: by name, by `module:factory`, or `fmu:FILE` of an FMU or its mapping.

    A module may lie in the folder that one stands in; a command finds others on Python's path only.

    Raises:
        ConfigError: no such plant, or it can't be imported.
    """
    path = (PLANTS | VARIANTS).get(name, name)
    module, _, factory = path.partition(":")
    if module == FMU:
        return _fmu(factory)
    if not factory:
        remedy = f"use {', '.join(sorted(PLANTS | VARIANTS))}, fmu:FILE, or MODULE:FACTORY of your own plant"
        raise ConfigError(f"unknown plant {name!r}", where="--plant", remedy=remedy)
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # last, so that it hides nothing
    try:
        found = getattr(importlib.import_module(module), factory)
    except ModuleNotFoundError as error:
        remedy = f"install {error.name}, run in its folder, or name that with PYTHONPATH"
        raise ConfigError(f"plant {name!r}: {error}", where="--plant", remedy=remedy) from error
    except AttributeError as error:
        remedy = "name the function or class that takes a Scenario"
        raise ConfigError(f"plant {name!r}: {module} has no {factory}", where="--plant", remedy=remedy) from error
    if not callable(found):
        remedy = "name the function or class that takes a Scenario"
        raise ConfigError(f"plant {name!r} is not callable", where="--plant", remedy=remedy)
    made: Factory = found
    return made


def _fmu(path: str) -> Factory:
    from benchmarks.fmu_plant import fmu_factory  # noqa: PLC0415 - it needs this module's types

    return fmu_factory(path)
