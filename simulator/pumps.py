"""Centrifugal pumps by the affinity laws, and the differential-pressure loop of a coolant unit."""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulator.exchange import moved

SHUT_OFF = 1.3  # head at no flow over head at the design point, usual for close-coupled centrifugal pumps
DESIGN_SPEED = 0.8  # pumps are chosen so that the design point is met with reserve
LEAST_SPEED = 0.1


@dataclass(frozen=True, slots=True)
class PumpCurve:
    """Head = shut_off_pa * n^2 - slope_pa * (V / design_flow)^2, which obeys the affinity laws at every speed n.

    shut_off_pa: head at full speed without flow [Pa]; slope_pa: what it loses at design flow [Pa]; efficiency: of pump,
    motor and drive at the design point.
    """

    design_flow_m3_s: float
    shut_off_pa: float
    slope_pa: float
    efficiency: float

    @classmethod
    def through(cls, flow_m3_s: float, head_pa: float, efficiency: float) -> PumpCurve:
        """The curve of a pump that meets (flow, head) at 80 % of its speed."""
        shut_off_pa = SHUT_OFF * head_pa / DESIGN_SPEED**2
        return cls(flow_m3_s, shut_off_pa, (SHUT_OFF - 1.0) * head_pa, efficiency)

    def head_pa(self, speed: float, flow_m3_s: float) -> float:
        """Head [Pa] at a speed [1] and flow [m3/s]."""
        return self.shut_off_pa * speed * speed - self.slope_pa * (flow_m3_s / self.design_flow_m3_s) ** 2

    def speed_for(self, head_pa: float, flow_m3_s: float) -> float:
        """Speed [1] that gives a head [Pa] at a flow [m3/s]."""
        share = flow_m3_s / self.design_flow_m3_s
        return math.sqrt(max(head_pa + self.slope_pa * share * share, 0.0) / self.shut_off_pa)

    def power_w(self, speed: float, flow_m3_s: float, head_pa: float) -> float:
        """Electrical power [W]; efficiency falls off as a parabola either side of the similar design point."""
        if speed <= 0.0:
            return 0.0
        ratio = flow_m3_s / self.design_flow_m3_s * DESIGN_SPEED / speed
        share = max(1.0 - (ratio - 1.0) ** 2, 0.2)
        return flow_m3_s * head_pa / (self.efficiency * share)


class PressureLoop:
    """PI of pump speed on differential pressure, solved together with the pump (no flow waits for the next step).

    gain [speed per design pressure], integral_s [s], ramp_s [s] from stop to full speed.
    """

    def __init__(self, design_pa: float, gain: float, integral_s: float, ramp_s: float) -> None:
        self.design_pa, self.gain, self.integral_s, self.ramp_s = design_pa, gain, integral_s, ramp_s
        self.speed = self.integral = DESIGN_SPEED

    def driven(self, dt_s: float, speed: float) -> float:
        """Speed [1] after dt_s [s] where the speed itself is told, whatever the pressure."""
        self.speed = self.integral = moved(self.speed, min(max(speed, LEAST_SPEED), 1.0), dt_s / self.ramp_s)
        return self.speed

    def step(self, dt_s: float, setpoint_pa: float, pressure_pa: float) -> float:
        """Speed [1] after dt_s [s]; pressure_pa [Pa] is the one at the present speed and goes with its square."""
        speed = max(self.speed, LEAST_SPEED)
        slope = 2.0 * pressure_pa / speed
        share_of_gain, into = self.gain / self.design_pa, dt_s / self.integral_s
        # want = integral' + gain * e(want), integral' = integral + gain * e(want) * dt / Ti, e linear in want
        free = setpoint_pa - pressure_pa + slope * speed
        total = share_of_gain * (1.0 + into)
        want = (self.integral + total * free) / (1.0 + total * slope)
        bounded = min(max(want, LEAST_SPEED), 1.0)
        self.speed = moved(self.speed, bounded, dt_s / self.ramp_s)
        error_pa = free - slope * self.speed
        if bounded == want or (want > 1.0) != (error_pa > 0.0):
            self.integral = min(max(self.integral + share_of_gain * error_pa * into, 0.0), 1.0)
        return self.speed
