"""EnergyPlus in a process of its own: it owns its main loop, so its callbacks wait at a pipe for the next minutes.

`python -m benchmarks.energyplus_child FD`: what the pipe brings first is (model, weather file, folder). Then the parent
sends rows of inputs, one a minute; one row of outputs comes back for each. `None` ends the run.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks import energyplus_model as model
from benchmarks.energyplus_objects import Objects

INPUTS = (model.LOAD, model.FLOW, model.SUPPLY, model.FACILITY, model.TOWER, model.TRIM)
NODES = (
    *(model.TCS_OUT, model.TCS_BACK, model.FWS_OUT, model.FWS_BACK, model.WATER_OUT, "TOWER IN"),
    *("CDU WATER OUT", "ECONOMISER OUT"),
)
OUTPUTS: tuple[tuple[str, str], ...] = (
    *(("Pump Electricity Rate", pump) for pump in (model.TCS_PUMP, model.FWS_PUMP, model.TOWER_PUMP)),
    ("Cooling Tower Fan Electricity Rate", model.COOLING_TOWER),
    ("Chiller Electricity Rate", model.CHILLER),
    ("Fluid Heat Exchanger Heat Transfer Rate", model.CDU),
    *(("System Node Temperature", node) for node in NODES),
    *(("System Node Mass Flow Rate", node) for node in (model.TCS_BACK, "CDU WATER IN", "TOWER IN")),
    *((f"Site Outdoor Air {kind} Temperature", "Environment") for kind in ("Drybulb", "Wetbulb", "Dewpoint")),
    ("Site Outdoor Air Relative Humidity", "Environment"),
)
COLUMN = {name: index for index, name in enumerate(OUTPUTS)}


def serve(pipe: Connection) -> None:
    """The child's whole life: one run of EnergyPlus."""
    with contextlib.suppress(EOFError, OSError, BrokenPipeError):
        _Run(pipe).run(*pipe.recv())


class _Run:
    """One run: inputs go in at the start of each minute, outputs come out at its end."""

    def __init__(self, pipe: Connection) -> None:
        from pyenergyplus.api import EnergyPlusAPI  # noqa: PLC0415 - only the child loads the engine

        self._pipe, self._api = pipe, EnergyPlusAPI()
        self._state = self._api.state_manager.new_state()
        self._read: list[int] = []
        self._write: list[int] = []
        self._rows: list[Sequence[float]] = []
        self._done: list[list[float]] = []
        self._next, self._over = 0, False

    def run(self, objects: Objects, weather: str, folder: str) -> None:
        """Run until the period ends or the parent has had enough; then say how it ended."""
        runtime, exchange = self._api.runtime, self._api.exchange
        source = Path(folder) / "hall.epJSON"
        source.write_text(json.dumps(objects), encoding="utf-8")
        runtime.set_console_output_status(self._state, print_output=False)
        for name, key in OUTPUTS:
            exchange.request_variable(self._state, name, key)
        runtime.callback_begin_zone_timestep_after_init_heat_balance(self._state, self._begin)
        runtime.callback_end_zone_timestep_after_zone_reporting(self._state, self._end)
        code = runtime.run_energyplus(self._state, ["-d", folder, "-w", weather, str(source)])
        if not self._over:
            self._pipe.send(self._failure(code, Path(folder)))

    def _failure(self, code: int, folder: Path) -> str:
        log = folder / "eplusout.err"
        text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
        worst = [line.strip() for line in text.splitlines() if "Fatal" in line or "Severe  " in line]
        return f"EnergyPlus ended ({code}): {worst[0] if worst else 'its run period is over'}"

    def _ready(self) -> bool:
        exchange = self._api.exchange
        if self._over or not exchange.api_data_fully_ready(self._state):
            return False
        if not self._read:
            self._read = [exchange.get_variable_handle(self._state, *output) for output in OUTPUTS]
            kind = ("Schedule:Constant", "Schedule Value")
            self._write = [exchange.get_actuator_handle(self._state, *kind, name) for name in INPUTS]
            missing = [
                name
                for name, handle in zip((*OUTPUTS, *INPUTS), (*self._read, *self._write), strict=True)
                if handle < 0
            ]
            if missing:
                self._over = True
                self._pipe.send(f"EnergyPlus has no {missing}")
                self._api.runtime.stop_simulation(self._state)
        return not self._over

    def _begin(self, state: Any) -> None:
        if not self._ready() or self._api.exchange.warmup_flag(state):
            return
        if self._next >= len(self._rows):
            self._exchange(state)
        if not self._over:
            for handle, value in zip(self._write, self._rows[self._next], strict=True):
                self._api.exchange.set_actuator_value(state, handle, value)

    def _exchange(self, state: Any) -> None:
        """Give what the last rows did, take the next ones."""
        try:
            self._pipe.send(self._done)
            rows = self._pipe.recv()
        except (EOFError, OSError):
            rows = None
        self._done, self._next = [], 0
        if rows is None:
            self._over = True
            self._api.runtime.stop_simulation(state)
        else:
            self._rows = rows

    def _end(self, state: Any) -> None:
        if not self._ready() or self._api.exchange.warmup_flag(state):
            return
        self._done.append([self._api.exchange.get_variable_value(state, handle) for handle in self._read])
        self._next += 1


def installed() -> bool:
    """Whether the engine is there (the extra `bench`), without loading it."""
    import importlib.util  # noqa: PLC0415 - asked once

    return importlib.util.find_spec("pyenergyplus") is not None and sys.platform == "linux"


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
