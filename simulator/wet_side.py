"""Condenser water: towers in parallel with their pumps, and the economisers that they serve."""

from __future__ import annotations

from dataclasses import dataclass, field

from simulator.facility_pumps import Pump
from simulator.rejection import CoolingTower, Economiser

ECONOMISER_APPROACH_K = 2.0
CONDENSER_WATER_K = 4.0  # without an economiser the tower aims at wet bulb and this
LEAST_CONDENSER_C = 18.0
LEAST_TOWER_FLOW = 0.5


@dataclass(slots=True)
class WetSide:
    """Towers with their pumps (part of a tower's own power; none, or one each) and the economisers, if any.

    Towers that are not open carry nothing and keep their basin's water; open ones share flow and the warm header
    equally, as do the economisers that are enabled.
    """

    towers: list[CoolingTower]
    pumps: list[Pump]
    economisers: list[Economiser]
    asked_c: float | None = None
    """Leaving water that somebody commands [degC]; None: the towers' own rule."""
    aim_c: float = field(default=24.0, init=False)
    """What the towers' leaving water is held at [degC]."""
    rejected_w: float = field(default=0.0, init=False)
    water_kg_s: float = field(default=0.0, init=False)

    @property
    def open(self) -> list[CoolingTower]:
        """Towers that water flows through; all of them where none is."""
        return [tower for tower in self.towers if tower.open] or self.towers

    @property
    def supply_c(self) -> float:
        """Water that leaves the towers [degC]."""
        found = self.open
        return sum(tower.leaving_c for tower in found) / len(found)

    @property
    def stored_j(self) -> float:
        """Heat content of the basins against 0 degC [J]."""
        return sum(tower.stored_j for tower in self.towers)

    @property
    def pump_w(self) -> float:
        """Power of the condenser-water pumps [W]."""
        return sum(pump.power_w for pump in self.pumps)

    @property
    def powers(self) -> dict[str, float]:
        """Electrical power [W] of each tower with its pump."""
        found = {tower.id: tower.power_w for tower in self.towers}
        for pump in self.pumps:
            found[pump.id] += pump.power_w
        return found

    def flow_for(self, facility_share: float) -> float:
        """Condenser water [m3/s]: follows the facility's flow down to half of what the open towers are made for."""
        on = [tower for tower in self.towers if tower.open]
        if not on or (self.pumps and not any(pump.running for pump in self.pumps)):
            return 0.0
        share = facility_share * len(self.towers) / len(on)
        return sum(tower.design_flow_m3_s for tower in on) * min(max(share, LEAST_TOWER_FLOW), 1.0)

    def economise(self, setpoint_c: float, entering_c: float, flow_m3_s: float, tower_m3_s: float) -> float:
        """Facility water after the economisers [degC]."""
        on = [unit for unit in self.economisers if unit.enabled]
        for unit in self.economisers:
            unit.heat_w = unit.flow_m3_s = 0.0
        if not on:
            return entering_c
        each, tower_c = flow_m3_s / len(on), self.supply_c
        leaving = [unit.step(setpoint_c, entering_c, each, tower_c, tower_m3_s / len(on)) for unit in on]
        return sum(leaving) / len(on)

    def step(self, dt_s: float, setpoint_c: float, gained_w: float, flow_m3_s: float, wet_bulb_c: float) -> None:
        """Advance dt_s [s] with gained_w [W] put into the water on its way round, the pumps' apart."""
        on, self.aim_c = self.open, self._aim_c(setpoint_c, wet_bulb_c)
        each = flow_m3_s / len(on)
        for tower, pump in zip(self.towers, self.pumps, strict=bool(self.pumps)):
            carried = each if tower in on else 0.0
            pump.step(carried, carried / pump.design_flow_m3_s)
        gained_w += self.pump_w
        mean_c = self.supply_c
        for tower in self.towers:
            if tower in on:
                # all get the same warm water, so one that is colder than the mean takes more of the heat
                colder_w = tower.water_rho_cp * each * (mean_c - tower.leaving_c)
                tower.step(dt_s, self.aim_c, gained_w / len(on) + colder_w, each, wet_bulb_c)
            else:
                tower.step(dt_s, self.aim_c, 0.0, 0.0, wet_bulb_c)
        self.rejected_w = sum(tower.heat_w + tower.power_w for tower in self.towers)
        self.water_kg_s = sum(tower.water_kg_s for tower in self.towers)

    def _aim_c(self, setpoint_c: float, wet_bulb_c: float) -> float:
        if self.asked_c is not None:
            return self.asked_c
        if any(unit.enabled for unit in self.economisers):
            return setpoint_c - ECONOMISER_APPROACH_K
        return max(wet_bulb_c + CONDENSER_WATER_K, LEAST_CONDENSER_C)
