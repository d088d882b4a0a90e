"""A hall with six trains of tower, economiser and chiller, of which any may be switched; quasi-steady by minutes.

Its machines are those of `benchmarks.trains_units`. Units that nobody commands follow the building management system's
own sequence (`Staging`), which therefore stages every baseline.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from benchmarks.judge import Judge
from benchmarks.plants import PlantTruth, Scenario
from benchmarks.rack_instruments import shares_of, shown_by_racks
from benchmarks.trains_machines import NEW, Wear
from benchmarks.trains_racks import COOLANT_J_M3_K, HOTTEST, LEAKAGE_REFERENCE_C, TrainsRacks
from benchmarks.trains_units import WATER_J_M3_K
from benchmarks.trains_water import Staging, TrainsWater
from benchmarks.twin_plant import example_site
from plant.points import PointId
from plant.topology import Site
from simulator.weather import Weather

Array = npt.NDArray[np.float64]

STEP_S, WARM_UP_S = 60.0, 7200.0
TOWER_BELOW_FACILITY_K, TOWER_ABOVE_WET_BULB_K = 2.0, 3.0
"""The towers' own rule while nobody commands them."""
ROOM_DEW_POINT_C = (2.0, 15.0)
ENABLE = "enable_command"
KINDS = ("cooling-tower", "economiser", "chiller", "pump")


class TrainsPlant:
    """The hall of site-configs/six-trains.yaml under a scenario's weather and work.

    told: of how many GPUs of each rack case and power are shown, None: as the site file says; with none of them racks
    show their power alone.
    """

    def __init__(
        self,
        scenario: Scenario,
        site: Site | None = None,
        staging: Staging | None = None,
        wear: Wear = NEW,
        told: int | None = None,
    ) -> None:
        self.site, self._scenario = site or example_site("six-trains.yaml"), scenario
        self._group = next(iter(self.site.groups.values()))
        self._staging, self._wear, self._judge = staging or Staging(), wear, Judge(self.site)
        self.racks = TrainsRacks(self.site, wear)
        self._told = _declared(self.site, self.racks.names[0]) if told is None else told
        self.reset(0.0)

    def sequence(self, up: float) -> None:
        """Another load from which the units' own sequence adds one, from the next `reset` on."""
        self._staging = Staging.at(up)

    def reset(self, start_s: float) -> None:
        """Begin anew, two hours under design setpoints and the plant's own staging behind it."""
        self.water = TrainsWater(self.site, self._staging, self._wear)
        commands = self._group.commands
        self._setpoints: dict[PointId, float] = {
            point: self._group.design[role] for role, point in commands.items() if not point.endswith(ENABLE)
        }
        self._free_tower = commands["tower_temperature"]
        self._asked_tower, self._enables = False, dict[str, float]()
        self._supply_c, self._dew_c, self._time_s = self._group.design["supply_temperature"], 10.0, start_s - WARM_UP_S
        self._cases: Array = np.full(len(self.racks.names), LEAKAGE_REFERENCE_C)
        self._forget()
        for _ in range(round(WARM_UP_S / STEP_S)):
            self._minute()
        self._forget()

    def advance(self, setpoints: Mapping[PointId, float], seconds: float) -> Mapping[PointId, float]:
        """Take setpoints and enable commands, pass whole minutes, show the instruments."""
        minutes = round(seconds / STEP_S)
        assert abs(minutes * STEP_S - seconds) < 1e-6, "the hall moves in whole minutes"
        for point, value in setpoints.items():
            unit, _, name = point.partition("/")
            if name == ENABLE:
                self._enables[unit] = value
            else:
                self._setpoints[point] = value
        self._asked_tower |= self._free_tower in setpoints
        for _ in range(minutes):
            self._minute()
        return self._show()

    def truth(self) -> PlantTruth:
        """Sums since `reset`."""
        return self._judge.truth(self._energy_j, self._it_j)

    @property
    def balance(self) -> float:
        """Heat that economisers and chillers took over what racks and pumps gave since `reset` [1]."""
        return self._heat_out_j / self._heat_in_j

    def close(self) -> None:
        """Nothing is held."""

    def _forget(self) -> None:
        """Sums only; the plant's state stays."""
        self._energy_j: dict[str, float] = {}
        self._it_j = self._heat_in_j = self._heat_out_j = 0.0
        self._judge.reset()

    def _minute(self) -> None:
        self._time_s += STEP_S
        self._air = air = self.air(self._time_s)
        self._dew_c = min(max(air.dew_point_c, ROOM_DEW_POINT_C[0]), ROOM_DEW_POINT_C[1])
        role = {
            name: self._setpoints[point] for name, point in self._group.commands.items() if point in self._setpoints
        }
        self._power_w, self._plates_w = self.racks.draw(self.use(self._time_s - 0.5 * STEP_S), self._cases)
        self._flows = self.racks.flows(role["differential_pressure"])
        self._flow_m3_s = float(self._flows.sum())
        self._tcs_w = self.racks.pumping_w(role["differential_pressure"], self._flow_m3_s)
        liquid_w = self.racks.liquid_w(self._power_w) + self._tcs_w
        self._facility_m3_s, self._supply_c = self.racks.exchange(
            liquid_w,
            self._flow_m3_s,
            role["supply_temperature"],
            self.water.supply_c,
            self.water.deliverable_m3_s,
        )
        facility_c = role["facility_supply_temperature"]
        own_c = max(facility_c - TOWER_BELOW_FACILITY_K, air.wet_bulb_c + TOWER_ABOVE_WET_BULB_K)
        tower_c = role["tower_temperature"] if self._asked_tower else own_c
        self.water.command(self._enables)
        self.water.step(STEP_S, liquid_w, self._facility_m3_s, facility_c, tower_c, air.wet_bulb_c)
        self._account(liquid_w)

    def use(self, at_s: float) -> Array:
        """What the scenario asks of each rack at a time [s since 1970], as share of full load."""
        return np.array([self._scenario.utilisation(rack, at_s) for rack in self.racks.names])

    def air(self, at_s: float) -> Weather:
        """The scenario's outdoor air at a time [s since 1970]."""
        return self._scenario.climate.at(at_s)

    def _account(self, liquid_w: float) -> None:
        """A minute's energies, cases and violations."""
        now = self.water.now
        for name, watts in {"tcs_pumps": self._tcs_w, **now.powers_w}.items():
            self._energy_j[name] = self._energy_j.get(name, 0.0) + watts * STEP_S
        self._it_j += float(self._power_w.sum()) * STEP_S
        self._heat_in_j += (liquid_w + now.powers_w["facility_pumps"]) * STEP_S
        self._heat_out_j += (now.economised_w + now.chilled_w) * STEP_S
        rises_k = self.racks.rises_k(self._flows, self._plates_w)
        self._cases = self._supply_c + rises_k
        seen = {
            **self.racks.seen(self._supply_c, self._flows, self._power_w, rises_k),
            "fws_supply_temperature": self.water.supply_c,
            "dew_point_margin": self._supply_c - self._dew_c,
        }
        self._judge.see({name: (value,) for name, value in seen.items()}, STEP_S)

    def _show(self) -> dict[PointId, float]:
        """What the instruments show: the site's points that this plant knows."""
        shown = self._rack_values()
        cdu = self._cdu()
        for member in self._group.members:
            shown |= {f"{member}/{name}": value for name, value in cdu.items()}
        for kind in KINDS:
            for unit in self.site.of_kind(kind):
                shown |= {f"{unit.id}/{name}": value for name, value in self._unit(unit.id, kind).items()}
        for point, value in self._setpoints.items():
            equipment, _, name = point.partition("/")
            shown |= {point: value, f"{equipment}/effective_{name}": value}
        return {point: value for point, value in shown.items() if point in self.site.points}

    def _rack_values(self) -> dict[str, float]:
        """What racks show, and those of their GPUs that tell."""
        names = self.racks.names
        if not self._told:
            return {f"{rack}/power": watts for rack, watts in zip(names, self._power_w.tolist(), strict=True)}
        liquid_w = self.racks.figures["liquid_fraction"] * self._power_w
        dp_pa = self._setpoints[self._group.commands["differential_pressure"]]
        values = {
            "power": self._power_w,
            "liquid_return_temperature": self._supply_c + liquid_w / (self._flows * COOLANT_J_M3_K),
            "liquid_flow": self._flows,
            "liquid_differential_pressure": np.full(len(names), dp_pa),
        }
        rises_k = self._cases - self._supply_c
        return shown_by_racks(names, values, self._supply_c, rises_k, self._plates_w, shares_of(self._told, HOTTEST))

    def _cdu(self) -> dict[str, float]:
        """One CDU's share."""
        count = len(self._group.members)
        carried_w = self.racks.liquid_w(self._power_w)
        facility_rise_k = (carried_w + self._tcs_w) / max(self._facility_m3_s * WATER_J_M3_K, 1.0)
        return {
            "tcs_supply_temperature": self._supply_c,
            "tcs_return_temperature": self._supply_c + carried_w / (self._flow_m3_s * COOLANT_J_M3_K),
            "fws_supply_temperature": self.water.supply_c,
            "fws_return_temperature": self.water.supply_c + facility_rise_k,
            "room_dew_point": self._dew_c,
            "tcs_flow": self._flow_m3_s / count,
            "fws_flow": self._facility_m3_s / count,
            "tcs_differential_pressure": self._setpoints[self._group.commands["differential_pressure"]],
            "active_power": self._tcs_w / count,
            "status": 1.0,
        }

    def _unit(self, unit: str, kind: str) -> dict[str, float]:
        water, switch = self.water, self.water.switches[unit]
        runs = float(switch.running)
        wanted = runs if switch.asked is None else float(switch.asked)
        found = {"running": runs, "effective_enable_command": wanted, ENABLE: wanted, "status": runs}
        return (
            found
            | {name: value * (runs if name in CARRIED else 1.0) for name, value in water.shown(unit, kind).items()}
            | (
                {"outdoor_dry_bulb": self._air.dry_bulb_c, "outdoor_relative_humidity": self._air.relative_humidity}
                if kind == "cooling-tower"
                else {}
            )
        )


def _declared(site: Site, rack: str) -> int:
    """How many GPUs of a rack the site file says tell their case."""
    return sum(point.startswith(f"{rack}/gpu-") and point.endswith("/temperature") for point in site.points)


CARRIED = frozenset({"flow", "active_power", "fan_speed", "cooling_power", "load", "pump_speed"})
"""What an off unit shows as nothing."""
