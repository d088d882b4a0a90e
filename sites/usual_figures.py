"""Design figures that a site file leaves out: as units of its kind have them for their size, else as is usual.

Only of what gives heat away or moves facility water for a cooling group; a unit of which not even a size is told has
none assumed. Each is told as a warning, and all that reads the site reckons with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean

from sites.form import EquipmentForm, SiteForm
from sites.network import feeds_of, reached, turned
from sites.problem import Fault

WATER_J_M3_K = 4.16e6
AIR_COOLED_COP = 3.2
SIZES = frozenset({"heat_w", "flow_m3_s"})
Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Usual:
    """A figure as a ratio to another one, or itself where `of` is empty, times a factor; unless: what does as well."""

    key: str
    ratio: float
    of: str = ""
    times: float = 1.0
    unless: tuple[str, ...] = ()


USUAL: Mapping[str, tuple[_Usual, ...]] = {
    "cooling-tower": (
        _Usual("heat_w", 5.6, "flow_m3_s", WATER_J_M3_K),
        _Usual("flow_m3_s", 1 / 5.6, "heat_w", 1 / WATER_J_M3_K),
        _Usual("approach_k", 4.0),
        _Usual("fan_power_w", 0.018, "heat_w"),
    ),
    "dry-cooler": (
        _Usual("heat_w", 6.0, "flow_m3_s", WATER_J_M3_K),
        _Usual("flow_m3_s", 1 / 6.0, "heat_w", 1 / WATER_J_M3_K),
        _Usual("approach_k", 6.0),
        _Usual("fan_power_w", 0.05, "heat_w"),
    ),
    "economiser": (
        _Usual("flow_m3_s", 0.1, "heat_w", 1 / WATER_J_M3_K),
        _Usual("ua_w_k", 4.0, "flow_m3_s", WATER_J_M3_K, unless=("heat_w", "approach_k")),
    ),
    "chiller": (_Usual("cop", 6.0),),
    "pump": (_Usual("head_pa", 200e3), _Usual("efficiency", 0.65)),
}
"""Ranges of 5.6 and 6 K, approaches of 4 and 6 K; fans of towers 1.8 % and of dry coolers 5 % of their heat (LBNL
Buildings' dry cooler); plates of 10 K and 4 transfer units, 2.5 K at equal streams; a water-cooled chiller."""


def usual_figures(form: SiteForm) -> dict[str, dict[str, float]]:
    """What each unit lacks, by its id."""
    members = [member for group in form.cooling_groups for member in group.members]
    behind = reached(members, turned(feeds_of(form.equipment)))
    units = [e for e in form.equipment if e.kind in USUAL and e.id in behind and SIZES & e.design.keys()]
    wet = any(e.kind == "cooling-tower" for e in units)
    found = {e.id: _lacking(e, [u for u in units if u.kind == e.kind], wet=wet) for e in units}
    return {name: figures for name, figures in found.items() if figures}


def usual_faults(form: SiteForm) -> Iterator[Fault]:
    """A warning for each unit of which something is assumed."""
    found = usual_figures(form)
    for index, unit in enumerate(form.equipment):
        if unit.id in found:
            told = ", ".join(f"{key}: {value:.3g}" for key, value in found[unit.id].items())
            message = f"{unit.id}: what its design lacks is taken as usual: {told}"
            remedy = "give its own figures under `design`: energy and limits are reckoned with them"
            yield Fault(place=("equipment", index), message=message, remedy=remedy, warning=True)


def _lacking(unit: EquipmentForm, alike: list[EquipmentForm], *, wet: bool) -> dict[str, float]:
    figures, found = dict(unit.design), dict[str, float]()
    for usual in USUAL[unit.kind]:
        if usual.key in figures or all(key in figures for key in usual.unless or (usual.key,)):
            continue
        ratio = _ratio(usual, alike)
        if usual.key == "cop" and ratio is None and not wet:
            ratio = AIR_COOLED_COP
        base = figures.get(usual.of) if usual.of else 1.0
        if base is not None:
            value = (usual.ratio if ratio is None else ratio) * base * usual.times
            figures[usual.key] = found[usual.key] = value
    return found


def _ratio(usual: _Usual, alike: list[EquipmentForm]) -> float | None:
    """As the other units of its kind have it, in the mean."""
    needs = (usual.key, usual.of) if usual.of else (usual.key,)
    told = [u.design for u in alike if all(u.design.get(key) for key in needs)]
    if not told:
        return None
    return fmean(d[usual.key] / ((d[usual.of] if usual.of else 1.0) * usual.times) for d in told)
