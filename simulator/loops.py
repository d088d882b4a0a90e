"""From a site to the loops of its simulated plant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from devices import dsx
from devices.profiles import Profile, load_profile
from plant.errors import ConfigError
from plant.topology import CoolingGroup, Equipment, Site
from simulator.chillers import Chiller, ChillerPlant
from simulator.coolant import PUMP_INTEGRAL_S, Cdu, CoolantLoop, Sidecar
from simulator.devices import DeviceController, Log
from simulator.facility import FacilityLoop
from simulator.facility_pumps import Pump
from simulator.fluids import Fluid, fluid
from simulator.racks import Rack
from simulator.rejection import CoolingTower, DryCooler, Economiser
from simulator.room import Room, WaterCoil
from simulator.wet_side import WetSide

FACILITY_DESIGN_C = 27.0
BMS_PREFIX = "bms_"
AIR_SETPOINT = "air_temperature_setpoint"
PASS_POWER = frozenset({"pdu", "power-shelf"})
"""What hands on the power that it is fed with."""
REJECTION_KINDS = ("dry-cooler", "economiser", "cooling-tower")
VOLUME_S = 45.0  # coolant volume where the file gives none, in seconds of flow


@dataclass(frozen=True, slots=True)
class GroupLoop:
    """A cooling group and its simulated loop; own: members that take a flow or a pump speed of their own."""

    group: CoolingGroup
    loop: CoolantLoop
    own: frozenset[str]


def coolant_rho_cp(site: Site) -> float:
    """Volumetric heat capacity of the site's technology coolant [J/m3 K]."""
    return fluid(site.coolant, site.glycol_percent).rho_cp


def racks_of(site: Site) -> dict[str, Rack]:
    """All racks by id."""
    rho_cp, seed = coolant_rho_cp(site), site.workload.seed
    gpus, coolant = site.gpus_per_rack, site.coolant if site.glycol_percent > 0 else "water"
    return {e.id: Rack(e, gpus, rho_cp, seed, coolant) for e in site.of_kind("rack")}


def group_loops(site: Site, racks: Mapping[str, Rack]) -> list[GroupLoop]:
    """One loop for each cooling group."""
    return [GroupLoop(group, _coolant_loop(site, group, racks), _own_pumping(group)) for group in site.groups.values()]


def facility_loop(site: Site) -> FacilityLoop | None:
    """The facility water loop, None where nothing needs it.

    Raises:
        ConfigError: pumps or heat rejection are missing, or there is more than one of what is described as a bank.
    """
    if not site.of_kind("cdu"):
        return None
    pumps, cooler, towers = site.of_kind("pump"), only(site, "dry-cooler"), site.of_kind("cooling-tower")
    if not pumps or (cooler is None and not towers):
        problem = "the simulator needs a pump, and a dry cooler or a cooling tower, for its CDUs"
        raise ConfigError(problem, where=site.path)
    water = fluid("water")
    chillers = [Chiller(e, water_cooled=bool(towers) and not cooler) for e in site.of_kind("chiller")]
    dry = DryCooler(cooler, water.rho_cp) if cooler else None
    wet = _wet_side(site, towers, water) if towers else None
    sequencer = ChillerPlant(chillers) if chillers else None
    return FacilityLoop([Pump(pump) for pump in pumps], dry, sequencer, water.rho_cp, wet)


def _wet_side(site: Site, towers: list[Equipment], water: Fluid) -> WetSide:
    pumps = [Pump(tower) for tower in towers if "head_pa" in tower.design]
    exchangers = [Economiser(economiser, water.rho_cp) for economiser in site.of_kind("economiser")]
    return WetSide([CoolingTower(tower, water.rho_cp, water.density) for tower in towers], pumps, exchangers)


def room_of(site: Site) -> Room:
    """The hall; an air unit with `water_flow_m3_s`, and every rear door with it, is a coil on facility water."""
    water, unit = fluid("water").rho_cp, only(site, "air-unit")
    on_water = [e for e in (*site.of_kind("rear-door"), *((unit,) if unit else ())) if "water_flow_m3_s" in e.design]
    expansion = unit if unit and unit not in on_water else None
    return Room(only(site, "room"), expansion, [WaterCoil(e, water) for e in on_water])


def only(site: Site, kind: str) -> Equipment | None:
    """The one equipment of a kind, if any.

    Raises:
        ConfigError: there are more.
    """
    found = site.of_kind(kind)
    if len(found) > 1:
        remedy = "describe it as one bank"
        raise ConfigError(f"the simulator knows one {kind}, found {len(found)}", where=site.path, remedy=remedy)
    return found[0] if found else None


def modbus_profiles(equipment: Equipment) -> list[tuple[Profile, str, int]]:
    """(profile, link, unit) of its Modbus sources."""
    loaded = [(load_profile(s.profile), s.link, s.unit) for s in equipment.sources]
    return [entry for entry in loaded if entry[0].transport == "modbus-tcp"]


def controllers(site: Site, log: Log) -> dict[str, DeviceController]:
    """Equipment id to its controller, of everything whose profile has a writable register."""
    found: dict[str, DeviceController] = {}
    for equipment in site.equipment.values():
        for profile, _, _ in modbus_profiles(equipment):
            if any(point.writable for point in profile.points):
                found[equipment.id] = DeviceController(equipment.id, profile, _defaults(site, equipment), log)
    return found


def requested(site: Site, log: Log) -> dict[str, DeviceController]:
    """Equipment id to what the BMS does with the setpoint requests for it, of everything that it may be asked for."""
    found: dict[str, DeviceController] = {}
    for equipment in site.equipment.values():
        for source in equipment.sources:
            profile = load_profile(source.profile)
            if profile.format == "dsx" and profile.fallback.kind != "none":
                defaults = _defaults(site, equipment)
                found[equipment.id] = DeviceController(equipment.id, profile, defaults, log, dsx.BMS_SILENT_S)
    return found


def commanded_rejection(site: Site, found: Mapping[str, DeviceController]) -> str:
    """The equipment whose leaving-temperature setpoint rules the facility water, empty where nothing takes one."""
    kinds = {e.id: e.kind for e in site.equipment.values()}
    able = [name for name, device in found.items() if "leaving_temperature_setpoint" in device.writable]
    ranked = [name for kind in REJECTION_KINDS for name in able if kinds[name] == kind]
    return ranked[0] if ranked else ""


def commanded_tower(site: Site, found: Mapping[str, DeviceController]) -> str:
    """The tower whose leaving water a group commands apart from the facility water, empty where none does."""
    asked = [group.commands.get("tower_temperature", "").partition("/")[0] for group in site.groups.values()]
    return next((tower for tower in asked if tower in found), "")


def _own_pumping(group: CoolingGroup) -> frozenset[str]:
    """Members that each take a flow or a pump speed of their own; none where the master's holds for all."""
    taken = (*group.taken("flow"), *group.taken("pump_speed"))
    return frozenset(point.partition("/")[0] for point in taken) if len(taken) > 1 else frozenset()


def _defaults(site: Site, equipment: Equipment) -> dict[str, float]:
    """The designer's setpoints by register name; followers share their group's."""
    found: dict[str, float] = {}
    for group in site.groups.values():
        for role, point in group.commands.items():
            device, _, name = point.partition("/")
            follower = equipment.id in group.members and device == group.master
            if role in group.design and (device == equipment.id or follower):
                found[name] = group.design[role]
    found |= {f"{BMS_PREFIX}{n}": v for n, v in found.items()} | {
        n.removeprefix(BMS_PREFIX): v for n, v in found.items()
    }
    if equipment.kind in REJECTION_KINDS:
        found.setdefault("leaving_temperature_setpoint", FACILITY_DESIGN_C)
    if equipment.kind == "air-unit":
        found.setdefault(AIR_SETPOINT, room_of(site).setpoint_c)
    found.setdefault("enable_command", 1.0)
    return found


def _coolant_loop(site: Site, group: CoolingGroup, racks: Mapping[str, Rack]) -> CoolantLoop:
    rho_cp, members = coolant_rho_cp(site), [site.equipment[m] for m in group.members]
    units = [_unit(member, rho_cp) for member in members]
    fallback_m3 = VOLUME_S * sum(unit.design_flow_m3_s for unit in units)
    ramp_s = max(member.design.get("pump_ramp_s", 30.0) for member in members)
    group_racks = [racks[rack] for rack in group.racks]
    integral_s = max(member.design.get("pump_integral_s", PUMP_INTEGRAL_S) for member in members)
    return CoolantLoop(group_racks, units, rho_cp, _volume(site, members, fallback_m3), ramp_s, integral_s)


def _unit(equipment: Equipment, rho_cp: float) -> Cdu | Sidecar:
    return Sidecar(equipment, rho_cp) if equipment.kind == "sidecar" else Cdu(equipment, rho_cp, fluid("water").rho_cp)


def _volume(site: Site, members: list[Equipment], fallback_m3: float) -> float:
    fed = {target for member in members for target in member.feeds}
    candidates = [*members, *(site.equipment[f] for f in sorted(fed) if site.equipment[f].kind == "manifold")]
    return sum(e.design.get("volume_m3", 0.0) for e in candidates) or fallback_m3


def loads_of(site: Site, feeder: Equipment) -> tuple[str, ...]:
    """What draws power below a feeder: what it feeds itself, and what hangs on PDUs and power shelves there."""
    targets = [site.equipment[name] for name in feeder.feeds]
    below = [loads_of(site, t) if t.kind in PASS_POWER else (t.id,) for t in targets]
    return tuple(dict.fromkeys(load for loads in below for load in loads))
