"""From a site to the loops of its simulated plant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from devices.profiles import Profile, load_profile
from plant.errors import ConfigError
from plant.topology import CoolingGroup, Equipment, Site
from simulator.coolant import Cdu, CoolantLoop, Sidecar
from simulator.devices import DeviceController, Log
from simulator.facility import Chiller, DryCooler, FacilityLoop, Pump, Room
from simulator.fluids import fluid
from simulator.racks import Rack

FACILITY_DESIGN_C = 27.0
VOLUME_S = 45.0  # coolant volume where the file gives none, in seconds of flow


@dataclass(frozen=True, slots=True)
class GroupLoop:
    """A cooling group and its simulated loop."""

    group: CoolingGroup
    loop: CoolantLoop


def coolant_rho_cp(site: Site) -> float:
    """Volumetric heat capacity of the site's technology coolant [J/m3 K]."""
    return fluid(site.coolant, site.glycol_percent).rho_cp


def racks_of(site: Site) -> dict[str, Rack]:
    """All racks by id."""
    rho_cp, seed = coolant_rho_cp(site), site.workload.seed
    return {e.id: Rack(e, site.gpus_per_rack, rho_cp, seed) for e in site.of_kind("rack")}


def group_loops(site: Site, racks: Mapping[str, Rack]) -> list[GroupLoop]:
    """One loop for each cooling group."""
    return [GroupLoop(group, _coolant_loop(site, group, racks)) for group in site.groups.values()]


def facility_loop(site: Site) -> FacilityLoop | None:
    """The facility water loop, None where nothing needs it.

    Raises:
        ConfigError: pumps or dry coolers are missing, or there is more than one of a kind.
    """
    if not site.of_kind("cdu"):
        return None
    pump, cooler, chiller = (only(site, kind) for kind in ("pump", "dry-cooler", "chiller"))
    if pump is None or cooler is None:
        raise ConfigError("the simulator needs a pump and a dry cooler for its CDUs", where=site.path)
    water = fluid("water").rho_cp
    return FacilityLoop(Pump(pump), DryCooler(cooler, water), Chiller(chiller) if chiller else None, water)


def room_of(site: Site) -> Room:
    """The hall."""
    return Room(only(site, "room"), only(site, "air-unit"))


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


def _defaults(site: Site, equipment: Equipment) -> dict[str, float]:
    """The designer's setpoints by register name; followers share their group's."""
    found: dict[str, float] = {}
    for group in site.groups.values():
        for role, point in group.commands.items():
            device, _, name = point.partition("/")
            follower = equipment.id in group.members and device == group.master
            if role in group.design and (device == equipment.id or follower):
                found[name] = group.design[role]
    if equipment.kind == "dry-cooler":
        found.setdefault("leaving_temperature_setpoint", FACILITY_DESIGN_C)
    return found


def _coolant_loop(site: Site, group: CoolingGroup, racks: Mapping[str, Rack]) -> CoolantLoop:
    rho_cp, members = coolant_rho_cp(site), [site.equipment[m] for m in group.members]
    units = [_unit(member, rho_cp) for member in members]
    fallback_m3 = VOLUME_S * sum(unit.design_flow_m3_s for unit in units)
    ramp_s = max(member.design.get("pump_ramp_s", 30.0) for member in members)
    group_racks = [racks[rack] for rack in group.racks]
    return CoolantLoop(group_racks, units, rho_cp, _volume(site, members, fallback_m3), ramp_s)


def _unit(equipment: Equipment, rho_cp: float) -> Cdu | Sidecar:
    return Sidecar(equipment, rho_cp) if equipment.kind == "sidecar" else Cdu(equipment, rho_cp, fluid("water").rho_cp)


def _volume(site: Site, members: list[Equipment], fallback_m3: float) -> float:
    fed = {target for member in members for target in member.feeds}
    candidates = [*members, *(site.equipment[f] for f in sorted(fed) if site.equipment[f].kind == "manifold")]
    return sum(e.design.get("volume_m3", 0.0) for e in candidates) or fallback_m3
