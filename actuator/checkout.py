"""The first part of a commissioning: every register of a device that is driven is read, and held against the site file.

Nothing is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from actuator.drives import setpoints_of
from actuator.guard import guard_register
from actuator.watch import REMOTE, mode_point, tolerance
from plant.errors import ColdplateError
from plant.leases import Envelope
from plant.points import PointId
from plant.ports import DeviceLink
from plant.topology import Site


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


Note = Callable[..., None]
"""Takes (kind, subject, ok, text) and figures by name."""


class Checkout:
    """The point-to-point checkout of one drive; what it finds goes to `note`."""

    def __init__(self, site: Site, drive: str, link: Instrument, note: Note) -> None:
        self._site, self._drive, self._link, self._note = site, site.drives[drive], link, note
        self._equipment = self._drive.equipment
        self._setpoints = setpoints_of(site, self._drive)

    async def run(self) -> None:
        """Setpoints with their ranges and defaults, heartbeat, enable and owner, timeout, control source, alarms."""
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
        if envelope.min_off_s is None and envelope.max_step <= apart(self._site, point):
            text = f"its longest step, {envelope.max_step:g} {unit}, can't be told from standing still"
            self._note("checkout", point, False, f"{text}: give it more than {apart(self._site, point):g} {unit}")
        name = point.rpartition("/")[2]
        for other in (f"effective_{name}", f"default_{name}"):
            if self._has(other):
                shown = await self._look(f"{self._equipment}/{other}")
                ok = guard_register(shown, envelope).allowed
                text = f"reads {shown:g} {unit}, allowed {span}"
                self._note("checkout", f"{self._equipment}/{other}", ok, text, found=shown)
        design = design_of(self._site, point)
        if self._has(f"default_{name}") and math.isfinite(design):
            default = await self._look(f"{self._equipment}/default_{name}")
            text = f"the device falls back to {default:g} {unit}, the site file says {design:g}"
            ok = abs(default - design) <= within
            self._note("checkout", f"{self._equipment}/default_{name}", ok, text, found=default, design=design)

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

    def _has(self, name: str) -> bool:
        return f"{self._equipment}/{name}" in self._site.points

    async def _look(self, point: PointId) -> float:
        return await look(self._link, point)


async def look(link: Instrument, point: PointId) -> float:
    """A point now [SI], NaN where the device does not tell."""
    try:
        return await link.look(point)
    except ColdplateError:
        return math.nan


def apart(site: Site, point: PointId) -> float:
    """Two values of a setpoint [SI] that lie no further apart are the same to whoever looks once."""
    return 1.5 * tolerance(site, point)


def design_of(site: Site, point: PointId) -> float:
    """The site file's fallback of a setpoint [SI]; NaN where no group commands it."""
    groups = site.groups.values()
    found = [g.design[role] for g in groups for role, command in g.commands.items() if command == point]
    return found[0] if found else math.nan
