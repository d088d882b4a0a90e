"""The benchmarks by name, and where data from outside is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.collect import run as collect
from benchmarks.control import run as control
from benchmarks.cycle import run as cycle
from benchmarks.demo_day import run as demo_day
from benchmarks.faults import run as faults
from benchmarks.forecast import run as forecast
from benchmarks.modbus_faults import run as modbus_faults
from benchmarks.mqtt import run as mqtt
from benchmarks.quality import run as quality
from benchmarks.soak import run as soak
from benchmarks.solver import run as solver
from benchmarks.spool import run as spool
from benchmarks.store_year import run as store_year
from benchmarks.stores import run as stores
from benchmarks.tuning import run as tuning
from benchmarks.twin import run as twin
from plant.errors import ConfigError

Figures = Mapping[str, float | str | list[dict[str, float | str]]]
"""By name; a list is a table."""
Benchmark = Callable[..., Figures]
"""Takes (quick, data), and by keyword what else its signature names: `plant`, `days`."""

BENCHMARKS: dict[str, tuple[Benchmark, str]] = {
    "collect": (collect, "Modbus from the socket to the fsynced spool: 2,000 devices, and one core's full speed"),
    "control": (control, "cooling energy on every plant and climate: fixed, reset rule, coldplate, bound; violations"),
    "cycle": (cycle, "time of one cycle of control for 1, 20 and 200 CDUs"),
    "demo-day": (demo_day, "one simulated day of the demo pod: the controller against the design setpoints"),
    "faults": (
        faults,
        "cooling failures on the twin: limits crossed, margins, reaction; is ride-through ever optimistic",
    ),
    "forecast": (forecast, "heat and air forecasts: skill against persistence, coverage, job knowledge, update time"),
    "modbus-faults": (modbus_faults, "Modbus devices with faults: wrong values, recovery, CPU time; beside pymodbus"),
    "mqtt": (mqtt, "MQTT at QoS 1: messages a second and core, and what is lost when the collector is killed"),
    "quality": (quality, "what the quality checks find and cry wolf about on a simulated quarter, and what they cost"),
    "soak": (soak, "half an hour of 2,000 devices: does the collector's memory stay flat"),
    "solver": (solver, "the optimiser's search beside maintained solvers: time, gap to a dense sweep, failures"),
    "spool": (spool, "the spool: cost of a point, a store's outage and the drain after it, kills while it is written"),
    "stores": (stores, "points a second into each store, over real servers; beside the plain library path"),
    "store-year": (store_year, "what a year of the demo pod's history takes on disk"),
    "twin": (twin, "the simulated plant against reference trajectories, its energy balance and its speed"),
    "tuning": (tuning, "fixed setpoints and the reset rule tuned to each plant and climate, with their grids"),
}


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
