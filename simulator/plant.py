"""The simulated plant: a site's equipment, its weather and load, one energy balance, devices that can be commanded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np

from plant.errors import RefusedError
from plant.points import PointId
from plant.topology import Site
from simulator import loops, readings
from simulator.coolant import Cdu, Sidecar
from simulator.devices import ControlSource, Log
from simulator.facility_staging import STAGE_STEP_S, FacilityStaging
from simulator.faults import Faults
from simulator.ledger import Ledger
from simulator.load import Job, JobMix
from simulator.room import WaterCoil
from simulator.sensors import Sensors, site_sensors
from simulator.weather import Weather, weather

INNER_STEP_S = 5.0
WEATHER_STEP_S = 60.0
WARM_UP_S = 3600.0
UPS_IDLE_SHARE = 0.3
SUPPLY = "supply_temperature_setpoint"


def _no_log(at_s: float, device: str, event: str, values: Mapping[str, float | str]) -> None:
    """Where nobody listens."""


class SimulatedPlant:
    """A plant that runs by itself, from a steady state at `start_s` [s since 1970]."""

    def __init__(
        self,
        site: Site,
        start_s: float,
        *,
        faults: Faults | None = None,
        log: Log = _no_log,
        warm_up_s: float = WARM_UP_S,
        sky: Callable[[float], Weather] | None = None,
        work: Callable[[str, float], float] | None = None,
        sensors: Sensors | None = None,
        inner_step_s: float = INNER_STEP_S,
    ) -> None:
        """sky(time_s) and work(rack, time_s) stand for the site's own climate and job mix where they are given.

        sensors are imperfect instruments, by default those of the site file; others have a little noise and no more.
        inner_step_s [s]: the longest inner step, shorter where a volume is passed faster.
        """
        self.site, self.faults = site, faults or Faults()
        self.time_s = start_s - warm_up_s
        self.racks = loops.racks_of(site)
        self.groups = loops.group_loops(site, self.racks)
        self.facility = loops.facility_loop(site)
        self.room = loops.room_of(site)
        self.controllers, self.requested = loops.controllers(site, log), loops.requested(site, log)
        self.units = {unit.id: unit for entry in self.groups for unit in entry.loop.units}
        self.cdus = [unit for unit in self.units.values() if isinstance(unit, Cdu)]
        self.sidecars = [unit for unit in self.units.values() if isinstance(unit, Sidecar)]
        offset = datetime.fromtimestamp(start_s, UTC).astimezone(ZoneInfo(site.timezone)).utcoffset()
        self.utc_offset_s = offset.total_seconds() if offset else 0.0
        design_w = {rack: r.design_power_w for rack, r in self.racks.items()}
        self.mix = JobMix(site.workload, design_w, self.utc_offset_s)
        self._rejection = loops.commanded_rejection(site, self.controllers)
        self._tower = loops.commanded_tower(site, self.controllers)
        self._air_unit = next((e.id for e in site.of_kind("air-unit") if e.id in self.controllers), "")
        self._passing = {e.id: loops.loads_of(site, e) for e in site.equipment.values() if e.kind in loops.PASS_POWER}
        self._ups = {
            e.id: (e.design.get("efficiency", 0.97), loads, sum(design_w.get(load, 0.0) for load in loads))
            for e, loads in ((e, loops.loads_of(site, e)) for e in site.of_kind("ups"))
        }
        self._feeds = [e.id for e in site.of_kind("utility")]
        self.staging = FacilityStaging(site, self.facility) if self.facility else None
        self._weather_s = self._staged_s = -math.inf
        self._sky = sky or (lambda at_s: weather(site.climate, at_s, self.utc_offset_s))
        self._work = work or self.mix.utilisation
        self.weather: Weather = self._sky(self.time_s)
        self.power_w: dict[str, float] = {}
        self.ledger = Ledger(site.limits)
        self.sensors = sensors or site_sensors(site, start_s)
        self._inner_s = min([inner_step_s, *(0.5 * span_s for span_s in self._residences())])
        self._readings = readings.Readings(self)
        self.step(warm_up_s)
        self.ledger = Ledger(site.limits)

    @property
    def stored_j(self) -> float:
        """Heat held in water, metal and air, against 0 degC [J]."""
        water_j = self.facility.stored_j if self.facility else 0.0
        return water_j + self.room.stored_j + sum(entry.loop.stored_j for entry in self.groups)

    def step(self, dt_s: float) -> None:
        """Advance by dt_s [s], in inner steps."""
        count = max(math.ceil(dt_s / self._inner_s - 1e-9), 0)
        self._obey_faults()
        for _ in range(count):
            self._inner(dt_s / count)

    def measured(self, equipment: Iterable[str] | None = None) -> dict[PointId, float]:
        """What the instruments show now [SI]; of some equipment, or of all."""
        return self._readings.measured(equipment)

    def command(self, point: PointId, value: float) -> None:
        """Write one value [SI] to a device.

        Raises:
            RefusedError: nothing to write there, or the device says no.
        """
        equipment, _, name = point.partition("/")
        controller = self.controllers.get(equipment)
        if controller is None:
            raise RefusedError(f"{point}: {equipment} takes no commands")
        controller.write(name, value, self.time_s)

    def jobs(self, start_s: float, end_s: float) -> list[Job]:
        """Training jobs that touch [start_s, end_s)."""
        return self.mix.jobs(start_s, end_s)

    def _inner(self, dt_s: float) -> None:
        self.time_s += dt_s
        if self.time_s - self._weather_s >= WEATHER_STEP_S:
            self._weather_s = self.time_s
            self.weather = self._sky(self.time_s)
        for controller in (*self.controllers.values(), *self.requested.values()):
            controller.step(self.time_s, dt_s)
        if self.staging and self.time_s - self._staged_s >= STAGE_STEP_S:
            self._stage(self.staging)
        for entry in self.groups:
            self._advance(entry, dt_s)
        if self.facility:
            if self.facility.wet and self._tower:
                self.facility.wet.asked_c = self.controllers[self._tower].effective("leaving_temperature_setpoint")
            users: list[Cdu | WaterCoil] = [*self.cdus, *self.room.coils]
            self.facility.step(dt_s, self._facility_setpoint_c(), users, self.weather)
        self._advance_room(dt_s)
        self._account(dt_s)

    def _stage(self, staging: FacilityStaging) -> None:
        assert self.facility is not None
        passed_s, self._staged_s = min(self.time_s - self._staged_s, STAGE_STEP_S), self.time_s
        staging.step(passed_s, self.controllers, self.faults.stopped)
        users: list[Cdu | WaterCoil] = [*self.cdus, *self.room.coils]
        for user in users:
            user.facility_drive = self.facility.pump.drive

    def supply_setpoint_c(self, unit: str) -> float:
        """The supply setpoint in force at a unit [°C]: or that of a BMS which has a say."""
        own, bms = self.controllers[unit], self.requested.get(unit)
        if bms is None or (SUPPLY in own.writable and own.source is not ControlSource.LOCAL):
            return own.effective(SUPPLY)
        return bms.effective(f"{loops.BMS_PREFIX}{SUPPLY}")

    def acting_master(self, entry: loops.GroupLoop) -> str:
        """The member whose setpoints rule: the group's master, or the next one that runs."""
        order = (entry.group.master, *entry.group.members)
        return next((member for member in order if self.units[member].running), entry.group.master)

    def _advance(self, entry: loops.GroupLoop, dt_s: float) -> None:
        supply_c = self.supply_setpoint_c(self.acting_master(entry))
        dp_pa, speed = self._pumping(entry)
        loop, at_s, work = entry.loop, self.time_s, self._work
        loop.step(dt_s, dp_pa, np.array([work(rack.id, at_s) for rack in loop.racks]), speed)
        for unit in loop.units:
            cold_c = self.facility.supply_c if isinstance(unit, Cdu) and self.facility else self.room.air_c
            unit.step(dt_s, supply_c, loop.return_c, loop.dp_pa, cold_c)
        loop.mix(dt_s)

    def _pumping(self, entry: loops.GroupLoop) -> tuple[float, float | None]:
        """The pressure [Pa] that a loop's pumps hold, or the speed [1] that they are told: their mean, on one manifold.

        Where each CDU takes its own flow, those that run hold theirs and no more.
        """
        controller = self.controllers[self.acting_master(entry)]
        told = [self.controllers[u.id] for u in entry.loop.units if u.running and u.id in entry.own] or [controller]
        if "pump_speed_setpoint" in controller.writable:
            return 0.0, sum(c.effective("pump_speed_setpoint") for c in told) / len(told)
        if "flow_setpoint" in controller.writable:
            return entry.loop.pressure_for(sum(c.effective("flow_setpoint") for c in told)), None
        return controller.effective("differential_pressure_setpoint"), None

    def _residences(self) -> list[float]:
        """How long coolant stays in each volume at the most flow [s]: no step may be longer."""
        spans = [
            entry.loop.half_j_k / entry.loop.rho_cp / sum(unit.most_flow_m3_s for unit in entry.loop.units)
            for entry in self.groups
        ]
        if self.facility:
            design_m3_s = sum(cdu.design_facility_flow_m3_s for cdu in self.cdus)
            design_m3_s += sum(coil.design_flow_m3_s for coil in self.room.coils)
            spans.append(self.facility.half_j_k / self.facility.water_rho_cp / design_m3_s)
            if self.facility.cooler:
                spans.append(self.facility.cooler.capacity_j_k / self.facility.water_rho_cp / design_m3_s)
        return spans

    def _obey_faults(self) -> None:
        """What stands still, and valves that do not move."""
        stopped, jammed = self.faults.stopped, self.faults.jammed
        for unit in self.units.values():
            unit.running = unit.id not in stopped
        for cdu in self.cdus:
            cdu.valve_jammed = cdu.id in jammed
        if self.staging:
            self._stage(self.staging)

    def _facility_setpoint_c(self) -> float:
        return (
            self.controllers[self._rejection].effective("leaving_temperature_setpoint")
            if self._rejection
            else (loops.FACILITY_DESIGN_C)
        )

    def _advance_room(self, dt_s: float) -> None:
        gains_w = sum(float(entry.loop.bank.air_w.sum()) for entry in self.groups)
        gains_w += sum(unit.heat_w + unit.fan_w for unit in self.sidecars)
        facility_c = self.facility.supply_c if self.facility else self.room.air_c
        if self._air_unit:
            self.room.setpoint_c = self.controllers[self._air_unit].effective(loops.AIR_SETPOINT)
        self.room.step(dt_s, gains_w, self.weather.dry_bulb_c, self.weather.dew_point_c, facility_c)

    def _account(self, dt_s: float) -> None:
        power_w, ledger = self._powers(), self.ledger
        losses_w = power_w["ups-losses"]
        self.power_w = power_w
        for name, watts in power_w.items():
            ledger.energy_j[name] = ledger.energy_j.get(name, 0.0) + watts * dt_s
        rejected_w = losses_w + self.room.rejected_w + (self.facility.rejected_w if self.facility else 0.0)
        ledger.electric_j += power_w["site"] * dt_s
        ledger.it_j += power_w["it"] * dt_s
        ledger.rejected_j += rejected_w * dt_s
        ledger.judge(dt_s, self._extremes())

    def _powers(self) -> dict[str, float]:
        """Electrical power by equipment [W], with `it`, `ups-losses` and `site` as sums; a UPS by its output.

        Several utility feeds have equal shares of what the site draws.
        """
        found: dict[str, float] = {}
        for entry in self.groups:
            found.update(zip(entry.loop.rack_ids, entry.loop.bank.power_w.tolist(), strict=True))
        it_w = sum(found.values())
        for unit in self.units.values():
            found[unit.id] = unit.power_w
        if self.facility:
            found |= self.facility.powers
        for coil in self.room.coils:
            found[coil.id] = coil.power_w
        if self.room.id:
            found[self.room.id] = self.room.power_w
        total_w, losses_w = sum(found.values()), 0.0
        passed = {name: sum(found.get(load, 0.0) for load in loads) for name, loads in self._passing.items()}
        for name, (efficiency, loads, rated_w) in self._ups.items():
            load_w = sum(found.get(load, 0.0) for load in loads)
            losses_w += (1.0 / efficiency - 1.0) * (UPS_IDLE_SHARE * rated_w + (1.0 - UPS_IDLE_SHARE) * load_w)
            passed[name] = load_w
        site_w = total_w + losses_w
        shares = dict.fromkeys(self._feeds, site_w / max(len(self._feeds), 1))
        return found | passed | shares | {"it": it_w, "ups-losses": losses_w, "site": site_w}

    def _extremes(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest of each quantity that a limit may name."""
        banks = [entry.loop.bank for entry in self.groups]
        cases = max(bank.hottest_case_c for bank in banks)
        returns = max(float(bank.return_c.max()) for bank in banks)
        flows = [flow for bank in banks for flow in bank.flow_range_m3_s]
        supplies = [entry.loop.supply_c for entry in self.groups]
        low_c, high_c = min(supplies), max(supplies)
        facility_c = self.facility.supply_c if self.facility else high_c
        return {
            "case_temperature": (cases, cases),
            "rack_return_temperature": (returns, returns),
            "rack_flow_m3_s": (min(flows), max(flows)),
            "tcs_supply_temperature": (low_c, high_c),
            "fws_supply_temperature": (facility_c, facility_c),
            "dew_point_margin": (low_c - self.room.dew_c, high_c - self.room.dew_c),
            "air_inlet_temperature": (self.room.air_c, self.room.air_c),
        }
