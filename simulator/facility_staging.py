"""Which units of the simulated facility plant run: by enable commands, else by the plant's own sequence."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from plant.topology import Equipment, Site
from simulator.chillers import Chiller
from simulator.devices import DeviceController
from simulator.facility import FacilityLoop
from simulator.staging import LoadSequence, Switch, towers_behind

ENABLE = "enable_command"
STAGE_STEP_S = 10.0
ECONOMISER_GAIN_K = 1.0
"""Where there are several, plates are let in while condenser water is colder than what comes back by this."""
TOWER_SHORT_K, FANS_FULL = 1.0, 0.95


class FacilityStaging:
    """Switches of pumps, dry cooler, towers and economisers; chillers have a sequencer of their own.

    Economiser and chiller N run only while a tower that feeds them does. A lone unit of a kind just runs.
    """

    def __init__(self, site: Site, loop: FacilityLoop) -> None:
        kinds = ("pump", "dry-cooler", "cooling-tower", "economiser")
        found = {kind: [_running(e) for e in site.of_kind(kind)] for kind in kinds}
        self._loop = loop
        self.switches = {switch.id: switch for switches in found.values() for switch in switches}
        self.pumps, self.coolers = found["pump"], found["dry-cooler"]
        self.towers, self.economisers = found["cooling-tower"], found["economiser"]
        self.pump_rule = LoadSequence(self.pumps, up_load=0.95, down_load=0.8)
        self._tower_rule = LoadSequence(self.towers, up_load=0.9, down_load=0.75)
        self._tower_w = [e.design["heat_w"] for e in site.of_kind("cooling-tower")]
        self._towers_of = {
            e.id: [self.switches[tower] for tower in towers_behind(site, e.id)]
            for e in (*site.of_kind("economiser"), *site.of_kind("chiller"))
        }
        self._chillers = {chiller.id: chiller for chiller in loop.chillers.chillers} if loop.chillers else {}

    def step(self, dt_s: float, controllers: Mapping[str, DeviceController], stopped: Collection[str]) -> None:
        """Pass dt_s [s]: take commands and faults, stage the rest by load, and switch the units."""
        self._take(controllers, stopped)
        loop = self._loop
        design_m3_s = loop.pump.design_flow_m3_s / len(self.pumps)
        self.pump_rule.step(dt_s, loop.pump.flow_m3_s / max(loop.pump.drive, 0.1) / design_m3_s)
        for cooler in self.coolers:
            cooler.step(dt_s)
            _follow(cooler, wanted=True)
        if loop.wet:
            self._stage_towers(dt_s)
        self._switch(stopped)

    def shown(self, unit: str) -> dict[str, float]:
        """What a unit's controller tells of its switch."""
        switch, chiller = self.switches.get(unit), self._chillers.get(unit)
        part = switch or chiller
        if part is None:
            return {}
        wanted = part.running if part.asked is None else part.asked
        return {"running": float(part.running), f"effective_{ENABLE}": float(wanted)}

    def _take(self, controllers: Mapping[str, DeviceController], stopped: Collection[str]) -> None:
        parts: dict[str, Switch | Chiller] = {**self.switches, **self._chillers}
        for name, part in parts.items():
            controller = controllers.get(name)
            asked = controller.asked(ENABLE) if controller else None
            part.asked = None if asked is None else asked >= 0.5
        for bank in (self.pumps, self.towers):
            for switch in bank if len(bank) > 1 else ():
                switch.permitted = switch.id not in stopped

    def _stage_towers(self, dt_s: float) -> None:
        loop = self._loop
        wet, chillers = loop.wet, loop.chillers
        assert wet is not None
        heat_w = sum(tower.heat_w for tower in wet.towers)
        on = wet.open
        warm_k = wet.supply_c - wet.aim_c
        short = warm_k > TOWER_SHORT_K and min(tower.fan for tower in on) > FANS_FULL
        self._tower_rule.least = max(1, chillers.running if chillers and self._towers_of else 1)
        self._tower_rule.step(dt_s, heat_w / (sum(self._tower_w) / len(self._tower_w)), short=short)
        colder = len(self.economisers) == 1 or loop.return_c - wet.supply_c > ECONOMISER_GAIN_K
        for unit in self.economisers:
            unit.permitted = any(tower.running for tower in self._towers_of[unit.id]) or not self._towers_of[unit.id]
            unit.step(dt_s)
            _follow(unit, wanted=colder)
        for chiller in self._chillers.values():
            towers = self._towers_of[chiller.id]
            chiller.permitted = any(tower.running for tower in towers) or not towers

    def _switch(self, stopped: Collection[str]) -> None:
        """Hand the switches' states to the machines; a lone tower or cooler that fails loses its fans only."""
        loop, runs = self._loop, {name: switch.running for name, switch in self.switches.items()}
        for pump in loop.pump.pumps:
            pump.running = runs[pump.id] and pump.id not in stopped
        loop.pump.limit()
        if loop.cooler:
            loop.cooler.stopped = loop.cooler.id in stopped or not runs[loop.cooler.id]
        for tower in loop.wet.towers if loop.wet else ():
            tower.open = runs[tower.id]
            tower.stopped = tower.id in stopped or not tower.open
        for unit in loop.wet.economisers if loop.wet else ():
            unit.enabled = runs[unit.id]
        for chiller in self._chillers.values():
            chiller.tripped = chiller.id in stopped


def _follow(switch: Switch, *, wanted: bool) -> None:
    """What no sequence stages and nobody commands does what is wanted, within its shortest times."""
    if switch.asked is None and switch.permitted and switch.free:
        switch.turn(wanted)


def _running(equipment: Equipment) -> Switch:
    switch = Switch.of(equipment)
    switch.running = True
    return switch
