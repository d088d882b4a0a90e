"""Keeps the heat balances' baselines over a restart: what was learned when the plant was commissioned."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from collector.balance_watch import BalanceWatch
from plant.clock import ScaledClock
from plant.errors import ColdplateError
from store.state import StateDir

log = logging.getLogger("coldplate.edge")
FILE = "balances.json"
KEPT_EVERY_S = 600.0


async def keep_baselines(balances: BalanceWatch, state: StateDir, clock: ScaledClock) -> None:
    """Take what is kept, then write what is learned every ten minutes of site time, and once more at the end."""
    with contextlib.suppress(ColdplateError):
        kept = state.read_json(FILE)
        if isinstance(kept, dict):
            balances.restore(kept)
    try:
        while True:
            await asyncio.sleep(max(1.0, clock.real(KEPT_EVERY_S)))
            _write(balances, state)
    finally:
        _write(balances, state)


def _write(balances: BalanceWatch, state: StateDir) -> None:
    try:
        state.write_json(FILE, balances.state())
    except (OSError, ColdplateError) as error:
        log.warning("balances not kept: %s", error)
