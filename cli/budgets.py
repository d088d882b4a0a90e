"""Where power budgets come in: from operators and the grid over the bus, from the controller when cooling fails."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable

from alarms.board import ConditionBoard
from controller.inputs import rack_power
from placement.budgets import BudgetState, conditions, in_force, shares, states
from plant.budgets import Budget, BudgetEnd, BudgetSource
from plant.clock import Clock
from plant.errors import ColdplateError, StaleError
from plant.intents import Answer
from plant.live import LiveTable
from plant.records import ShedRequest
from plant.topology import Site
from store.audit import AuditLog
from store.bus import BusServer
from store.codec import from_plain, to_plain
from store.state import StateDir

log = logging.getLogger("coldplate.budgets")

KEPT = "budgets.json"
LOOK_REAL_S = 1.0
MOST_BUDGETS = 500
WORTH_AUDIT = 0.01
"""A controller's budget that moves by less than this share is no news for the audit."""

_Key = tuple[str, BudgetSource]


class BudgetDesk:
    """The budgets in force; remembered over restarts, told on the bus, each change audited, each end watched for."""

    def __init__(
        self, site: Site, clock: Clock, state: StateDir, audit: AuditLog, board: ConditionBoard, live: LiveTable
    ) -> None:
        self._site, self._clock, self._state, self._audit, self._board = site, clock, state, audit, board
        self._live = live
        self._bus: BusServer | None = None
        self._budgets = self._remembered()

    def _remembered(self) -> dict[_Key, Budget]:
        try:
            kept = from_plain(list[Budget], self._state.read_json(KEPT) or [])
            return {(b.scope, b.source): b for b in kept if shares(self._site, b.scope)}
        except ColdplateError as error:
            log.warning("budgets of the last run are not used: %s", error)
            return {}

    def budgets(self) -> list[Budget]:
        """Those in force now."""
        return in_force(self._budgets.values(), self._clock.now())

    async def take(self, told: Budget | BudgetEnd) -> Answer:
        """Set a budget in the place of its source's last one for that scope, or end that one.

        Raises:
            ConfigError: no such scope.
        """
        return await (self._set(told) if isinstance(told, Budget) else self._end(told))

    async def _set(self, budget: Budget) -> Answer:
        shares(self._site, budget.scope)
        late_s = self._clock.now() - budget.until_s
        if not late_s < 0:  # also where it is no number
            return Answer(accepted=False, text=f"until lies {late_s:.0f} s in the past of the site's clock")
        if self._key(budget) not in self._budgets and len(self._budgets) >= MOST_BUDGETS:
            return Answer(accepted=False, text=f"{MOST_BUDGETS} budgets are set already; end some of them")
        self._note("budget", budget, budget.power_w)
        self._budgets[self._key(budget)] = budget
        await self._changed()
        return Answer(accepted=True, text=self._words(budget))

    def _words(self, budget: Budget) -> str:
        own = next(s for s in self._states() if s.budget == budget)
        text = f"{budget.scope} may draw {budget.power_w / 1e3:.1f} kW for {budget.until_s - budget.at_s:.0f} s"
        if own.over_w > 0:
            text += f"; {own.over_w / 1e3:.1f} kW beyond it run already and go on, nothing new starts"
        return text if own.counts else f"{text}; another budget allows less"

    async def _end(self, end: BudgetEnd) -> Answer:
        ended = self._budgets.pop((end.scope, end.source), None)
        if ended is None:
            return Answer(accepted=False, text=f"there is no budget of {end.source} for {end.scope}")
        self._note("budget-end", end, ended.power_w)
        await self._changed()
        return Answer(accepted=True, text=f"the budget of {end.source} for {end.scope} has ended")

    async def follow(self, sheds: Iterable[ShedRequest]) -> None:
        """Hold what the controller's loops ask for as budgets of theirs, and end those that are no longer asked for."""
        wanted = {shed.loop: _of_controller(shed) for shed in sheds}
        held = {b.scope: b for b in self._budgets.values() if b.source is BudgetSource.CONTROLLER}
        for budget in wanted.values():
            before = held.get(budget.scope)
            if before is None or abs(budget.power_w - before.power_w) > WORTH_AUDIT * before.power_w:
                self._note("budget", budget, budget.power_w)
            self._budgets[self._key(budget)] = budget
        for scope in held.keys() - wanted.keys():
            self._over(self._budgets.pop((scope, BudgetSource.CONTROLLER)), "cooling has reserve again")
        if wanted or held:
            await self._changed()

    async def run(self, bus: BusServer) -> None:
        """Tell what is set, end what is over, and watch what runs beyond it; runs until cancelled."""
        self._bus = bus
        await self._tell()
        while True:
            await self._expire()
            self._board.publish("budgets", conditions(self._states(), self._clock.now()))
            await asyncio.sleep(LOOK_REAL_S)

    async def _expire(self) -> None:
        ended = [b for b in self._budgets.values() if b.until_s <= self._clock.now()]
        for budget in ended:
            self._over(self._budgets.pop(self._key(budget)), "its time is over")
        if ended:
            await self._changed()

    def _states(self) -> list[BudgetState]:
        snapshot, power_w = self._live.snapshot(), dict[str, float | None]()
        for rack in self._site.of_kind("rack"):
            with contextlib.suppress(StaleError):
                power_w[rack.id] = rack_power(self._site, snapshot, rack.id)
        return states(self._site, self._budgets.values(), power_w, self._clock.now())

    def _over(self, budget: Budget, why: str) -> None:
        now_s = self._clock.now()
        end = BudgetEnd(scope=budget.scope, source=budget.source, actor="coldplate", reason=why, at_s=now_s)
        self._note("budget-end", end, budget.power_w)

    def _note(self, action: str, told: Budget | BudgetEnd, power_w: float) -> None:
        # A full disk must not keep a budget from being held: it only ever takes power away
        with contextlib.suppress(OSError, ColdplateError):
            detail: dict[str, str | float | int | bool | None] = {"source": str(told.source), "reason": told.reason}
            detail["power_kw"] = round(power_w / 1e3, 1)
            if isinstance(told, Budget):
                detail["until_s"] = told.until_s
            self._audit.append(self._clock.now(), told.actor, action, told.scope, detail)

    async def _changed(self) -> None:
        try:
            self._state.write_json(KEPT, to_plain(list(self._budgets.values())))
        except (OSError, ColdplateError) as error:
            log.warning("budgets not kept: %s", error)
        await self._tell()

    async def _tell(self) -> None:
        if self._bus is not None:
            await self._bus.publish("budgets", self.budgets())

    @staticmethod
    def _key(budget: Budget) -> _Key:
        return budget.scope, budget.source


def _of_controller(shed: ShedRequest) -> Budget:
    return Budget(
        scope=shed.loop,
        power_w=min(shed.bearable_w, shed.it_w),  # nothing more starts, also where it would be borne for now
        source=BudgetSource.CONTROLLER,
        actor="coldplate",
        reason=shed.reason.text,
        at_s=shed.at_s,
        until_s=shed.expires_s,
    )
