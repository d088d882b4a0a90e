"""The facility water side: pumps, heat rejection (dry coolers, or tower and economiser), chillers."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.chillers import ChillerPlant
from simulator.coolant import Cdu
from simulator.facility_pumps import Pump, PumpBank
from simulator.rejection import DryCooler
from simulator.room import WaterCoil
from simulator.weather import Weather
from simulator.wet_side import WetSide


class FacilityLoop:
    """Return volume, dry coolers or economiser, chillers in series, supply volume, pumps. Temperatures [degC]."""

    def __init__(
        self,
        pumps: Sequence[Pump],
        cooler: DryCooler | None,
        chillers: ChillerPlant | None,
        water_rho_cp: float,
        wet: WetSide | None = None,
    ) -> None:
        self.pump, self.cooler, self.chillers, self.wet = PumpBank(pumps), cooler, chillers, wet
        self.water_rho_cp = water_rho_cp
        self.half_j_k = 0.5 * self.pump.volume_m3 * water_rho_cp
        self.supply_c, self.return_c = 27.0, 36.0
        self.rejected_w = self.water_kg_s = 0.0

    @property
    def stored_j(self) -> float:
        """Heat content against 0 degC [J]."""
        stored_j = self.half_j_k * (self.supply_c + self.return_c)
        if self.cooler:
            stored_j += self.cooler.capacity_j_k * self.cooler.leaving_c
        return stored_j + (self.wet.stored_j if self.wet else 0.0)

    @property
    def powers(self) -> dict[str, float]:
        """Electrical power [W] by equipment; a tower's includes its condenser-water pumps."""
        found = {pump.id: pump.power_w for pump in self.pump.pumps}
        if self.cooler:
            found[self.cooler.id] = self.cooler.power_w
        if self.wet:
            found |= self.wet.powers
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
            leaving_c = self.wet.economise(setpoint_c, before_c, flow_m3_s, tower_m3_s)
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

    def _chill(self, dt_s: float, setpoint_c: float, entering_c: float, stream_w_k: float, dry_bulb_c: float) -> float:
        if self.chillers is None:
            return 0.0
        on_water = self.chillers.chillers[0].water_cooled and self.wet is not None
        hot_c = self.wet.supply_c if on_water and self.wet else dry_bulb_c
        self.chillers.step(dt_s, setpoint_c, entering_c, stream_w_k, hot_c)
        if not on_water:
            self.rejected_w += self.chillers.heat_w + self.chillers.power_w
        return self.chillers.heat_w

    def _evaporate(self, dt_s: float, setpoint_c: float, gained_w: float, tower_m3_s: float, wet_bulb_c: float) -> None:
        assert self.wet is not None
        if self.chillers and self.chillers.chillers[0].water_cooled:
            gained_w += self.chillers.heat_w + self.chillers.power_w
        self.wet.step(dt_s, setpoint_c, gained_w, tower_m3_s, wet_bulb_c)
        self.rejected_w += self.wet.rejected_w
        self.water_kg_s = self.wet.water_kg_s
