"""What a foreign plant shows held against its site file, before anything is judged by it."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache

from benchmarks.plants import Plant, PlantTruth
from controller.inputs import effective_point, own_setpoints
from plant.errors import ConfigError
from plant.points import Point, PointId
from plant.topology import Site

NAMED = 3
"""So many points stand in a message."""


def check_plant(plant: Plant, name: str) -> None:
    """Whether what a factory made is a plant at all.

    Raises:
        ConfigError: a member is missing.
    """
    missing = [m for m in ("reset", "advance", "truth", "close") if not callable(getattr(plant, m, None))]
    if not isinstance(getattr(plant, "site", None), Site):
        missing.insert(0, "site")
    if missing:
        remedy = "return an object with the members in docs/plants.md; `site` is what `sites.load_site` returns"
        raise ConfigError(f"what {name!r} made has no {', '.join(missing)}", where="--plant", remedy=remedy)


def measured(site: Site, shown: object) -> Mapping[PointId, float]:
    """What `advance` returned, with setpoints that are told under their own name as those in force.

    Raises:
        ConfigError: it is no mapping.
    """
    if not isinstance(shown, Mapping):
        remedy = "return a mapping from each point to its value in SI"
        raise ConfigError(f"`advance` returned {type(shown).__name__}", where="plant", remedy=remedy)
    return in_force(site, shown)


def judged(plant: Plant) -> PlantTruth:
    """What the plant says of itself, fit to be judged.

    Raises:
        ConfigError: it is no `PlantTruth`, or a figure of it is none.
    """
    truth: object = plant.truth()
    if not isinstance(truth, PlantTruth):
        remedy = "return a benchmarks.plants.PlantTruth"
        raise ConfigError(f"`truth` returned {type(truth).__name__}", where="plant", remedy=remedy)
    sums = {**truth.energy_j, "it_j": truth.it_j, "site_j": truth.site_j, **truth.violation_s}
    odd = [name for name, figure in sums.items() if not math.isfinite(figure)]
    if odd:
        remedy = "return sums since `reset` that are numbers"
        raise ConfigError(f"`truth` has no number for {', '.join(odd)}", where="plant", remedy=remedy)
    return truth


def warn_of_units(site: Site, shown: Mapping[PointId, float]) -> None:
    """Say on stderr what its instruments' profiles hold to be impossible: kelvins, litres, kilowatts instead of SI."""
    odd = [
        f"{name} = {value:g} {spec.unit}"
        for name, value in shown.items()
        if (spec := site.points.get(name)) is not None and value is not None and not _possible(spec, value)
    ]
    if odd:
        _say(f"plant: beyond what their profiles allow, so perhaps not in SI: {_some(odd)}")


@cache
def _say(text: str) -> None:
    """Once, though a plant is driven through hundreds of days."""
    print(text, file=sys.stderr, flush=True)


def _possible(spec: Point, value: float) -> bool:
    low, high = spec.minimum, spec.maximum
    return (low is None or value >= low) and (high is None or value <= high)


def check_names(site: Site, shown: Mapping[PointId, float]) -> None:
    """Whether the site file has every point that is shown.

    One under another name is as good as missing, and the controller would only be less sure.

    Raises:
        ConfigError: it has not, with the nearest name.
    """
    unknown = sorted(point for point in shown if point not in site.points)
    if unknown:
        near = get_close_matches(unknown[0], site.points, n=1, cutoff=0.0)
        remedy = f"name points as the site file's profiles do, perhaps {near[0]}, or leave them out" if near else ""
        raise ConfigError(f"it shows points that its site file has not: {_some(unknown)}", where="plant", remedy=remedy)


def check_setpoints(site: Site, shown: Mapping[PointId, float]) -> None:
    """Whether every setpoint in force is shown, without which a controller leaves a loop at design for the whole run.

    Raises:
        ConfigError: one is not.
    """
    silent = [point for point in _in_force(site) if point not in shown]
    if silent:
        message = f"it does not show setpoints in force: {_some(silent)}"
        raise ConfigError(message, where="plant", remedy="return them from `advance`: nobody moves what is not known")


def in_force(site: Site, shown: Mapping[PointId, float]) -> dict[PointId, float]:
    """What is shown, with setpoints that are told under their own name as those in force."""
    told = {point: shown[command] for point, command in _in_force(site).items() if command in shown}
    return {**told, **shown}


def _in_force(site: Site) -> dict[PointId, PointId]:
    """Where each setpoint in force is read -> its command point."""
    return {effective_point(site, p): p for group in site.groups.values() for p in own_setpoints(group).values()}


def _some(points: list[PointId]) -> str:
    more = f" and {len(points) - NAMED} more" if len(points) > NAMED else ""
    return ", ".join(points[:NAMED]) + more
