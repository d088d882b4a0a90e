"""Days of the twin under ordinary sensors: does a quiet week stay quiet, and how soon is fouling reported."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.drive import batch_of
from controller.heats import Heat
from controller.identification.cycle import known_of_all
from controller.identification.findings import findings
from controller.identification.known import Known
from plant.clock import ManualClock
from plant.live import LiveTable
from plant.topology import Site
from simulator.plant import SimulatedPlant
from simulator.sensors import typical_sensors

LOOK_S, DAY_S = 900.0, 86400.0
FOULING_PER_DAY = 0.05
"""Share of UA that an exchanger loses each day: months of real fouling, accelerated."""


def quiet_then_fouled(site: Site, start_s: float, seed: int, quiet_days: int, most_days: int) -> Mapping[str, float]:
    """Findings in quiet days; then CDU 1 fouls: days and loss of UA until it is reported, and the cost told.

    Setpoints are design's: what is reported must not need the optimiser's moves.
    """
    points = [p for p in site.points.values() if "/gpu-" not in p.id]
    plant = SimulatedPlant(site, start_s, sensors=typical_sensors(points, start_s, seed))
    clock = ManualClock(epoch_s=start_s)
    live, known = LiveTable(site.points.values(), clock), dict[str, Known]()
    cdu, said = plant.cdus[0], 0
    for look in range(round((quiet_days + most_days) * DAY_S / LOOK_S)):
        fouled_days = max(look * LOOK_S / DAY_S - quiet_days, 0.0)
        ratio = (1 - FOULING_PER_DAY) ** fouled_days
        cdu.fouling_k_w = (1 / ratio - 1) / cdu.ua_w_k
        plant.step(LOOK_S)
        clock.advance(LOOK_S)
        live.update(batch_of(plant.measured(), clock.now()))
        heat_w = sum(float(rack.liquid_w) for rack in plant.racks.values())
        known = known_of_all(known, site, live.snapshot(), {group: Heat(heat_w) for group in site.groups})
        told = findings(known, site, clock.now())
        said += len(told) if not fouled_days else 0
        mine = [c for c in told if (c.code, c.subject) == ("fouling", cdu.id)]
        if fouled_days and mine:
            others = len(told) - len(mine)
            kwh = float(mine[0].remedy.params["kwh"])
            return _row(said, fouled_days, 100.0 * (1 - ratio), kwh, others)
    return _row(said, float("nan"), 100.0 * (1 - ratio), float("nan"), 0)


def _row(said: int, days: float, loss_pct: float, kwh: float, others: int) -> dict[str, float]:
    return {
        "false_findings": float(said),
        "days_to_fouling": days,
        "ua_lost_pct": loss_pct,
        "told_kwh_a_year": kwh,
        "other_findings": float(others),
    }
