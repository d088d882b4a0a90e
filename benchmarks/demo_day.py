"""One simulated day of the demo pod, with design setpoints and with coldplate: same load, weather and limits.

The controlled run uses the real controller, guard, leases and audit over the simulated devices' registers, in memory.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

import sites
from actuator.actuator import Actuator
from controller.asking import leases_to_ask, setpoints_to_ask
from controller.modes import initial_modes
from controller.step import StepResult, initial_state, step
from plant.live import LiveTable
from plant.records import Forecast
from plant.samples import SampleBatch
from plant.topology import Site
from simulator.memory import GOOD, MemoryPlant
from store.audit import AuditLog

CYCLE_S = 60.0
TICK_S = 20.0
LEASE_S = 180.0
SUMMER = (2026, 7, 11)
WINTER = (2026, 1, 15)
HORIZONS = (5, 15, 60)
_J_PER_KWH = 3.6e6


@dataclass(slots=True)
class Tally:
    """What one run leaves behind: energies [J], limit violations [s], and what the controller did."""

    site_j: float = 0.0
    it_j: float = 0.0
    cooling_j: float = 0.0
    violation_s: dict[str, float] = field(default_factory=dict)
    highest_case_c: float = 0.0
    least_dew_margin_k: float = 0.0
    moves: int = 0
    refused: int = 0
    step_s: list[float] = field(default_factory=list)
    forecasts: list[Forecast] = field(default_factory=list)
    heat_w: dict[int, float] = field(default_factory=dict)


def run(quick: bool, data: Path | None) -> dict[str, float | str]:  # noqa: ARG001 - no data from outside is needed
    """The figures: a summer day (12:00 to 16:00 when quick), and a winter day unless quick. Energies [kWh]."""
    site = sites.load_site(demo_pod())
    hours = 4.0 if quick else 24.0
    figures = _day(site, SUMMER, 12 if quick else 0, hours)
    if not quick:
        figures |= {f"winter_{k}": v for k, v in _day(site, WINTER, 0, hours).items()}
    return figures


def demo_pod() -> Path:
    """The shipped site file, beside the code or in the wheel."""
    beside = Path(__file__).parents[1] / "site-configs" / "demo-pod.yaml"
    return beside if beside.exists() else Path(sites.__file__).parent / "examples" / "demo-pod.yaml"


def _day(site: Site, date: tuple[int, int, int], hour: int, hours: float) -> dict[str, float | str]:
    start_s = datetime(*date, hour, tzinfo=ZoneInfo(site.timezone)).timestamp()
    baseline = _design_run(site, start_s, hours)
    controlled = asyncio.run(_controlled_run(site, start_s, hours))
    return {
        "hours": hours,
        **_energies(controlled, ""),
        **_energies(baseline, "baseline_"),
        "cooling_saving_pct": _saving(baseline.cooling_j, controlled.cooling_j),
        "site_saving_pct": _saving(baseline.site_j, controlled.site_j),
        "moves": float(controlled.moves),
        "refused_commands": float(controlled.refused),
        "step_ms_p50": float(np.percentile(controlled.step_s, 50)) * 1e3,
        "step_ms_p99": float(np.percentile(controlled.step_s, 99)) * 1e3,
        **_forecast_figures(controlled, start_s),
    }


def _energies(tally: Tally, prefix: str) -> dict[str, float | str]:
    minutes = {limit: seconds / 60 for limit, seconds in tally.violation_s.items()}
    named = {"case": "case_violation_minutes", "dew-point": "dew_point_violation_minutes"}
    return {
        f"{prefix}site_energy_kwh": tally.site_j / _J_PER_KWH,
        f"{prefix}it_energy_kwh": tally.it_j / _J_PER_KWH,
        f"{prefix}cooling_energy_kwh": tally.cooling_j / _J_PER_KWH,
        f"{prefix}site_over_it": tally.site_j / tally.it_j,
        **{f"{prefix}{name}": minutes.get(limit, 0.0) for limit, name in named.items()},
        f"{prefix}other_violation_minutes": sum(m for limit, m in minutes.items() if limit not in named),
        f"{prefix}highest_case_c": tally.highest_case_c,
        f"{prefix}least_dew_point_margin_k": tally.least_dew_margin_k,
    }


def _saving(baseline_j: float, controlled_j: float) -> float:
    return 100 * (1 - controlled_j / baseline_j)


def _design_run(site: Site, start_s: float, hours: float) -> Tally:
    plant = MemoryPlant(site, start_s)
    plant.advance(hours * 3600)
    return _closed(plant, Tally())


async def _controlled_run(site: Site, start_s: float, hours: float) -> Tally:
    plant, tally = MemoryPlant(site, start_s), Tally()
    driven = frozenset(site.drives)
    with tempfile.TemporaryDirectory() as folder:
        audit = AuditLog(Path(folder), "actuator", plant.clock)
        live = LiveTable(site.points.values(), plant.clock)
        devices = {equipment: plant.device(equipment) for equipment in driven}
        actuator = Actuator(site, devices, live, plant.clock, audit, 1, driven)
        await _cycles(plant, actuator, live, tally, round(hours * 3600 / CYCLE_S))
        tally.refused, tally.moves = actuator.state().refused_commands, actuator.state().accepted_commands
        audit.close()
    return _closed(plant, tally)


async def _cycles(plant: MemoryPlant, actuator: Actuator, live: LiveTable, tally: Tally, count: int) -> None:
    modes, state, seq = initial_modes(plant.site, auto=True), initial_state(), 0
    for _ in range(count):
        live.update(plant.batch())
        snapshot, outlook = live.snapshot(), plant.plant.mix.outlook(plant.clock.now())
        began_s = time.perf_counter()
        result = step(state, snapshot, outlook, plant.clock.now(), plant.site)
        tally.step_s.append(time.perf_counter() - began_s)
        state = result.state
        _note(tally, result, plant.clock.now())
        for plan in result.plans:
            asked = setpoints_to_ask(plan, modes[plan.loop])
            for lease in leases_to_ask(asked, modes[plan.loop], plant.clock, epoch=1, first_seq=seq, ttl_s=LEASE_S):
                await actuator.request(lease)
            seq += len(asked)
        for _ in range(round(CYCLE_S / TICK_S)):
            plant.advance(TICK_S)
            live.update(_registers(plant))
            await actuator.tick()


def _registers(plant: MemoryPlant) -> SampleBatch:
    """What the driven devices show now: all that the actuator watches between two cycles."""
    now_s = plant.clock.now()
    shown = plant.plant.measured(plant.site.drives)
    return SampleBatch.of([(point, now_s, now_s, value, GOOD) for point, value in shown.items()])


def _note(tally: Tally, result: StepResult, now_s: float) -> None:
    tally.forecasts.append(result.forecast)
    group = next(iter(h for h in result.forecast.heats if h.subject in result.state.targets), None)
    if group is not None:
        tally.heat_w[int(now_s // CYCLE_S)] = result.state.memory.heat_w(group.subject)


def _closed(plant: MemoryPlant, tally: Tally) -> Tally:
    ledger = plant.plant.ledger
    tally.site_j, tally.it_j, tally.cooling_j = ledger.electric_j, ledger.it_j, ledger.cooling_j
    tally.violation_s = dict(ledger.violation_s)
    tally.highest_case_c, tally.least_dew_margin_k = ledger.highest_case_c, ledger.least_dew_margin_k
    return tally


def _forecast_figures(tally: Tally, start_s: float) -> dict[str, float | str]:
    """Skill 1 - RMSE/RMSE(persistence) and coverage of the 90 % band, after the cold first hour."""
    group = next(h.subject for h in tally.forecasts[-1].heats if h.subject not in _cdus(tally))
    figures: dict[str, float | str] = {}
    for horizon in HORIZONS:
        low, middle, high, last, came = _pairs(tally, group, horizon, int(start_s // CYCLE_S) + 60)
        if not len(came):
            continue
        rmse, naive = (float(np.sqrt(np.mean((came - guess) ** 2))) for guess in (middle, last))
        figures[f"forecast_skill_{horizon}_min"] = 1 - rmse / naive if naive else 0.0
        figures[f"forecast_rmse_kw_{horizon}_min"] = rmse / 1e3
        figures[f"band_coverage_{horizon}_min"] = float(np.mean((came >= low) & (came <= high)))
    return figures


def _cdus(tally: Tally) -> set[str]:
    return {h.subject for h in tally.forecasts[-1].heats if h.subject.startswith("cdu")}


def _pairs(tally: Tally, group: str, horizon: int, first_minute: int) -> tuple[npt.NDArray[np.float64], ...]:
    rows = []
    for forecast in tally.forecasts:
        minute = int(forecast.made_s // CYCLE_S)
        heat = next((h for h in forecast.heats if h.subject == group), None)
        came = tally.heat_w.get(minute + horizon)
        if heat is not None and came is not None and minute >= first_minute:
            rows.append((*(heat.at(q)[horizon - 1] for q in (0.05, 0.5, 0.95)), tally.heat_w[minute], came))
    return tuple(np.asarray(rows, dtype=np.float64).reshape(-1, 5).T)
