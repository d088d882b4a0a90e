"""What a loop does in the hour after it lost some of its flow, seen from the side of caution. Arrays: one row a loss.

Two mixed volumes (supply, return), the remaining exchangers, cold plates with a first-order lag. Sources: LBNL
Buildings CDU_epsNTU (hA ~ flow^0.8, valve stroke 120 s, pump ramp 30 s), OCP OAI guidelines (cold plate).
"""

from __future__ import annotations

from collections.abc import Sequence
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
class _Streams:
    """Coolant flow [m³/s], what plates carry off for each kelvin [W/K], and CDUs [W/K], shape (n,) each."""

    flow_m3_s: Array
    plate_w_k: Array
    exchanged_w_k: Array


def highest_case_c(losses: Losses, steps_s: Sequence[float]) -> Array:
    """The hottest case [°C] within steps_s [s] after the loss, and what it tends to; shape (n,)."""
    supply_c, return_c, facility_c = losses.supply_c, losses.return_c, losses.facility_c
    case_c, highest_c, at_s = losses.case_c, losses.case_c, 0.0
    warms = bool(losses.facility_w.any())
    for step_s in steps_s:
        streams = _streams(losses, at_s)
        case_c = _case(losses, case_c, supply_c, streams, step_s)
        highest_c = np.maximum(highest_c, case_c)
        supply_c, return_c, facility_c = _mixed(losses, supply_c, return_c, facility_c, streams, step_s, warms=warms)
        at_s += step_s
    return np.maximum(highest_c, steady_case_c(losses, supply_c, losses.flow_last))


def seconds_to_limit(losses: Losses, steps_s: Sequence[float] = STEPS_S) -> Array:
    """Seconds until the hottest case meets its limit, shape (n,); inf where it does not within the hour."""
    supply_c, return_c, facility_c = losses.supply_c, losses.return_c, losses.facility_c
    case_c, left_s, at_s = losses.case_c, np.full_like(supply_c, np.inf), 0.0
    warms = bool(losses.facility_w.any())
    moving_s = float(np.max(np.maximum(losses.ramped_s, losses.opened_s)))
    streams = _streams(losses, at_s)
    for step_s in steps_s:
        before_c, case_c = case_c, _case(losses, case_c, supply_c, streams, step_s)
        left_s = np.where(np.isinf(left_s) & (case_c > losses.limit_c), at_s, left_s)
        resting = (np.abs(case_c - before_c) < _STEADY_K) & (losses.facility_w <= 0) if at_s > moving_s else False
        if np.all(np.isfinite(left_s) | resting):
            break
        supply_c, return_c, facility_c = _mixed(losses, supply_c, return_c, facility_c, streams, step_s, warms=warms)
        before_s, at_s = at_s, at_s + step_s
        if before_s < moving_s:
            streams = _streams(losses, at_s)
    return left_s


def steady_case_c(losses: Losses, supply_c: Array, flow: Array) -> Array:
    """The hottest case [°C] where nothing changes any more; inf without flow."""
    return supply_c + losses.gpu_w / np.maximum(_conductance(losses, flow), 1e-12)


def _towards(first: Array, last: Array, at_s: float, within_s: Array) -> Array:
    return np.asarray(first + (last - first) * np.minimum(at_s / within_s, 1.0), dtype=np.float64)


def _conductance(losses: Losses, flow: Array) -> Array:
    """Heat of a GPU that its plate carries off for each kelvin of case above supply [W/K]: OCP fit, and the stream."""
    plate = flow * losses.plate_flow
    l_min, design_l_min = plate * 60000, losses.plate_design_flow * 60000
    shape = (0.01602 + 0.00855 / np.maximum(l_min, 1e-6)) / (0.01602 + 0.00855 / design_l_min)
    carried_w_k = MOST_HEATED * plate * losses.coolant_j_m3_k / losses.liquid_per_gpu
    return np.minimum(1 / (losses.plate_k_w * shape), carried_w_k)


def _streams(losses: Losses, at_s: float) -> _Streams:
    """What flows at_s [s] after the loss; the same from then on, once ramps and valves have ended."""
    flow = _towards(losses.flow_first, losses.flow_last, at_s, losses.ramped_s)
    water = _towards(losses.water_first, losses.water_last, at_s, losses.opened_s)
    return _Streams(flow, np.maximum(_conductance(losses, flow), 1e-12), _exchanged_w_k(losses, flow, water))


def _case(losses: Losses, case_c: Array, supply_c: Array, streams: _Streams, step_s: float) -> Array:
    """The hottest case after step_s [s], exact for a constant heat; at once where the plates' mass is not known."""
    target_c = supply_c + losses.gpu_w / streams.plate_w_k
    pace = step_s * streams.plate_w_k * losses.plate_k_w / np.maximum(losses.plate_tau_s, 1e-9)
    return np.where(losses.plate_tau_s > 0, case_c - (target_c - case_c) * np.expm1(-pace), target_c)


def _mixed(
    losses: Losses,
    supply_c: Array,
    return_c: Array,
    facility_c: Array,
    streams: _Streams,
    step_s: float,
    *,
    warms: bool,
) -> tuple[Array, Array, Array]:
    """Supply, return and facility water after step_s [s]; the volumes are mixed, which warms them at once.

    warms: whether any facility water does.
    """
    flow = streams.flow_m3_s
    stream_w_k = np.maximum(flow * losses.coolant_j_m3_k, 1e-3)
    sent_c = return_c - streams.exchanged_w_k * np.maximum(return_c - facility_c, 0.0) / stream_w_k
    sent_c = np.maximum(sent_c, np.minimum(losses.least_supply_c, return_c))
    stays = np.exp(-step_s * flow / np.maximum(losses.half_m3, 1e-6))
    back_c = supply_c + losses.heat_w / stream_w_k
    moves = flow > _LEAST_M3_S
    return (
        np.where(moves, sent_c + (supply_c - sent_c) * stays, supply_c),
        np.where(moves, back_c + (return_c - back_c) * stays, return_c),
        _warmed(losses, facility_c, step_s) if warms else facility_c,
    )


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
