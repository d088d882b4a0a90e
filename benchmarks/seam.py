"""What a foreign plant shows held against its site file, before anything is judged by it."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from controller.inputs import effective_point, own_setpoints
from plant.errors import ConfigError
from plant.points import PointId
from plant.topology import Site

NAMED = 3
"""So many points stand in a message."""


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
