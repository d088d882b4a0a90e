"""The control cycle: snapshot → step → leases asked for; and what operators want, at once.

The step runs in a child process with a deadline, so that an optimiser that hangs stops neither *all to default*
nor a manual hold: then nothing renews its leases, and the devices go back to their defaults by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace

from actuator.actuator import Actuator
from alarms.board import ConditionBoard
from cli import mode_memory
from cli.commissioned import highest_of_loop, too_high
from cli.switchback import Switchback
from cli.warm import past_heat, past_peak
from controller import letting_go
from controller.asking import leases_to_ask, setpoints_to_ask
from controller.modes import DRIVING, apply_intent, expire, initial_modes
from controller.step import StepResult
from controller.worker import StepWorker
from plant.clock import Clock
from plant.errors import ColdplateError
from plant.intents import Answer, Intent, IntentKind, Mode, ModeState
from plant.live import LiveTable
from plant.points import PointId
from plant.ports import Store
from plant.records import JobOutlook, Plan, ShedRequest
from plant.topology import Site
from store.audit import AuditLog
from store.bus import BusServer
from store.codec import to_plain
from store.commissioning import read_commissioning, rung_of
from store.state import StateDir

log = logging.getLogger("coldplate.control")

CYCLE_S = 60.0
LEASE_TTL_S = 180.0
HOLD_RENEW_S = 30.0
CLOCK_SET_S = 2.0
"""Time of day and steady clock apart by so much more than before: somebody set the clock [s]."""


class Control:
    """Modes, plans and leases of one site."""

    def __init__(
        self,
        site: Site,
        clock: Clock,
        state: StateDir,
        live: LiveTable,
        actuator: Actuator,
        worker: StepWorker,
        audit: AuditLog,
        board: ConditionBoard,
        highest: Mapping[str, Mode],
        epoch: int,
        outlook: Callable[[], tuple[JobOutlook, ...]],
        on_shed: Callable[[tuple[ShedRequest, ...]], Awaitable[None]],
        switchback: Switchback | None = None,
    ) -> None:
        self._site, self._clock, self._state, self._live = site, clock, state, live
        self._actuator, self._worker, self._audit, self._board = actuator, worker, audit, board
        self._epoch, self._seq, self._ahead_s = epoch, 1, clock.now() - clock.monotonic()
        self._highest, self._outlook, self._on_shed = highest, outlook, on_shed
        self._groups = frozenset(g.id for g in site.groups.values() if self._commissioned(g.id))
        self._modes = self._remembered()
        self._plans: dict[str, Plan] = {}
        self._given_back: frozenset[str] = frozenset()
        self._watch = letting_go.Watch()
        self._switchback = switchback
        self._bus: BusServer | None = None
        self._store: Store | None = None

    def _commissioned(self, group: str) -> bool:
        commands = self._site.groups[group].commands.values()
        return self._site.groups[group].drivable and all(p.partition("/")[0] in self._highest for p in commands)

    def _remembered(self) -> dict[str, ModeState]:
        """Modes as they were left, as far as they may still be."""
        fresh = initial_modes(self._site, self._start_auto(), self._clock.now())
        return mode_memory.recalled(self._state, fresh, self._allowed)

    def _allowed(self, loop: str, mode: Mode) -> bool:
        most = highest_of_loop(self._site, loop, self._highest)
        return loop in self._groups and rung_of(mode) <= rung_of(most)

    def _start_auto(self) -> bool:
        return read_commissioning(self._state).start_auto and bool(self._groups)

    def publish_to(self, bus: BusServer, store: Store) -> None:
        """Where plans, forecasts and modes go."""
        self._bus, self._store = bus, store

    async def intent(self, intent: Intent) -> Answer:
        """Do what an operator wants, or say why not."""
        plans, now = self._plans.values(), self._clock.now()
        modes, answer = apply_intent(self._modes, intent, self._site, plans, self._groups, now)
        beyond = too_high(self._site, intent, self._highest)
        if answer.accepted and beyond:
            modes, answer = dict(self._modes), Answer(accepted=False, text=beyond)
        self._audit_intent(intent, answer)
        if not answer.accepted:
            return answer
        let_go = [loop for loop in modes if modes[loop].mode not in DRIVING and modes[loop] != self._modes[loop]]
        changed = [loop for loop in modes if loop in self._groups and modes[loop] != self._modes[loop]]
        self._modes = modes
        self._actuator.outdate(self._points(changed))
        if intent.kind is IntentKind.ALL_TO_DEFAULT:
            done = await self._actuator.relinquish(None, intent.actor, intent.reason)
            answer = answer if done.accepted else replace(answer, text=f"{answer.text}; {done.text}")
        elif intent.kind in {IntentKind.CONFIRM, IntentKind.HOLD}:
            refused = await self._ask(intent.loop)
            answer = replace(answer, text=f"{answer.text}; not now: {refused}") if refused else answer
        elif let_go:
            await self._actuator.relinquish(self._points(let_go), intent.actor, intent.reason)
        self._keep_modes()
        await self._publish("modes", list(self._modes.values()))
        return answer

    def _audit_intent(self, intent: Intent, answer: Answer) -> None:
        # A full disk must not stand between a person and all-to-default
        with contextlib.suppress(OSError, ColdplateError):
            detail: dict[str, str | float | int | bool | None] = {"accepted": answer.accepted, "answer": answer.text}
            detail["reason"] = intent.reason
            self._audit.append(self._clock.now(), intent.actor, f"intent:{intent.kind}", intent.loop or "all", detail)

    def _keep_modes(self) -> None:
        try:
            mode_memory.keep(self._state, self._modes)
        except (OSError, ColdplateError) as error:
            log.warning("modes not kept: %s", error)

    def _points(self, loops: Iterable[str]) -> tuple[PointId, ...]:
        return tuple(p for loop in loops for p in self._site.groups[loop].commands.values())

    async def run(self) -> None:
        """A cycle a minute of site time."""
        await self._warm_start()
        await self._publish("modes", list(self._modes.values()))
        while True:
            began = self._clock.monotonic()
            await self.cycle()
            spent = self._clock.monotonic() - began
            await asyncio.sleep(self._clock.real(max(0.0, CYCLE_S - spent)))

    async def _warm_start(self) -> None:
        """Give the controller the last hours' heat and the month's peak, as far as the store remembers them."""
        assert self._store is not None
        with contextlib.suppress(ColdplateError):
            self._worker.seed_history(await past_heat(self._site, self._store, self._clock.now()))
        with contextlib.suppress(ColdplateError):
            peak = await past_peak(self._site, self._store, self._clock.now())
            if peak is not None:
                self._worker.recall_billing(peak)

    async def cycle(self) -> None:
        """One cycle: what is known now, the plans made of it, and the leases that modes let them ask for."""
        await self._expire_modes()
        snapshot = self._live.snapshot()
        result = await self._worker.run(snapshot, self._outlook(), self._clock.now())
        self._board.publish("worker", self._worker.conditions())
        await self._let_go(result)
        if self._switchback is not None:
            taking_part = {loop: mode for loop, mode in self._modes.items() if loop in self._groups}
            result = self._switchback.drive(result, snapshot, taking_part)
            self._worker.state = result.state if result is not None else self._worker.state
            await self._publish("switchback", self._switchback.state())
        if result is None:
            self._plans = {}  # an old plan must be neither renewed nor confirmed
            return
        self._plans = {plan.loop: plan for plan in result.plans}
        await self._give_back(result.let_go)
        self._board.publish("controller", list(result.conditions))
        for loop in self._plans:
            await self._ask(loop)
        await self._tell(result)

    async def _let_go(self, result: StepResult | None) -> None:
        """Keep away, until a person acknowledges it, from loops whose cause does not pass by itself."""
        now_s = self._clock.now()
        driven = [m.loop for m in self._modes.values() if m.mode in DRIVING and m.loop in self._groups and not m.let_go]
        self._watch = letting_go.watched(self._watch, result, driven, now_s)
        found = letting_go.causes(self._watch, result, driven, now_s)
        if found:
            self._modes = {m.loop: m for m in self._modes.values()} | {
                loop: letting_go.let_go(self._modes[loop], cause, now_s) for loop, cause in found.items()
            }
            self._keep_modes()
            await self._publish("modes", list(self._modes.values()))
        self._board.publish("let-go", letting_go.conditions(self._modes))
        for loop, cause in found.items():
            self._audit_let_go(loop, cause)
            if self._modes[loop].mode is not Mode.HOLD:
                await self._actuator.relinquish(self._points([loop]), "coldplate", cause.replace("_", " "))

    def _audit_let_go(self, loop: str, cause: str) -> None:
        with contextlib.suppress(OSError, ColdplateError):
            self._audit.append(self._clock.now(), "coldplate", "let_go", loop, {"cause": cause})

    async def _give_back(self, loops: Mapping[str, str]) -> None:
        """Let go of loops at once, once each time; what a person holds by hand stays theirs."""
        for loop in loops.keys() - self._given_back:
            mode = self._modes[loop]
            if mode.mode in DRIVING and mode.mode is not Mode.HOLD and not mode.let_go:
                await self._actuator.relinquish(self._points([loop]), "coldplate", loops[loop].replace("_", " "))
        self._given_back = frozenset(loops)

    def _follow_clock(self) -> None:
        """Where the clock was set, holds end when they would have."""
        ahead_s = self._clock.now() - self._clock.monotonic()
        if abs(ahead_s - self._ahead_s) >= CLOCK_SET_S:
            self._modes = mode_memory.holds_moved(self._modes, ahead_s - self._ahead_s)
            self._ahead_s = ahead_s

    async def _expire_modes(self) -> None:
        self._follow_clock()
        modes = expire(self._modes, self._clock.now())
        ended = [loop for loop in modes if modes[loop] != self._modes[loop]]
        if ended:
            self._modes = modes
            await self._actuator.relinquish(self._points(ended), "coldplate", "manual hold expired")
            self._keep_modes()
            await self._publish("modes", list(self._modes.values()))

    async def _ask(self, loop: str) -> str:
        """Ask for what a loop's mode lets it ask for: nothing in advisory, a person's values in hold.

        Gives why the first that was refused was; ends where the mode changes meanwhile.
        """
        mode, plan = self._modes[loop], self._plans.get(loop)
        if mode.mode not in DRIVING or loop not in self._groups:
            return ""
        left_s = LEASE_TTL_S if mode.expires_s is None else mode.expires_s - self._clock.now()
        setpoints = setpoints_to_ask(plan, mode) if left_s > 0 else ()
        leases = leases_to_ask(
            setpoints,
            mode,
            self._clock,
            epoch=self._epoch,
            first_seq=self._seq,
            ttl_s=min(LEASE_TTL_S, left_s),
            why=plan.reason.text if plan else "",
        )
        self._seq += len(leases)
        refused = ""
        for lease in leases:
            if self._modes[loop] is not mode:
                break
            planned = plan is not None and lease.reason == plan.reason.text
            answer = await self._actuator.request(replace(lease, why=plan.reason) if plan and planned else lease)
            refused = refused or ("" if answer.accepted else answer.text)
        return refused

    async def run_holds(self) -> None:
        """Renew what people hold by hand, apart from the optimiser."""
        while True:
            for loop in [m.loop for m in self._modes.values() if m.mode is Mode.HOLD]:
                await self._ask(loop)
            await asyncio.sleep(self._clock.real(HOLD_RENEW_S))

    async def _tell(self, result: StepResult) -> None:
        await self._publish("forecast", result.forecast)
        await self._publish("plans", list(result.plans))
        await self._publish("headroom", list(result.headrooms))
        await self._publish("ride_through", list(result.ride_throughs))
        await self._publish("model", list(result.parameters))
        await self._publish("shed", list(result.shed))
        await self._on_shed(result.shed)
        assert self._store is not None
        with contextlib.suppress(ColdplateError):
            for plan in result.plans:
                await self._store.append("plan", plan.loop, plan.made_s, to_plain(plan))

    async def _publish(self, kind: str, body: object) -> None:
        if self._bus is not None:
            await self._bus.publish(kind, body)
