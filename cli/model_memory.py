"""Keeps over a restart what was identified of the plant, its baselines above all: slow change is measured in months."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from controller.identification.known import Kept, kept, recalled
from controller.worker import StepWorker
from plant.clock import ScaledClock
from plant.errors import ColdplateError
from store.codec import from_plain, to_plain
from store.state import StateDir

log = logging.getLogger("coldplate.edge")
FILE = "model.json"
KEPT_EVERY_S = 600.0


def recall_model(worker: StepWorker, state: StateDir) -> None:
    """Take what is kept, before the first step; what can't be read is identified anew."""
    with contextlib.suppress(ColdplateError):
        rows = state.read_json(FILE)
        if isinstance(rows, dict):
            worker.recall({loop: recalled(from_plain(Kept, row)) for loop, row in rows.items()})


async def keep_model(worker: StepWorker, state: StateDir, clock: ScaledClock) -> None:
    """Write what is known every ten minutes of site time, and once more at the end."""
    try:
        while True:
            await asyncio.sleep(max(1.0, clock.real(KEPT_EVERY_S)))
            _write(worker, state)
    finally:
        _write(worker, state)


def _write(worker: StepWorker, state: StateDir) -> None:
    try:
        state.write_json(FILE, {loop: to_plain(kept(known)) for loop, known in worker.state.known.items()})
    except (OSError, ColdplateError) as error:
        log.warning("the model is not kept: %s", error)
