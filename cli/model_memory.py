"""Keeps over a restart what is learned slowly: the plant as identified, racks' power swings, the month's peak."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from controller.billing import Billing
from controller.identification.known import Kept, kept, recalled
from controller.power_swings import Jump
from controller.worker import StepWorker
from plant.clock import ScaledClock
from plant.errors import ColdplateError
from store.codec import from_plain, to_plain
from store.state import StateDir

log = logging.getLogger("coldplate.edge")
FILE, SWINGS, BILLING = "model.json", "swings.json", "billing.json"
KEPT_EVERY_S = 600.0


def recall_model(worker: StepWorker, state: StateDir) -> None:
    """Take what is kept, before the first step; what can't be read is learned anew."""
    with contextlib.suppress(ColdplateError):
        rows = state.read_json(FILE)
        if isinstance(rows, dict):
            worker.recall({loop: recalled(from_plain(Kept, row)) for loop, row in rows.items()})
    with contextlib.suppress(ColdplateError):
        rows = state.read_json(SWINGS)
        if isinstance(rows, dict):
            worker.recall_swings({rack: from_plain(Jump, row) for rack, row in rows.items()})
    with contextlib.suppress(ColdplateError):
        row = state.read_json(BILLING)
        if row is not None:
            worker.recall_billing(from_plain(Billing, row))


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
        state.write_json(SWINGS, {rack: to_plain(jump) for rack, jump in worker.state.jumps.items()})
        state.write_json(BILLING, worker.state.billing)
    except (OSError, ColdplateError) as error:
        log.warning("the model is not kept: %s", error)
