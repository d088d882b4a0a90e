"""What a loop does in the hour after it lost some of its flow, seen from the side of caution. Arrays: one row a loss.

Two mixed volumes (supply, return), the remaining exchangers, cold plates with a first-order lag. Sources: LBNL
Buildings CDU_epsNTU (hA ~ flow^0.8, valve stroke 120 s, pump ramp 30 s), OCP OAI guidelines (cold plate).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from controller.exchange import effectiveness
from controller.model import MOST_HEATED
from controller.plates import FILM_EXPONENT

Array = npt.NDArray[np.float64]

STEPS_S = (*(0.5,) * 120, *(2.0,) * 120, *(10.0,) * 330)
"""Fine for the first minute, coarse towards the end of the hour."""
COARSE_S = tuple(2 * step_s for step_s in STEPS_S[::2])
"""The same hour, where only whether the limit is met is asked for."""
PUMP_RAMPS = 3.0
"""The remaining pumps reach what they will give within this many of their ramps."""
VALVE_STROKES = 1.5
"""The remaining facility valves are fully open, where they are needed, after this many strokes."""
_LEAST_M3_S = 1e-9
_STEADY_K = 0.002
_TOGETHER = 48
"""Steps reckoned at once; most losses are decided within two such blocks."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Losses:
    """Columns of shape (n,). Temperatures [°C], flows [m³/s], heat into the liquid [W], volumes' heat [J/K].

    flow_first, flow_last: of the loop just after the loss and once the remaining pumps have sped up, ramped_s later;
    flow_most: what they must give at full speed; water_*: of the remaining CDUs' facility side; rest_*: the remaining
    CDUs at design; least_supply_c: what their valves hold; facility_w: heat that the facility water keeps of what it
    gets [W]; facility_w_k: what is taken from it beside that for each kelvin that it warms [W/K]; gpu_w: of the
    hottest GPU; liquid_per_gpu: heat into the coolant for each watt of GPU [1]; plate_flow: flow through one plate for
    each flow of the loop [1]; plate_tau_s: 0 where nothing is known of it.
    """

    heat_w: Array
    supply_c: Array
    return_c: Array
    least_supply_c: Array
    facility_c: Array
    facility_w: Array
    facility_w_k: Array
    facility_j_k: Array
    flow_first: Array
    flow_last: Array
    flow_most: Array
    ramped_s: Array
    water_first: Array
    water_last: Array
    opened_s: Array
    rest_ua_w_k: Array
    rest_flow: Array
    rest_water: Array
    coolant_j_m3_k: Array
    water_j_m3_k: Array
    half_m3: Array
    gpu_w: Array
    liquid_per_gpu: Array
    plate_k_w: Array
    plate_design_flow: Array
    plate_flow: Array
    plate_tau_s: Array
    case_c: Array
    limit_c: Array


@dataclass(frozen=True, slots=True)
class _Step:
    """What a step does, shape (n,): shares of a way that is gone in it [1], and rises [K].

    plate_k, liquid_k: of the hottest case above supply, of return above supply; cooled: of return above facility water
    that exchangers take off; case, volumes: the way towards what they tend to.
    """

    plate_k: Array
    case: Array
    liquid_k: Array
    cooled: Array
    volumes: Array


def highest_case_c(losses: Losses, steps_s: Sequence[float]) -> Array:
    """The hottest case [°C] within steps_s [s] after the loss, and what it tends to; shape (n,)."""
    supply_c, return_c, facility_c = losses.supply_c, losses.return_c, losses.facility_c
    case_c, highest_c = losses.case_c, losses.case_c
    warms = bool(losses.facility_w.any())
    for step_s, step in zip(steps_s, _steps(losses, steps_s), strict=True):
        case_c = _towards(case_c, supply_c + step.plate_k, step.case)
        highest_c = np.maximum(highest_c, case_c)
        supply_c, return_c = _mixed(losses, supply_c, return_c, facility_c, step)
        facility_c = _warmed(losses, facility_c, step_s) if warms else facility_c
    return np.maximum(highest_c, steady_case_c(losses, supply_c, losses.flow_last))


def seconds_to_limit(losses: Losses, steps_s: Sequence[float] = STEPS_S) -> Array:
    """Seconds until the hottest case meets its limit, shape (n,); inf where it does not within the hour."""
    supply_c, return_c, facility_c = losses.supply_c, losses.return_c, losses.facility_c
    case_c, left_s, at_s = losses.case_c, np.full_like(supply_c, np.inf), 0.0
    keeps, warms = losses.facility_w <= 0, bool(losses.facility_w.any())
    moving_s = float(np.max(np.maximum(losses.ramped_s, losses.opened_s)))
    for step_s, step in zip(steps_s, _steps(losses, steps_s), strict=True):
        before_c, case_c = case_c, _towards(case_c, supply_c + step.plate_k, step.case)
        left_s = np.where(np.isinf(left_s) & (case_c > losses.limit_c), at_s, left_s)
        resting = (np.abs(case_c - before_c) < _STEADY_K) & keeps if at_s > moving_s else False
        if np.all(np.isfinite(left_s) | resting):
            break
        supply_c, return_c = _mixed(losses, supply_c, return_c, facility_c, step)
        facility_c = _warmed(losses, facility_c, step_s) if warms else facility_c
        at_s += step_s
    return left_s


def steady_case_c(losses: Losses, supply_c: Array, flow: Array) -> Array:
    """The hottest case [°C] where nothing changes any more; inf without flow."""
    return supply_c + losses.gpu_w / np.maximum(_conductance(losses, flow), 1e-12)


def _conductance(losses: Losses, flow: Array) -> Array:
    """Heat of a GPU that its plate carries off for each kelvin of case above supply [W/K]: OCP fit, and the stream."""
    plate = flow * losses.plate_flow
    l_min, design_l_min = plate * 60000, losses.plate_design_flow * 60000
    shape = (0.01602 + 0.00855 / np.maximum(l_min, 1e-6)) / (0.01602 + 0.00855 / design_l_min)
    carried_w_k = MOST_HEATED * plate * losses.coolant_j_m3_k / losses.liquid_per_gpu
    return np.minimum(1 / (losses.plate_k_w * shape), carried_w_k)


def _steps(losses: Losses, steps_s: Sequence[float]) -> Iterator[_Step]:
    """What each step does; reckoned for many at once, as most of a cycle's losses are of few rows."""
    ends_s = np.cumsum(steps_s)
    for first in range(0, len(steps_s), _TOGETHER):
        step_s = np.asarray(steps_s[first : first + _TOGETHER], dtype=np.float64)[:, None]
        yield from map(_Step, *_block(losses, ends_s[first : first + _TOGETHER, None] - step_s, step_s))


def _block(losses: Losses, at_s: Array, step_s: Array) -> tuple[Array, ...]:
    """The columns of `_Step` of steps that begin at_s [s] after the loss; shape (steps, n) each."""
    flow = _ramped(losses.flow_first, losses.flow_last, at_s, losses.ramped_s)
    water = _ramped(losses.water_first, losses.water_last, at_s, losses.opened_s)
    stream_w_k = np.maximum(flow * losses.coolant_j_m3_k, 1e-3)
    plate_w_k = np.maximum(_conductance(losses, flow), 1e-12)
    pace = step_s * plate_w_k * losses.plate_k_w / np.maximum(losses.plate_tau_s, 1e-9)
    left = np.exp(-step_s * flow / np.maximum(losses.half_m3, 1e-6))
    return (
        losses.gpu_w / plate_w_k,
        np.where(losses.plate_tau_s > 0, -np.expm1(-pace), 1.0),  # at once where the plates' mass is not known
        losses.heat_w / stream_w_k,
        _exchanged_w_k(losses, flow, water) / stream_w_k,
        np.where(flow > _LEAST_M3_S, 1 - left, 0.0),
    )


def _ramped(first: Array, last: Array, at_s: Array, within_s: Array) -> Array:
    return np.asarray(first + (last - first) * np.minimum(at_s / within_s, 1.0), dtype=np.float64)


def _towards(now_c: Array, target_c: Array, way: Array) -> Array:
    """Exact for what it tends to, as long as that stands."""
    return now_c + (target_c - now_c) * way


def _mixed(losses: Losses, supply_c: Array, return_c: Array, facility_c: Array, step: _Step) -> tuple[Array, Array]:
    """Supply and return after a step; the volumes are mixed, which warms them at once."""
    sent_c = return_c - step.cooled * np.maximum(return_c - facility_c, 0.0)
    sent_c = np.maximum(sent_c, np.minimum(losses.least_supply_c, return_c))
    back_c = supply_c + step.liquid_k
    return _towards(supply_c, sent_c, step.volumes), _towards(return_c, back_c, step.volumes)


def _warmed(losses: Losses, facility_c: Array, step_s: float) -> Array:
    """Facility water after step_s [s], exact for what it keeps less what its warmth has taken from it."""
    pace = np.maximum(losses.facility_w_k / losses.facility_j_k, 1e-12)
    kept_w = losses.facility_w - losses.facility_w_k * (facility_c - losses.facility_c)
    return np.asarray(facility_c - kept_w / losses.facility_j_k * np.expm1(-pace * step_s) / pace, dtype=np.float64)


def _exchanged_w_k(losses: Losses, flow: Array, water: Array) -> Array:
    """Heat through the remaining CDUs for each kelvin of their return above facility supply [W/K]."""
    coolant, facility = flow * losses.coolant_j_m3_k, water * losses.water_j_m3_k
    low, high = np.maximum(np.minimum(coolant, facility), 1e-3), np.maximum(np.maximum(coolant, facility), 1e-3)
    films = (np.maximum(part, 1e-6) ** FILM_EXPONENT for part in (flow / losses.rest_flow, water / losses.rest_water))
    ua_w_k = 2 * losses.rest_ua_w_k / sum(1 / film for film in films)
    return np.asarray(effectiveness(ua_w_k / low, low / high) * low, dtype=np.float64)
