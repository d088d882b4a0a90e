"""The heat balances' baselines, learned when the plant was commissioned: kept over a restart, forgotten when asked."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from collector.balance_watch import BalanceWatch
from plant.clock import Clock, ScaledClock
from plant.errors import ColdplateError
from plant.intents import Answer, Intent, IntentKind
from store.audit import AuditLog
from store.state import StateDir

log = logging.getLogger("coldplate.edge")
FILE = "balances.json"
KEPT_EVERY_S = 600.0
Intents = Callable[[Intent], Awaitable[Answer]]


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


def recalibrating(balances: BalanceWatch, state: StateDir, audit: AuditLog, clock: Clock, others: Intents) -> Intents:
    """What takes RECALIBRATED, and hands every other intent on."""

    async def take(intent: Intent) -> Answer:
        if intent.kind is not IntentKind.RECALIBRATED:
            return await others(intent)
        known = balances.recalibrated(intent.equipment)
        await asyncio.to_thread(_write, balances, state)
        told = "are learned anew" if known else "are not weighed: it is in no balance of this site"
        answer = Answer(accepted=known, text=f"the heat and flow balances of {intent.equipment} {told}")
        with contextlib.suppress(OSError, ColdplateError):
            detail: dict[str, str | float | int | bool | None] = {"accepted": known, "reason": intent.reason}
            audit.append(clock.now(), intent.actor, f"intent:{intent.kind}", intent.equipment, detail)
        return answer

    return take


def _write(balances: BalanceWatch, state: StateDir) -> None:
    try:
        state.write_json(FILE, balances.state())
    except (OSError, ColdplateError) as error:
        log.warning("balances not kept: %s", error)
