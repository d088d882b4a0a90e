"""The simulator behind the seam of benchmark plants: its devices are commanded as a gateway would command them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import sites
from benchmarks.plants import PlantTruth, Scenario
from benchmarks.rack_instruments import told
from plant.points import PointId
from plant.topology import Site
from simulator.plant import SimulatedPlant

BEAT_S = 30.0
"""Devices let go 60 s after the last heartbeat."""
STEP_S = 7.5
"""Inner step: a day's cooling energy lies within 0.01 % of that with 5 s, its hottest case within 0.01 K."""
COMPONENTS = {
    "cdu": "tcs_pumps",
    "sidecar": "tcs_pumps",
    "pump": "facility_pumps",
    "dry-cooler": "fans",
    "cooling-tower": "fans",
    "chiller": "chillers",
    "air-unit": "air_units",
}


@lru_cache(maxsize=4)
def example_site(name: str) -> Site:
    """One of the project's own site files: in the repository, or beside the installed package."""
    return sites.load_site(example_file(name))


def example_file(name: str) -> Path:
    """Where it lies."""
    beside = Path(__file__).parents[1] / "site-configs" / name
    return beside if beside.exists() else Path(sites.__file__).parent / "examples" / name


def _is_case(point: PointId) -> bool:
    return "/gpu-" in point and point.endswith("/temperature")


def _simulated(point: PointId) -> bool:
    """Whether anybody behind the seam reads it: of single GPUs case and power."""
    return "/gpu-" not in point or point.endswith(("/temperature", "/power"))


class TwinPlant:
    """The demo pod's simulator under a scenario's weather and work."""

    def __init__(self, scenario: Scenario | None, site: Site | None = None) -> None:
        """scenario: None for the site's own climate and work."""
        self.site, self._scenario = site or example_site("demo-pod.yaml"), scenario
        self._read = [e.id for e in self.site.equipment.values() if e.kind in COMPONENTS or e.kind in {"rack", "meter"}]
        points = {name: point for name, point in self.site.points.items() if _simulated(name)}
        self._simulated = replace(self.site, points=points)
        self._beats = 0
        self._plant: SimulatedPlant | None = None

    def reset(self, start_s: float) -> None:
        """Begin anew, an hour of warm-up under design setpoints behind it."""
        self._beats, self._plant = 0, self.made(start_s)

    def made(self, start_s: float) -> SimulatedPlant:
        """The simulator itself."""
        if self._scenario is None:
            return SimulatedPlant(self._simulated, start_s, inner_step_s=STEP_S)
        sky, work = self._scenario.climate.at, self._scenario.utilisation
        return SimulatedPlant(self._simulated, start_s, sky=sky, work=work, inner_step_s=STEP_S)

    def advance(self, setpoints: Mapping[PointId, float], seconds: float) -> Mapping[PointId, float]:
        """Write setpoints, then beat all driven devices' hearts while time passes."""
        plant = self.running
        driven = {point.partition("/")[0] for point in setpoints}
        left_s = seconds
        while left_s > 1e-9:
            self._hold(plant, driven)
            for point, value in setpoints.items():
                plant.command(point, value)
            span_s = min(left_s, BEAT_S)
            self._pass(plant, span_s)
            left_s -= span_s
        return self.shown(plant.measured(self._read))

    def shown(self, readings: Mapping[PointId, float]) -> Mapping[PointId, float]:
        """What goes through the seam: GPUs in their own steps."""
        return {point: told(value) if _is_case(point) else value for point, value in readings.items()}

    def truth(self) -> PlantTruth:
        """The simulator's ledger, by component."""
        ledger = self.running.ledger
        energy_j: dict[str, float] = {}
        for equipment in self.site.equipment.values():
            component = COMPONENTS.get(equipment.kind)
            if component and equipment.id in ledger.energy_j:
                energy_j[component] = energy_j.get(component, 0.0) + ledger.energy_j[equipment.id]
        return PlantTruth(
            energy_j=energy_j,
            it_j=ledger.it_j,
            site_j=ledger.electric_j,
            violation_s=dict(ledger.violation_s),
            highest_case_c=ledger.highest_case_c,
            least_dew_margin_k=ledger.least_dew_margin_k,
        )

    def close(self) -> None:
        """Nothing is held."""
        self._plant = None

    @property
    def running(self) -> SimulatedPlant:
        """The simulator since `reset`."""
        assert self._plant is not None, "reset comes first"
        return self._plant

    def _pass(self, plant: SimulatedPlant, span_s: float) -> None:
        """Let span_s [s] pass, in steps that resolve the work."""
        longest_s = (self._scenario.step_s if self._scenario else None) or span_s
        count = math.ceil(span_s / longest_s - 1e-9)
        for _ in range(count):
            plant.step(span_s / count)

    def _hold(self, plant: SimulatedPlant, driven: set[str]) -> None:
        """Tell each driven device that somebody is there; once, that it is to listen."""
        self._beats += 1
        for equipment in driven:
            drive = self.site.drives[equipment]
            if drive.enable:
                plant.command(drive.enable, 1.0)
            if drive.heartbeat:
                plant.command(drive.heartbeat, float(self._beats % 60000))
