"""The technology coolant side: CDUs (or a liquid-to-air sidecar) on one manifold, and its racks."""

from __future__ import annotations

from collections.abc import Sequence

from plant.topology import Equipment
from simulator.exchange import (
    ProportionalIntegral,
    design_ua_w_k,
    exchanged_w,
    exchanger_ua_w_k,
    moved,
    valve_flow_share,
)
from simulator.racks import Rack

VALVE_GAIN = 0.02  # stem per K
VALVE_INTEGRAL_S = 60.0
MOST_FLOW_SHARE = 1.25
AIR_RISE_K = 12.0  # of a sidecar's air at design
LEAST_FAN = 0.1


class Cdu:
    """A coolant distribution unit: exchanger, facility valve under a PI on supply temperature, pump.

    Temperatures [degC], powers [W], flows [m3/s]; `running` False is a device that stands still.
    """

    def __init__(self, equipment: Equipment, rho_cp: float, water_rho_cp: float) -> None:
        design = equipment.design
        self.id, self.rho_cp, self.water_rho_cp = equipment.id, rho_cp, water_rho_cp
        self.design_flow_m3_s = design["flow_m3_s"]
        self.design_facility_flow_m3_s = design["facility_flow_m3_s"]
        self.ua_w_k = design["ua_w_k"]
        self.internal_dp_pa = design.get("internal_dp_pa", 145e3)
        self.efficiency = design.get("pump_efficiency", 0.65)
        self.stroke_s = design.get("valve_stroke_s", 120.0)
        self.capacity_j_k = rho_cp * 6.0 * self.design_flow_m3_s  # six seconds of coolant and metal
        self.loop = ProportionalIntegral(VALVE_GAIN, VALVE_INTEGRAL_S)
        self.running = True
        self.supply_c, self.valve = 32.0, 0.5
        self.return_c, self.facility_return_c = 40.0, 35.0
        self.flow_m3_s = self.facility_flow_m3_s = 0.0
        self.heat_w = self.power_w = 0.0

    @property
    def most_flow_m3_s(self) -> float:
        """What its pumps can move [m3/s]."""
        return MOST_FLOW_SHARE * self.design_flow_m3_s if self.running else 0.0

    @property
    def stored_j(self) -> float:
        """Heat content against 0 degC [J]."""
        return self.capacity_j_k * self.supply_c

    def internal_pa(self, flow_m3_s: float) -> float:
        """Own pressure drop [Pa]."""
        return self.internal_dp_pa * (flow_m3_s / self.design_flow_m3_s) ** 2

    def step(self, dt_s: float, setpoint_c: float, return_c: float, dp_pa: float, facility_c: float) -> None:
        """Advance dt_s [s] at the flow that the loop gave it; the pump's whole power heats the coolant."""
        want = self.loop.step(self.supply_c - setpoint_c, dt_s) if self.running else 0.0
        self.valve = moved(self.valve, want, dt_s / self.stroke_s)
        flow_m3_s, facility_flow_m3_s = self.flow_m3_s, self.design_facility_flow_m3_s * valve_flow_share(self.valve)
        ua_w_k = exchanger_ua_w_k(
            self.ua_w_k, flow_m3_s / self.design_flow_m3_s, facility_flow_m3_s / self.design_facility_flow_m3_s
        )
        stream_w_k, water_w_k = self.rho_cp * flow_m3_s, self.water_rho_cp * facility_flow_m3_s
        self.heat_w = exchanged_w(ua_w_k, stream_w_k, water_w_k, return_c - facility_c)
        self.power_w = flow_m3_s * (dp_pa + self.internal_pa(flow_m3_s)) / self.efficiency
        net_w = stream_w_k * (return_c - self.supply_c) - self.heat_w + self.power_w
        self.supply_c += dt_s * net_w / self.capacity_j_k
        self.return_c, self.facility_flow_m3_s = return_c, facility_flow_m3_s
        self.facility_return_c = facility_c + self.heat_w / water_w_k


class Sidecar:
    """A liquid-to-air unit: its coil gives the racks' heat to the room, fans under a PI on supply temperature."""

    def __init__(self, equipment: Equipment, rho_cp: float) -> None:
        design = equipment.design
        self.id, self.rho_cp = equipment.id, rho_cp
        self.design_flow_m3_s = design["flow_m3_s"]
        self.internal_dp_pa = design.get("internal_dp_pa", 60e3)
        self.efficiency = design.get("pump_efficiency", 0.45)
        self.fan_design_w = design.get("fan_power_w", 0.02 * design["heat_w"])
        self.air_w_k = design["heat_w"] / AIR_RISE_K
        stream_w_k = rho_cp * self.design_flow_m3_s
        inlet_k = design.get("approach_k", 10.0) + design["heat_w"] / stream_w_k
        self.ua_w_k = design.get("ua_w_k") or design_ua_w_k(design["heat_w"], stream_w_k, self.air_w_k, inlet_k)
        self.capacity_j_k = rho_cp * 10.0 * self.design_flow_m3_s
        self.loop = ProportionalIntegral(0.04, 90.0, LEAST_FAN)
        self.running = True
        self.supply_c, self.return_c, self.fan = 35.0, 42.0, 0.5
        self.flow_m3_s = self.heat_w = self.power_w = self.fan_w = self.air_c = 0.0

    @property
    def most_flow_m3_s(self) -> float:
        """What its pumps can move [m3/s]."""
        return MOST_FLOW_SHARE * self.design_flow_m3_s if self.running else 0.0

    @property
    def stored_j(self) -> float:
        """Heat content against 0 degC [J]."""
        return self.capacity_j_k * self.supply_c

    def step(self, dt_s: float, setpoint_c: float, return_c: float, dp_pa: float, room_c: float) -> None:
        """Advance dt_s [s]; pump power heats the coolant, fan power the room."""
        want = self.loop.step(self.supply_c - setpoint_c, dt_s) if self.running else 0.0
        self.fan = moved(self.fan, want, dt_s / 30.0)
        flow_share = self.flow_m3_s / self.design_flow_m3_s
        stream_w_k, air_w_k = self.rho_cp * self.flow_m3_s, self.air_w_k * self.fan
        ua_w_k = exchanger_ua_w_k(self.ua_w_k, flow_share, self.fan)
        self.heat_w = exchanged_w(ua_w_k, stream_w_k, air_w_k, return_c - room_c)
        pump_w = self.flow_m3_s * (dp_pa + self.internal_dp_pa * flow_share**2) / self.efficiency
        self.fan_w = self.fan_design_w * self.fan**3
        self.power_w = pump_w + self.fan_w
        net_w = stream_w_k * (return_c - self.supply_c) - self.heat_w + pump_w
        self.supply_c += dt_s * net_w / self.capacity_j_k
        self.return_c, self.air_c = return_c, room_c


class CoolantLoop:
    """One cooling group: units in parallel, supply and return volumes, racks at one differential pressure."""

    def __init__(
        self, racks: Sequence[Rack], units: Sequence[Cdu | Sidecar], rho_cp: float, volume_m3: float, ramp_s: float
    ) -> None:
        self.racks, self.units, self.rho_cp = list(racks), list(units), rho_cp
        self.half_j_k = 0.5 * volume_m3 * rho_cp
        self.ramp_s = ramp_s
        self.design_dp_pa = max(rack.design_dp_pa for rack in racks)
        self.supply_c, self.return_c = 32.0, 40.0
        self.dp_pa = self.design_dp_pa
        self.flow_m3_s = 0.0

    @property
    def stored_j(self) -> float:
        """Heat content against 0 degC [J]: water volumes, racks and units."""
        own_j = self.half_j_k * (self.supply_c + self.return_c) + sum(unit.stored_j for unit in self.units)
        return own_j + sum(rack.capacity_j_k * rack.case_c for rack in self.racks)

    def pressure_for(self, flow_m3_s: float) -> float:
        """Differential pressure [Pa] at which the racks take flow_m3_s [m3/s]."""
        at_design = sum(rack.flow_at(self.design_dp_pa) for rack in self.racks)
        return self.design_dp_pa * float((flow_m3_s / at_design) ** 1.85)

    def step(self, dt_s: float, dp_setpoint_pa: float, utilisations: Sequence[float]) -> None:
        """Advance pumps and racks by dt_s [s]; the units' own step comes after."""
        most_m3_s = sum(unit.most_flow_m3_s for unit in self.units)
        target_pa = min(dp_setpoint_pa, self.pressure_for(most_m3_s))
        near_pa = self.dp_pa + (target_pa - self.dp_pa) * min(dt_s / (0.25 * self.ramp_s), 1.0)
        self.dp_pa = moved(self.dp_pa, near_pa, dt_s * self.design_dp_pa / self.ramp_s)
        total_m3_s, heat_w, supply_c = 0.0, 0.0, self.supply_c
        for rack, utilisation in zip(self.racks, utilisations, strict=True):
            flow_m3_s = rack.flow_at(self.dp_pa)
            rack.dp_pa = self.dp_pa
            rack.step(dt_s, supply_c, flow_m3_s, utilisation)
            total_m3_s += flow_m3_s
            heat_w += rack.liquid_w
        self.flow_m3_s = total_m3_s
        self._share(total_m3_s)
        self._mix(dt_s, heat_w)

    def _share(self, total_m3_s: float) -> None:
        running = sum(unit.running for unit in self.units)
        for unit in self.units:
            unit.flow_m3_s = total_m3_s / running if unit.running else 0.0

    def _mix(self, dt_s: float, heat_w: float) -> None:
        arriving_w = sum(self.rho_cp * unit.flow_m3_s * (unit.supply_c - self.supply_c) for unit in self.units)
        stream_w_k = self.rho_cp * sum(unit.flow_m3_s for unit in self.units)
        leaving_w = heat_w - stream_w_k * (self.return_c - self.supply_c)
        self.unit_return_c = self.return_c  # what the units receive in this step, so that no joule is counted twice
        self.supply_c += dt_s * arriving_w / self.half_j_k
        self.return_c += dt_s * leaving_w / self.half_j_k
