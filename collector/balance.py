"""Heat and mass balances of a coolant loop: residuals and their uncertainty. Pure.

A rack's liquid takes up the captured share of its electrical power: r = (ρ·cp·V·ΔT − c·P) / (c·P). The racks' heat
arrives at the CDUs' secondary side, less what the coolant between stores (manifold), and goes on to their primary side
with the pump's power (CDU). The racks' flows add up to the CDUs' (mass). All residuals are relative. Arrays may have
leading dimensions (…): balances stand in the last one, in the order racks, manifold, mass, CDUs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MINUTE_S, LOOKS = 60.0, 6
"""Means are of a minute with so many looks."""
MUTE_BELOW_K = 2.0
"""Below this temperature difference [K] a heat balance says nothing."""
MUTE_BELOW_FLOW = 0.03
"""Below this share of a loop's design flow its meters show their own zero: the mass balance says nothing."""
WINDOW_MINUTES = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertainty:
    """Standard deviations.

    Of one-minute means: flow and power relative, temperature [K] of one sensor. What is systematic: capture fraction
    (relative), heat capacity by the glycol content (relative), bias of a flow meter (relative) and of a temperature
    pair [K]. drift: what a residual wanders in a day (relative). lag: share of a change from
    minute to minute that the balance may not have followed.
    """

    flow: float = 0.01
    temperature_k: float = 0.03
    power: float = 0.005
    capture: float = 0.03
    heat: float = 0.005
    flow_bias: float = 0.02
    pair_k: float = 0.1
    drift: float = 0.003
    lag: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """One-minute means [SI].

    Racks (…, n): flow, rise (return − supply), power; units (…, m): flow and rise of the
    secondary side, flow and rise of the primary side, pump power. NaN where a sensor is not to be trusted.
    stored_w (…, 1): what the coolant between racks and units took up.
    """

    rack_flow: Floats
    rack_rise: Floats
    rack_power: Floats
    unit_flow: Floats
    unit_rise: Floats
    primary_flow: Floats
    primary_rise: Floats
    pump_power: Floats
    stored_w: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """Heat capacity of the coolant and of the primary side's water [J/(m³ K)], capture fraction of each rack (n,).

    least_flow: of the whole loop [m³/s]; below it its flows are not weighed.
    half_j_k: heat capacity of half the coolant between racks and units [J/K]; 0 where it is not known.
    """

    coolant: float
    water: float
    capture: Floats
    least_flow: float = 0.0
    half_j_k: float = 0.0


@dataclass(frozen=True, slots=True)
class Residuals:
    """Relative residuals (…, balances), NaN where muted.

    white: their standard deviation; rise: the ΔT [K] that each rests on, infinite for mass. What a baseline takes up,
    as standard deviations, (balances,): systematic, relative; pair_k, bias of the temperature pairs [K].
    """

    value: Floats
    white: Floats
    rise: Floats
    systematic: Floats
    pair_k: Floats


def residuals(means: Means, known: Constants, sure: Uncertainty) -> Residuals:
    """All balances of a loop."""
    with np.errstate(invalid="ignore", divide="ignore"):
        value, rise = _values(means, known)
        white = np.sqrt(_variances(means, known, sure))
        heard = np.isfinite(value) & (rise >= MUTE_BELOW_K)
    systematic = np.sqrt(_systematic(means, sure))
    return Residuals(np.where(heard, value, np.nan), white, rise, systematic, _pairs(means, sure))


def _values(means: Means, known: Constants) -> tuple[Floats, Floats]:
    rack_w, unit_w = heats(means, known)
    liquid_w = known.capture * means.rack_power
    racks_w, racks_flow = _sum(rack_w), _sum(means.rack_flow)
    primary_w = known.water * means.primary_flow * means.primary_rise
    value = np.concatenate(
        [
            (rack_w - liquid_w) / liquid_w,
            (_sum(unit_w) + means.stored_w - racks_w) / racks_w,
            np.where(racks_flow >= known.least_flow, (_sum(means.unit_flow) - racks_flow) / racks_flow, np.nan),
            (primary_w - unit_w - means.pump_power) / unit_w,
        ],
        axis=-1,
    )
    loop_rise = racks_w / (known.coolant * racks_flow)
    both = np.minimum(means.unit_rise, means.primary_rise)
    rise = np.concatenate([means.rack_rise, loop_rise, np.full_like(loop_rise, np.inf), both], axis=-1)
    return value, rise


def heats(means: Means, known: Constants) -> tuple[Floats, Floats]:
    """Heat [W] that the coolant takes up in each rack, and gives off in each unit."""
    return known.coolant * means.rack_flow * means.rack_rise, known.coolant * means.unit_flow * means.unit_rise


def heat_change(means: Means, before: Means, known: Constants) -> Floats:
    """Relative change of what each balance weighs from one minute to the next (…, balances); 0 for mass."""
    now, then = _weighed(means, known), _weighed(before, known)
    with np.errstate(invalid="ignore", divide="ignore"):
        change: Floats = np.nan_to_num(np.abs(now - then) / np.abs(now), nan=0.0, posinf=1.0)
    return change


def _weighed(means: Means, known: Constants) -> Floats:
    rack_w, unit_w = heats(means, known)
    racks_w = _sum(rack_w)
    return np.concatenate([known.capture * means.rack_power, racks_w, np.ones_like(racks_w), unit_w], axis=-1)


def _variances(means: Means, known: Constants, sure: Uncertainty) -> Floats:
    rack_w, unit_w = heats(means, known)
    flow2 = sure.flow**2
    rack2, unit2 = flow2 + rise_variance(means.rack_rise, sure), flow2 + rise_variance(means.unit_rise, sure)
    primary2 = flow2 + rise_variance(means.primary_rise, sure)
    share_w, share_unit_w = rack_w / _sum(rack_w), unit_w / _sum(unit_w)
    share, share_unit = means.rack_flow / _sum(means.rack_flow), means.unit_flow / _sum(means.unit_flow)
    return np.concatenate(
        [
            rack2 + sure.power**2,
            _sum(share_w**2 * rack2) + _sum(share_unit_w**2 * unit2) + _stored2(means, known, sure, _sum(rack_w)),
            flow2 * (_sum(share**2) + _sum(share_unit**2)),
            unit2 + primary2,
        ],
        axis=-1,
    )


def _stored2(means: Means, known: Constants, sure: Uncertainty, racks_w: Floats) -> Floats:
    """Variance of the stored heat: it rests on single looks, of which a minute's mean has six."""
    sensors = 1.0 / means.rack_flow.shape[-1] + 1.0 / means.unit_flow.shape[-1]
    found: Floats = 2.0 * LOOKS * sensors * (sure.temperature_k * known.half_j_k / (MINUTE_S * racks_w)) ** 2
    return found


def _systematic(means: Means, sure: Uncertainty) -> Floats:
    """Variance of what does not change: without the temperature pairs, which weigh by 1/ΔT."""
    racks, units = means.rack_flow.shape[-1], means.unit_flow.shape[-1]
    by_rack = sure.capture**2 + sure.heat**2 + sure.flow_bias**2
    by_unit = sure.heat**2 + 2.0 * sure.flow_bias**2
    return np.array([by_rack] * racks + [sure.flow_bias**2, sure.flow_bias**2] + [by_unit] * units)


def _pairs(means: Means, sure: Uncertainty) -> Floats:
    """Bias [K] of the temperature pairs of each balance: a CDU's has two."""
    racks, units = means.rack_flow.shape[-1], means.unit_flow.shape[-1]
    return sure.pair_k * np.array([1.0] * (racks + 2) + [math.sqrt(2.0)] * units)


def rise_variance(rise: Floats, sure: Uncertainty) -> Floats:
    """Relative variance of a temperature difference [K] that two sensors tell."""
    found: Floats = 2.0 * (sure.temperature_k / rise) ** 2
    return found


def _sum(column: Floats) -> Floats:
    total: Floats = column.sum(axis=-1, keepdims=True)
    return total
