"""The parts that loops are made of: heat exchangers, valves, PI loops and rate limits."""

from __future__ import annotations

import math

RANGEABILITY = 50.0
AUTHORITY = 0.5


def effectiveness(ntu: float, capacity_ratio: float) -> float:
    """Counterflow effectiveness [1] (Incropera, table 11.3)."""
    if capacity_ratio > 0.999:
        return ntu / (1.0 + ntu)
    decay = math.exp(-ntu * (1.0 - capacity_ratio))
    return (1.0 - decay) / (1.0 - capacity_ratio * decay)


def exchanged_w(ua_w_k: float, hot_w_k: float, cold_w_k: float, difference_k: float) -> float:
    """Heat [W] that a counterflow exchanger moves between two streams of capacity rates [W/K]; 0 without flow."""
    low, high = (hot_w_k, cold_w_k) if hot_w_k < cold_w_k else (cold_w_k, hot_w_k)
    if low <= 0.0:
        return 0.0
    return effectiveness(ua_w_k / low, low / high) * low * difference_k


def exchanger_ua_w_k(
    design_w_k: float, hot_share: float, cold_share: float, film_ratio: float = 1.0, fouling_k_w: float = 0.0
) -> float:
    """UA [W/K] off design: 1/UA = 1/hA_hot + 1/hA_cold + fouling, each hA ~ flow^0.8 (Dittus-Boelter).

    film_ratio: hA_cold / hA_hot at design; fouling_k_w: resistance of the deposit [K/W].
    """
    if hot_share <= 0.0 or cold_share <= 0.0:
        return 0.0
    hot_k_w = film_ratio / (math.pow(hot_share, 0.8) * design_w_k * (1.0 + film_ratio))
    cold_k_w = 1.0 / (math.pow(cold_share, 0.8) * design_w_k * (1.0 + film_ratio))
    return 1.0 / (hot_k_w + cold_k_w + fouling_k_w)


def design_ua_w_k(heat_w: float, hot_w_k: float, cold_w_k: float, difference_k: float) -> float:
    """UA [W/K] that moves heat_w at the given inlet difference [K]; effectiveness is capped at 0.95."""
    low, high = min(hot_w_k, cold_w_k), max(hot_w_k, cold_w_k)
    wanted = min(heat_w / (low * difference_k), 0.95)
    ratio = low / high
    if ratio > 0.999:
        return low * wanted / (1.0 - wanted)
    return low * math.log((1.0 - wanted * ratio) / (1.0 - wanted)) / (1.0 - ratio)


def valve_flow_share(position: float) -> float:
    """Flow share [1] at a stem position [0..1]: equal percentage R = 50, authority 0.5, at constant loop pressure."""
    phi = RANGEABILITY ** (position - 1.0)
    return 1.0 / math.sqrt(1.0 - AUTHORITY + AUTHORITY / (phi * phi))


class ProportionalIntegral:
    """PI loop: gain [output per error], integral_s [s]; its integral stops where the output is bounded."""

    __slots__ = ("gain", "high", "integral", "integral_s", "low")

    def __init__(
        self, gain: float, integral_s: float, low: float = 0.0, high: float = 1.0, *, start: float = 0.5
    ) -> None:
        self.gain, self.integral_s, self.low, self.high, self.integral = gain, integral_s, low, high, start

    def step(self, error: float, dt_s: float) -> float:
        """Output after dt_s [s] of `error`."""
        integral = self.integral + self.gain * error * dt_s / self.integral_s
        output = self.gain * error + integral
        if self.low < output < self.high or (output >= self.high) != (error > 0):
            self.integral = min(max(integral, self.low), self.high)
        return min(max(output, self.low), self.high)


def moved(value: float, target: float, most: float) -> float:
    """`value` moved towards `target` by `most` at most."""
    return min(max(target, value - most), value + most)
