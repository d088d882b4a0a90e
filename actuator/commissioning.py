"""Commissioning of one device: point-to-point checkout, a small step, and what happens when the heartbeats stop.

Everything goes through the same actuator and guard that drive later. However it ends, the device is let go.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from actuator.actuator import Actuator, setpoints_of
from actuator.guard import guard_register
from actuator.ledger import Audit
from actuator.watch import REMOTE, effective_point, mode_point, tolerance
from plant.clock import Clock
from plant.errors import ColdplateError
from plant.leases import Envelope, Lease
from plant.live import LiveTable
from plant.points import PointId
from plant.ports import DeviceLink
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

MEASURED = {
    "supply_temperature_setpoint": "tcs_supply_temperature",
    "bms_supply_temperature_setpoint": "bms_tcs_supply_temperature",
    "differential_pressure_setpoint": "tcs_differential_pressure",
    "leaving_temperature_setpoint": "leaving_temperature",
}
"""Where the plant shows that a setpoint is followed."""

Ask = Callable[[str], bool]


class Instrument(DeviceLink, Protocol):
    """A device's hands that can also look at every point of its profile."""

    async def look(self, point: PointId) -> float:
        """Any numeric point now [SI]. Raises: RefusedError, SilentError."""
        ...

    def fall_silent(self) -> None:
        """Say nothing by itself from now on, as if this process were gone, until the next write."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at. kind: checkout | step | failsafe | release; figures in SI and seconds."""

    kind: str
    subject: str
    ok: bool
    text: str
    figures: dict[str, float] = field(default_factory=dict)


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
        await self._checkout()
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
        if not ask(f"{name}: move {', '.join(self._setpoints)} by a small step?"):
            return
        await self._steps()
        if not self._sound() or not ask(f"{name}: stop the heartbeats and wait {timeout_s:.0f} s for its default?"):
            return
        self._stage = "failsafe"
        await self._failsafe()

    def _sound(self) -> bool:
        return all(check.ok for check in self.checks)

    def _note(self, kind: str, subject: str, ok: bool, text: str, **figures: float) -> None:
        finite = {name: value for name, value in figures.items() if math.isfinite(value)}
        self.checks.append(Check(kind=kind, subject=subject, ok=ok, text=text, figures=finite))

    # looking

    def _has(self, name: str) -> bool:
        return f"{self._equipment}/{name}" in self._site.points

    async def _look(self, point: PointId) -> float:
        try:
            return await self._link.look(point)
        except ColdplateError:
            return math.nan

    async def _poll(self) -> None:
        """Every point of the device into the live table, as a collector would."""
        now_s = self._clock.now()
        rows = [(p, now_s, now_s, v, 0) for p in self._watched() if math.isfinite(v := await self._look(p))]
        self._live.update(SampleBatch.of(rows))

    def _watched(self) -> list[PointId]:
        e = self._equipment
        names = [*self._setpoints, *map(effective_point, self._setpoints), f"{e}/control_source"]
        names += [f"{e}/{MEASURED[n]}" for p in self._setpoints if (n := p.rpartition("/")[2]) in MEASURED]
        for point in self._setpoints:
            envelope = self._site.envelopes[point]
            names += [p for p in (*envelope.inputs, *envelope.dew_point_points) if p.rpartition("/")[0] == e]
        return [p for p in dict.fromkeys(names) if p in self._points]

    async def _pass(self) -> None:
        await asyncio.sleep(max(self._clock.real(self._drive.timeout_s / LOOKS_PER_TIMEOUT), LEAST_REAL_WAIT_S))

    # checkout

    async def _checkout(self) -> None:
        for point in self._setpoints:
            await self._check_setpoint(point, self._site.envelopes[point])
        for point in filter(None, (self._drive.heartbeat, self._drive.enable, self._drive.owner)):
            try:
                found = await self._link.read_back(point)
                self._note("checkout", point, math.isfinite(found), f"reads {found:g}", found=found)
            except ColdplateError as error:
                self._note("checkout", point, False, str(error))
        await self._check_state()

    async def _check_setpoint(self, point: PointId, envelope: Envelope) -> None:
        unit, within = self._site.points[point].unit, 10 * tolerance(self._site, point)
        try:
            found = await self._link.read_back(point)
        except ColdplateError as error:
            self._note("checkout", point, False, str(error))
            return
        span = f"{envelope.minimum:g} to {envelope.maximum:g} {unit}"
        verdict = guard_register(found, envelope)
        self._note("checkout", point, verdict.allowed, f"reads {found:g} {unit}, allowed {span}", found=found)
        name = point.rpartition("/")[2]
        for other in (f"effective_{name}", f"default_{name}"):
            if self._has(other):
                shown = await self._look(f"{self._equipment}/{other}")
                ok = guard_register(shown, envelope).allowed
                text = f"reads {shown:g} {unit}, allowed {span}"
                self._note("checkout", f"{self._equipment}/{other}", ok, text, found=shown)
        design = self._design(point)
        if self._has(f"default_{name}") and math.isfinite(design):
            default = await self._look(f"{self._equipment}/default_{name}")
            text = f"the device falls back to {default:g} {unit}, the site file says {design:g}"
            ok = abs(default - design) <= within
            self._note("checkout", f"{self._equipment}/default_{name}", ok, text, found=default, design=design)

    def _design(self, point: PointId) -> float:
        """The site file's fallback of a setpoint [SI]; NaN where no group commands it."""
        groups = self._site.groups.values()
        found = [g.design[role] for g in groups for role, command in g.commands.items() if command == point]
        return found[0] if found else math.nan

    async def _check_state(self) -> None:
        e, drive, shown = self._equipment, self._drive, mode_point(self._site, self._drive)
        if shown and self._has("heartbeat_timeout"):
            found = await self._look(f"{e}/heartbeat_timeout")
            text = f"its timeout is {found:g} s, its profile says {drive.timeout_s:g} s"
            self._note("checkout", f"{e}/heartbeat_timeout", abs(found - drive.timeout_s) < 0.5, text, found=found)
        if self._has("control_source"):
            found = await self._look(f"{e}/control_source")
            driven = not math.isfinite(found) or found == REMOTE
            text = "somebody drives it now" if driven else "nobody drives it now"
            self._note("checkout", f"{e}/control_source", not driven, text, found=found)
        if self._has("alarms"):
            found = await self._look(f"{e}/alarms")
            text = "it has no alarm" if found == 0 else f"its alarm register reads {found:g}"
            self._note("checkout", f"{e}/alarms", found == 0, text, found=found)

    # step

    async def _steps(self) -> None:
        await self._poll()
        for point in self._setpoints:
            await self._step(point)
            if not self._sound():
                return

    async def _step(self, point: PointId) -> None:
        """One setpoint by half a step of its envelope: first what the device says, then what the plant does."""
        envelope, within = self._site.envelopes[point], tolerance(self._site, point)
        start = await self._followed(point)
        if not math.isfinite(start):
            self._note("step", point, False, "does not say which setpoint it follows, so it is not moved")
            return
        if envelope.min_off_s is not None:
            await self._hold_switch(point, start)
            return
        step = STEP_SHARE * envelope.max_step
        target = start + step if start + step <= envelope.maximum else start - step
        shown = self._measured(point)
        before = await self._look(shown) if shown else math.nan
        began_s = self._clock.monotonic()
        answer = await self._ask(point, target)
        if answer:
            self._note("step", point, False, answer, start=start, target=target)
            return
        self._moved[point] = target
        while abs(await self._followed(point) - target) > 1.5 * within:
            if self._clock.monotonic() - began_s > FOLLOW_S or not await self._held():
                text = f"was told {target:g}, follows {await self._followed(point):g} after {FOLLOW_S:.0f} s"
                self._note("step", point, False, text, start=start, target=target)
                return
        took_s = self._clock.monotonic() - began_s
        text = f"from {start:g} to {target:g} in {took_s:.0f} s"
        self._note("step", point, True, text, start=start, target=target, took_s=took_s)
        if shown and abs(before - start) <= abs(step):
            await self._response(point, shown, before, target - start)

    async def _hold_switch(self, point: PointId, start: float) -> None:
        """A switch is held where it is: to try it would start or stop the unit."""
        answer = await self._ask(point, start)
        text = answer or f"held at {start:g} as it is; a switch is not stepped, because that starts or stops the unit"
        self._note("step", point, not answer, text, start=start)

    def _measured(self, point: PointId) -> PointId:
        shown = f"{self._equipment}/{MEASURED.get(point.rpartition('/')[2], '')}"
        return shown if shown in self._points else ""

    async def _response(self, point: PointId, shown: PointId, before: float, step: float) -> None:
        """The plant's own witness: only this finds a profile that is wrong in the same way about every register."""
        began_s = self._clock.monotonic()
        found = before
        while (found - before) / step < LEAST_RESPONSE:
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
        default = await self._look(name) if name in self._points else self._design(point)
        while not abs(await self._followed(point) - default) <= 1.5 * tolerance(self._site, point):
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
