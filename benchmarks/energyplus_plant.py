"""A tower-cooled hall whose loops EnergyPlus computes; GPU cases, leakage and the room's dew point are added here.

Minutes are its smallest step. Its heat balance is checked at every `truth`.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from multiprocessing.connection import Connection

import numpy as np

from benchmarks import energyplus_child as child
from benchmarks import energyplus_model as model
from benchmarks.energyplus_racks import COOLANT_J_M3_K, HallRacks
from benchmarks.energyplus_sizes import hall_design
from benchmarks.judge import Judge
from benchmarks.plants import PlantTruth, Scenario
from benchmarks.twin_plant import example_site
from plant.errors import ColdplateError, ConfigError
from plant.points import PointId
from plant.topology import Site

STEP_S = 60.0
START_LIMIT_S = 120.0
LOST_SHARE, LOST_K = 0.01, 1.0
"""CDU heat and what the loop stores may differ from IT and pump heat by this share and by these kelvin of the loop's
water: EnergyPlus can report a loop at its setpoint that carries nothing."""
WATER_J_M3_K, COOLANT_KG_M3, WATER_KG_M3 = 4.16e6, 1017.0, 995.0
CHILLER_ABOVE_K = 0.3
"""The chiller holds this much above the economiser's setpoint: else EnergyPlus' own solver error (1 mK) starts it, and
a chiller that runs at nothing asks for its whole condenser water."""
TOWER_BELOW_FACILITY_K, TOWER_ABOVE_WET_BULB_K = 2.0, 3.0
"""The tower's own rule while nobody commands it."""
ROOM_DEW_POINT_C = (2.0, 15.0)
"""The hall's air follows outdoor dew point between these: ASHRAE's recommended upper bound, and humidifying below."""
POWERS = {"tcs_pumps": 0, "facility_pumps": 1, "tower_pumps": 2, "fans": 3, "chillers": 4}


class EnergyPlusPlant:
    """The hall of site-configs/hall.yaml under a scenario's weather file and work."""

    def __init__(self, scenario: Scenario, site: Site | None = None) -> None:
        if not child.installed():
            raise ConfigError(
                "EnergyPlus is not installed", where="plant hall", remedy="pip install 'coldplate[bench]'"
            )
        self.site, self._scenario = site or example_site("hall.yaml"), scenario
        self._group = next(iter(self.site.groups.values()))
        self._racks = HallRacks([self.site.equipment[r] for r in self._group.racks], self.site.gpus_per_rack)
        self._judge = Judge(self.site)
        self._cooler = self._group.commands["facility_supply_temperature"].partition("/")[0]
        self._design = hall_design(self.site)
        self._capacity_j_k = self._design.tcs_volume_m3 * COOLANT_J_M3_K
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._folder = ""
        self._begin(0.0)

    def reset(self, start_s: float) -> None:
        """Start EnergyPlus at local midnight before start_s and run up to it under design setpoints."""
        self.close()
        local = datetime.fromtimestamp(start_s + self._scenario.climate.offset_s, UTC)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        self._start((midnight.month, midnight.day))
        self._begin(start_s - (local - midnight).total_seconds())
        if local > midnight:
            self.advance({}, (local - midnight).total_seconds())
            self._begin(start_s)

    def advance(self, setpoints: Mapping[PointId, float], seconds: float) -> Mapping[PointId, float]:
        """Take setpoints, pass whole minutes, show the instruments.

        Raises:
            ColdplateError: EnergyPlus failed, or its year is over.
        """
        minutes = round(seconds / STEP_S)
        assert abs(minutes * STEP_S - seconds) < 1e-6, "the hall moves in whole minutes"
        self._setpoints |= dict(setpoints)
        power_w, rows = self._inputs(minutes)
        for power, outputs in zip(power_w, self._exchange(rows), strict=True):
            self._account(power, outputs)
        self._time_s += seconds
        return self._show()

    def truth(self) -> PlantTruth:
        """Sums since `reset`.

        Raises:
            ColdplateError: heat got lost, so that nothing of the run can be believed.
        """
        lost_j = self._heat_in_j - self._heat_out_j - self._stored_j() + self._stored_at_first_j
        if abs(lost_j) > LOST_SHARE * self._heat_in_j + LOST_K * self._capacity_j_k:
            share = lost_j / self._heat_in_j
            raise ColdplateError(f"EnergyPlus' heat balance does not close: {100 * share:.1f} % got lost")
        return self._judge.truth(self._energy_j, self._it_j)

    @property
    def balance(self) -> float:
        """CDU heat over IT and TCS pump heat since `reset` [1]."""
        return self._heat_out_j / self._heat_in_j

    def close(self) -> None:
        """End EnergyPlus and remove its files."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            try:
                self._process.wait(2.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._process, self._pipe, self._folder = None, None, ""

    def _begin(self, start_s: float) -> None:
        """Forget sums; keep the plant's state."""
        self._time_s = start_s
        self._energy_j = dict.fromkeys(POWERS, 0.0)
        self._it_j = self._heat_in_j = self._heat_out_j = self._stored_at_first_j = 0.0
        self._judge.reset()
        self._setpoints: dict[PointId, float] = {
            self._group.commands[role]: value for role, value in self._group.design.items()
        }
        self._supply_c, self._dew_c, self._wet_c = self._group.design["supply_temperature"], 10.0, 15.0
        self._racks.forget()
        self._last: Sequence[float] = [0.0] * len(child.OUTPUTS)

    def _start(self, day: tuple[int, int]) -> None:
        self._folder = tempfile.mkdtemp(prefix="coldplate-hall-")
        self._pipe, theirs = multiprocessing.Pipe()
        # a fresh interpreter: a child of multiprocessing would import again all that this process ever did
        command = [sys.executable, "-m", child.__name__, str(theirs.fileno())]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment)  # noqa: S603 - our own
        theirs.close()
        objects = model.hall_model(self._design, day, (12, 31))
        self._pipe.send((objects, str(self._scenario.climate.path), self._folder))
        self._answer()

    def _answer(self) -> list[list[float]]:
        assert self._pipe is not None, "reset comes first"
        try:
            answer = self._pipe.recv() if self._pipe.poll(START_LIMIT_S) else f"silent for {START_LIMIT_S:.0f} s"
        except (EOFError, OSError):
            answer = "EnergyPlus died"
        if isinstance(answer, str):
            raise ColdplateError(answer)
        rows: list[list[float]] = answer
        return rows

    def _exchange(self, rows: list[list[float]]) -> list[list[float]]:
        assert self._pipe is not None, "reset comes first"
        if not rows:
            return []
        self._pipe.send(rows)
        return self._answer()

    def _inputs(self, minutes: int) -> tuple[list[np.ndarray], list[list[float]]]:
        """Power of each rack [W] and the inputs of each minute to come; leakage at the cases as they are now."""
        role = {name: self._setpoints[point] for name, point in self._group.commands.items()}
        share = self._racks.flow_m3_s(role["differential_pressure"]) / self._design.tcs_flow_m3_s
        wet_c = self._wet_c
        facility_c = role["facility_supply_temperature"]
        trim_c = facility_c + CHILLER_ABOVE_K
        own_c = max(facility_c - TOWER_BELOW_FACILITY_K, wet_c + TOWER_ABOVE_WET_BULB_K, 6.0)
        tower_c = self._setpoints.get("tower/leaving_temperature_setpoint", own_c)
        use, at_s = self._scenario.utilisation, self._time_s
        power_w = [self._racks.drawn_w(use, at_s + STEP_S * (i + 0.5)) for i in range(minutes)]
        liquid = self._racks.liquid_fraction
        rows = [
            [-float(liquid @ w), min(share, 1.0), role["supply_temperature"], facility_c, tower_c, trim_c]
            for w in power_w
        ]
        return power_w, rows

    def _value(self, outputs: Sequence[float], name: str, key: str) -> float:
        return outputs[child.COLUMN[name, key]]

    def _node(self, node: str) -> float:
        return self._value(self._last, "System Node Temperature", node)

    def _account(self, power_w: np.ndarray, outputs: Sequence[float]) -> None:
        """One minute's energies, cases and violations."""
        first = self._it_j == 0.0
        self._last = outputs
        if first:
            self._stored_at_first_j = self._stored_j()
        for name, column in POWERS.items():
            self._energy_j[name] += outputs[column] * STEP_S
        self._it_j += float(power_w.sum()) * STEP_S
        self._heat_in_j += (float(self._racks.liquid_fraction @ power_w) + outputs[0]) * STEP_S
        self._heat_out_j += self._value(outputs, "Fluid Heat Exchanger Heat Transfer Rate", model.CDU) * STEP_S
        self._supply_c = self._node(model.TCS_OUT)
        self._wet_c = self._value(outputs, "Site Outdoor Air Wetbulb Temperature", "Environment")
        outdoor_dew_c = self._value(outputs, "Site Outdoor Air Dewpoint Temperature", "Environment")
        self._dew_c = min(max(outdoor_dew_c, ROOM_DEW_POINT_C[0]), ROOM_DEW_POINT_C[1])
        moved_m3_s = self._value(outputs, "System Node Mass Flow Rate", model.TCS_BACK) / COOLANT_KG_M3
        self._hold_against_limits(self._racks.live(power_w, self._supply_c, moved_m3_s))

    def _stored_j(self) -> float:
        """Heat in the TCS loop's water, against 0 °C [J]."""
        return self._capacity_j_k * (self._node(model.TCS_OUT) + self._node(model.TCS_BACK)) / 2

    def _hold_against_limits(self, hottest_c: float) -> None:
        seen = {
            "case_temperature": hottest_c,
            "rack_return_temperature": self._node(model.TCS_BACK),
            "rack_flow_m3_s": self._racks.least_flow_m3_s,
            "tcs_supply_temperature": self._supply_c,
            "fws_supply_temperature": self._node(model.FWS_OUT),
            "dew_point_margin": self._supply_c - self._dew_c,
        }
        self._judge.see({name: (value,) for name, value in seen.items()}, STEP_S)

    def _show(self) -> dict[PointId, float]:
        """What the instruments show: the site's points that this plant knows."""
        dp_pa = self._setpoints[self._group.commands["differential_pressure"]]
        shown = self._racks.shown(self._supply_c, dp_pa)
        for member in self._group.members:
            shown |= {f"{member}/{name}": value for name, value in self._cdu().items()}
        for equipment, values in self._others().items():
            shown |= {f"{equipment}/{name}": value for name, value in values.items()}
        for point, value in self._setpoints.items():
            equipment, _, name = point.partition("/")
            shown |= {point: value, f"{equipment}/effective_{name}": value}
        return {point: value for point, value in shown.items() if point in self.site.points}

    def _cdu(self) -> dict[str, float]:
        """One member's share of the one exchanger that EnergyPlus has for all."""
        count = len(self._group.members)
        tcs_kg_s = self._value(self._last, "System Node Mass Flow Rate", model.TCS_BACK)
        water_kg_s = self._value(self._last, "System Node Mass Flow Rate", "CDU WATER IN")
        return {
            "tcs_supply_temperature": self._node(model.TCS_OUT),
            "tcs_return_temperature": self._node(model.TCS_BACK),
            "fws_supply_temperature": self._node(model.FWS_OUT),
            "fws_return_temperature": self._node("CDU WATER OUT"),
            "room_dew_point": self._dew_c,
            "tcs_flow": tcs_kg_s / COOLANT_KG_M3 / count,
            "fws_flow": water_kg_s / WATER_KG_M3 / count,
            "tcs_differential_pressure": self._setpoints[self._group.commands["differential_pressure"]],
            "active_power": self._last[POWERS["tcs_pumps"]] / count,
            "status": 1.0,
        }

    def _others(self) -> dict[str, dict[str, float]]:
        site, last = self.site, self._last
        dry_c = self._value(last, "Site Outdoor Air Drybulb Temperature", "Environment")
        humidity = self._value(last, "Site Outdoor Air Relative Humidity", "Environment") / 100.0
        air = {"outdoor_dry_bulb": dry_c, "outdoor_relative_humidity": humidity}
        water_m3_s = self._value(last, "System Node Mass Flow Rate", "CDU WATER IN") / WATER_KG_M3
        fans_w, rated_w = last[POWERS["fans"]], self._design.tower_fan_w  # the tower's power includes its pumps
        chiller, pump = site.of_kind("chiller")[0].id, site.of_kind("pump")[0].id
        into_c, out_c = self._node("ECONOMISER OUT"), self._node(model.FWS_OUT)
        return {
            self._cooler: {
                "leaving_temperature": out_c,
                "entering_temperature": self._node(model.FWS_BACK),
                "flow": water_m3_s,
            },
            "tower": {
                **air,
                "leaving_temperature": self._node(model.WATER_OUT),
                "entering_temperature": self._node("TOWER IN"),
                "flow": self._value(last, "System Node Mass Flow Rate", "TOWER IN") / WATER_KG_M3,
                "fan_speed": (fans_w / rated_w) ** (1 / 3),
                "active_power": fans_w + last[POWERS["tower_pumps"]],
            },
            chiller: {
                "entering_temperature": into_c,
                "leaving_temperature": out_c,
                "cooling_power": max(into_c - out_c, 0.0) * water_m3_s * WATER_J_M3_K,
                "active_power": last[POWERS["chillers"]],
                "status": float(last[POWERS["chillers"]] > 100.0),
            },
            pump: {"flow": water_m3_s, "active_power": last[POWERS["facility_pumps"]], "status": 1.0},
        }
