"""Where outcomes of hints come in: kept over restarts, in the audit, told on the bus."""

from __future__ import annotations

import contextlib
import logging

from plant.clock import Clock
from plant.errors import ColdplateError
from plant.intents import Answer
from plant.outcomes import HintOutcome, Outcomes, with_outcome
from store.audit import AuditLog
from store.bus import BusServer
from store.codec import from_plain, to_plain
from store.state import StateDir

log = logging.getLogger("coldplate.outcomes")
KEPT = "outcomes.json"


class OutcomeDesk:
    """The totals of all outcomes and the newest of them."""

    def __init__(self, clock: Clock, state: StateDir, audit: AuditLog) -> None:
        self._clock, self._state, self._audit = clock, state, audit
        self._bus: BusServer | None = None
        self.outcomes = self._remembered()

    def _remembered(self) -> Outcomes:
        try:
            kept = self._state.read_json(KEPT)
            return from_plain(Outcomes, kept) if kept else Outcomes()
        except ColdplateError as error:
            log.warning("outcomes of the last run are not used: %s", error)
            return Outcomes()

    async def take(self, told: HintOutcome) -> Answer:
        """Count it."""
        self.outcomes = with_outcome(self.outcomes, told)
        # A full disk must not keep a scheduler from going on
        with contextlib.suppress(OSError, ColdplateError):
            detail: dict[str, str | float | int | bool | None] = {"followed": told.followed, "note": told.note}
            detail |= {"nodes": told.nodes, "hinted": told.hinted}
            self._audit.append(self._clock.now(), told.actor, "hint-outcome", told.hint, detail)
        try:
            self._state.write_json(KEPT, to_plain(self.outcomes))
        except (OSError, ColdplateError) as error:
            log.warning("outcomes not kept: %s", error)
        await self._tell()
        return Answer(accepted=True, text=f"{self.outcomes.totals.told} outcomes are known")

    async def start(self, bus: BusServer) -> None:
        """Tell what is known, and from now on every change."""
        self._bus = bus
        await self._tell()

    async def _tell(self) -> None:
        if self._bus is not None:
            await self._bus.publish("outcomes", self.outcomes)
