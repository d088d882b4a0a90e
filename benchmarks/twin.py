"""How far the simulated plant can be believed: against reference trajectories, its own energy balance, its speed."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.twin_plant import example_site
from plant.errors import ConfigError
from plant.topology import Site
from simulator.plant import SimulatedPlant
from simulator.reference import Trajectory, reference, simulated

Floats = npt.NDArray[np.float64]

YEAR_START_S = 1_767_225_600.0  # 2026
DAY_S, HOUR_S = 86400.0, 3600.0
STEP_S = 10.0
SWING_STEP_S, SWING_PERIODS_S = 1.0, (2.0, 4.0, 10.0)
LOAD_STEPS = (13, 38, 63, 88)  # first sample after each step of the load, at 900, 2700, 4500 and 6300 s
FIRST, WINDOW = 1, 12  # sample 0 is the initial state
SEED = 20260


def run(quick: bool, data: Path | None) -> dict[str, float | str]:
    """The figures. Temperatures [K], shares [1], speed as simulated over processor seconds.

    Raises:
        ConfigError: the folder of public data is missing.
    """
    if data is None:
        raise ConfigError("the reference trajectories are missing", remedy="name the public data with --data DIR")
    site = example_site("demo-pod.yaml")
    return {
        "speed_x_realtime": speed(site, 1.0 if quick else 6.0),
        **compared(reference(data), simulated()),
        "balance_error_pct": max(balance(site, day_s) for day_s in _days(2 if quick else 12)),
        **swings(site),
    }


def compared(expected: Trajectory, found: Trajectory) -> dict[str, float | str]:
    """Differences from the reference.

    Steady: largest of the coolant and water temperatures just before each load step and at the end. Transient: largest
    RMS of any of them over the whole run, start-up included. Peaks: of the rack supply after each load step.
    """
    fluids = [(e, f) for e, f in zip(_fluids(expected), _fluids(found), strict=True)]
    steady = [*(index - 1 for index in LOAD_STEPS), len(expected.time_s) - 1]
    pumps = np.abs(found.pump_w / expected.pump_w - 1.0)[LOAD_STEPS[0] :]
    shares, times = zip(*(_peak(expected, found, index) for index in LOAD_STEPS), strict=True)
    return {
        "steady_error_k": max(float(np.abs(f - e)[steady].max()) for e, f in fluids),
        "transient_rms_k": max(float(np.sqrt(np.mean((f - e)[FIRST:] ** 2))) for e, f in fluids),
        "transient_error_k": max(float(np.abs(f - e)[FIRST:].max()) for e, f in fluids),
        "peak_error_share": max(shares),
        "peak_time_error_s": max(times),
        "case_error_k": float(np.abs(found.case_c - expected.case_c)[FIRST:].max()),
        "valve_error": float(np.abs(found.valve - expected.valve)[FIRST:].max()),
        "pump_power_error_pct": 100.0 * float(pumps.max()),
    }


def speed(site: Site, hours: float) -> float:
    """Simulated seconds for each second of one processor, in steps of 10 s."""
    plant = SimulatedPlant(site, YEAR_START_S + 190 * DAY_S)
    began_s = time.process_time()
    for _ in range(round(hours * HOUR_S / STEP_S)):
        plant.step(STEP_S)
    return hours * HOUR_S / (time.process_time() - began_s)


def balance(site: Site, day_s: float) -> float:
    """What is missing of a day's energy [%]: in at the utility feed, less out to the air, less what the plant holds."""
    plant = SimulatedPlant(site, day_s)
    before_j = plant.stored_j
    for _ in range(round(DAY_S / STEP_S)):
        plant.step(STEP_S)
    ledger = plant.ledger
    missing_j = ledger.electric_j - ledger.rejected_j - (plant.stored_j - before_j)
    return 100.0 * abs(missing_j) / ledger.electric_j


def swings(site: Site) -> dict[str, float | str]:
    """All racks between full and idle together, as synchronised training does: the hottest case, in steps of 1 s."""
    found: dict[str, float | str] = {}
    for period_s in SWING_PERIODS_S:

        def work(rack: str, time_s: float, period_s: float = period_s) -> float:  # noqa: ARG001 - all racks alike
            return 1.0 if time_s % period_s < 0.5 * period_s else 0.1

        plant = SimulatedPlant(site, YEAR_START_S + 190 * DAY_S, work=work)
        for _ in range(600):
            plant.step(SWING_STEP_S)
        found[f"swing_{period_s:.0f}_s_highest_case_c"] = plant.ledger.highest_case_c
    return found


def _fluids(trajectory: Trajectory) -> tuple[Floats, Floats, Floats]:
    return trajectory.supply_c, trajectory.return_c, trajectory.facility_return_c


def _peak(expected: Trajectory, found: Trajectory, index: int) -> tuple[float, float]:
    """Error of the peak after a load step as a share of the excursion, and in time [s]."""
    window = slice(index, index + WINDOW)
    before_c, sign = expected.supply_c[index - 1], np.sign(expected.supply_c[index] - expected.supply_c[index - 1])
    want, got = (sign * (t.supply_c[window] - before_c) for t in (expected, found))
    at_want, at_got = int(want.argmax()), int(got.argmax())
    times = expected.time_s[window]
    share = abs(float(got[at_got] - want[at_want])) / float(want[at_want])
    return share, abs(float(times[at_got] - times[at_want]))


def _days(count: int) -> list[float]:
    rng = random.Random(SEED)
    return [YEAR_START_S + rng.randrange(365) * DAY_S for _ in range(count)]
