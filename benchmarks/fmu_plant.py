"""An FMU behind the seam of benchmark plants: what its variables mean stands in a small file beside it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import sites
from benchmarks.fmu_mapping import NOT_A_COMPONENT, FromWeather, missing, read_mapping
from benchmarks.fmu_slave import FmuSlave
from benchmarks.judge import Judge
from benchmarks.plants import Factory, PlantTruth, Scenario
from plant.errors import ConfigError
from plant.points import PointId

OF_READINGS = {"tcs_supply_temperature", "fws_supply_temperature", "dew_point_margin"}
"""Quantities of limits that readings of CDUs tell, where the mapping names nothing better."""


def fmu_factory(path: str) -> Factory:
    """What makes a plant of an FMU or of its mapping; nothing is opened before."""
    return partial(FmuPlant, Path(path))


class FmuPlant:
    """Weather and work go in where the mapping says so, commands in, readings and energies out."""

    def __init__(self, path: Path, scenario: Scenario) -> None:
        """Open all files.

        Raises:
            ConfigError: a file, a variable, a point or a limit is missing.
        """
        self._mapping, fmu = read_mapping(path)
        self._where, self._scenario = path, scenario
        self.site = sites.load_site(path.parent / self._mapping.site)
        self._slave = FmuSlave(fmu)
        fault = missing(self._mapping.written() | self._mapping.read(), self._slave.variables, path)
        if fault:
            raise fault
        self._check_points()
        self._check_limits()
        self._read = list(self._mapping.read())
        self._judge = Judge(self.site)
        self._commanded: dict[PointId, float] = {}
        self._begin(0.0)

    def reset(self, start_s: float) -> None:
        """Start the FMU anew under design setpoints, and let its warm-up pass."""
        self._commanded = {
            point: group.design[role]
            for group in self.site.groups.values()
            for role, point in group.commands.items()
            if point in self._mapping.commands and not role.startswith("enable:")
        }
        self._begin(start_s - self._mapping.warm_up_s)
        self._slave.start(self._clock_s(self._time_s), self._mapping.parameters | self._inputs())
        self._shown = self._slave.get(self._read)
        self._pass(self._mapping.warm_up_s)
        self._begin(start_s)

    def advance(self, setpoints: Mapping[PointId, float], seconds: float) -> Mapping[PointId, float]:
        """Take setpoints, let time pass, show the instruments.

        Raises:
            ColdplateError: a step fails.
        """
        self._commanded |= {point: value for point, value in setpoints.items() if point in self._mapping.commands}
        self._pass(seconds)
        return self._readings()

    def truth(self) -> PlantTruth:
        """Sums since `reset`."""
        counted = {n: self._counter(n) - self._at_first.get(n, 0.0) for n in self._mapping.energy_j}
        energy_j = {**self._energy_j, **counted}
        parts = {name: joules for name, joules in energy_j.items() if name not in NOT_A_COMPONENT}
        it_j = energy_j.get("it", 0.0)
        return self._judge.truth(parts, it_j, energy_j.get("site"))

    def close(self) -> None:
        """End the FMU."""
        self._slave.close()

    def _begin(self, start_s: float) -> None:
        """Forget sums; keep the state."""
        self._time_s = start_s
        self._energy_j = dict.fromkeys(self._mapping.power_w, 0.0)
        shown = getattr(self, "_shown", None)
        self._at_first = {name: self._counter(name) for name in self._mapping.energy_j} if shown else {}
        self._judge.reset()

    def _pass(self, seconds: float) -> None:
        left_s = seconds
        while left_s > 1e-6:
            step_s = min(self._mapping.step_s, left_s)
            self._time_s += step_s
            self._slave.set(self._inputs())
            self._slave.step(step_s)
            self._shown = self._slave.get(self._read)
            self._account(step_s)
            left_s -= step_s

    def _clock_s(self, at_s: float) -> float:
        """The FMU's own time: seconds of the run, or of the local year."""
        if self._mapping.clock == "run":
            return 0.0
        local = datetime.fromtimestamp(at_s + self._scenario.climate.offset_s, UTC)
        return (local - datetime(local.year, 1, 1, tzinfo=UTC)).total_seconds()

    def _inputs(self) -> dict[str, float]:
        """Every variable that is set, in the FMU's units."""
        mapping, values = self._mapping, dict[str, float]()
        for point, value in self._commanded.items():
            variable = mapping.commands[point]
            values[variable.variable] = variable.raw(value)
        if mapping.weather:
            air = self._scenario.climate.at(self._time_s)
            values |= {v.variable: v.raw(getattr(air, name)) for name, v in mapping.weather.items()}
        for rack, variable in mapping.utilisation.items():
            values[variable.variable] = variable.raw(self._scenario.utilisation(rack, self._time_s))
        return values

    def _account(self, step_s: float) -> None:
        for name, several in self._mapping.power_w.items():
            self._energy_j[name] += step_s * sum(v.si(self._shown[v.variable]) for v in several)
        self._judge.see(self._judged(), step_s)

    def _counter(self, name: str) -> float:
        return sum(v.si(self._shown[v.variable]) for v in self._mapping.energy_j[name])

    def _judged(self) -> dict[str, list[float]]:
        """Quantities of the site's limits."""
        found = {name: [v.si(self._shown[v.variable]) for v in vs] for name, vs in self._mapping.limits.items()}
        readings = self._readings()
        return {name: _told(name, readings) for name in OF_READINGS} | found

    def _readings(self) -> dict[PointId, float]:
        shown: dict[PointId, float] = {}
        for point, value in self._commanded.items():
            equipment, _, name = point.partition("/")
            shown |= {point: value, f"{equipment}/effective_{name}": value}
        air = self._scenario.climate.at(self._time_s)
        for point, source in self._mapping.readings.items():
            if isinstance(source, FromWeather):
                shown[point] = getattr(air, source.weather)
            else:
                shown[point] = source.si(self._shown[source.variable])
        return {point: value for point, value in shown.items() if point in self.site.points}

    def _check_points(self) -> None:
        for block, points in (("commands", self._mapping.commands), ("readings", self._mapping.readings)):
            for point in points:
                if point not in self.site.points:
                    remedy = "name a point of the site file, as `coldplate validate` knows it"
                    raise ConfigError(f"{block}: no point {point}", where=str(self._where), remedy=remedy)

    def _check_limits(self) -> None:
        """A saving is worth nothing where nobody looks at a limit."""
        known = OF_READINGS | set(self._mapping.limits) | set(self._mapping.not_judged)
        for limit in self.site.limits.values():
            if limit.quantity not in known:
                remedy = f"name its variables as `limits: {{{limit.quantity}: ...}}`, or put it under `not_judged`"
                raise ConfigError(
                    f"nothing tells {limit.quantity} of limit {limit.id}", where=str(self._where), remedy=remedy
                )


def _told(quantity: str, readings: Mapping[PointId, float]) -> list[float]:
    """What the CDUs' readings say of a quantity."""
    if quantity == "dew_point_margin":
        dew_c = {p.rpartition("/")[0]: v for p, v in readings.items() if p.endswith("/room_dew_point")}
        pairs = ((readings.get(f"{cdu}/tcs_supply_temperature"), c) for cdu, c in dew_c.items())
        return [supply_c - c for supply_c, c in pairs if supply_c is not None]
    return [value for point, value in readings.items() if point.endswith(f"/{quantity}")]
