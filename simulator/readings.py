"""What the plant's instruments show: by the names of the device profiles, in SI, with a little noise."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from devices.profiles import load_profile
from plant.points import Point, PointId
from plant.topology import Equipment
from simulator.chance import seed_number
from simulator.chillers import Chiller
from simulator.coolant import Cdu, Sidecar
from simulator.dials import Dials
from simulator.facility import FacilityLoop
from simulator.facility_pumps import Pump
from simulator.profile_device import nominal
from simulator.racks import Rack
from simulator.rejection import CoolingTower, DryCooler

if TYPE_CHECKING:
    from simulator.plant import SimulatedPlant

STATIC_PA = 150e3
POWER_FACTOR = 0.97
LINE_V = 400.0
FULL_CLOCK_HZ = 1.98e9
IDLE_CLOCK_HZ = 3.45e8
FOLLOWS_MASTER = 3.0
PARTLY_MODELLED = frozenset({"sidecar"})
"""Kinds whose profiles have more registers than the plant has physics for; the rest stand at a plausible value."""


class Readings:
    """The instruments of one plant."""

    def __init__(self, plant: SimulatedPlant) -> None:
        self._plant = plant
        points: dict[str, list[Point]] = {}
        self._idle = {e.id: _idle(e) for e in plant.site.equipment.values() if e.kind in PARTLY_MODELLED}
        for point in plant.site.points.values():
            points.setdefault(point.equipment, []).append(point)
        self._dials = {name: Dials.of(plant.site.id, name, own) for name, own in points.items()}

    def measured(self, equipment: Iterable[str] | None = None) -> dict[PointId, float]:
        """Readings [SI] of some equipment, or of all; falsified by faults."""
        found: dict[PointId, float] = {}
        tick = int(self._plant.time_s * 2)
        for name in self._dials if equipment is None else equipment:
            if dials := self._dials.get(name):
                exact = self._exact(name)
                show = self._idle.get(name, {}) | self.show(self._plant.site.equipment[name]) | exact
                found.update(zip(dials.points, dials.read(show, exact, tick), strict=True))
        if self._plant.sensors is not None:
            self._plant.sensors.apply(found, self._plant.time_s)
        if self._plant.faults.any_point:
            self._plant.faults.apply(found)
        return found

    def _exact(self, equipment: str) -> dict[str, float]:
        controller = self._plant.controllers.get(equipment)
        desk = self._plant.requested.get(equipment)
        found = (desk.readings() if desk else {}) | (controller.readings() if controller else {})
        switch = self._plant.staging.shown(equipment) if self._plant.staging else {}
        return found | _followed(self._plant, equipment) | switch

    def show(self, equipment: Equipment) -> dict[str, float]:
        """True values [SI] of one equipment by point name."""
        plant, name = self._plant, equipment.id
        if equipment.kind == "rack":
            return _rack(plant.racks[name], leaking=name in plant.faults.leaking)
        if equipment.kind == "meter":
            return _meter(plant, equipment)
        if name in plant.units:
            unit = plant.units[name]
            return _cdu(plant, unit) if isinstance(unit, Cdu) else _sidecar(plant, unit)
        if equipment.kind == "air-unit":
            return _air_unit(plant, name)
        return _facility(plant, equipment) if plant.facility else {}


def _idle(equipment: Equipment) -> dict[str, float]:
    profiles = [load_profile(source.profile) for source in equipment.sources]
    return {point.name: nominal(point) for profile in profiles for point in profile.points}


def _followed(plant: SimulatedPlant, name: str) -> dict[str, float]:
    """What a CDU shows that follows another: the acting master's setpoints are in force, not its own."""
    entry = next((e for e in plant.groups if name in e.group.members and len(e.group.members) > 1), None)
    master = plant.acting_master(entry) if entry else name
    if master == name:
        return {}
    theirs = plant.controllers[master].readings()
    shown = {key: value for key, value in theirs.items() if key.startswith("effective_")}
    if entry and name in entry.own:
        return {key: value for key, value in shown.items() if "temperature" in key}
    return shown | {"control_source": FOLLOWS_MASTER}


def _rack(rack: Rack, *, leaking: bool) -> dict[str, float]:
    found = {
        "liquid_supply_temperature": rack.supply_c,
        "liquid_return_temperature": rack.return_c,
        "liquid_flow": rack.flow_m3_s,
        "liquid_differential_pressure": rack.dp_pa,
        "power": rack.power_w,
        "leak_detect": float(leaking),
    }
    clock_hz = IDLE_CLOCK_HZ + (FULL_CLOCK_HZ - IDLE_CLOCK_HZ) * min(2.0 * rack.utilisation, 1.0)
    gpus, mean_w = len(rack.gpu_factors), rack.gpu_mean_w
    found.update(zip(_of_gpus(gpus, "temperature"), rack.gpu_cases_c(), strict=True))
    found.update(zip(_of_gpus(gpus, "power"), (mean_w * factor for factor in rack.gpu_factors), strict=True))
    for name, value in (("utilisation", rack.utilisation), ("sm_clock", clock_hz), ("xid", 0.0)):
        found.update(dict.fromkeys(_of_gpus(gpus, name), value))
    return found


@cache
def _of_gpus(count: int, name: str) -> tuple[str, ...]:
    return tuple(f"gpu-{index:02d}/{name}" for index in range(count))


def _meter(plant: SimulatedPlant, meter: Equipment) -> dict[str, float]:
    power_w = plant.power_w.get(meter.meters, 0.0)
    apparent_va = power_w / POWER_FACTOR
    return {
        "active_power": power_w,
        "energy_import": plant.ledger.energy_j.get(meter.meters, 0.0),
        "apparent_power": apparent_va,
        "bms_active_power": power_w,
        "bms_current": apparent_va / (3**0.5 * LINE_V),
        "frequency": 50.0,
        "voltage": LINE_V,
        "serial_number": float(seed_number(plant.site.id, meter.id)),
    }


def _cdu(plant: SimulatedPlant, cdu: Cdu) -> dict[str, float]:
    entry = next(e for e in plant.groups if cdu in e.loop.units)
    facility_c = plant.facility.supply_c if plant.facility else cdu.facility_return_c
    leaking, controller = cdu.id in plant.faults.leaking, plant.controllers[cdu.id]
    hot = cdu.supply_c > plant.supply_setpoint_c(cdu.id) + 5.0
    alarms = leaking | (not cdu.running) << 1 | controller.heartbeat_lost << 2 | hot << 3
    found = {
        "tcs_supply_temperature": cdu.supply_c,
        "tcs_return_temperature": cdu.return_c,
        "fws_supply_temperature": facility_c,
        "fws_return_temperature": cdu.facility_return_c,
        "tcs_flow": cdu.flow_m3_s,
    }
    return {
        **found,
        **{f"bms_{name}": value for name, value in found.items()},
        "bms_leak_detect": float(leaking),
        "room_dew_point": plant.room.dew_c,
        "room_temperature": plant.room.air_c,
        "fws_flow": cdu.facility_flow_m3_s,
        "tcs_differential_pressure": entry.loop.dp_pa,
        "tcs_supply_pressure": STATIC_PA + entry.loop.dp_pa,
        "pump_speed": cdu.speed,
        "fws_valve_position": cdu.valve,
        "active_power": cdu.power_w,
        "status": float(cdu.running) or 2.0,
        "group_master": float(plant.acting_master(entry) == cdu.id),
        "alarms": float(alarms),
    }


def _sidecar(plant: SimulatedPlant, unit: Sidecar) -> dict[str, float]:
    entry = next(e for e in plant.groups if unit in e.loop.units)
    leaking = unit.id in plant.faults.leaking
    return {
        "tcs_flow": unit.flow_m3_s,
        "tcs_supply_temperature": unit.supply_c,
        "tcs_return_temperature": unit.return_c,
        "tcs_supply_pressure": STATIC_PA + entry.loop.dp_pa,
        "tcs_return_pressure": STATIC_PA,
        "active_power": unit.power_w,
        "air_inlet_temperature": plant.room.air_c,
        "pump_speed": unit.speed,
        "fan_speed": unit.fan,
        "hex_water_inlet_temperature": unit.return_c,
        "filter_pressure": STATIC_PA + 0.1 * unit.internal_dp_pa,
        "sensor_alarms": 0.0,
        "status_alarms": 0.0,
        "leakage": float(leaking),
        "control_bits": 8.0,  # bit 3: automatic flow
    }


def _facility(plant: SimulatedPlant, equipment: Equipment) -> dict[str, float]:
    loop, kind = plant.facility, equipment.kind
    assert loop is not None
    if kind == "chiller" and loop.chillers:
        return _chiller(next(c for c in loop.chillers.chillers if c.id == equipment.id))
    if kind == "pump":
        return _pump(next(p for p in loop.pump.pumps if p.id == equipment.id))
    air = {"outdoor_dry_bulb": plant.weather.dry_bulb_c, "outdoor_relative_humidity": plant.weather.relative_humidity}
    if kind == "economiser":
        return air | _economiser(loop, equipment.id)
    coolers: list[DryCooler | CoolingTower] = [
        *([loop.cooler] if loop.cooler else []),
        *(loop.wet.towers if loop.wet else ()),
    ]
    part = next((c for c in coolers if c.id == equipment.id), None)
    return air | _rejection(loop, part) if part else {}


def _air_unit(plant: SimulatedPlant, name: str) -> dict[str, float]:
    """A direct-expansion unit, or a coil on facility water."""
    room = plant.room
    coil = next((c for c in room.coils if c.id == name), None)
    fan = coil.fan if coil else room.fan
    return {
        "air_inlet_temperature": room.air_c,
        "cooling_power": coil.heat_w if coil else room.heat_w,
        "fan_speed": fan,
        "active_power": plant.power_w.get(name, 0.0),
        "status": 1.0,
    }


def _pump(pump: Pump) -> dict[str, float]:
    return {
        "flow": pump.flow_m3_s,
        "differential_pressure": pump.head_pa,
        "pump_speed": pump.speed,
        "active_power": pump.power_w,
        "status": float(pump.running),
    }


def _economiser(loop: FacilityLoop, name: str) -> dict[str, float]:
    """An economiser; where the site has none but in name, what its tower's loop would show."""
    units = loop.wet.economisers if loop.wet else []
    unit = next((u for u in units if u.id == name), None)
    return {
        "leaving_temperature": loop.supply_c,
        "entering_temperature": loop.return_c,
        "flow": unit.flow_m3_s if unit else loop.pump.flow_m3_s,
        "fan_speed": 0.0,
        "active_power": 0.0,
        "status": float(unit.enabled) if unit else 1.0,
    }


def _rejection(loop: FacilityLoop, part: DryCooler | CoolingTower) -> dict[str, float]:
    return {
        "leaving_temperature": part.leaving_c,
        "entering_temperature": part.entering_c,
        "flow": part.flow_m3_s,
        "fan_speed": part.fan,
        "active_power": loop.powers[part.id],
        "status": float(not part.stopped),
    }


def _chiller(chiller: Chiller) -> dict[str, float]:
    return {
        "leaving_temperature": chiller.leaving_c,
        "entering_temperature": chiller.entering_c,
        "cooling_power": chiller.heat_w,
        "active_power": chiller.power_w,
        "status": 2.0 if chiller.tripped else float(chiller.running),
        "load": chiller.heat_w / chiller.capacity_w,
    }
