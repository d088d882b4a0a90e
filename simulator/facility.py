"""The facility water side: pumps, heat rejection (dry coolers, or tower and economiser), chillers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plant.topology import Equipment
from simulator.chillers import ChillerPlant
from simulator.coolant import Cdu
from simulator.pumps import PumpCurve
from simulator.rejection import CoolingTower, DryCooler, Economiser
from simulator.room import WaterCoil
from simulator.weather import Weather

STATIC_SHARE = (
    0.5  # of the design head: what the loop keeps across its users; the rest is pipes, goes with flow squared
)
ECONOMISER_APPROACH_K = 2.0
CONDENSER_WATER_K = 4.0  # without an economiser the tower aims at wet bulb and this
LEAST_CONDENSER_C = 18.0
LEAST_TOWER_FLOW = 0.5


class Pump:
    """Pumps that keep a differential pressure at their users. Flow [m3/s], power [W].

    System curve: head = design head * (static + (1 - static) * (flow / design flow)^2); speed by the affinity laws.
    """

    def __init__(self, equipment: Equipment) -> None:
        design = equipment.design
        self.id, self.design_flow_m3_s, self.design_head_pa = equipment.id, design["flow_m3_s"], design["head_pa"]
        self.efficiency, self.volume_m3 = design.get("efficiency", 0.65), design.get("volume_m3", 2.0)
        self.static_share = design.get("static_head_fraction", STATIC_SHARE)
        self.curve = PumpCurve.through(self.design_flow_m3_s, self.design_head_pa, self.efficiency)
        self.running = True
        self.flow_m3_s = self.power_w = self.speed = 0.0
        self.head_pa = self.design_head_pa

    def step(self, flow_m3_s: float) -> None:
        """Move what the valves let through; its whole power heats the water."""
        share = flow_m3_s / self.design_flow_m3_s
        self.flow_m3_s = flow_m3_s
        self.head_pa = self.design_head_pa * (self.static_share + (1.0 - self.static_share) * share * share)
        self.speed = self.curve.speed_for(self.head_pa, flow_m3_s) if self.running else 0.0
        self.power_w = self.curve.power_w(self.speed, flow_m3_s, self.head_pa)


@dataclass(slots=True)
class WetSide:
    """Tower, its pumps (part of the tower's own power) and the economiser, if any."""

    tower: CoolingTower
    pump: Pump | None
    economiser: Economiser | None
    asked_c: float | None = None
    """Leaving water that somebody commands [degC]; None: the tower's own rule."""

    @property
    def pump_w(self) -> float:
        """Power of the condenser-water pumps [W]."""
        return self.pump.power_w if self.pump else 0.0

    def flow_for(self, facility_share: float) -> float:
        """Condenser water [m3/s]: follows the facility's flow down to half."""
        if self.pump is not None and not self.pump.running:
            return 0.0
        return self.tower.design_flow_m3_s * min(max(facility_share, LEAST_TOWER_FLOW), 1.0)

    def aim_c(self, setpoint_c: float, wet_bulb_c: float) -> float:
        """What the tower's leaving water is held at [degC]."""
        if self.asked_c is not None:
            return self.asked_c
        if self.economiser is not None and self.economiser.enabled:
            return setpoint_c - ECONOMISER_APPROACH_K
        return max(wet_bulb_c + CONDENSER_WATER_K, LEAST_CONDENSER_C)


class FacilityLoop:
    """Return volume, dry coolers or economiser, chillers in series, supply volume, pumps. Temperatures [degC]."""

    def __init__(
        self,
        pump: Pump,
        cooler: DryCooler | None,
        chillers: ChillerPlant | None,
        water_rho_cp: float,
        wet: WetSide | None = None,
    ) -> None:
        self.pump, self.cooler, self.chillers, self.wet = pump, cooler, chillers, wet
        self.water_rho_cp = water_rho_cp
        self.half_j_k = 0.5 * pump.volume_m3 * water_rho_cp
        self.supply_c, self.return_c = 27.0, 36.0
        self.rejected_w = self.water_kg_s = 0.0

    @property
    def stored_j(self) -> float:
        """Heat content against 0 degC [J]."""
        stored_j = self.half_j_k * (self.supply_c + self.return_c)
        if self.cooler:
            stored_j += self.cooler.capacity_j_k * self.cooler.leaving_c
        return stored_j + (self.wet.tower.stored_j if self.wet else 0.0)

    @property
    def powers(self) -> dict[str, float]:
        """Electrical power [W] by equipment; a tower's includes its condenser-water pumps."""
        found = {self.pump.id: self.pump.power_w}
        if self.cooler:
            found[self.cooler.id] = self.cooler.power_w
        if self.wet:
            found[self.wet.tower.id] = self.wet.tower.power_w + self.wet.pump_w
        for chiller in self.chillers.chillers if self.chillers else ():
            found[chiller.id] = chiller.power_w
        return found

    def step(self, dt_s: float, setpoint_c: float, users: Sequence[Cdu | WaterCoil], weather: Weather) -> None:
        """Advance dt_s [s] with the heat and flows that the users had in this step."""
        supply_c, return_c = self.supply_c, self.return_c
        flow_m3_s = sum(user.facility_flow_m3_s for user in users)
        heat_w = sum(user.heat_w for user in users)
        stream_w_k = self.water_rho_cp * flow_m3_s
        self.pump.step(flow_m3_s)
        self.rejected_w = self.water_kg_s = 0.0
        leaving_c = self._dry(dt_s, setpoint_c, return_c, flow_m3_s, weather.dry_bulb_c)
        before_c, gained_w, tower_m3_s = leaving_c, 0.0, 0.0
        if self.wet:
            tower_m3_s = self.wet.flow_for(flow_m3_s / self.pump.design_flow_m3_s)
            leaving_c = self._economise(setpoint_c, before_c, flow_m3_s, tower_m3_s)
            gained_w = stream_w_k * (before_c - leaving_c)
        chilled_w = self._chill(dt_s, setpoint_c, leaving_c, stream_w_k, weather.dry_bulb_c)
        if self.wet:
            self._evaporate(dt_s, setpoint_c, gained_w, tower_m3_s, weather.wet_bulb_c)
        into_supply_w = stream_w_k * (leaving_c - supply_c) - chilled_w + self.pump.power_w
        self.supply_c += dt_s * into_supply_w / self.half_j_k
        self.return_c += dt_s * (heat_w - stream_w_k * (return_c - supply_c)) / self.half_j_k

    def _dry(self, dt_s: float, setpoint_c: float, return_c: float, flow_m3_s: float, dry_bulb_c: float) -> float:
        cooler = self.cooler
        if cooler is None:
            return return_c
        leaving_c = cooler.leaving_c
        cooler.step(dt_s, setpoint_c, return_c, flow_m3_s, dry_bulb_c)
        self.rejected_w += cooler.heat_w + cooler.power_w  # fan motors stand outdoors
        return leaving_c

    def _economise(self, setpoint_c: float, entering_c: float, flow_m3_s: float, tower_m3_s: float) -> float:
        assert self.wet is not None
        if self.wet.economiser is None:
            return entering_c
        tower_c = self.wet.tower.leaving_c
        return self.wet.economiser.step(setpoint_c, entering_c, flow_m3_s, tower_c, tower_m3_s)

    def _chill(self, dt_s: float, setpoint_c: float, entering_c: float, stream_w_k: float, dry_bulb_c: float) -> float:
        if self.chillers is None:
            return 0.0
        on_water = self.chillers.chillers[0].water_cooled and self.wet is not None
        hot_c = self.wet.tower.leaving_c if on_water and self.wet else dry_bulb_c
        self.chillers.step(dt_s, setpoint_c, entering_c, stream_w_k, hot_c)
        if not on_water:
            self.rejected_w += self.chillers.heat_w + self.chillers.power_w
        return self.chillers.heat_w

    def _evaporate(self, dt_s: float, setpoint_c: float, gained_w: float, tower_m3_s: float, wet_bulb_c: float) -> None:
        assert self.wet is not None
        wet, tower = self.wet, self.wet.tower
        if wet.pump:
            wet.pump.step(tower_m3_s)
        if self.chillers and self.chillers.chillers[0].water_cooled:
            gained_w += self.chillers.heat_w + self.chillers.power_w
        tower.step(dt_s, wet.aim_c(setpoint_c, wet_bulb_c), gained_w + wet.pump_w, tower_m3_s, wet_bulb_c)
        self.rejected_w += tower.heat_w + tower.power_w
        self.water_kg_s = tower.water_kg_s
