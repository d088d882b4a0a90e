"""Units in parallel that are switched: by a command, or by the plain sequence of a building management system."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from plant.topology import Equipment, Site

MIN_ON_S = MIN_OFF_S = 600.0


@dataclass(slots=True)
class Switch:
    """Whether one unit runs. asked: what somebody commands, None while nobody does; permitted: nothing forbids it.

    thermostat: a command to run only releases it to its sequence, as a chiller's does. since_s: time since it was last
    switched [s]; a stop by a lost permit keeps no minimum time, all else does.
    """

    id: str
    min_on_s: float = MIN_ON_S
    min_off_s: float = MIN_OFF_S
    running: bool = False
    since_s: float = 1e9
    asked: bool | None = None
    permitted: bool = True
    thermostat: bool = False

    @classmethod
    def of(cls, equipment: Equipment) -> Switch:
        """With the shortest times of its design figures [s]."""
        design = equipment.design
        return cls(equipment.id, design.get("min_on_s", MIN_ON_S), design.get("min_off_s", MIN_OFF_S))

    @property
    def free(self) -> bool:
        """Whether its shortest time on (or off) is over."""
        return self.since_s >= (self.min_on_s if self.running else self.min_off_s)

    def turn(self, on: bool) -> None:
        """Start or stop it."""
        if on != self.running:
            self.running, self.since_s = on, 0.0

    def step(self, dt_s: float) -> None:
        """Pass dt_s [s]: obey a command as soon as the shortest times allow, stop at once without a permit."""
        self.since_s += dt_s
        if not self.permitted:
            self.turn(False)
        elif self.asked is not None and self.free and not (self.asked and self.thermostat):
            self.turn(self.asked)


def _may(_unit: Switch) -> bool:
    return True


@dataclass(slots=True)
class LoadSequence:
    """Stages those of `units` that nobody commands, by their common load.

    One more where the load is above up_load of what runs, one less where the rest would then be below down_load of
    itself; after patience_s [s] of the same wish, wait_s [s] after the last change. The longest rested starts, the
    longest run stops. `least` of them run always.
    """

    units: Sequence[Switch]
    up_load: float = 0.9
    down_load: float = 0.7
    least: int = 1
    patience_s: float = 120.0
    wait_s: float = 300.0
    _wished: int = field(default=0)
    _wished_s: float = field(default=0.0)
    _settled_s: float = field(default=1e9)

    @property
    def running(self) -> list[Switch]:
        """Those that run, commanded ones among them."""
        return [unit for unit in self.units if unit.running]

    def step(self, dt_s: float, load: float, *, short: bool = False, may: Callable[[Switch], bool] = _may) -> None:
        """Pass dt_s [s]; load: in units' full loads; short: what runs does not suffice, whatever the load says.

        may: which of them may be started now.
        """
        for unit in self.units:
            unit.step(dt_s)
        wish = self._wish(load, short)
        self._wished_s = self._wished_s + dt_s if wish and wish == self._wished else 0.0
        self._wished, self._settled_s = wish, self._settled_s + dt_s
        forced = len(self.running) < self.least
        if wish and (forced or (self._wished_s >= self.patience_s and self._settled_s >= self.wait_s)):
            self._switch(wish > 0, may)

    def _wish(self, load: float, short: bool) -> int:
        on = len(self.running)
        if on < self.least or load > self.up_load * on or short:
            return 1
        return -1 if on > self.least and load < self.down_load * (on - 1) else 0

    def _switch(self, start: bool, may: Callable[[Switch], bool]) -> None:
        own = [u for u in self.units if u.asked is None or (u.asked and u.thermostat)]
        ready = [u for u in own if u.running is not start and u.free]
        if start:
            ready = [u for u in ready if u.permitted and may(u)]
        if ready:
            max(ready, key=lambda unit: unit.since_s).turn(start)
            self._settled_s = 0.0


def towers_behind(site: Site, unit: str) -> list[str]:
    """Towers that feed a unit, directly or through economisers and chillers."""
    found: list[str] = []
    queue = [unit]
    while queue:
        for source in site.fed_by[queue.pop()]:
            if site.equipment[source].kind == "cooling-tower":
                found.append(source)
            elif site.equipment[source].kind in {"economiser", "chiller"}:
                queue.append(source)
    return found
