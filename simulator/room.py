"""The hall's air: a direct-expansion air unit, or coils on facility water (CRAH, rear doors). [degC], [W]."""

from __future__ import annotations

from collections.abc import Sequence

from plant.topology import Equipment
from simulator.chillers import CONDENSER_APPROACH_K, RATING_OUTDOOR_C, carnot_cop
from simulator.exchange import (
    ProportionalIntegral,
    design_ua_w_k,
    exchanged_w,
    exchanger_ua_w_k,
    moved,
    valve_flow_share,
)

ROOM_CAPACITY_J_K = 2.5e7
AIR_COIL_K = 13.0  # evaporator below room temperature
AIR_RISE_K = 11.0  # air comes to a coil warmer than the room by this: hot aisle, or straight from a rack
LEAST_FAN = 0.2


class WaterCoil:
    """A CRAH or a row of rear doors: facility water cools air, fan and valve follow one PI on room temperature."""

    def __init__(self, equipment: Equipment, water_rho_cp: float) -> None:
        design = equipment.design
        self.id, self.water_rho_cp = equipment.id, water_rho_cp
        self.design_flow_m3_s = design["water_flow_m3_s"]
        self.fan_design_w = design.get("fan_power_w", 0.03 * design["heat_w"])
        self.air_rise_k = design.get("air_rise_k", AIR_RISE_K)
        self.air_w_k = design["heat_w"] / self.air_rise_k
        stream_w_k = water_rho_cp * self.design_flow_m3_s
        inlet_k = design.get("approach_k", 5.0) + design["heat_w"] / min(stream_w_k, self.air_w_k)
        self.ua_w_k = design_ua_w_k(design["heat_w"], self.air_w_k, stream_w_k, inlet_k)
        self.loop = ProportionalIntegral(0.2, 600.0, LEAST_FAN)
        self.fan, self.facility_flow_m3_s = 0.5, 0.0
        self.facility_drive, self.running = 1.0, True
        self.heat_w = self.power_w = 0.0

    def step(self, dt_s: float, excess_k: float, air_c: float, facility_c: float) -> None:
        """Advance dt_s [s] for room air excess_k [K] above its setpoint."""
        want = self.loop.step(excess_k, dt_s) if self.running else 0.0
        self.fan = moved(self.fan, want, dt_s / 30.0)
        valve = valve_flow_share(self.fan) if self.running else 0.0
        self.facility_flow_m3_s = self.design_flow_m3_s * valve * self.facility_drive
        ua_w_k = exchanger_ua_w_k(self.ua_w_k, self.fan, self.facility_flow_m3_s / self.design_flow_m3_s)
        stream_w_k = self.water_rho_cp * self.facility_flow_m3_s
        difference_k = air_c + self.air_rise_k - facility_c
        self.heat_w = exchanged_w(ua_w_k, self.air_w_k * self.fan, stream_w_k, difference_k)
        self.power_w = self.fan_design_w * self.fan**3


class Room:
    """The hall's air and what cools it. Temperatures [degC], powers [W]."""

    def __init__(self, room: Equipment | None, unit: Equipment | None, coils: Sequence[WaterCoil] = ()) -> None:
        design = room.design if room else {}
        self.coils = list(coils)
        self.setpoint_c = design.get("temperature_c", 25.0)
        self.design_dew_c = design.get("dew_point_c", 11.0)
        self.capacity_j_k = design.get("heat_capacity_j_k", ROOM_CAPACITY_J_K)
        self.id = unit.id if unit else ""
        self.heat_capacity_w = unit.design.get("heat_w", 1e5) if unit else 0.0
        self.fan_design_w = unit.design.get("fan_power_w", 0.06 * self.heat_capacity_w) if unit else 0.0
        rated = carnot_cop(self.setpoint_c - AIR_COIL_K, RATING_OUTDOOR_C + CONDENSER_APPROACH_K)
        self.carnot_share = (unit.design.get("cop", 4.0) if unit else 4.0) / rated
        self.loop = ProportionalIntegral(0.2, 900.0, 0.0, 1.2)
        self.air_c, self.dew_c = self.setpoint_c, self.design_dew_c
        self.heat_w = self.fan = self.fan_w = self.power_w = self.rejected_w = 0.0

    @property
    def stored_j(self) -> float:
        """Heat content against 0 degC [J]."""
        return self.capacity_j_k * self.air_c

    def step(
        self, dt_s: float, gains_w: float, dry_bulb_c: float, outdoor_dew_c: float, facility_c: float = 0.0
    ) -> None:
        """Advance dt_s [s]; where nothing cools it the hall loses its heat through vents."""
        self.dew_c += (self._dew_target(outdoor_dew_c) - self.dew_c) * min(dt_s / 3600.0, 1.0)
        for coil in self.coils:
            coil.step(dt_s, self.air_c - self.setpoint_c, self.air_c, facility_c)
        gains_w += sum(coil.power_w for coil in self.coils)
        if self.id:
            self._cool(dt_s, dry_bulb_c)
        elif not self.coils:
            self.heat_w = self.rejected_w = 2000.0 * (self.air_c - dry_bulb_c)
        taken_w = self.heat_w + sum(coil.heat_w for coil in self.coils)
        self.air_c += dt_s * (gains_w + self.fan_w - taken_w) / self.capacity_j_k

    def _cool(self, dt_s: float, dry_bulb_c: float) -> None:
        share = self.loop.step(self.air_c - self.setpoint_c, dt_s)
        self.heat_w = self.heat_capacity_w * share
        self.fan = max(share, 0.3)
        self.fan_w = self.fan_design_w * self.fan**3
        cop = self.carnot_share * carnot_cop(self.air_c - AIR_COIL_K, dry_bulb_c + CONDENSER_APPROACH_K)
        compressor_w = self.heat_w / cop
        self.power_w = self.fan_w + compressor_w
        self.rejected_w = self.heat_w + compressor_w

    def _dew_target(self, outdoor_dew_c: float) -> float:
        # a tight, dehumidified hall follows humid weather only a little
        return self.design_dew_c + 0.2 * max(outdoor_dew_c - self.design_dew_c, -10.0)
