"""The benchmarks by name, and where data from outside is found."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import workers
from plant.errors import ConfigError

Figures = Mapping[str, float | str | list[dict[str, float | str]]]
"""By name; a list is a table."""
Benchmark = Callable[..., Figures]
"""Takes (quick, data), and by keyword what else its signature names, e.g. `plant`, `days`."""

BENCHMARKS: dict[str, str] = {
    "closed-loop": "a week of jobs, cooling-blind placement against coldplate: peaks, temperatures, cooling, lost work",
    "collect": "Modbus from the socket to the fsynced spool: 2,000 devices, and one core's full speed",
    "control": "cooling energy on every plant and climate: fixed, reset rule, coldplate, bound; violations",
    "cycle": "time of one cycle of control for 1, 20 and 200 CDUs",
    "demo-day": "one simulated day of the demo pod: the controller against the design setpoints",
    "faults": "cooling failures on the twin: limits crossed, margins, reaction; is ride-through ever optimistic",
    "forecast": "heat and air forecasts: skill against persistence, coverage, job knowledge, update time",
    "hints": "hints and the Kubernetes extender for 10,000 nodes over HTTP: times, rate; beside plain FastAPI",
    "identification": "a plant that is not what its site file says: parameters found in a day, errors before and after",
    "kubernetes": "the Kubernetes adapter on a real API server and scheduler: hints obeyed, budget, 5,000 nodes",
    "modbus-faults": "Modbus devices with faults: wrong values, recovery, CPU time; beside pymodbus",
    "mqtt": "MQTT at QoS 1: messages a second and core, and what is lost when the collector is killed",
    "placement": "GPU packing on a public trace: allocation at saturation and modelled IT power on the way",
    "quality": "what the quality checks find and cry wolf about on a simulated quarter, and what they cost",
    "slurm": "the Slurm adapter on a real controller: hints obeyed, budget, moves, loans; beside their limits",
    "soak": "half an hour of 2,000 devices: does the collector's memory stay flat",
    "solver": "the optimiser's search beside maintained solvers: time, gap to a dense sweep, failures",
    "spool": "the spool: cost of a point, a store's outage and the drain after it, kills while it is written",
    "stores": "points a second into each store, over real servers; beside the plain library path",
    "store-year": "what a year of the demo pod's history takes on disk",
    "twin": "the simulated plant against reference trajectories, its energy balance and its speed",
    "tuning": "fixed setpoints and the reset rule tuned to each plant and climate, with their grids",
}

WITH_WORKERS = frozenset({"control", "tuning"})
"""Whose days run in worker processes, on all cores."""


def find_benchmark(name: str) -> Benchmark:
    """One of `BENCHMARKS`: the `run` of the module of that name. Only that one is imported.

    Raises:
        ConfigError: there is no such benchmark.
    """
    if name not in BENCHMARKS:
        raise ConfigError(f"unknown benchmark {name!r}", remedy=f"use one of {', '.join(sorted(BENCHMARKS))}")
    if name in WITH_WORKERS:
        workers.prepare()
    found: Benchmark = importlib.import_module(f"benchmarks.{name.replace('-', '_')}").run
    return found


def find_data(option: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The folder of public data: the option, else $COLDPLATE_DATA, else ../shared/data where it exists.

    Raises:
        ConfigError: a folder was named and is not there.
    """
    named = option or (Path(environment["COLDPLATE_DATA"]) if environment.get("COLDPLATE_DATA") else None)
    if named is not None and not named.is_dir():
        raise ConfigError("no such folder", where=str(named), remedy="name the public data with --data DIR")
    beside = Path("..") / "shared" / "data"
    return named or (beside if beside.is_dir() else None)
