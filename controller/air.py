"""The hall's air unit: the setpoint of the air that racks breathe, where a loop commands it.

A compressor lifts less heat the warmer the air that it cools, and fans follow the heat, so the warmest air that every
limit allows is the cheapest: there is nothing to search. The cold side of the range is for air that came near its
limit: then the unit goes back to design.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from controller import inputs
from controller.facility_plant import upstream
from controller.problems import limit_values
from controller.reasons import message
from controller.state import Move
from plant.live import Snapshot
from plant.points import PointId
from plant.records import Message, Plan, Setpoint
from plant.topology import CoolingGroup, Equipment, Site

LIMIT = "air_inlet_temperature"
"""The quantity of a site's limits that it has to keep [°C]."""
RESERVE_K, NEAR_K = 3.0, 1.0
"""Setpoint below the limit, for what air swings while the unit follows a load step; and how near to it is too near."""
EVAPORATOR_K, CONDENSER_K, LEAST_LIFT_K = 12.0, 13.0, 10.0
"""Evaporating below the room's air, condensing above outdoor air, as small direct-expansion units do."""
RATING_AIR_C, RATING_OUTDOOR_C = 25.0, 35.0
LEAST_FAN = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class AirMove:
    """What is asked of the air unit now, why, and its electric power [W] at goal and design (0: nobody can tell)."""

    setpoint: Setpoint
    move: Move
    goal_w: float
    design_w: float
    reason: Message

    def within(self, plan: Plan, price_per_kwh: float) -> Plan:
        """A loop's plan with the air unit in it; price_per_kwh: of electricity, 0 where none counts."""
        return replace(
            plan,
            setpoints=(*plan.setpoints, self.setpoint),
            predicted_cooling_w=plan.predicted_cooling_w + self.goal_w,
            predicted_design_cooling_w=plan.predicted_design_cooling_w + self.design_w,
            saving_per_h=plan.saving_per_h + price_per_kwh * (self.design_w - self.goal_w) / 1000.0,
            air=self.reason,
        )


def plan_air(
    site: Site,
    snapshot: Snapshot,
    group: CoolingGroup,
    heat_w: float,
    moves: Mapping[PointId, Move],
    now_s: float,
    settle_s: float,
) -> AirMove | None:
    """The air unit's next step; None where a loop commands none, or where its setpoint in force is not known.

    None, too, where every instrument of the air that the site has is lost: then what was asked runs out.
    heat_w: that racks will give to the air [W]; settle_s: longer than the envelope's dwell by this [s].
    """
    point = group.commands.get(inputs.AIR)
    current_c = snapshot.get(inputs.effective_point(site, point)) if point else math.nan
    if point is None or not math.isfinite(current_c):
        return None
    envelope, design_c = site.envelopes[point], inputs.design_value(group, inputs.AIR)
    limit_c, air_c = limit_values(site)[0].get(LIMIT, math.inf), _hottest_c(snapshot, group)
    if math.isnan(air_c) and any(p in site.points for p in _air_points(group)):
        return None
    hot = air_c > limit_c - NEAR_K
    goal_c = design_c if hot else min(envelope.maximum, limit_c - RESERVE_K)
    held = moves.get(point)
    if held is not None and now_s - held.at_s < envelope.min_dwell_s + settle_s:
        value, move = held.value, held
    else:
        value = round(current_c + min(max(goal_c - current_c, -envelope.max_step), envelope.max_step), 2)
        changed = abs(value - (held.value if held is not None else current_c)) > 1e-6
        move = Move(value=value, at_s=now_s if changed else held.at_s if held is not None else -1e18)
    setpoint = Setpoint(point=point, current=current_c, value=value, target=goal_c, design=design_c)
    unit, outdoor_c = site.equipment[point.partition("/")[0]], _outdoor_c(site, snapshot, group)
    goal_w, design_w = (air_power_w(unit, heat_w, c, outdoor_c) for c in (goal_c, design_c))
    figures = {"air_from_c": current_c, "air_to_c": goal_c}
    if hot:
        reason = message("plan_air_hot", hottest_c=air_c, limit_c=limit_c, **figures)
    else:
        reason = message("plan_air", air_saves_kw=_known(design_w - goal_w) / 1e3, **figures)
    return AirMove(setpoint=setpoint, move=move, goal_w=_known(goal_w), design_w=_known(design_w), reason=reason)


def air_power_w(unit: Equipment, heat_w: float, air_c: float, outdoor_c: float) -> float:
    """Electric power of a direct-expansion air unit [W]: a share of Carnot fixed by its rated COP, and fans' cube law.

    NaN where the site file tells neither `cop` nor `heat_w`.
    """
    cop, rated_w = unit.design.get("cop", math.nan), unit.design.get("heat_w", math.nan)
    share = min(max(heat_w / rated_w, LEAST_FAN), 1.0)
    of_carnot = _carnot(air_c, outdoor_c) / _carnot(RATING_AIR_C, RATING_OUTDOOR_C)
    return heat_w / (cop * of_carnot) + unit.design.get("fan_power_w", 0.0) * share**3


def _known(power_w: float) -> float:
    """0 where nobody can tell."""
    return power_w if math.isfinite(power_w) else 0.0


def _carnot(air_c: float, outdoor_c: float) -> float:
    cold_c = air_c - EVAPORATOR_K
    return (cold_c + 273.15) / max(outdoor_c + CONDENSER_K - cold_c, LEAST_LIFT_K)


def _hottest_c(snapshot: Snapshot, group: CoolingGroup) -> float:
    """The warmest air that is shown, by the unit and by the CDUs in the hall [°C]; NaN where none is."""
    known = [value for point in _air_points(group) if math.isfinite(value := snapshot.get(point))]
    return max(known, default=math.nan)


def _air_points(group: CoolingGroup) -> tuple[PointId, ...]:
    unit = group.commands[inputs.AIR].partition("/")[0]
    return f"{unit}/{LIMIT}", *(f"{member}/room_temperature" for member in group.members)


def _outdoor_c(site: Site, snapshot: Snapshot, group: CoolingGroup) -> float:
    units = [e.id for kind in ("dry-cooler", "cooling-tower") for e in upstream(site, group.members, kind)]
    known = [value for unit in units if math.isfinite(value := snapshot.get(f"{unit}/outdoor_dry_bulb"))]
    return known[0] if known else math.nan
