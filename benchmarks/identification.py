"""Does coldplate find out what its plant is really like: a twin whose parameters differ from the site file's.

The controller sees the site file, the plant has other exchangers, plates, pumps and racks. After one simulated day:
every parameter with its interval, and how far predictions were off with the site file's model and with the fitted one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import numpy as np

from benchmarks.drive import DAY_H, LEAD_H, drive_day
from benchmarks.maintenance import HALL, POD, quiet_then_worn
from benchmarks.plants import Scenario
from benchmarks.twin_plant import COMPONENTS, TwinPlant, example_site
from controller import inputs
from controller.design import LoopDesign, loop_design
from controller.identification.applied import applied
from controller.identification.known import Known
from controller.identification.parameters import PARAMETERS, prior_of
from controller.learning import Learnt, corrected
from controller.model import Load, Setpoints, evaluate, facility_flow, full_load_case_c, loop_flow
from controller.outdoor import Outdoor
from controller.state import ControlState
from controller.step import initial_state, step
from plant.live import Snapshot
from plant.points import PointId
from plant.topology import Site
from simulator.plant import SimulatedPlant
from simulator.racks import Rack
from simulator.sensors import typical_sensors

Row = dict[str, float | str]

START_S = 1_783_728_000.0  # 2026-07-11
CYCLE_S, QUICK_CYCLE_S = 60.0, 300.0
JUDGED_H = 4
GPUS = 12
SEEDS, QUICK_SEEDS = (1, 2, 3, 4), (1,)
TRUE: Mapping[str, Mapping[str, float]] = {
    "cdu-1": {"ua_w_k": 0.80, "pump_efficiency": 0.80},
    "cdu-2": {"ua_w_k": 0.85, "pump_efficiency": 1.10},
    "fws-pumps": {"efficiency": 0.85},
    "chiller": {"cop": 0.85},
    "dry-coolers": {"fan_power_w": 1.15},
} | {f"rack-{n:02d}": {"case_resistance_k_w": 1.20 if n % 2 else 0.85, "dp_pa": 0.85} for n in range(1, 9)}
"""How the plant differs from its site file: factors on design figures, by equipment."""
NAMES = {"case_resistance_k_w": "case_resistance", "ua_w_k": "ua", "dp_pa": "rack_flow", "fan_power_w": "fan_power"}


def run(quick: bool, data: Path | None) -> dict[str, float | str | list[Row]]:  # noqa: ARG001 - needs no data
    """The table of parameters, and errors of prediction over the last hours; sensors are of ordinary quality."""
    days = [_one_day(seed, QUICK_CYCLE_S if quick else CYCLE_S) for seed in (QUICK_SEEDS if quick else SEEDS)]
    rows = [row for day in days for row in day.rows]
    judged = [row for row in rows if row["covered"] != "-"]
    return {
        "sensor_seeds": float(len(days)),
        "covered_pct": 100.0 * sum(row["covered"] == "yes" for row in judged) / len(judged),
        **{name: float(np.mean([day.errors[name] for day in days])) for name in days[0].errors},
        "violation_s": sum(day.violation_s for day in days),
        **({} if quick else _slowly()),
        "rows": rows,
    }


def _slowly() -> dict[str, float]:
    """What takes longer: the same day by a controller that forgets what it identified, and findings over two weeks."""
    site = thinned(example_site("demo-pod.yaml"))
    plant = DifferentTwin(site, SEEDS[0])
    day = drive_day(plant, Watcher(plant, forgets=True), START_S, CYCLE_S)
    without = {"violation_without_s": sum(day.violation_s.values())}
    pod = quiet_then_worn(site, START_S, SEEDS[0], POD, 8, 6)
    hall = quiet_then_worn(thinned(example_site("hall.yaml")), START_S, SEEDS[0], HALL, 5, 9)
    return without | {f"pod_{k}": v for k, v in pod.items()} | {f"hall_{k}": v for k, v in hall.items()}


def actual_site(site: Site) -> Site:
    """The plant as it really is."""
    equipment = {
        name: replace(e, design={k: v * TRUE.get(name, {}).get(k, 1.0) for k, v in e.design.items()})
        for name, e in site.equipment.items()
    }
    return replace(site, equipment=equipment)


class DifferentTwin(TwinPlant):
    """A twin that is not what its site file says, with ordinary sensors; its GPUs are shown."""

    def __init__(self, site: Site, seed: int) -> None:
        super().__init__(cast("Scenario", None), site)
        self._seed = seed

    def made(self, start_s: float) -> SimulatedPlant:
        """With the site's own climate and job mix."""
        points = [p for p in self.site.points.values() if "/gpu-" not in p.id]  # a chip's sensor has no installer
        sensors = typical_sensors(points, start_s, self._seed)
        return SimulatedPlant(actual_site(self.site), start_s, sensors=sensors)

    def shown(self, readings: Mapping[PointId, float]) -> Mapping[PointId, float]:
        """Everything."""
        return readings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Learned:
    rows: list[Row]
    errors: Mapping[str, float]
    violation_s: float


def thinned(site: Site) -> Site:
    """Every rack shows its first dozen GPUs: the median of more says the same, and costs most of the time."""
    shown = {name: p for name, p in site.points.items() if "/gpu-" not in name or int(name[12:14]) < GPUS}
    return replace(site, points=shown)


def _one_day(seed: int, cycle_s: float) -> _Learned:
    site = thinned(example_site("demo-pod.yaml"))
    plant = DifferentTwin(site, seed)
    operator = Watcher(plant)
    day = drive_day(plant, operator, START_S, cycle_s)
    rows = list(_rows(site, plant.running, operator.state.known["tcs-1"], seed))
    return _Learned(rows=rows, errors=operator.errors(), violation_s=sum(day.violation_s.values()))


@dataclass(slots=True)
class Watcher:
    """The controller in auto; in the last hours its predictions, and the site file's, are held against the plant."""

    plant: DifferentTwin
    forgets: bool = False
    state: ControlState = field(default_factory=initial_state)
    found: dict[str, list[float]] = field(default_factory=dict)

    def decide(self, snapshot: Snapshot, now_s: float) -> Mapping[PointId, float]:
        """The plans' setpoints."""
        site = self.plant.site
        if now_s - START_S > 3600.0 * (LEAD_H + DAY_H - JUDGED_H):
            self._judge(site, snapshot)
        result = step(self.state, snapshot, (), now_s, site)
        self.state = replace(result.state, known={}) if self.forgets else result.state
        return {s.point: s.value for plan in result.plans for s in plan.setpoints}

    def errors(self) -> dict[str, float]:
        """Mean absolute errors."""
        return {name: float(np.mean(values)) for name, values in self.found.items()}

    def _judge(self, site: Site, snapshot: Snapshot) -> None:
        group = site.groups["tcs-1"]
        plain = loop_design(site, group)
        fitted = applied(plain, site, group, self.state.known.get(group.id, Known()))
        fitted = corrected(fitted, self.state.learnt.get(group.id, Learnt()))
        now = inputs.current_setpoints(site, snapshot, group)
        at = Setpoints.of(np.array([[now[r] for r in inputs.roles(site, group)]]))
        truth = _truth(self.plant.running)
        for name, design in (("before", plain), ("after", fitted)):
            predicted = _predicted(self.plant.running, design, at)
            self.found.setdefault(f"case_error_{name}_k", []).append(abs(predicted[0] - truth[0]))
            for index, what in ((1, "facility_flow"), (2, "cooling_power")):
                error_pct = 100.0 * abs(predicted[index] / truth[index] - 1.0)
                self.found.setdefault(f"{what}_error_{name}_pct", []).append(error_pct)


def _truth(plant: SimulatedPlant) -> tuple[float, float, float]:
    """Case of the worst plate under a GPU at full load [°C], facility flow [m³/s], power of cooling [W]."""
    cooling = [e.id for e in plant.site.equipment.values() if e.kind in COMPONENTS and e.kind != "air-unit"]
    return (
        max(_full_load_c(rack) for rack in plant.racks.values()),
        sum(cdu.facility_flow_m3_s for cdu in plant.cdus),
        sum(plant.power_w[name] for name in cooling),
    )


def _full_load_c(rack: Rack) -> float:
    k_w = float(rack.curve.k_w(np.array([rack.flow_m3_s * rack.l_min_per_plate]))[0])
    return float(rack.supply_c + rack.film * k_w * np.median(rack.plate_factors) * rack.gpu_power_w)


def _predicted(plant: SimulatedPlant, design: LoopDesign, at: Setpoints) -> tuple[float, float, float]:
    """The same by the model, for the load and the air that the plant has now."""
    heat_w, it_w = (sum(getattr(r, what) for r in plant.racks.values()) for what in ("liquid_w", "power_w"))
    gpu_w = design.index_rack.gpu_power_w
    load = Load(heat_w=heat_w, it_w=it_w, gpu_w=gpu_w, air=Outdoor(plant.weather.dry_bulb_c))
    case_c = float(full_load_case_c(design, at.supply_c, at.dp_pa, gpu_w)[0])
    flow = facility_flow(design, np.array([heat_w]), loop_flow(design, at.dp_pa), at.supply_c, at.facility_c)
    return case_c, float(flow[0]), float(evaluate(design, load, at).cooling_w[0])


def _rows(site: Site, plant: SimulatedPlant, known: Known, seed: int) -> Iterator[Row]:
    """One row for each parameter that differs."""
    for equipment, factors in TRUE.items():
        for key, factor in factors.items():
            name = NAMES.get(key, "pump_efficiency" if key == "efficiency" else key)
            ratio = _of_rack(plant.racks[equipment], name, factor) if equipment in plant.racks else factor
            yield _row(site, known, equipment, name, ratio, seed)


def _of_rack(rack: Rack, name: str, factor: float) -> float:
    """True ratio: racks and plates of one kind differ a little among themselves."""
    if name == "rack_flow":
        return float(rack.spread * factor ** (-1 / 1.85))
    return float(factor * np.median(rack.plate_factors))


def _row(site: Site, known: Known, equipment: str, name: str, ratio: float, seed: int) -> Row:
    estimate, prior = known.estimate(equipment, name), prior_of(site.equipment[equipment], PARAMETERS[name])
    low, high = estimate.interval
    covered = "-" if not estimate.count else "yes" if low <= ratio <= high else "no"
    figures = {"true": ratio, "prior": 1.0, "estimate": estimate.ratio, "low_95": low, "high_95": high}
    row: Row = {"parameter": f"{equipment}/{name}", "sensors": float(seed)}
    row |= {k: prior * v for k, v in figures.items()}
    return row | {"covered": covered, "looks": float(estimate.count)}
