"""The technology coolant side: CDUs (or a liquid-to-air sidecar) on one manifold, and its racks."""

from __future__ import annotations

import math
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
from simulator.pumps import PressureLoop, PumpCurve
from simulator.racks import FLOW_EXPONENT, Floats, Rack, RackBank

VALVE_GAIN = 0.1  # stem per K (LBNL Buildings CDU: k = 1 over 10 K, Ti = 120 s)
VALVE_INTEGRAL_S = 120.0
VALVE_STROKE_S = 120.0
PUMP_GAIN = 1.0  # speed per design pressure
PUMP_INTEGRAL_S = 20.0
RESIDENCE_S = 6.0  # coolant and metal of a CDU, in seconds of its flow
MOST_FLOW_SHARE = 1.25
AIR_RISE_K = 12.0  # of a sidecar's air at design
LEAST_FAN = 0.1


class Circulator:
    """The pump side that CDUs and sidecars share: own pressure drop, pump curve, what the pumps can move at most."""

    id: str
    rho_cp: float
    design_flow_m3_s: float
    internal_dp_pa: float
    efficiency: float
    capacity_j_k: float
    curve: PumpCurve
    running: bool
    speed: float
    supply_c: float
    outlet_c: float
    flow_m3_s: float

    @property
    def most_flow_m3_s(self) -> float:
        """What its pumps can move [m3/s]."""
        return MOST_FLOW_SHARE * self.design_flow_m3_s if self.running else 0.0

    @property
    def stored_j(self) -> float:
        """Heat content against 0 degC [J]."""
        return self.capacity_j_k * self.supply_c

    def carry(self, dt_s: float, stream_w_k: float, source_w: float) -> None:
        """Warm its contents by source_w [W] (return, exchanger, pump) less what leaves; exact over the step.

        outlet_c is the mean temperature [degC] of what left, so that the loop receives exactly what the unit gave.
        """
        before_c = self.supply_c
        if stream_w_k <= 0.0:
            self.supply_c = self.outlet_c = before_c + dt_s * source_w / self.capacity_j_k
            return
        final_c = source_w / stream_w_k
        self.supply_c = final_c + (before_c - final_c) * math.exp(-dt_s * stream_w_k / self.capacity_j_k)
        self.outlet_c = final_c - self.capacity_j_k * (self.supply_c - before_c) / (stream_w_k * dt_s)

    def internal_pa(self, flow_m3_s: float) -> float:
        """Own pressure drop [Pa]."""
        share = flow_m3_s / self.design_flow_m3_s
        return self.internal_dp_pa * share * share

    def fit(self, racks_pa: float) -> None:
        """Choose the pump for its design flow against its own drop and racks_pa [Pa] outside."""
        self.curve = PumpCurve.through(self.design_flow_m3_s, self.internal_dp_pa + racks_pa, self.efficiency)

    def flow_at(self, speed: float, dp_pa: float) -> tuple[float, float]:
        """Flow [m3/s] that it sends out at a speed against dp_pa [Pa], and how that falls with it [m3/s Pa]."""
        spare_pa = self.curve.shut_off_pa * speed * speed - dp_pa
        if not self.running or spare_pa <= 1.0:
            return 0.0, 0.0
        steepness_pa = self.curve.slope_pa + self.internal_dp_pa
        flow_m3_s = self.design_flow_m3_s * math.sqrt(spare_pa / steepness_pa)
        return flow_m3_s, -0.5 * flow_m3_s / spare_pa


class Cdu(Circulator):
    """A coolant distribution unit: exchanger, facility valve under a PI on supply temperature, pump.

    Temperatures [degC], powers [W], flows [m3/s]; `running` False is a device that stands still.
    """

    def __init__(self, equipment: Equipment, rho_cp: float, water_rho_cp: float) -> None:
        design = equipment.design
        self.id, self.rho_cp, self.water_rho_cp = equipment.id, rho_cp, water_rho_cp
        self.design_flow_m3_s = design["flow_m3_s"]
        self.design_facility_flow_m3_s = design["facility_flow_m3_s"]
        self.ua_w_k = design["ua_w_k"]
        self.film_ratio, self.fouling_k_w = design.get("film_ratio", 1.0), design.get("fouling_k_w", 0.0)
        self.internal_dp_pa = design.get("internal_dp_pa", 145e3)
        self.efficiency = design.get("pump_efficiency", 0.65)
        self.stroke_s = design.get("valve_stroke_s", VALVE_STROKE_S)
        self.capacity_j_k = rho_cp * design.get("residence_s", RESIDENCE_S) * self.design_flow_m3_s
        gain, integral_s = design.get("valve_gain", VALVE_GAIN), design.get("valve_integral_s", VALVE_INTEGRAL_S)
        self.loop = ProportionalIntegral(gain, integral_s)
        self.running, self.speed = True, 0.0
        self.facility_drive, self.valve_jammed = 1.0, False  # share of design facility flow that the loop can drive
        self.supply_c = self.outlet_c = 32.0
        self.valve = 0.5
        self.return_c, self.facility_return_c = 40.0, 35.0
        self.flow_m3_s = self.facility_flow_m3_s = 0.0
        self.heat_w = self.power_w = 0.0

    def step(self, dt_s: float, setpoint_c: float, return_c: float, dp_pa: float, facility_c: float) -> None:
        """Advance dt_s [s] at the flow that the loop gave it; the pump's whole power heats the coolant."""
        want = self.loop.step(self.supply_c - setpoint_c, dt_s) if self.running else 0.0
        if not self.valve_jammed:
            self.valve = moved(self.valve, want, dt_s / self.stroke_s)
        open_share = valve_flow_share(self.valve) * self.facility_drive
        flow_m3_s, facility_flow_m3_s = self.flow_m3_s, self.design_facility_flow_m3_s * open_share
        ua_w_k = exchanger_ua_w_k(
            self.ua_w_k,
            flow_m3_s / self.design_flow_m3_s,
            facility_flow_m3_s / self.design_facility_flow_m3_s,
            self.film_ratio,
            self.fouling_k_w,
        )
        stream_w_k, water_w_k = self.rho_cp * flow_m3_s, self.water_rho_cp * facility_flow_m3_s
        self.heat_w = exchanged_w(ua_w_k, stream_w_k, water_w_k, return_c - facility_c)
        self.power_w = self.curve.power_w(self.speed, flow_m3_s, dp_pa + self.internal_pa(flow_m3_s))
        self.carry(dt_s, stream_w_k, stream_w_k * return_c - self.heat_w + self.power_w)
        self.return_c, self.facility_flow_m3_s = return_c, facility_flow_m3_s
        self.facility_return_c = facility_c + (self.heat_w / water_w_k if water_w_k > 0.0 else 0.0)


class Sidecar(Circulator):
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
        self.running, self.speed = True, 0.0
        self.supply_c = self.outlet_c = 35.0
        self.return_c, self.fan = 42.0, 0.5
        self.flow_m3_s = self.heat_w = self.power_w = self.fan_w = self.air_c = 0.0

    def step(self, dt_s: float, setpoint_c: float, return_c: float, dp_pa: float, room_c: float) -> None:
        """Advance dt_s [s]; pump power heats the coolant, fan power the room."""
        want = self.loop.step(self.supply_c - setpoint_c, dt_s) if self.running else 0.0
        self.fan = moved(self.fan, want, dt_s / 30.0)
        flow_share = self.flow_m3_s / self.design_flow_m3_s
        stream_w_k, air_w_k = self.rho_cp * self.flow_m3_s, self.air_w_k * self.fan
        ua_w_k = exchanger_ua_w_k(self.ua_w_k, flow_share, self.fan)
        self.heat_w = exchanged_w(ua_w_k, stream_w_k, air_w_k, return_c - room_c)
        pump_w = self.curve.power_w(self.speed, self.flow_m3_s, dp_pa + self.internal_pa(self.flow_m3_s))
        self.fan_w = self.fan_design_w * self.fan**3
        self.power_w = pump_w + self.fan_w
        self.carry(dt_s, stream_w_k, stream_w_k * return_c - self.heat_w + pump_w)
        self.return_c, self.air_c = return_c, room_c


class CoolantLoop:
    """One cooling group: units in parallel, supply and return volumes, racks at one differential pressure.

    The master's PI on differential pressure gives one speed to all pumps; flow is where their curves meet the racks'.
    """

    def __init__(
        self,
        racks: Sequence[Rack],
        units: Sequence[Cdu | Sidecar],
        rho_cp: float,
        volume_m3: float,
        ramp_s: float,
        pump_integral_s: float = PUMP_INTEGRAL_S,
    ) -> None:
        self.racks, self.units, self.rho_cp = list(racks), list(units), rho_cp
        self.bank, self.rack_ids = RackBank(self.racks), [rack.id for rack in racks]
        self.half_j_k = 0.5 * volume_m3 * rho_cp
        self.design_dp_pa = max(rack.design_dp_pa for rack in racks)
        self.pressure = PressureLoop(self.design_dp_pa, PUMP_GAIN, pump_integral_s, ramp_s)
        self.supply_c, self.return_c = 32.0, 40.0
        self.dp_pa = self.design_dp_pa
        self.flow_m3_s = 0.0
        for unit in units:
            unit.fit(self.design_dp_pa)

    @property
    def stored_j(self) -> float:
        """Heat content against 0 degC [J]: water volumes, racks and units."""
        own_j = self.half_j_k * (self.supply_c + self.return_c) + sum(unit.stored_j for unit in self.units)
        return own_j + self.bank.stored_j

    def pressure_for(self, flow_m3_s: float) -> float:
        """Differential pressure [Pa] at which the racks take flow_m3_s [m3/s]."""
        return float((flow_m3_s / self.bank.flow_factor) ** (1.0 / FLOW_EXPONENT))

    def step(self, dt_s: float, dp_setpoint_pa: float, utilisations: Floats, speed: float | None = None) -> None:
        """Advance pumps and racks by dt_s [s]; the units' own step comes after, and then `mix`.

        speed: told in place of a pressure [1].
        """
        if speed is None:
            speed = self.pressure.step(dt_s, dp_setpoint_pa, self.dp_pa)
        else:
            speed = self.pressure.driven(dt_s, speed)
        self.dp_pa = self._meet(speed)
        for unit in self.units:
            unit.speed = speed if unit.running else 0.0
            unit.flow_m3_s = unit.flow_at(speed, self.dp_pa)[0]
        self.bank.step(dt_s, self.supply_c, self.dp_pa, utilisations)
        self._share(self.bank.total_flow_m3_s)

    def _meet(self, speed: float) -> float:
        """Differential pressure [Pa] at which the units send out what the racks take, by Newton's method."""
        if not any(unit.running for unit in self.units):
            return 0.0
        highest_pa = max(unit.curve.shut_off_pa for unit in self.units if unit.running) * speed * speed
        factor, at_pa = self.bank.flow_factor, min(max(self.dp_pa, 0.05 * highest_pa), 0.9 * highest_pa)
        for _ in range(12):
            racks_m3_s = factor * math.pow(at_pa, FLOW_EXPONENT)
            excess_m3_s, slope = -racks_m3_s, -FLOW_EXPONENT * racks_m3_s / at_pa
            for unit in self.units:
                flow_m3_s, fall = unit.flow_at(speed, at_pa)
                excess_m3_s, slope = excess_m3_s + flow_m3_s, slope + fall
            next_pa = min(max(at_pa - excess_m3_s / slope, 0.2 * at_pa), 0.5 * (at_pa + highest_pa))
            if abs(next_pa - at_pa) < 0.5:
                return next_pa
            at_pa = next_pa
        return at_pa

    def _share(self, total_m3_s: float) -> None:
        """Scale the units' flows to what the racks take, so that the balance is free of the solver's last digit."""
        sent_m3_s = sum(unit.flow_m3_s for unit in self.units)
        for unit in self.units:
            unit.flow_m3_s = unit.flow_m3_s * total_m3_s / sent_m3_s if sent_m3_s > 0.0 else 0.0
        self.flow_m3_s = total_m3_s if sent_m3_s > 0.0 else 0.0

    def mix(self, dt_s: float) -> None:
        """Advance both volumes by dt_s [s] with what units and racks gave in this step."""
        arriving_w = sum(self.rho_cp * unit.flow_m3_s * (unit.outlet_c - self.supply_c) for unit in self.units)
        stream_w_k = self.rho_cp * self.flow_m3_s
        leaving_w = float(self.bank.liquid_w.sum()) - stream_w_k * (self.return_c - self.supply_c)
        self.supply_c += dt_s * arriving_w / self.half_j_k
        self.return_c += dt_s * leaving_w / self.half_j_k
