"""Faults of a cooling plant, as what they do to the twin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulator.plant import SimulatedPlant
from simulator.sensors import Sensor, Sensors
from simulator.weather import Weather, vapour_pressure_pa, wet_bulb_c

NOON_S = 1_783_764_000.0
STRIKE_S = NOON_S + 1920.0
"""When the fault comes: what the weather and the jobs of a scenario go by."""
STORM_S = 15.0
BUSY, IDLE = 0.85, 0.15


def air(dry_bulb_c: float) -> Weather:
    """Outdoor air at a dry bulb [°C], dew point 10 °C or drier."""
    dew_c = min(dry_bulb_c - 5.0, 10.0)
    humidity = vapour_pressure_pa(dew_c) / vapour_pressure_pa(dry_bulb_c)
    wet_c = max(wet_bulb_c(dry_bulb_c, humidity), dew_c)
    return Weather(dry_bulb_c=dry_bulb_c, dew_point_c=dew_c, wet_bulb_c=wet_c, relative_humidity=humidity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """strike does the fault; outdoor_c: before and after it [°C]; loads: of all racks before and after it [0..1].

    possible: whether physics allows an hour within the case limit; not where nothing carries the heat away any more.
    follows_shed: whether the load comes down by what coldplate asks off, OBEYS_S after it does.
    """

    name: str
    strike: Callable[[SimulatedPlant], None]
    outdoor_c: tuple[float, float] = (24.0, 24.0)
    loads: tuple[float, float] = (BUSY, BUSY)
    possible: bool = True
    follows_shed: bool = False

    def sky(self, time_s: float) -> Weather:
        """Weather at a time [s since 1970]."""
        return air(self.outdoor_c[time_s >= STRIKE_S])

    def work(self, rack: str, time_s: float) -> float:  # noqa: ARG002 - all racks alike
        """Share of full load [0..1]; a change takes 15 s."""
        before, after = self.loads
        return before + (after - before) * min(max((time_s - STRIKE_S) / STORM_S, 0.0), 1.0)


def said(*commands: str) -> Callable[[SimulatedPlant], None]:
    """Faults by their own commands."""

    def strike(plant: SimulatedPlant) -> None:
        for command in commands:
            plant.faults.command(command, plant.measured())

    return strike


def misread(point: str, sensor: Sensor) -> Callable[[SimulatedPlant], None]:
    """An instrument, or those of several CDUs (`*`), that go wrong."""

    def strike(plant: SimulatedPlant) -> None:
        points = [point.replace("*", cdu.id) for cdu in plant.cdus] if "*" in point else [point]
        plant.sensors = Sensors(dict.fromkeys(points, sensor), plant.time_s)

    return strike


def foul(plant: SimulatedPlant) -> None:
    """A deposit that takes about half of the exchangers' UA."""
    for cdu in plant.cdus:
        cdu.fouling_k_w = 5e-6


def nothing(plant: SimulatedPlant) -> None:
    """The weather or the jobs are the fault."""


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(name="pump trip", strike=said("stop cdu-2")),
    Scenario(name="pump trip of the master", strike=said("stop cdu-1")),
    Scenario(name="CDU loss", strike=said("stop cdu-2", "silence cdu-2")),
    Scenario(name="stuck valve, load up", strike=said("jam cdu-1"), loads=(0.4, 1.0)),
    Scenario(name="stuck valves of all CDUs, load up", strike=said("jam cdu-1", "jam cdu-2"), loads=(0.4, 1.0)),
    Scenario(
        name="stuck valves of all CDUs, load up, shed",
        strike=said("jam cdu-1", "jam cdu-2"),
        loads=(0.4, 1.0),
        follows_shed=True,
    ),
    Scenario(name="fouling", strike=foul),
    Scenario(name="flow meters +5 %", strike=misread("*/tcs_flow", Sensor(gain=0.05))),
    Scenario(name="flow meters -5 %", strike=misread("*/tcs_flow", Sensor(gain=-0.05))),
    Scenario(name="silent CDU", strike=said("silence cdu-2")),
    Scenario(name="outdoor sensor -10 K", strike=misread("dry-coolers/outdoor_dry_bulb", Sensor(bias=-10.0))),
    Scenario(name="outdoor sensor +10 K", strike=misread("dry-coolers/outdoor_dry_bulb", Sensor(bias=10.0))),
    Scenario(name="hot day above design", strike=nothing, outdoor_c=(24.0, 42.0)),
    Scenario(name="hot day above design, shed", strike=nothing, outdoor_c=(24.0, 42.0), follows_shed=True),
    Scenario(name="job storm in 15 s", strike=nothing, loads=(IDLE, 1.0)),
    Scenario(name="dry-cooler fan loss", strike=said("stop dry-coolers")),
    Scenario(name="leak", strike=said("leak cdu-1")),
    Scenario(name="leak and pump trip", strike=said("leak cdu-1", "stop cdu-2")),
    Scenario(name="supply sensor stuck, load up", strike=said("stuck cdu-1/tcs_supply_temperature"), loads=(0.4, 1.0)),
    Scenario(name="supply sensor lost", strike=said("nan cdu-1/tcs_supply_temperature")),
    Scenario(name="dew point lost", strike=said("nan cdu-1/room_dew_point", "nan cdu-2/room_dew_point")),
    Scenario(name="chiller trip on a hot day", strike=said("stop chiller"), outdoor_c=(36.0, 36.0)),
    Scenario(name="facility pump trip", strike=said("stop fws-pumps"), possible=False),
)
