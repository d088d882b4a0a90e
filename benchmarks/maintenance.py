"""Days of the twin under ordinary sensors: does a quiet week stay quiet, how soon is wear reported, and its cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.drive import batch_of
from controller.heats import Heat
from controller.identification.cycle import known_of_all
from controller.identification.findings import findings
from controller.identification.known import Known
from plant.clock import ManualClock
from plant.live import LiveTable
from plant.records import Condition
from plant.topology import Site
from simulator.plant import SimulatedPlant
from simulator.sensors import typical_sensors

LOOK_S, DAY_S = 900.0, 86400.0
LOST_PER_DAY = 0.05
"""Share of what it is good for that a part loses each day: months of real wear, accelerated."""


@dataclass(frozen=True, slots=True)
class Wear:
    """One kind of wear: the finding's code and subject that should tell it, and what makes it.

    by: changes the plant from a day before (share left [0..1]) to now (likewise).
    """

    code: str
    subject: str
    by: Callable[[SimulatedPlant, float, float], None]


def _fouled(plant: SimulatedPlant, _: float, left: float) -> None:
    cdu = plant.cdus[0]
    cdu.fouling_k_w = (1 / left - 1) / cdu.ua_w_k


def _worn_pump(plant: SimulatedPlant, before: float, left: float) -> None:
    curve = plant.cdus[1].curve
    plant.cdus[1].curve = replace(curve, efficiency=curve.efficiency * left / before)


def _worn_chiller(plant: SimulatedPlant, before: float, left: float) -> None:
    assert plant.facility is not None
    assert plant.facility.chillers is not None
    plant.facility.chillers.chillers[0].carnot_share *= left / before


def _fouled_fill(plant: SimulatedPlant, before: float, left: float) -> None:
    assert plant.facility is not None
    assert plant.facility.wet is not None
    plant.facility.wet.towers[0].ntu *= left / before


def _drifted(plant: SimulatedPlant, before: float, left: float) -> None:
    """A flow meter of the second CDU's facility water shows ever more than flows."""
    assert plant.sensors is not None
    point, sensors = f"{plant.cdus[1].id}/fws_flow", dict(plant.sensors.by_point)
    sensors[point] = replace(sensors[point], gain=(1.0 + sensors[point].gain) * before / left - 1.0)
    plant.sensors.by_point = sensors


POD = (
    Wear("fouling", "cdu-1", _fouled),
    Wear("pump_wear", "cdu-2", _worn_pump),
    Wear("sensor_drift", "cdu-2", _drifted),
    Wear("chiller_worse", "chiller", _worn_chiller),
)
"""Of the demo pod, each on equipment that no other one touches, so that one run shows them all."""
HALL = (Wear("rejection_worse", "tower", _fouled_fill),)
"""Of the tower-cooled hall."""


def quiet_then_worn(
    site: Site, start_s: float, seed: int, wears: Sequence[Wear], quiet_days: int, most_days: int
) -> Mapping[str, float]:
    """Findings in quiet days; then wear: of each days and share lost until it is reported, and the cost told then.

    Setpoints are design's: what is reported must not need the optimiser's moves.
    """
    points = [p for p in site.points.values() if "/gpu-" not in p.id]
    plant = SimulatedPlant(site, start_s, sensors=typical_sensors(points, start_s, seed))
    clock = ManualClock(epoch_s=start_s)
    live, known, left = LiveTable(site.points.values(), clock), dict[str, Known](), 1.0
    false = others = 0
    found: dict[str, float] = {}
    for look in range(round((quiet_days + most_days) * DAY_S / LOOK_S)):
        worn_days = max(look * LOOK_S / DAY_S - quiet_days, 0.0)
        before, left = left, (1 - LOST_PER_DAY) ** worn_days
        for wear in wears:
            wear.by(plant, before, left)
        known, told = _looked(site, plant, clock, live, known)
        false += len(told) if not worn_days else 0
        expected = {(w.code, w.subject) for w in wears}
        others += sum((c.code, c.subject) not in expected for c in told) if worn_days else 0
        for condition in told if worn_days else ():
            if (condition.code, condition.subject) in expected:
                found = _row(condition, worn_days, left) | found
        if len(found) == 3 * len(wears):
            break
    return {"false_findings": float(false), "other_findings": float(others)} | found


def _looked(
    site: Site, plant: SimulatedPlant, clock: ManualClock, live: LiveTable, known: dict[str, Known]
) -> tuple[dict[str, Known], tuple[Condition, ...]]:
    plant.step(LOOK_S)
    clock.advance(LOOK_S)
    live.update(batch_of(plant.measured(), clock.now()))
    heat_w = sum(float(rack.liquid_w) for rack in plant.racks.values())
    known = known_of_all(known, site, live.snapshot(), {group: Heat(heat_w) for group in site.groups})
    return known, findings(known, site, clock.now())


def _row(told: Condition, days: float, left: float) -> dict[str, float]:
    kwh = float(told.remedy.params["kwh"])
    figures = {"days": days, "lost_pct": 100.0 * (1 - left), "kwh_a_year": kwh}
    return {f"{told.code}_{name}": value for name, value in figures.items()}
