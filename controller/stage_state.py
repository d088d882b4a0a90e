"""What of the facility plant runs, since when, and what may be switched now: from telemetry, not from memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from controller import inputs
from controller.device_state import faulty, works
from plant.live import Snapshot
from plant.records import Setpoint
from plant.topology import CoolingGroup, Site, Stage

CHILLER = "chiller"
SETTLE_S = 300.0
"""After a unit of a kind was switched none of its kind is stopped for so long: the plant has to find its balance."""
MISSED_K = 1.0
"""Facility water this far above its setpoint misses a chiller that stands; else it stands because there is no need."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was last seen of a unit.

    on: whether it may run; since_s: when that changed, or when it was first seen running, -inf if it was off then;
    idle_s: since when it may run and does not, NaN if it does [s since 1970]; ran: it ran since it may; waits: a
    chiller that once stood though it might run, and nothing was warm: a command only releases it.
    """

    on: bool
    since_s: float
    idle_s: float = math.nan
    ran: bool = False
    waits: bool = False

    @property
    def stands(self) -> bool:
        """Whether it does not run."""
        return not self.on or math.isfinite(self.idle_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One unit now. enabled: it may run; on: and carries its share; known: it tells whether it may run.

    locked_s: how long its shortest time off holds it yet [s], also a chiller that its own thermostat stopped.
    stands, waits: see `Seen`. One that does not tell, and shows that it runs, carries its share and is nobody's to
    stop.
    """

    stage: Stage
    enabled: bool
    on: bool
    since_s: float
    may_stop: bool
    may_start: bool
    failed: bool
    known: bool
    locked_s: float = 0.0
    stands: bool = False
    waits: bool = False

    @property
    def locked(self) -> bool:
        """Whether its shortest time off holds it, whatever it is told."""
        return self.locked_s > 0

    @property
    def id(self) -> str:
        """Its equipment."""
        return self.stage.unit


def look(before: Mapping[str, Seen], site: Site, snapshot: Snapshot, now_s: float) -> dict[str, Seen]:
    """Every unit after one more look; one that tells nothing stays as it was."""
    found = dict(before)
    for group in site.groups.values():
        warm = bool(group.stages) and is_warm(site, snapshot, group)
        for stage in group.stages:
            enabled = snapshot.get(inputs.effective_point(site, stage.command))
            if math.isfinite(enabled):
                running = 1.0 if works(snapshot, site.equipment[stage.unit]) else snapshot.get(stage.running)
                seen = _looked(before.get(stage.unit), running, enabled > 0, now_s)
                rests = stage.kind == CHILLER and not warm and now_s - seen.idle_s > stage.start_s
                found[stage.unit] = replace(seen, waits=seen.waits or rests)
    return found


def _looked(before: Seen | None, running: float, on: bool, now_s: float) -> Seen:
    before = before or Seen(on, now_s if on else -math.inf)
    since_s = before.since_s if before.on == on else now_s
    if not on:
        return Seen(on, since_s, waits=before.waits)
    ran = before.ran and before.on
    if running != 0:  # a unit that does not tell is not accused
        return Seen(on, since_s, ran=ran or running > 0, waits=before.waits)
    return Seen(on, since_s, before.idle_s if math.isfinite(before.idle_s) else now_s, ran, before.waits)


def units_of(
    site: Site, snapshot: Snapshot, group: CoolingGroup, seen: Mapping[str, Seen], now_s: float
) -> tuple[Unit, ...]:
    """A group's units as they are."""
    warm = is_warm(site, snapshot, group)
    return tuple(_unit(site, snapshot, s, seen.get(s.unit), now_s, warm=warm) for s in group.stages)


def _unit(site: Site, snapshot: Snapshot, stage: Stage, seen: Seen | None, now_s: float, *, warm: bool) -> Unit:
    known = math.isfinite(snapshot.get(inputs.effective_point(site, stage.command)))
    seen = seen or Seen(on=False, since_s=-math.inf)
    patience_s = -1.0 if seen.ran else stage.start_s  # one that ran has tripped: nobody waits for it to start
    locked_s = _locked_s(stage, seen, now_s)
    late = seen.on and locked_s <= 0 and now_s - seen.idle_s > patience_s and (stage.kind != CHILLER or warm)
    failed = known and (late or faulty(snapshot, site.equipment[stage.unit]))
    alone = not known and (snapshot.get(stage.running) > 0 or works(snapshot, site.equipment[stage.unit]))
    for_s = now_s - seen.since_s
    return Unit(
        stage=stage,
        enabled=seen.on,
        on=alone or (known and seen.on and not failed),
        since_s=seen.since_s,
        may_stop=known and for_s >= stage.min_on_s,
        may_start=known and not failed and not seen.on and for_s >= stage.min_off_s,
        failed=failed,
        known=known,
        locked_s=locked_s,
        stands=seen.stands,
        waits=seen.waits,
    )


def _locked_s(stage: Stage, seen: Seen, now_s: float) -> float:
    """How long its shortest time off holds it yet [s]: since it was stopped, or since its thermostat stopped it."""
    rested_s = now_s - (seen.idle_s if seen.on else seen.since_s)
    by_itself = seen.on and seen.ran and stage.kind == CHILLER and math.isfinite(seen.idle_s)
    return max(stage.min_off_s - rested_s, 0.0) if by_itself or not seen.on else 0.0


def is_warm(site: Site, snapshot: Snapshot, group: CoolingGroup) -> bool:
    """Whether the facility water is not held; what is not known is not held."""
    return not warm_k(site, snapshot, group) <= MISSED_K


def warm_k(site: Site, snapshot: Snapshot, group: CoolingGroup) -> float:
    """How far the facility water that CDUs get is above what is asked of it [K], the warmest; NaN where not known."""
    command = inputs.setpoint_points(site, group).get(inputs.FACILITY)
    asked_c = snapshot.get(inputs.effective_point(site, command)) if command else math.nan
    shown = [snapshot.get(f"{m}/fws_supply_temperature") for m in group.members]
    return max(shown) - asked_c if all(map(math.isfinite, shown)) else math.nan


def stays_s(units: tuple[Unit, ...], kind: str, now_s: float) -> float:
    """How long ago a unit of a kind was switched last [s]."""
    return min((now_s - u.since_s for u in units if u.stage.kind == kind), default=math.inf)


def settled(units: tuple[Unit, ...], kind: str, now_s: float) -> bool:
    """Whether the last switching of a kind is long enough ago for another stop."""
    return stays_s(units, kind, now_s) >= SETTLE_S


def all_may_run(site: Site, snapshot: Snapshot, group: CoolingGroup, *, hold: bool) -> tuple[Setpoint, ...]:
    """Every unit enabled, or with `hold` left as it is; one that tells nothing keeps its own control."""
    followed = {s.command: snapshot.get(inputs.effective_point(site, s.command)) for s in group.stages}
    return tuple(
        Setpoint(point=p, current=v, value=v if hold else 1.0, target=v if hold else 1.0, design=1.0)
        for p, v in followed.items()
        if math.isfinite(v)
    )
