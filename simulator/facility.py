"""The facility water side: pumps, dry coolers, trim chiller; and the room with its air unit."""

from __future__ import annotations

from collections.abc import Sequence

from plant.topology import Equipment
from simulator.coolant import Cdu
from simulator.exchange import ProportionalIntegral, design_ua_w_k, exchanged_w, exchanger_ua_w_k, moved

COIL_RESIDENCE_S = 12.0
CONDENSER_APPROACH_K = 12.0
EVAPORATOR_APPROACH_K = 3.0
LEAST_LIFT_K = 12.0
RATING_OUTDOOR_C = 35.0
RATING_LEAVING_C = 24.0
CHILLER_RAMP_S = 90.0
ROOM_CAPACITY_J_K = 2.5e7
AIR_COIL_K = 13.0  # evaporator below room temperature


def carnot_cop(cold_c: float, hot_c: float) -> float:
    """Reversible COP between two temperatures [degC]; the lift is never below 12 K (compressor's own limit)."""
    return (cold_c + 273.15) / max(hot_c - cold_c, LEAST_LIFT_K)


class DryCooler:
    """A bank of dry coolers with fans under a PI on leaving temperature. Temperatures [degC], powers [W]."""

    def __init__(self, equipment: Equipment, water_rho_cp: float) -> None:
        design = equipment.design
        self.id, self.water_rho_cp = equipment.id, water_rho_cp
        self.design_flow_m3_s = design["flow_m3_s"]
        self.free_share = design.get("free_convection_fraction", 0.125)
        self.fan_design_w = design["fan_power_w"]
        stream_w_k = water_rho_cp * self.design_flow_m3_s
        rise_k = design["heat_w"] / stream_w_k
        self.air_w_k = 0.8 * stream_w_k  # air warms by 1.25 times the water's range, usual for flat-bed coolers
        self.ua_w_k = design_ua_w_k(design["heat_w"], stream_w_k, self.air_w_k, design["approach_k"] + rise_k)
        self.capacity_j_k = water_rho_cp * COIL_RESIDENCE_S * self.design_flow_m3_s
        self.loop = ProportionalIntegral(0.04, 150.0)
        self.fan, self.leaving_c, self.entering_c, self.flow_m3_s = 0.3, 27.0, 35.0, 0.0
        self.heat_w = self.power_w = 0.0

    def step(self, dt_s: float, setpoint_c: float, entering_c: float, flow_m3_s: float, dry_bulb_c: float) -> None:
        """Advance dt_s [s]. Below its setpoint a bypass keeps the water from being overcooled."""
        self.fan = moved(self.fan, self.loop.step(self.leaving_c - setpoint_c, dt_s), dt_s / 60.0)
        stream_w_k, air_share = self.water_rho_cp * flow_m3_s, max(self.fan, self.free_share)
        ua_w_k = exchanger_ua_w_k(self.ua_w_k, flow_m3_s / self.design_flow_m3_s, air_share)
        heat_w = exchanged_w(ua_w_k, stream_w_k, self.air_w_k * air_share, entering_c - dry_bulb_c)
        bypassed_w = stream_w_k * max(entering_c - (setpoint_c - 0.5), 0.0)
        self.heat_w = min(heat_w, bypassed_w)
        self.leaving_c += dt_s * (stream_w_k * (entering_c - self.leaving_c) - self.heat_w) / self.capacity_j_k
        self.power_w = self.fan_design_w * self.fan**3
        self.entering_c, self.flow_m3_s = entering_c, flow_m3_s


class Chiller:
    """An air-cooled trim chiller that its own sequencer starts and stops. Temperatures [degC], powers [W]."""

    def __init__(self, equipment: Equipment) -> None:
        design = equipment.design
        self.id, self.capacity_w = equipment.id, design["heat_w"]
        rated = carnot_cop(RATING_LEAVING_C, RATING_OUTDOOR_C + CONDENSER_APPROACH_K)
        self.carnot_share = design["cop"] / rated
        self.min_on_s, self.min_off_s = design.get("min_on_s", 600.0), design.get("min_off_s", 600.0)
        self.running, self.since_s, self.asked_s = False, 1e9, 0.0
        self.heat_w = self.power_w = 0.0
        self.entering_c = self.leaving_c = 27.0

    def step(self, dt_s: float, setpoint_c: float, entering_c: float, stream_w_k: float, dry_bulb_c: float) -> None:
        """Advance dt_s [s]: starts at setpoint + 1 K for a minute, holds setpoint + 0.3 K, stops below that."""
        self._sequence(dt_s, entering_c - setpoint_c)
        wanted_w = stream_w_k * max(entering_c - setpoint_c - 0.3, 0.0) if self.running else 0.0
        step_w = self.capacity_w * dt_s / CHILLER_RAMP_S
        self.heat_w = moved(self.heat_w, min(wanted_w, self.capacity_w), step_w)
        self.heat_w = min(self.heat_w, stream_w_k * max(entering_c - 5.0, 0.0))  # never near freezing
        self.entering_c = entering_c
        self.leaving_c = entering_c - (self.heat_w / stream_w_k if stream_w_k > 0 else 0.0)
        hot_c = dry_bulb_c + CONDENSER_APPROACH_K
        cop = self.carnot_share * carnot_cop(self.leaving_c - EVAPORATOR_APPROACH_K, hot_c)
        standing_w = 0.01 * self.capacity_w / 5.0 if self.running else 0.0
        self.power_w = self.heat_w / cop + standing_w

    def _sequence(self, dt_s: float, excess_k: float) -> None:
        self.since_s += dt_s
        asks = excess_k < 0.3 if self.running else excess_k > 1.0
        self.asked_s = self.asked_s + dt_s if asks else 0.0
        rest_s = self.min_on_s if self.running else self.min_off_s
        if self.asked_s > 60.0 and self.since_s >= rest_s:
            self.running, self.since_s, self.asked_s = not self.running, 0.0, 0.0


class Pump:
    """Facility water pumps that hold the loop's differential pressure. Flow [m3/s], power [W]."""

    def __init__(self, equipment: Equipment) -> None:
        design = equipment.design
        self.id, self.design_flow_m3_s, self.head_pa = equipment.id, design["flow_m3_s"], design["head_pa"]
        self.efficiency, self.volume_m3 = design.get("efficiency", 0.65), design.get("volume_m3", 2.0)
        self.flow_m3_s = self.power_w = 0.0

    def step(self, flow_m3_s: float) -> None:
        """Move what the valves let through; its whole power heats the water."""
        self.flow_m3_s, self.power_w = flow_m3_s, flow_m3_s * self.head_pa / self.efficiency


class FacilityLoop:
    """Return volume, dry coolers, chiller, supply volume, pumps. Temperatures [degC]."""

    def __init__(self, pump: Pump, cooler: DryCooler, chiller: Chiller | None, water_rho_cp: float) -> None:
        self.pump, self.cooler, self.chiller = pump, cooler, chiller
        self.water_rho_cp = water_rho_cp
        self.half_j_k = 0.5 * pump.volume_m3 * water_rho_cp
        self.supply_c, self.return_c = 27.0, 36.0
        self.rejected_w = 0.0

    @property
    def stored_j(self) -> float:
        """Heat content against 0 degC [J]."""
        return self.half_j_k * (self.supply_c + self.return_c) + self.cooler.capacity_j_k * self.cooler.leaving_c

    def step(self, dt_s: float, setpoint_c: float, cdus: Sequence[Cdu], dry_bulb_c: float) -> None:
        """Advance dt_s [s] with the heat and flows that the CDUs had in this step."""
        supply_c, return_c = self.supply_c, self.return_c
        flow_m3_s = sum(cdu.facility_flow_m3_s for cdu in cdus)
        heat_w = sum(cdu.heat_w for cdu in cdus)
        stream_w_k = self.water_rho_cp * flow_m3_s
        self.pump.step(flow_m3_s)
        leaving_c = self.cooler.leaving_c
        self.cooler.step(dt_s, setpoint_c, return_c, flow_m3_s, dry_bulb_c)
        chilled_w = self._trim(dt_s, setpoint_c, leaving_c, stream_w_k, dry_bulb_c)
        into_supply_w = stream_w_k * (leaving_c - supply_c) - chilled_w + self.pump.power_w
        self.supply_c += dt_s * into_supply_w / self.half_j_k
        self.return_c += dt_s * (heat_w - stream_w_k * (return_c - supply_c)) / self.half_j_k

    def _trim(self, dt_s: float, setpoint_c: float, leaving_c: float, stream_w_k: float, dry_bulb_c: float) -> float:
        self.rejected_w = self.cooler.heat_w + self.cooler.power_w  # fan motors stand outdoors
        if self.chiller is None:
            return 0.0
        self.chiller.step(dt_s, setpoint_c, leaving_c, stream_w_k, dry_bulb_c)
        self.rejected_w += self.chiller.heat_w + self.chiller.power_w
        return self.chiller.heat_w


class Room:
    """The hall's air and the air unit that cools it. Temperatures [degC], powers [W]."""

    def __init__(self, room: Equipment | None, unit: Equipment | None) -> None:
        design = room.design if room else {}
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
        self.heat_w = self.fan_w = self.power_w = self.rejected_w = 0.0

    @property
    def stored_j(self) -> float:
        """Heat content against 0 degC [J]."""
        return self.capacity_j_k * self.air_c

    def step(self, dt_s: float, gains_w: float, dry_bulb_c: float, outdoor_dew_c: float) -> None:
        """Advance dt_s [s]; without an air unit the hall loses its heat through vents."""
        self.dew_c += (self._dew_target(outdoor_dew_c) - self.dew_c) * min(dt_s / 3600.0, 1.0)
        if not self.id:
            self.heat_w = self.rejected_w = 2000.0 * (self.air_c - dry_bulb_c)
        else:
            self._cool(dt_s, dry_bulb_c)
        self.air_c += dt_s * (gains_w + self.fan_w - self.heat_w) / self.capacity_j_k

    def _cool(self, dt_s: float, dry_bulb_c: float) -> None:
        share = self.loop.step(self.air_c - self.setpoint_c, dt_s)
        self.heat_w = self.heat_capacity_w * share
        self.fan_w = self.fan_design_w * max(share, 0.3) ** 3
        cop = self.carnot_share * carnot_cop(self.air_c - AIR_COIL_K, dry_bulb_c + CONDENSER_APPROACH_K)
        compressor_w = self.heat_w / cop
        self.power_w = self.fan_w + compressor_w
        self.rejected_w = self.heat_w + compressor_w

    def _dew_target(self, outdoor_dew_c: float) -> float:
        # a tight, dehumidified hall follows humid weather only a little
        return self.design_dew_c + 0.2 * max(outdoor_dew_c - self.design_dew_c, -10.0)
