"""What is known of a loop's plant: estimates, baselines, changes. Small, frozen, picklable, kept over restarts."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from controller.identification.estimates import Estimate, Observation
from controller.identification.parameters import PARAMETERS, Parameter
from plant.topology import CoolingGroup, Site

T = TypeVar("T")
Found = tuple[str, Parameter, Observation | None]
"""Equipment, parameter, and what one look saw of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A parameter as it was when its first day had been fitted: log ratio, filter's variance, when [s since 1970].

    bias: variance that no averaging removes, as it was then; None where it was not kept.
    """

    log: float
    variance: float
    at_s: float
    bias: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A parameter worse than its baseline: since when [s since 1970], and what it costs, a running mean [W]."""

    since_s: float
    cost_w: float = 0.0
    looks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Of one loop, by `equipment/parameter`.

    setpoints: those that devices follow, since settled_s [s since 1970]; at_s: when last looked;
    plates_s: likewise at cold plates; probe_base_pa: pressure to come back to after a probing step, None while there is
    none; follows: when [s since 1970], and how far off [K], the supply was a cycle ago.
    """

    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    changes: Mapping[str, Change] = field(default_factory=dict)
    setpoints: tuple[float, ...] = ()
    settled_s: float = math.inf
    at_s: float = -math.inf
    plates_s: float = -math.inf
    probe_base_pa: float | None = None
    follows: tuple[float, float] | None = None

    def estimate(self, subject: str, parameter: str) -> Estimate:
        """The estimate, or one that knows nothing."""
        return self.estimates.get(key_of(subject, parameter), Estimate())


def key_of(subject: str, parameter: str) -> str:
    """The name of one equipment's parameter."""
    return f"{subject}/{parameter}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What of a loop outlives a restart."""

    estimates: dict[str, Estimate]
    baselines: dict[str, Baseline]
    changes: dict[str, Change]


def kept(known: Known) -> Kept:
    """For the state directory."""
    return Kept(estimates=dict(known.estimates), baselines=dict(known.baselines), changes=dict(known.changes))


def recalled(rows: Kept) -> Known:
    """From the state directory; whether the loop is settled is seen anew, parameters of another version are dropped."""
    names = {key for key in rows.estimates if key.rpartition("/")[2] in PARAMETERS}
    return _only(Known(estimates=rows.estimates, baselines=rows.baselines, changes=rows.changes), names)


def still_there(known: Known, site: Site, group: CoolingGroup) -> Known:
    """Without equipment that has left the site since, and racks and CDUs that another of its loops has now."""
    others = {name for g in site.groups.values() if g.id != group.id for name in (*g.members, *g.racks)}
    own = site.equipment.keys() - others
    return _only(known, {key for key in known.estimates if key.rpartition("/")[0] in own})


def _only(known: Known, names: Collection[str]) -> Known:
    def of(mapping: Mapping[str, T]) -> dict[str, T]:
        return {key: value for key, value in mapping.items() if key in names}

    return replace(known, estimates=of(known.estimates), baselines=of(known.baselines), changes=of(known.changes))
