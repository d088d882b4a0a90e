"""What one cycle reads from the snapshot, or the reason why it can't. Nothing stale or doubtful is used."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

from controller import facility_plant, outdoor_gaps
from controller.design import rack_design
from controller.facility_plant import facility_owner, upstream
from controller.fluids import wet_bulb
from controller.outdoor import Outdoor
from controller.towers import WET_BULB_C
from plant.errors import ConfigError, StaleError
from plant.live import Snapshot
from plant.points import PointId
from plant.quantities import Quantity
from plant.samples import Quality
from plant.topology import CoolingGroup, Equipment, Site

FACILITY = facility_plant.FACILITY
SUPPLY, DP, TOWER, FLOW = "supply_temperature", "differential_pressure", "tower_temperature", "flow"
SPEED = "pump_speed"
LEVERS = (FLOW, SPEED)
"""What CDUs may take in place of a pressure, see `flow_command`; a sidecar takes a flow."""
AIR = "air_temperature"
"""Role of the air unit's setpoint; it is no part of a loop's own search, see `air`."""
MEASURED = {DP: "tcs_differential_pressure", FACILITY: "fws_supply_temperature"}
"""Of a CDU: what stands for a setpoint that nobody commands; the loop lives with it as it is."""
DESIGN_KEY = {
    SUPPLY: "supply_temperature_c",
    DP: "differential_pressure_pa",
    FACILITY: "facility_supply_temperature_c",
    TOWER: "tower_temperature_c",
    FLOW: "flow_m3_s",
    SPEED: "pump_speed",
}
AIR_KEY = "air_temperature_c"


def effective_point(site: Site, command: PointId) -> PointId:
    """Where a device tells the setpoint that it follows; the command itself if it has no such point."""
    equipment, _, name = command.rpartition("/")
    candidate = f"{equipment}/effective_{name}"
    return candidate if candidate in site.points else command


def design_value(group: CoolingGroup, role: str) -> float:
    """The design setpoint of a role [SI]; site files may name it by role or by role and unit."""
    key = AIR_KEY if role == AIR else DESIGN_KEY[role]
    return float(group.design[role] if role in group.design else group.design[key])


def rack_power(site: Site, snapshot: Snapshot, rack: str) -> float:
    """One rack's electric power [W].

    Raises:
        StaleError: no good reading.
    """
    if f"{rack}/power" in site.points:
        return snapshot.value(f"{rack}/power")
    raise StaleError(f"{rack}/power: the rack has no such point")


def racks_heat(site: Site, snapshot: Snapshot, racks: Iterable[str]) -> float:
    """Heat that racks give to the liquid by their power [W].

    Raises:
        StaleError: one rack's power is not good.
        ConfigError: a rack lacks its liquid fraction.
    """
    return sum(rack_power(site, snapshot, r) * rack_design(site, r).liquid_fraction for r in racks)


def current_setpoints(site: Site, snapshot: Snapshot, group: CoolingGroup) -> dict[str, float]:
    """Role -> the setpoint that the device follows now [SI]; of a shared plant also those that another group commands.

    Raises:
        StaleError: one is not good, or a pressure or flow that the group commands is none at all.
    """
    now = {role: snapshot.value(effective_point(site, point)) for role, point in setpoint_points(site, group).items()}
    for role in (DP, FLOW):
        if role in group.commands and not now[role] > 0.0:
            raise StaleError(f"{effective_point(site, group.commands[role])}: {now[role]:g} is nothing to go on from")
    return now


def supply_setpoint(site: Site, snapshot: Snapshot, group: CoolingGroup) -> float:
    """The supply that a loop's master follows now [°C].

    Raises:
        StaleError: it is not good.
        ConfigError: nobody commands it.
    """
    if SUPPLY not in group.commands:
        raise ConfigError("supply_temperature under `commands`", remedy="name the point that takes it")
    return snapshot.value(effective_point(site, group.commands[SUPPLY]))


def setpoint_points(site: Site, group: CoolingGroup) -> dict[str, PointId]:
    """Role -> point of every setpoint that a loop lives with, in their order; no unit's switch, no air's.

    It is the command point, of a loop of CDUs also where the master measures what nobody commands.
    """
    commands = {**_uncommanded(site, group), **_shared(site, group), **group.commands}
    return {role: commands[role] for role in DESIGN_KEY if role in commands}


def whole_setpoints(site: Site, group: CoolingGroup) -> dict[str, PointId]:
    """The same of a loop of CDUs that can be planned.

    Raises:
        ConfigError: its supply is not commanded, or its pressure or facility water is neither commanded nor measured.
    """
    points = setpoint_points(site, group)
    if SUPPLY not in group.commands:
        raise ConfigError("supply_temperature under `commands`", remedy="name the point that takes it")
    for role, name in MEASURED.items():
        if role not in points:
            message = f"{role} under `commands`, and {group.master}/{name} that would tell it"
            raise ConfigError(message, remedy="command it, or add a source that measures it")
    return points


def own_setpoints(group: CoolingGroup) -> dict[str, PointId]:
    """Role -> command point of the setpoints that a group commands itself, in their order."""
    return {role: group.commands[role] for role in DESIGN_KEY if role in group.commands}


def _uncommanded(site: Site, group: CoolingGroup) -> dict[str, PointId]:
    if any(lever in group.commands for lever in LEVERS):
        return {}
    named = {role: f"{group.master}/{name}" for role, name in MEASURED.items()}
    return {role: point for role, point in named.items() if point in site.points}


def _shared(site: Site, group: CoolingGroup) -> dict[str, PointId]:
    owner = facility_owner(site, group)
    return {role: owner.commands[role] for role in (FACILITY, TOWER) if role in owner.commands}


def by_flow(site: Site, group: CoolingGroup) -> bool:
    """Whether a loop of CDUs takes a flow or a pump speed, also of a group that is translated already."""
    point = next((group.commands[r] for r in (*LEVERS, DP) if r in group.commands), "")
    taken = site.points[point].quantity if point else Quantity.DIFFERENTIAL_PRESSURE
    return taken is not Quantity.DIFFERENTIAL_PRESSURE and site.equipment[group.master].kind == "cdu"


def roles(site: Site, group: CoolingGroup) -> tuple[str, ...]:
    """The setpoints of a CDU loop, in their order; a tower's only where the site names its point.

    Raises:
        ConfigError: the loop can't be planned, see `whole_setpoints`.
    """
    return tuple(whole_setpoints(site, group))


def outdoor(site: Site, snapshot: Snapshot, group: CoolingGroup) -> Outdoor:
    """Outdoor air at the heat rejection that serves a group; the wet bulb only where a tower needs it.

    Where no instrument tells it the wet bulb is the towers' design one, or the air's temperature below it: most days it
    is lower. Dry bulb that nobody tells is inferred from dry coolers' water (`outdoor_gaps`).

    Raises:
        StaleError: no good reading.
    """
    coolers, towers = (upstream(site, group.members, kind) for kind in ("dry-cooler", "cooling-tower"))
    if not coolers and not towers:
        raise StaleError(f"{group.id}: neither dry cooler nor tower tells the outdoor temperature")
    if not coolers and not tells_wet_bulb(site, group):
        return _assumed(site, snapshot, towers[0])
    failure = StaleError(group.id)
    for unit in coolers or [t for t in towers if _tells_wet_bulb(site, t.id)]:
        try:
            return _outdoor_at(site, snapshot, unit.id, wet=not coolers)
        except StaleError as error:
            failure = error
    other = outdoor_gaps.elsewhere(outdoor_airs(site, snapshot), wet=not coolers)
    if other is None and coolers:
        other = outdoor_gaps.by_coolers(site, snapshot, group, coolers)
    elif other is None:
        other = replace(_assumed(site, snapshot, towers[0]), detail=towers[0].id)
    if other is None:
        raise failure
    return other


def tells_wet_bulb(site: Site, group: CoolingGroup) -> bool:
    """Whether the site names an instrument at a tower of this group that tells its wet bulb; True without a tower."""
    towers = upstream(site, group.members, "cooling-tower")
    return not towers or any(_tells_wet_bulb(site, tower.id) for tower in towers)


def _tells_wet_bulb(site: Site, tower: str) -> bool:
    dry, wet, humid = (f"{tower}/outdoor_{n}" in site.points for n in ("dry_bulb", "wet_bulb", "relative_humidity"))
    return dry and (wet or humid)


def _assumed(site: Site, snapshot: Snapshot, tower: Equipment) -> Outdoor:
    wet_c = tower.design.get("wet_bulb_c", WET_BULB_C)
    dry_c = snapshot.get(dry, wet_c) if (dry := f"{tower.id}/outdoor_dry_bulb") in site.points else wet_c
    return Outdoor(dry_c, min(wet_c, dry_c))


def _outdoor_at(site: Site, snapshot: Snapshot, unit: str, *, wet: bool) -> Outdoor:
    dry, wet_bulb_point, humid = (f"{unit}/outdoor_{n}" for n in ("dry_bulb", "wet_bulb", "relative_humidity"))
    if not wet:
        return Outdoor(snapshot.value(dry))
    dry_c = snapshot.value(dry)
    known = wet_bulb_point in site.points
    wet_c = snapshot.value(wet_bulb_point) if known else wet_bulb(dry_c, snapshot.value(humid))
    if not math.isfinite(wet_c):
        raise StaleError(f"{humid}: no wet bulb of {dry_c:.1f} °C and {snapshot.value(humid):.0%} humidity")
    return Outdoor(dry_c, wet_c)


def outdoor_airs(site: Site, snapshot: Snapshot) -> dict[str, float]:
    """Outdoor dry and wet bulb [°C] by name, NaN while not good; wet bulb from humidity where it is not measured."""
    found: dict[str, float] = {}
    for equipment in site.equipment:
        dry, wet, humid = (f"{equipment}/outdoor_{n}" for n in ("dry_bulb", "wet_bulb", "relative_humidity"))
        if dry in site.points:
            found[dry] = snapshot.get(dry)
        if wet in site.points:
            found[wet] = snapshot.get(wet)
        elif dry in site.points and humid in site.points:
            found[wet] = wet_bulb(snapshot.get(dry), snapshot.get(humid))
    return found


def electric_power(site: Site, snapshot: Snapshot, equipment: str) -> float:
    """Electric power of one equipment [W], by its meter or its own reading; NaN where neither is good."""
    names = [m.id for m in site.of_kind("meter") if m.meters == equipment]
    readings = (snapshot.get(f"{name}/active_power") for name in (*names, equipment))
    return next((value for value in readings if math.isfinite(value)), math.nan)


def supply(site: Site, snapshot: Snapshot, group: CoolingGroup) -> float:
    """A loop's supply [°C] at its master, else the mean of what else shows it; NaN where nothing does."""
    own_c = snapshot.get(f"{group.master}/tcs_supply_temperature")
    if math.isfinite(own_c):
        return own_c
    shown = [snapshot.get(p) for p in site.envelopes[group.commands[SUPPLY]].stand_ins]
    known = [c for c in shown if math.isfinite(c)]
    return sum(known) / len(known) if known else math.nan


def dew_point(site: Site, snapshot: Snapshot, group: CoolingGroup) -> float | None:
    """The highest good room dew point [°C] that the envelope of the supply setpoint names; None if it names none.

    Raises:
        StaleError: it names points, and none is good.
    """
    envelope = site.envelopes.get(group.commands[SUPPLY])
    if envelope is None or envelope.dew_point_margin_k is None:
        return None
    points = envelope.dew_point_points or tuple(p for m in group.members if (p := f"{m}/room_dew_point") in site.points)
    if not points and FLOW in group.commands:
        return None
    values = [v for p in points if math.isfinite(v := snapshot.get(p))]
    if not values:
        raise StaleError(f"{points[0] if points else group.id + '/room_dew_point'}: no good room dew point")
    return max(values)


def hottest_gpu(site: Site, snapshot: Snapshot, group: CoolingGroup) -> tuple[float, float]:
    """Highest good GPU temperature [°C] and power [W] among a group's racks; NaN where none is good."""
    return hottest_of(group.racks, snapshot, site.gpus_per_rack)


def hottest_of(racks: tuple[str, ...], snapshot: Snapshot, gpus_per_rack: int) -> tuple[float, float]:
    """The same of some racks."""
    temperatures, powers = _gpu_points(racks, gpus_per_rack)
    return _highest(snapshot, temperatures), _highest(snapshot, powers)


@lru_cache(maxsize=4096)
def _gpu_points(racks: tuple[str, ...], gpus: int) -> tuple[tuple[PointId, ...], ...]:
    """Temperature and power points of all GPUs of some racks: tens of thousands of names, made once."""
    names = [f"{rack}/gpu-{gpu:02d}" for rack in racks for gpu in range(gpus)]
    return tuple(f"{name}/temperature" for name in names), tuple(f"{name}/power" for name in names)


def _highest(snapshot: Snapshot, points: tuple[PointId, ...]) -> float:
    readings, good = map(snapshot.readings.get, points), Quality.GOOD  # looked up once: points are thousands
    return max((r.value for r in readings if r is not None and r.quality is good), default=math.nan)
