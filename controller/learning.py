"""How far the model's powers are off the plant's, learned slowly from meters: one factor for each component.

A factor is the exponent of a random walk, followed by a scalar Kalman filter (recursive least squares with forgetting)
on the logarithm of measured over predicted. It begins at 1 and stays within bounds, so that no meter can mislead the
optimiser further than a badly chosen design figure would.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from controller.design import CduDesign, Factors, LoopDesign, upstream
from controller.device_state import switched_off
from controller.inputs import electric_power
from controller.model import Load, Outcome, Setpoints, evaluate
from plant.live import Snapshot
from plant.topology import CoolingGroup, Site

BOUNDS = (0.5, 2.0)
START_VARIANCE, NOISE_VARIANCE = 0.3**2, 0.25**2
WALK_PER_S = 0.05**2 / 3600.0
"""Variance that an hour adds: after it new readings weigh as much as some twenty old ones."""
LEAST_SHARE = 0.02
"""Of design; below it a reading tells of losses and standby, not of the machine."""
LEAST_SPEED, METER_SHARE, MOST_SHARE = 0.3, 0.95, 1.3
"""A pump tells what it can do from this speed, less what flow meters err; nobody believes more of design flow."""
WILDEST = 0.7
"""A reading further off than this (a factor of two) counts as this far."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """Logarithms of factors with their variances, by component, and when last learned [s since 1970]."""

    log: Mapping[str, float] = field(default_factory=dict)
    variance: Mapping[str, float] = field(default_factory=dict)
    at_s: float = -math.inf

    @property
    def factors(self) -> Factors:
        """Factors for the model; 1 where nothing was learned."""
        return Factors(**{name: math.exp(value) for name, value in self.log.items()})


def learned(before: Learnt, expected: Mapping[str, float], found: Mapping[str, float], now_s: float) -> Learnt:
    """One reading more. expected, found: component -> anything proportional to what its factor stands for.

    expected comes from a model that already has the factors of `before`.
    """
    log, variance = dict(before.log), dict(before.variance)
    aged = WALK_PER_S * max(now_s - before.at_s, 0.0) if math.isfinite(before.at_s) else 0.0
    for name in expected.keys() & found.keys():
        prior = min(variance.get(name, START_VARIANCE) + aged, START_VARIANCE)
        gain = prior / (prior + NOISE_VARIANCE)
        off = min(max(math.log(found[name] / expected[name]), -WILDEST), WILDEST)
        log[name] = min(max(log.get(name, 0.0) + gain * off, math.log(BOUNDS[0])), math.log(BOUNDS[1]))
        variance[name] = (1.0 - gain) * prior
    return Learnt(log, variance, now_s)


def observe(
    before: Learnt, site: Site, snapshot: Snapshot, group: CoolingGroup, design: LoopDesign, load: Load, at: Setpoints
) -> Learnt:
    """What the meters of a loop say now; design: with the factors of `before`; at: the one point of its setpoints."""
    expected, rated = _expected(design, evaluate(design, load, at)), _rated(design)
    found = _found(site, snapshot, group, design)
    telling = [n for n in expected.keys() & found.keys() if min(expected[n], found[n]) > LEAST_SHARE * rated[n]]
    return learned(before, {n: expected[n] for n in telling}, {n: found[n] for n in telling}, snapshot.at_s)


def corrected(design: LoopDesign, learnt: Learnt) -> LoopDesign:
    """The design with what was learned: powers times their factors, and fans that must move so much more air."""
    factors = learnt.factors
    return replace(design, factors=factors, rejection=design.rejection.with_air(factors.air))


def with_shown_flow(design: LoopDesign, snapshot: Snapshot, group: CoolingGroup) -> LoopDesign:
    """The design with what each CDU's pump shows that it can move: at full speed at least flow over speed.

    Affinity laws, and a head that falls with flow; alone on the racks it meets less than it does now.
    """
    cdus = tuple(_shown(c, snapshot, m) for c, m in zip(design.cdus, group.members, strict=True))
    return replace(design, cdus=cdus)


def _shown(cdu: CduDesign, snapshot: Snapshot, member: str) -> CduDesign:
    flow, speed = snapshot.get(f"{member}/tcs_flow"), snapshot.get(f"{member}/pump_speed")
    if not (speed > LEAST_SPEED and flow > 0.0):  # NaN too
        return cdu
    most_m3_s = min(METER_SHARE * flow / speed, MOST_SHARE * cdu.flow_m3_s)
    return replace(cdu, most_flow_m3_s=max(cdu.most_flow_m3_s, most_m3_s))


def _expected(design: LoopDesign, outcome: Outcome) -> dict[str, float]:
    powers = {
        "tcs_pump": outcome.tcs_pump_w,
        "facility_pump": outcome.facility_pump_w,
        "tower_pump": outcome.tower_pump_w,
        "chiller": outcome.chiller_w,
    }
    speed = np.cbrt(outcome.fan_w / design.rejection.fan_power_w)
    return {name: float(values[0]) for name, values in powers.items()} | {"air": float(speed[0])}


def _rated(design: LoopDesign) -> dict[str, float]:
    """What a share of counts as too little to tell."""
    full = design.facility_pump_w(np.array([design.facility_flow_m3_s]))
    return {
        "tcs_pump": design.cdu_flow_m3_s * design.cdu_internal_dp_pa / design.cdu_pump_efficiency,
        "facility_pump": float(full[0]),
        "tower_pump": design.rejection.tower_pump_power_w,
        "chiller": design.rejection.chiller_power_w,
        "air": 5.0,  # a tenth of full speed
    }


def _found(site: Site, snapshot: Snapshot, group: CoolingGroup, design: LoopDesign) -> dict[str, float]:
    """Measured powers [W] and fan speed [1]; only those that are known."""
    by_kind = {
        k: [e.id for e in upstream(site, group.members, k)] for k in ("pump", "chiller", "dry-cooler", "cooling-tower")
    }
    found = {
        "tcs_pump": _power_w(site, snapshot, group.members),
        "facility_pump": _power_w(site, snapshot, by_kind["pump"]),
        "chiller": _power_w(site, snapshot, by_kind["chiller"]),
    }
    towers, coolers = by_kind["cooling-tower"], by_kind["dry-cooler"]
    if coolers:
        found["air"] = math.pow(max(_power_w(site, snapshot, coolers), 0.0) / design.rejection.fan_power_w, 1 / 3)
    elif towers:
        speeds = [s for t in towers if math.isfinite(s := _fan_speed(snapshot, t))]
        found["air"] = sum(speeds) / len(speeds) if speeds else math.nan
        fans_w = design.rejection.fan_power_w * found["air"] ** 3
        found["tower_pump"] = _power_w(site, snapshot, towers) - fans_w
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _fan_speed(snapshot: Snapshot, tower: str) -> float:
    """Fan speed [1] of a tower that runs, NaN of one that was stopped."""
    return math.nan if switched_off(snapshot, tower) else snapshot.get(f"{tower}/fan_speed")


def _power_w(site: Site, snapshot: Snapshot, equipment: list[str] | tuple[str, ...]) -> float:
    """Electric power of some equipment together [W], by meters or their own reading; NaN where one is unknown."""
    return sum(electric_power(site, snapshot, e) for e in equipment) if equipment else math.nan
