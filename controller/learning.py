"""How far the model's powers are off the plant's, learned slowly from meters: one curve for each component.

See `curves`: pumps and chillers depart from the model by their power, fans by their speed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from controller.curves import KNOTS, UNTAUGHT, Curve
from controller.design import CduDesign, Correction, Corrections, LoopDesign
from controller.device_state import idle, may_run
from controller.economisers import economised, mixed, told
from controller.facility_plant import upstream
from controller.inputs import electric_power
from controller.model import Load, Outcome, Setpoints, evaluate
from controller.rejection import WetSide
from plant.live import Snapshot
from plant.topology import CoolingGroup, Site

FANS, PLATES = "fans", "plates"
NOISE_SD, SHOWN_SD = 0.1, 0.06
"""What one reading is off by: against the model from setpoints on, and against fans judged by the water at them."""
LEAST_SPEED, METER_SHARE, MOST_SHARE = 0.3, 0.95, 1.3
"""A pump tells what it can do from this speed, less what flow meters err; nobody believes more of design flow."""
LEAST_SHARE = KNOTS[0]
"""Of full load; below it a reading tells of losses and standby, not of the machine."""
LEAST_FAN = 0.1
"""Likewise of full speed."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What meters told: a curve for each component that told anything, and when last [s since 1970]."""

    curves: Mapping[str, Curve] = field(default_factory=dict)
    at_s: float = -math.inf


@dataclass(frozen=True, slots=True)
class Reading:
    """What the model says, without what was learned, and what a meter does; both as shares of full load [1]."""

    predicted: float
    measured: float
    noise_sd: float = NOISE_SD


def learned(before: Learnt, readings: Mapping[str, Reading], now_s: float) -> Learnt:
    """One reading more of each component that tells."""
    curves, since_s = dict(before.curves), max(now_s - before.at_s, 0.0) if math.isfinite(before.at_s) else 0.0
    for name, reading in readings.items():
        least = LEAST_FAN if name == FANS else LEAST_SHARE
        if min(reading.predicted, reading.measured) > least:
            log_ratio = math.log(reading.measured / reading.predicted)
            known = curves.get(name, UNTAUGHT)
            curves[name] = known.seen(reading.predicted, log_ratio, reading.noise_sd, since_s)
    return Learnt(curves, now_s)


def observe(
    before: Learnt, site: Site, snapshot: Snapshot, group: CoolingGroup, design: LoopDesign, load: Load, at: Setpoints
) -> Learnt:
    """What the meters of a loop say now; design: without what was learned; at: the one point of its setpoints."""
    full, outcome = full_w(design), evaluate(design, load, at)
    expected, found = _expected(outcome), _powers(site, snapshot, group)
    if (expected["chiller"] > 0) != (found.get("chiller", 0.0) > LEAST_SHARE * full["chiller"]):
        found.pop("tower_pump", None)  # its flow has a part for chillers, which the model has wrong at this moment
    readings = {
        name: Reading(expected[name] / full[name], found[name] / full[name])
        for name in expected.keys() & found.keys()
        if full[name] > 0
    }
    fans = _fans(site, snapshot, group, design, load, outcome)
    readings |= {FANS: fans} if fans else {}
    chills = found.get("chiller", 0.0) > LEAST_SHARE * full["chiller"]
    plates = _plates(before, site, snapshot, group, design, float(at.facility_c[0]), chills=chills)
    return learned(before, readings | ({PLATES: plates} if plates else {}), snapshot.at_s)


def corrected(design: LoopDesign, learnt: Learnt) -> LoopDesign:
    """The design with what was learned of its powers and fans."""
    full = full_w(design)
    found = {n: Correction(learnt.curves[n], w) for n, w in full.items() if n in learnt.curves and w > 0}
    rejection = design.rejection.with_fans(learnt.curves.get(FANS, UNTAUGHT).rising)
    if PLATES in learnt.curves:
        rejection = rejection.with_plates(learnt.curves[PLATES])
    return replace(design, corrections=Corrections(**found), rejection=rejection)


def full_w(design: LoopDesign) -> dict[str, float]:
    """Power of each component at full load [W]."""
    flow_m3_s, design_flow = design.facility_flow_m3_s, design.cdu_flow_m3_s
    return {
        "tcs_pump": design_flow * (design.cdu_internal_dp_pa + design.index_rack.dp_pa) / design.cdu_pump_efficiency,
        "facility_pump": float(design.facility_pump_w(np.array([flow_m3_s]))[0]),
        "tower_pump": design.rejection.tower_pump_power_w,
        "chiller": design.rejection.chiller_power_w,
    }


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


def _expected(outcome: Outcome) -> dict[str, float]:
    return {
        "tcs_pump": float(outcome.tcs_pump_w[0]),
        "facility_pump": float(outcome.facility_pump_w[0]),
        "tower_pump": float(outcome.tower_pump_w[0]),
        "chiller": float(outcome.chiller_w[0]),
    }


def _powers(site: Site, snapshot: Snapshot, group: CoolingGroup) -> dict[str, float]:
    """Measured powers [W]; only those that are known."""
    pumps, chillers = (_units(site, group, kind) for kind in ("pump", "chiller"))
    towers = _units(site, group, "cooling-tower")
    found = {
        "tcs_pump": _power_w(site, snapshot, group.members),
        "facility_pump": _power_w(site, snapshot, pumps),
        "chiller": _power_w(site, snapshot, chillers),
        "tower_pump": _power_w(site, snapshot, towers) - _tower_fans_w(site, snapshot, towers),
    }
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _fans(
    site: Site, snapshot: Snapshot, group: CoolingGroup, design: LoopDesign, load: Load, outcome: Outcome
) -> Reading | None:
    """Speed of the fans: the model's for the water that the units show or, where they don't, for the setpoints."""
    coolers, towers = _units(site, group, "dry-cooler"), _units(site, group, "cooling-tower")
    units = [u for u in (coolers or towers) if not idle(snapshot, u)]
    rated_w = design.rejection.fan_power_w
    if coolers:
        measured = math.pow(max(_power_w(site, snapshot, coolers), 0.0) / rated_w, 1 / 3)
    else:
        speeds = [s for u in units if math.isfinite(s := snapshot.get(f"{u}/fan_speed"))]
        measured = sum(speeds) / len(speeds) if speeds else math.nan
    if not math.isfinite(measured):
        return None
    shown = _shown_share(snapshot, units, design, load)
    if math.isfinite(shown):
        return Reading(shown, measured, SHOWN_SD)
    return Reading(float(np.cbrt(outcome.fan_w[0] / rated_w)), measured)


def _shown_share(snapshot: Snapshot, units: list[str], design: LoopDesign, load: Load) -> float:
    """Fan speed by the model for the units' entering and leaving water and flow; NaN where one does not tell."""
    flow, into_c, out_c = mixed(snapshot, units)
    heat_w = flow * design.water.heat_j_m3_k * (into_c - out_c)
    return design.rejection.shown_share(heat_w, flow, out_c, load.air) if heat_w > 0 else math.nan


def _plates(
    before: Learnt,
    site: Site,
    snapshot: Snapshot,
    group: CoolingGroup,
    design: LoopDesign,
    asked_c: float,
    *,
    chills: bool,
) -> Reading | None:
    """UA of the economisers, as far as it shows; see `economisers`."""
    if not isinstance(design.rejection, WetSide) or design.rejection.economiser is None:
        return None
    units = {kind: _units(site, group, kind) for kind in ("economiser", "cooling-tower")}
    chills = chills or any(may_run(snapshot, unit) for unit in _units(site, group, "chiller"))
    seen = economised(snapshot, units, design.rejection, asked_c, chills=chills)
    if seen is None:
        return None
    log, off = told(seen, before.curves.get(PLATES, UNTAUGHT))
    return Reading(seen.share, seen.share * math.exp(log), off) if math.isfinite(log) else None


def _tower_fans_w(site: Site, snapshot: Snapshot, towers: list[str]) -> float:
    """Fans' part of the towers' power [W], by rated power and speed cubed; NaN where a speed is not known."""
    running = [t for t in towers if not idle(snapshot, t)]
    rated_w = (site.equipment[t].design.get("fan_power_w", math.nan) for t in running)
    return sum(w * snapshot.get(f"{t}/fan_speed") ** 3 for w, t in zip(rated_w, running, strict=True))


def _units(site: Site, group: CoolingGroup, kind: str) -> list[str]:
    return [e.id for e in upstream(site, group.members, kind)]


def _power_w(site: Site, snapshot: Snapshot, equipment: list[str] | tuple[str, ...]) -> float:
    """Electric power of some equipment together [W], by meters or their own reading; NaN where one is unknown."""
    return sum(electric_power(site, snapshot, e) for e in equipment) if equipment else math.nan
