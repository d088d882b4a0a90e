"""What is plausible for each point of a site: bounds of site and profile, and the point that must move with it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from collector.rules import Rule
from devices.profiles import ProfilePoint
from plant.points import PointId
from plant.quantities import Quantity, to_si
from plant.topology import Site


@dataclass(frozen=True, slots=True)
class Witness:
    """A point whose moves must show in another: by more than move [SI] + share * |value|."""

    name: str
    move: float = 0.0
    share: float = 0.0


WITNESSES: Mapping[str, Witness] = {
    "liquid_return_temperature": Witness("power", share=0.2),
    "liquid_flow": Witness("liquid_differential_pressure", share=0.3),
    "liquid_differential_pressure": Witness("liquid_flow", share=0.15),
    "power": Witness("gpu-00/power", share=0.3),
    "temperature": Witness("power", share=0.3),
    "tcs_supply_temperature": Witness("effective_supply_temperature_setpoint", move=0.5),
    "tcs_return_temperature": Witness("tcs_flow", share=0.2),
    "tcs_flow": Witness("tcs_differential_pressure", share=0.3),
    "tcs_differential_pressure": Witness("effective_differential_pressure_setpoint", share=0.1),
    "fws_return_temperature": Witness("fws_flow", share=0.2),
    "fws_flow": Witness("fws_valve_position", move=0.15),
}
"""Point name -> its witness beside it. What a controller holds constant has that controller's setpoint as its witness:
anything else moves all day while a well-held temperature rightly stays."""


def rule(site: Site, point_id: PointId, point: ProfilePoint) -> Rule:
    """The rule of one point, without its witness."""
    declared = site.points.get(point_id)
    low = declared.minimum if declared is not None and declared.minimum is not None else point.bound(point.min)
    high = declared.maximum if declared is not None and declared.maximum is not None else point.bound(point.max)
    jump = point.max_jump * _unit(point) if point.max_jump is not None else math.nan
    counter = point.quantity is Quantity.ENERGY
    return Rule(
        minimum=math.nan if low is None else low,
        maximum=math.nan if high is None else high,
        max_jump=jump,
        period_s=point.period_s,
        max_age_s=declared.max_age_s if declared is not None else point.max_age_s or 3 * point.period_s,
        quantum=quantum(point),
        natural_run_s=math.nan if point.natural_run_s is None else point.natural_run_s,
        counter=counter,
        rolls_over_at=point.counter_end if counter else math.nan,
    )


def with_witnesses(site: Site, rules: Mapping[PointId, Rule]) -> dict[PointId, Rule]:
    """The rules with the witness of each point that has one among them."""
    supplies = dict(_rack_supplies(site))
    return {point: _witnessed(point, found, rules, supplies) for point, found in rules.items()}


def quantum(point: ProfilePoint) -> float:
    """The smallest step that a point can make [SI]: declared, else one count of an integer register, else 0."""
    if point.quantum is not None:
        return point.quantum * _unit(point)
    return abs(point.factor) if point.table and point.type[0] in "us" else 0.0


def _unit(point: ProfilePoint) -> float:
    return to_si(point.unit)[0]


def _rack_supplies(site: Site) -> Iterable[tuple[PointId, PointId]]:
    """Each rack's supply temperature and that of the unit which leads its cooling group."""
    for group in site.groups.values():
        for rack in group.racks:
            yield f"{rack}/liquid_supply_temperature", f"{group.master}/tcs_supply_temperature"


def _witnessed(point: PointId, found: Rule, rules: Mapping[PointId, Rule], supplies: Mapping[PointId, PointId]) -> Rule:
    if point in supplies and supplies[point] in rules:
        return replace(found, witness=supplies[point], move=1.0)
    place, _, name = point.rpartition("/")
    witness = WITNESSES.get(name)
    if witness is None or f"{place}/{witness.name}" not in rules:
        return found
    return replace(found, witness=f"{place}/{witness.name}", move=witness.move, move_share=witness.share)
