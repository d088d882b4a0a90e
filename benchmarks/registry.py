"""The benchmarks by name, and where data from outside is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.demo_day import run as demo_day
from benchmarks.store_year import run as store_year
from plant.errors import ConfigError

Figures = dict[str, float | str]
Benchmark = Callable[[bool, "Path | None"], Figures]

BENCHMARKS: dict[str, tuple[Benchmark, str]] = {
    "demo-day": (demo_day, "one simulated day of the demo pod: the controller against the design setpoints"),
    "store-year": (store_year, "what a year of the demo pod's history takes on disk"),
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
