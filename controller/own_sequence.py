"""Units that no stage names: which their own sequence runs, and how many it may be expected to run under more heat.

Telemetry tells which stand: they cost nothing, and carry nothing. One more is expected under a heat for each unit at
which the sequence was seen to start one, and never more than ran at once: what was not seen is no reserve.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from controller.device_state import faulty, idle, works
from controller.facility_plant import facility_owner, plant_stages, upstream
from controller.heats import Heat
from plant.live import Snapshot
from plant.topology import CoolingGroup, Equipment, Site

PUMP = "pump"
KINDS = ("cooling-tower", "dry-cooler", "economiser", PUMP)
"""Chillers are not among them: their own thermostats start as few as will do."""
GAP = 1.3
"""Load of a unit at which usual sequences start another over the one at which they stop it (90 and 70 %)."""
STEADY = 0.9
"""A stop under heat that fell by more since the last look tells of the fall, not of the sequence."""
REMEMBERED = 5
"""Switchings of which the one under the most heat for each unit counts."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """What was seen of the units of a kind that nobody here switches.

    running, most: how many run, and ran at once; heat_w: under which [W]; starts_w: heat for each unit of the kind
    from which one more was started, of the last switchings [W].
    """

    running: int
    most: int
    heat_w: float
    starts_w: tuple[float, ...] = ()

    def seen(self, running: int, others: int, heat_w: float) -> Sequence:
        """One look later. others: how many of the kind run that are switched here."""
        starts_w = self.starts_w
        if running > self.running and running + others > 1:
            starts_w = (*starts_w, heat_w / (running + others - 1))
        elif 0 < running + others < self.running + others and heat_w > STEADY * self.heat_w:
            starts_w = (*starts_w, GAP * heat_w / (running + others))
        return Sequence(running, max(self.most, running), heat_w, starts_w[-REMEMBERED:])

    def expected(self, others: int, heat_w: float) -> int:
        """How many will run under a heat [W], no fewer than now."""
        if not self.starts_w:
            return self.running
        needed = math.floor(heat_w / max(self.starts_w)) + 1 - others
        return max(self.running, min(self.most, needed))


Sequences = Mapping[tuple[str, str], Sequence]
"""By the group that commands the facility water, and kind."""


def watched(
    before: Sequences, site: Site, snapshot: Snapshot, heats: Mapping[str, Heat]
) -> dict[tuple[str, str], Sequence]:
    """What is known after one more look; a plant whose heat is not known stays as it was."""
    found = dict(before)
    for group in site.groups.values():
        if facility_owner(site, group).id != group.id:
            continue
        heat_w = sum(heats[g.id].heat_w for g in site.groups.values() if facility_owner(site, g).id == group.id)
        if not math.isfinite(heat_w):
            continue
        for kind in KINDS:
            own, others = _running(site, snapshot, group, kind)
            if own:
                fresh = Sequence(len(own), len(own), heat_w)
                found[group.id, kind] = before.get((group.id, kind), fresh).seen(len(own), len(others), heat_w)
    return found


def standing_under(
    site: Site, snapshot: Snapshot, group: CoolingGroup, sequences: Sequences, heat_w: float
) -> frozenset[str]:
    """Units without a stage that stand, less those that their sequence would start under a heat [W].

    Under no heat: those that stand now. Pumps follow the water, which is ours to ask for: where one was seen to start
    all count that ran at once. None of a kind that stands altogether: then its telemetry tells nothing.
    """
    found: set[str] = set()
    for kind in KINDS:
        own, others = _running(site, snapshot, group, kind)
        rest = [e for e in _unstaged(site, group, kind) if e.id not in own]
        if not own or not rest:
            continue
        sequence = sequences.get((facility_owner(site, group).id, kind), Sequence(len(own), len(own), heat_w))
        wet = kind == PUMP and heat_w > 0 and bool(sequence.starts_w)
        more = (sequence.most if wet else sequence.expected(len(others), heat_w)) - len(own)
        able = [e.id for e in rest if not faulty(snapshot, e)]
        found |= {e.id for e in rest} - set(able[: max(more, 0)])
    return frozenset(found)


def _unstaged(site: Site, group: CoolingGroup, kind: str) -> list[Equipment]:
    staged = {s.unit for s in plant_stages(site, group)}
    return [e for e in upstream(site, group.members, kind) if e.id not in staged]


def _running(site: Site, snapshot: Snapshot, group: CoolingGroup, kind: str) -> tuple[frozenset[str], frozenset[str]]:
    """What runs of a kind: without a stage, and with one."""
    runs = {e.id for e in upstream(site, group.members, kind) if not _stands(snapshot, e)}
    own = runs & {e.id for e in _unstaged(site, group, kind)}
    return frozenset(own), frozenset(runs - own)


def _stands(snapshot: Snapshot, unit: Equipment) -> bool:
    """Whether it says or shows that it stands; one that tells nothing runs."""
    running = snapshot.get(f"{unit.id}/running")
    return not works(snapshot, unit) and (running == 0 or (math.isnan(running) and idle(snapshot, unit.id)))
