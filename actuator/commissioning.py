"""Commissioning of one device: point-to-point checkout, a small step, and what happens when the heartbeats stop.

Everything goes through the same actuator and guard that drive later. However it ends, the device is let go.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from actuator.actuator import Actuator
from actuator.checkout import Check, Checkout, Instrument, apart, design_of, look
from actuator.drives import setpoints_of
from actuator.ledger import Audit
from actuator.watch import REMOTE, effective_point, mode_point, switched_within_s, tolerance, witness
from plant.clock import Clock
from plant.errors import ColdplateError
from plant.leases import Lease
from plant.live import LiveTable
from plant.points import PointId
from plant.samples import SampleBatch
from plant.topology import Site

STEP_SHARE = 0.5
"""The step of the step test, as a share of the longest that the envelope allows."""
FOLLOW_S = 300.0
RESPOND_S = 900.0
RETURN_S = 3600.0
LEAST_RESPONSE = 0.4
"""Share of the step that the measured quantity must make, where it kept to its setpoint before."""
LOOKS_PER_TIMEOUT = 12
LEAST_REAL_WAIT_S = 0.05

Ask = Callable[[str], bool]


class Commissioning:
    """One drive of a device, from the first look to letting go. `checks` is what the record will say."""

    def __init__(
        self, site: Site, drive: str, link: Instrument, clock: Clock, audit: Audit, epoch: int, *, person: str
    ) -> None:
        self._site, self._name, self._link, self._clock, self._epoch = site, drive, link, clock, epoch
        self._person, self._drive = person, site.drives[drive]
        self._equipment = equipment = self._drive.equipment
        self._points = [p.id for p in site.points_of(equipment)]
        self._setpoints = setpoints_of(site, self._drive)
        self._live = LiveTable(site.points.values(), clock)
        self._actuator = Actuator(site, {drive: link}, self._live, clock, audit, epoch, frozenset({equipment}))
        self._seq = 0
        self._stage = "checkout"
        self._moved: dict[PointId, float] = {}
        self.checks: list[Check] = []

    @property
    def passed(self) -> bool:
        """Whether every test was made and nothing failed."""
        made = {check.kind for check in self.checks}
        return made == {"checkout", "step", "failsafe", "release"} and all(check.ok for check in self.checks)

    @property
    def failed(self) -> str:
        """The first thing that failed, as `kind subject: text`; empty if nothing did."""
        wrong = next((check for check in self.checks if not check.ok), None)
        return f"{wrong.kind} {wrong.subject}: {wrong.text}" if wrong else ""

    async def run(self, ask: Ask) -> bool:
        """All tests in order, each begun only if the one before passed and the person says yes."""
        await Checkout(self._site, self._name, self._link, self._note).run()
        if not self._sound():
            return False
        try:
            await self._moves(ask)
        except ColdplateError as error:
            self._note(self._stage, self._equipment, False, str(error))
        finally:
            await asyncio.shield(self._release())
        return self.passed

    async def _moves(self, ask: Ask) -> None:
        name, timeout_s = self._equipment, self._drive.timeout_s
        self._stage = "step"
        stepped = [p for p in self._setpoints if not self._is_switch(p)]
        if stepped and not ask(f"{name}: move {', '.join(stepped)} by a small step?"):
            return
        await self._steps(ask)
        if not self._sound() or not ask(f"{name}: stop the heartbeats and wait {timeout_s:.0f} s for its default?"):
            return
        self._stage = "failsafe"
        await self._failsafe()

    def _is_switch(self, point: PointId) -> bool:
        return self._site.envelopes[point].min_off_s is not None

    def _sound(self) -> bool:
        return all(check.ok for check in self.checks)

    def _note(self, kind: str, subject: str, ok: bool, text: str, **figures: float) -> None:
        finite = {name: value for name, value in figures.items() if math.isfinite(value)}
        self.checks.append(Check(kind=kind, subject=subject, ok=ok, text=text, figures=finite))

    # looking

    async def _look(self, point: PointId) -> float:
        return await look(self._link, point)

    async def _poll(self) -> None:
        """Every point of the device into the live table, as a collector would."""
        now_s = self._clock.now()
        rows = [(p, now_s, now_s, v, 0) for p in self._watched() if math.isfinite(v := await self._look(p))]
        self._live.update(SampleBatch.of(rows))

    def _watched(self) -> list[PointId]:
        e = self._equipment
        names = [*self._setpoints, *map(effective_point, self._setpoints), f"{e}/control_source"]
        names += [shown for p in self._setpoints if (shown := witness(self._site, p))]
        for point in self._setpoints:
            envelope = self._site.envelopes[point]
            names += [p for p in (*envelope.inputs, *envelope.dew_point_points) if p.rpartition("/")[0] == e]
        return [p for p in dict.fromkeys(names) if p in self._points]

    async def _pass(self) -> None:
        await asyncio.sleep(max(self._clock.real(self._drive.timeout_s / LOOKS_PER_TIMEOUT), LEAST_REAL_WAIT_S))

    # step

    async def _steps(self, ask: Ask) -> None:
        await self._poll()
        for point in self._setpoints:
            await (self._switch(point, ask) if self._is_switch(point) else self._step(point))
            if not self._sound():
                return

    async def _step(self, point: PointId) -> None:
        """One setpoint by half a step of its envelope: first what the device says, then what the plant does."""
        envelope, start = self._site.envelopes[point], await self._followed(point)
        if not math.isfinite(start):
            self._note("step", point, False, "does not say which setpoint it follows, so it is not moved")
            return
        step = max(STEP_SHARE * envelope.max_step, min(2.0 * apart(self._site, point), envelope.max_step))
        target = start + step if start + step <= envelope.maximum else start - step
        shown = witness(self._site, point)
        before = await self._look(shown) if shown else math.nan
        if shown and not math.isfinite(before):
            self._note("step", shown, False, "can't be read, so nothing would show whether the plant follows")
            return
        if not await self._follows(point, target) or not shown:
            return
        if abs(before - start) <= step:
            await self._response(point, shown, before, target - start)
        else:
            self._note("step", shown, True, f"not judged: it was {before:g} where {start:g} was asked", before=before)

    async def _follows(self, point: PointId, target: float) -> bool:
        """Ask, and wait until the device says that it follows."""
        began_s, start = self._clock.monotonic(), await self._followed(point)
        answer = await self._ask(point, target)
        if answer:
            self._note("step", point, False, answer, start=start, target=target)
            return False
        self._moved[point] = target
        while not abs(await self._followed(point) - target) <= apart(self._site, point):  # NaN: no
            if self._clock.monotonic() - began_s > FOLLOW_S or not await self._held():
                text = f"was told {target:g}, follows {await self._followed(point):g} after {FOLLOW_S:.0f} s"
                self._note("step", point, False, text, start=start, target=target)
                return False
        took_s = self._clock.monotonic() - began_s
        text = f"from {start:g} to {target:g} in {took_s:.0f} s"
        self._note("step", point, True, text, start=start, target=target, took_s=took_s)
        return True

    async def _switch(self, point: PointId, ask: Ask) -> None:
        """A unit is started or stopped where the person says so: first what its switch says, then whether it runs."""
        start = await self._followed(point)
        if not math.isfinite(start):
            self._note("step", point, False, "does not say whether it may run, so it is not switched")
            return
        on = start < 0.5
        change = "start it; it may not run now" if on else "stop it; others have to carry its load"
        if not ask(f"{self._equipment}: {change}?"):
            await self._hold_switch(point, start)
            return
        if not await self._follows(point, float(on)):
            return
        shown, wait_s = f"{self._equipment}/running", switched_within_s(self._site, point, on=on)
        if shown in self._points and wait_s > 0:
            await self._runs(point, shown, FOLLOW_S + wait_s, on=on)

    async def _runs(self, point: PointId, shown: PointId, wait_s: float, *, on: bool) -> None:
        began_s = self._clock.monotonic()
        while await self._look(shown) != float(on):
            if self._clock.monotonic() - began_s > wait_s or not await self._held(point):
                text = (
                    f"reads {await self._look(shown):g} {wait_s:.0f} s after it was told to {'run' if on else 'stand'}"
                )
                self._note("step", shown, False, text)
                return
        took_s = self._clock.monotonic() - began_s
        self._note("step", shown, True, f"{'runs' if on else 'stands'} after {took_s:.0f} s", took_s=took_s)

    async def _hold_switch(self, point: PointId, start: float) -> None:
        answer = await self._ask(point, start)
        text = answer or f"held at {start:g} as it is; nobody agreed to start or stop the unit"
        self._note("step", point, not answer, text, start=start)

    async def _response(self, point: PointId, shown: PointId, before: float, step: float) -> None:
        """The plant's own witness: only this finds a profile that is wrong in the same way about every register."""
        began_s = self._clock.monotonic()
        found = before
        while not (found - before) / step >= LEAST_RESPONSE:  # NaN: no
            if self._clock.monotonic() - began_s > RESPOND_S or not await self._held(point):
                text = f"{shown} went from {before:g} to {found:g} in {RESPOND_S:.0f} s; {step:g} was asked"
                self._note("step", shown, False, text, before=before, found=found)
                return
            found = await self._look(shown)
        took_s = self._clock.monotonic() - began_s
        self._note("step", shown, True, f"from {before:g} to {found:g} in {took_s:.0f} s", before=before, found=found)

    async def _followed(self, point: PointId) -> float:
        shown = effective_point(point)
        return await (self._look(shown) if shown in self._points else self._link.read_back(point))

    async def _ask(self, point: PointId, value: float) -> str:
        """Why a setpoint was refused; empty if it is held."""
        self._seq += 1
        lease = Lease(
            point=point, value=value, epoch=self._epoch, seq=self._seq, issued_s=self._clock.now(),
            issued_mono_s=self._clock.monotonic(), ttl_s=20 * self._drive.timeout_s,
            holder=f"operator:{self._person}", reason="commissioning",
        )  # fmt: skip
        await self._poll()
        answer = await self._actuator.request(lease)
        return "" if answer.accepted else answer.text

    async def _held(self, point: PointId = "") -> bool:
        """Time passes with heartbeats; False when the actuator had to let go."""
        await self._pass()
        await self._poll()
        await self._actuator.tick()
        held = {lease.point for lease in self._actuator.state().leases}
        return held >= set(self._moved) and (not point or point in held)

    # failsafe

    async def _failsafe(self) -> None:
        """No more heartbeats: the device must let go by itself, within its timeout, and arrive at its default."""
        timeout_s = self._drive.timeout_s
        self._link.fall_silent()
        beat_s = self._actuator.last_beat_mono_s(self._name)
        limit_s = timeout_s * (1 + 2 / LOOKS_PER_TIMEOUT) + 2.0 / max(self._clock.real(1.0), 1e-3)
        while (remote := await self._remote()) is not False:
            if self._clock.monotonic() - beat_s > limit_s:
                found = "is remote still" if remote else "does not say whether it is remote"
                text = f"{found}, {limit_s:.0f} s after its last heartbeat; its timeout is {timeout_s:g} s"
                self._note("failsafe", self._equipment, False, text, timeout_s=timeout_s)
                return
            await self._pass()
        took_s = self._clock.monotonic() - beat_s
        text = f"let go {took_s:.0f} s after its last heartbeat"
        self._note("failsafe", self._equipment, True, text, took_s=took_s, timeout_s=timeout_s)
        for point in self._moved:
            if self._is_switch(point):  # what it falls back to is its own sequence, which may start it or not
                text = f"its own sequence has it, and says {await self._followed(point):g}"
                self._note("failsafe", point, True, text)
            else:
                await self._returns(point, beat_s)

    async def _remote(self) -> bool | None:
        """As the device says; one that does not say is remote as long as it follows what it was told.

        None: it does not answer, or only a switch was held where it was; and silence does not show that it let go.
        """
        shown = mode_point(self._site, self._drive)
        if shown:
            source = await self._look(shown)
            return source == REMOTE if math.isfinite(source) else None
        off = [abs(await self._followed(p) - v) / tolerance(self._site, p) for p, v in self._moved.items()]
        return any(o <= 1.5 for o in off) if off and all(map(math.isfinite, off)) else None

    async def _returns(self, point: PointId, beat_s: float) -> None:
        name = f"{self._equipment}/default_{point.rpartition('/')[2]}"
        default = await self._look(name) if name in self._points else design_of(self._site, point)
        while not abs(await self._followed(point) - default) <= apart(self._site, point):
            if self._clock.monotonic() - beat_s > RETURN_S:
                text = f"follows {await self._followed(point):g} after {RETURN_S:.0f} s, its default is {default:g}"
                self._note("failsafe", point, False, text, default=default)
                return
            await self._pass()
        took_s = self._clock.monotonic() - beat_s
        self._note("failsafe", point, True, f"at its default {default:g} after {took_s:.0f} s", took_s=took_s)

    # letting go

    async def _release(self) -> None:
        answer = await self._actuator.relinquish(None, f"operator:{self._person}", "commissioning ends")
        await self._pass()
        still = bool(mode_point(self._site, self._drive)) and await self._remote() is True
        text = "is remote still" if still else answer.text
        self._note("release", self._equipment, answer.accepted and not still, text)
