"""What one settled look says of towers, dry coolers and chillers: of each by the water at it and its own figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from controller.chillers import chiller_design
from controller.design import LoopDesign
from controller.device_state import idle
from controller.dry_coolers import dry_coolers
from controller.facility_plant import upstream
from controller.fluids import fluid, wet_bulb
from controller.identification import parameters as known
from controller.identification.estimates import Observation
from controller.identification.known import Found
from controller.identification.rejecting import cooler_log, cop_log, fan_log, tower_log
from controller.identification.sensing import FLOW, POWER, SPEED, TEMPERATURE, Read, seen
from controller.inputs import electric_power
from controller.towers import tower_design
from plant.live import Snapshot
from plant.topology import CoolingGroup, Equipment, Site


def rejecting(site: Site, snapshot: Snapshot, group: CoolingGroup, design: LoopDesign) -> Iterator[Found]:
    """Everything that this look tells of what takes a group's heat outdoors; design: the site file's, uncorrected."""
    coolers, towers = (upstream(site, group.members, kind) for kind in ("dry-cooler", "cooling-tower"))
    for unit in coolers:
        one = replace(unit, design={**coolers[0].design, **unit.design})
        alone = dry_coolers([one], design.water, None)
        reads = _water_side(snapshot, unit.id, _first(_dry_c(snapshot, c) for c in (unit, *coolers)))
        yield unit.id, known.COIL, seen(partial(cooler_log, alone), *reads)
        power = Read(electric_power(site, snapshot, unit.id), POWER)
        yield unit.id, known.FAN, seen(partial(fan_log, alone.fan_power_w), reads[-1], power)
    for unit in towers if not coolers else []:
        reads = _water_side(snapshot, unit.id, _first(_wet_c(site, snapshot, t) for t in (unit, *towers)))
        yield unit.id, known.COIL, seen(partial(tower_log, tower_design([unit], design.water), design.water), *reads)
    for chiller in upstream(site, group.members, "chiller"):
        hot_c = _first(_dry_c(snapshot, c) for c in coolers) if coolers else _condenser_c(site, snapshot, chiller)
        yield chiller.id, known.COP, _chiller(site, snapshot, chiller, hot_c, water_cooled=not coolers)


def _first(values: Iterable[float]) -> float:
    """The first that is told: outdoor air is the same at every unit."""
    return next((v for v in values if math.isfinite(v)), math.nan)


def _water_side(snapshot: Snapshot, name: str, outdoor_c: float) -> Sequence[Read]:
    """Entering and leaving water, flow, outdoor temperature, fan speed."""
    temperatures = [Read(snapshot.get(f"{name}/{t}_temperature"), TEMPERATURE) for t in ("entering", "leaving")]
    flow, fan = Read(snapshot.get(f"{name}/flow"), FLOW), Read(snapshot.get(f"{name}/fan_speed"), SPEED)
    return [*temperatures, flow, Read(outdoor_c, TEMPERATURE), fan]


def _dry_c(snapshot: Snapshot, unit: Equipment) -> float:
    return snapshot.get(f"{unit.id}/outdoor_dry_bulb")


def _wet_c(site: Site, snapshot: Snapshot, tower: Equipment) -> float:
    if f"{tower.id}/outdoor_wet_bulb" in site.points:
        return snapshot.get(f"{tower.id}/outdoor_wet_bulb")
    return wet_bulb(_dry_c(snapshot, tower), snapshot.get(f"{tower.id}/outdoor_relative_humidity"))


def _condenser_c(site: Site, snapshot: Snapshot, chiller: Equipment) -> float:
    """Water [°C] of the towers that feed a chiller and run, in the middle; NaN where none tells."""
    feeding = (t.id for t in upstream(site, [chiller.id], "cooling-tower") if not idle(snapshot, t.id))
    told = [c for t in feeding if math.isfinite(c := snapshot.get(f"{t}/leaving_temperature"))]
    return sum(told) / len(told) if told else math.nan


def _chiller(
    site: Site, snapshot: Snapshot, chiller: Equipment, hot_c: float, *, water_cooled: bool
) -> Observation | None:
    one = chiller_design([chiller], water_cooled=water_cooled)
    assert one is not None
    heat_w = snapshot.get(f"{chiller.id}/cooling_power")
    if not math.isfinite(heat_w):
        heat_w = _chilled_w(snapshot, chiller.id)
    reads = (
        Read(heat_w, FLOW),
        Read(electric_power(site, snapshot, chiller.id), POWER),
        Read(snapshot.get(f"{chiller.id}/leaving_temperature"), TEMPERATURE),
        Read(hot_c, TEMPERATURE),
    )
    return seen(partial(cop_log, one), *reads)


def _chilled_w(snapshot: Snapshot, chiller: str) -> float:
    """Heat from water temperatures and flow, where the machine does not tell it."""
    warm, cold = (snapshot.get(f"{chiller}/{side}_temperature") for side in ("entering", "leaving"))
    return fluid("water", 0.0, 20.0).heat_j_m3_k * snapshot.get(f"{chiller}/flow") * (warm - cold)
