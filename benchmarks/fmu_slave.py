"""One co-simulation FMU (FMI 2 or 3) through FMPy: set variables, step, read variables; its faults in words."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from plant.errors import ColdplateError, ConfigError

_KINDS = {
    "Real": "Real",
    "Integer": "Integer",
    "Boolean": "Boolean",
    "Float64": "Float64",
    "Int32": "Int32",
}
"""Type of a variable -> how FMPy calls it."""
_CASTS: dict[str, Any] = {"Real": float, "Float64": float, "Integer": round, "Int32": round, "Boolean": bool}


class FmuSlave:
    """An FMU that can be started again and again. Values by variable name, in the FMU's own units."""

    def __init__(self, path: Path) -> None:
        """Read the description.

        Raises:
            ConfigError: FMPy is missing, the file is no FMU, has no co-simulation or is not made for this platform.
        """
        try:
            import fmpy  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as error:
            raise ConfigError(
                "FMPy is not installed", where=str(path), remedy="pip install 'coldplate[bench]'"
            ) from error
        self.path, self._fmpy = path, fmpy
        try:
            self._about: Any = fmpy.read_model_description(
                str(path), validate=False
            )  # many a tool's are not quite valid
            platforms = fmpy.supported_platforms(str(path))
        except Exception as error:  # FMPy, zipfile and lxml each have their own
            raise ConfigError(f"not an FMU: {error}", where=str(path), remedy="give an FMU of FMI 2 or 3") from error
        if self._about.coSimulation is None or not str(self._about.fmiVersion).startswith(("2", "3")):
            problem = f"FMI {self._about.fmiVersion} without co-simulation"
            raise ConfigError(problem, where=str(path), remedy="export it for co-simulation, FMI 2 or 3")
        if fmpy.platform not in platforms:
            made = ", ".join(platforms) or "none"
            remedy = "export it for this platform too; with C sources in it `fmpy compile` may do it"
            raise ConfigError(f"made for {made}, this is {fmpy.platform}", where=str(path), remedy=remedy)
        self.variables: dict[str, Any] = {v.name: v for v in self._about.modelVariables}
        self._three = str(self._about.fmiVersion).startswith("3")
        self._instance: Any = None
        self._folder, self._time_s = "", 0.0

    def start(self, time_s: float, values: Mapping[str, float]) -> None:
        """Begin anew at time_s [s] with these values.

        Raises:
            ColdplateError: it does not start.
        """
        self.close()
        with self._words("does not start"):
            self._folder = self._fmpy.extract(str(self.path))
            self._instance = self._made()
            self._begin(time_s, values)
        self._time_s = time_s

    def set(self, values: Mapping[str, float]) -> None:
        """Set variables.

        Raises:
            ColdplateError: it refuses.
        """
        with self._words("refuses a value"):
            for kind, rows in self._by_kind(values).items():
                numbers = [_CASTS[kind](values[name]) for name, _ in rows]
                getattr(self._instance, f"set{kind}")([reference for _, reference in rows], numbers)

    def step(self, step_s: float) -> None:
        """Let step_s [s] pass.

        Raises:
            ColdplateError: the step fails, or the FMU ends the run.
        """
        with self._words(f"fails in the step from {self._time_s:g} s"):
            said = self._instance.doStep(self._time_s, step_s)
        if self._three and said[1]:
            raise ColdplateError(f"{self.path.name} ends the run at {self._time_s:g} s")
        self._time_s += step_s

    def get(self, names: Iterable[str]) -> dict[str, float]:
        """Variables now.

        Raises:
            ColdplateError: it refuses, or shows something that is no number.
        """
        found: dict[str, float] = {}
        with self._words("shows no values"):
            for kind, rows in self._by_kind(names).items():
                numbers = getattr(self._instance, f"get{kind}")([reference for _, reference in rows])
                found |= {name: float(number) for (name, _), number in zip(rows, numbers, strict=True)}
        for name, number in found.items():
            if not math.isfinite(number):
                raise ColdplateError(f"{self.path.name} shows {number} as {name} at {self._time_s:g} s")
        return found

    def close(self) -> None:
        """End it and remove its files."""
        instance, self._instance = self._instance, None
        if instance is not None:
            with suppress(Exception):  # after a failed step it may not end properly either
                instance.terminate()
                instance.freeInstance()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = ""

    def _made(self) -> Any:
        about = self._about
        arguments = {
            "guid": about.guid,
            "unzipDirectory": self._folder,
            "modelIdentifier": about.coSimulation.modelIdentifier,
            "instanceName": "coldplate",
        }
        if self._three:
            from fmpy.fmi3 import FMU3Slave  # noqa: PLC0415 - an extra

            return FMU3Slave(**arguments)
        from fmpy.fmi2 import FMU2Slave  # noqa: PLC0415 - an extra

        return FMU2Slave(**arguments)

    def _begin(self, time_s: float, values: Mapping[str, float]) -> None:
        instance: Any = self._instance
        instance.instantiate()
        if self._three:
            self.set(self._settable(values, before=True))
            instance.enterInitializationMode(startTime=time_s)
        else:
            instance.setupExperiment(startTime=time_s)
            self.set(self._settable(values, before=True))
            instance.enterInitializationMode()
        self.set(self._settable(values, before=False))
        instance.exitInitializationMode()

    def _settable(self, values: Mapping[str, float], *, before: bool) -> dict[str, float]:
        """Parameters are set before initialisation, inputs during it."""
        return {n: v for n, v in values.items() if (self.variables[n].causality == "parameter") is before}

    def _by_kind(self, names: Iterable[str]) -> dict[str, list[tuple[str, int]]]:
        found: dict[str, list[tuple[str, int]]] = {}
        for name in names:
            variable = self.variables[name]
            if variable.type not in _KINDS:
                remedy = f"use one of {', '.join(_KINDS)}"
                raise ConfigError(f"{name} is of type {variable.type}", where=str(self.path), remedy=remedy)
            found.setdefault(_KINDS[variable.type], []).append((name, variable.valueReference))
        return found

    @contextmanager
    def _words(self, what: str) -> Iterator[None]:
        """FMPy's faults as ours."""
        try:
            yield
        except ColdplateError:
            raise
        except Exception as error:  # FMICallException, OSError of the loader, and whatever else comes
            raise ColdplateError(f"{self.path.name} {what}: {error}") from error
