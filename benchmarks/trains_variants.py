"""The hall with six trains as it may be found: worn, in air far above design, or with racks that need chillers."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from benchmarks import trains_sites
from benchmarks.climate import Climate
from benchmarks.plants import Scenario
from benchmarks.storm import Storms
from benchmarks.trains_machines import Wear
from benchmarks.trains_plant import TrainsPlant
from benchmarks.trains_water import Staging
from benchmarks.twin_plant import example_site
from plant.points import PointId
from plant.records import JobOutlook

WORN = Wear(fill=0.80, chillers=0.80, pumps=0.85, plates=0.85)
TOLD = 4
"""GPUs of each rack that tell in the hall that shows them, as its site file says."""
HOTTER_K = 7.0
"""Above the weather file, at the same humidity: the towers' water gets up to eight kelvin warmer than at design."""
TIGHT_C = 67.0
"""Case limit [°C] of the hall with little room."""
_WATERS = ("supply_temperature", "facility_supply_temperature", "tower_temperature")
COLD_C = 29.0
"""Warmest supply that the cold hall's racks take [°C]: on a damp summer's day towers alone do not reach that."""


def worn(scenario: Scenario) -> TrainsPlant:
    """Towers' fill and chillers 20 %, pumps' efficiency and plates' UA 15 % below what the site file says."""
    return TrainsPlant(scenario, wear=WORN)


def told(scenario: Scenario) -> TrainsPlant:
    """The hall as its site file says: racks tell flow and temperatures, `TOLD` GPUs of each their case and power."""
    return TrainsPlant(scenario, told=TOLD)


def untold(scenario: Scenario) -> TrainsPlant:
    """The same hall where no GPU tells, and racks their power alone."""
    return TrainsPlant(scenario, told=0)


def hot(scenario: Scenario) -> TrainsPlant:
    """The same hall in weather `HOTTER_K` warmer [K]."""
    return TrainsPlant(replace(scenario, climate=hotter(scenario.climate, HOTTER_K)))


def tight(scenario: Scenario) -> TrainsPlant:
    """The hall where no GPU tells, with a case limit that its design setpoints hold with plates 12 % worse, no more."""
    site = example_site("six-trains.yaml")
    case = replace(site.limits["case"], maximum=TIGHT_C)
    return TrainsPlant(scenario, replace(site, limits={**site.limits, "case": case}), told=0)


class Misread(TrainsPlant):
    """The hall in which one tower tells nothing of its switch, one pump always that it stands, one economiser no flow.

    The tower's own sequence runs it, as nobody commands what does not answer.
    """

    def _show(self) -> dict[PointId, float]:
        tower, economiser, pump = (self.site.of_kind(kind)[1].id for kind in ("cooling-tower", "economiser", "pump"))
        mute = {f"{tower}/{name}" for name in ("enable_command", "effective_enable_command", "running")}
        shown = {p: v for p, v in super()._show().items() if p not in mute | {f"{economiser}/flow"}}
        return shown | {f"{pump}/running": 0.0}


def misread(scenario: Scenario) -> TrainsPlant:
    """The same hall with readings that lie or are not there."""
    return Misread(scenario)


def cold(scenario: Scenario) -> TrainsPlant:
    """The same hall with racks that take no warmer supply than `COLD_C`."""
    site = example_site("six-trains.yaml")
    group = next(iter(site.groups.values()))
    point = group.commands["supply_temperature"]
    waters = {role: group.design[role] + COLD_C - group.design["supply_temperature"] for role in _WATERS}
    return TrainsPlant(
        scenario,
        replace(
            site,
            envelopes={**site.envelopes, point: replace(site.envelopes[point], maximum=COLD_C)},
            groups={group.id: replace(group, design={**group.design, **waters})},
        ),
    )


def unequal(scenario: Scenario) -> TrainsPlant:
    """Trains of three sizes and ages, one without economiser, one without drives: as halls are that grew."""
    return TrainsPlant(scenario, trains_sites.unequal())


def partload(scenario: Scenario) -> TrainsPlant:
    """Racks that need chilled water, from chillers that are best at part load and others that are best at full."""
    return TrainsPlant(scenario, trains_sites.partload())


class Stormy(TrainsPlant):
    """The hall with racks that need chilled water, and work of its own that storms, of which nobody tells.

    Its chillers start when they are told to.
    """

    staging: ClassVar = Staging(releases=False)

    def __init__(self, scenario: Scenario) -> None:
        self._storms = Storms(scenario.climate.offset_s)
        work = replace(scenario, utilisation=self._storms.utilisation)
        super().__init__(work, trains_sites.chilled(), self.staging)

    def work(self, rack: str, time_s: float) -> float:
        """Share of full load [1] of a rack at time_s [s since 1970]."""
        return self._storms.utilisation(rack, time_s)


class StormyReleased(Stormy):
    """The same with chillers that are only released: their own sequence starts one in five minutes."""

    staging: ClassVar = Staging()


class StormyTold(Stormy):
    """The first with a scheduler that tells of the storms."""

    def outlook(self, now_s: float) -> tuple[JobOutlook, ...]:
        """What it tells at now_s [s since 1970]."""
        return self._storms.outlook([rack.id for rack in self.site.of_kind("rack")], now_s)


def hotter(climate: Climate, by_k: float) -> Climate:
    """The same year by_k [K] warmer at the same relative humidity."""
    return replace(climate, dry_bulb_c=climate.dry_bulb_c + by_k, dew_point_c=climate.dew_point_c + by_k)
