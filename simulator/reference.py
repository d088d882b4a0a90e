"""The CDU reference case: 48 racks on one large CDU, built of the twin's own parts, from the example's nominal data.

Nominal data of LBNL Buildings' CDU_epsNTU example: 48 racks of 132 kW, 42/47 degC PG25 (25 % by volume) at 60 kPa,
36 degC facility water that rises by 5 K, hence a 6 K approach; exchanger and open valve 80 kPa each (authority 0.5),
filter 65 kPa; valve stroke 120 s, pumps 0 to full in 30 s; both PI loops k = 1, Ti = 120 s (over 10 K and over 60 kPa);
pump efficiency 0.7; rack volume 2 s; OCP plates of 1.25 l/min. Load: 60 -> 100 % at 900 s, back at 2700 s, and again.

The example divides its own fit of R by a smoothed flow whose smoothing width (1.5 l/min) is more than the flow itself:
that makes its resistance 4 % higher at 1.13 l/min, and 26 % at half flow, than the OCP table that the twin follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from plant.errors import ConfigError
from plant.topology import Equipment
from simulator.coolant import Cdu, CoolantLoop
from simulator.exchange import design_ua_w_k
from simulator.fluids import Fluid, fluid
from simulator.plates import GLYCOL
from simulator.racks import Rack

Floats = npt.NDArray[np.float64]

POWER_W = 48 * 132e3
SUPPLY_C, FACILITY_C, RISE_K = 42.0, 36.0, 5.0
RACK_PA, SETPOINT_PA, EXCHANGER_PA, FILTER_PA = 60e3, 50e3, 80e3, 65e3
PLATE_L_MIN = 1.25
STEP_S, SAMPLE_S, END_S = 0.5, 72.0, 7200.0
UP_S, DOWN_S = 900.0, 2700.0
GLYCOL_PERCENT = 25.8  # by mass, of 25 % by volume
AT_C = 30.0
CDU_FILE = "Buildings_Fluid_DataCenterEquipment_CDUs_LiquidToLiquid_Examples_CDU_epsNTU.txt"


@dataclass(frozen=True, slots=True)
class Trajectory:
    """101 samples, every 72 s. Temperatures [degC], valve [1], pump_w [W]."""

    time_s: Floats
    supply_c: Floats
    return_c: Floats
    facility_return_c: Floats
    case_c: Floats
    valve: Floats
    pump_w: Floats


def read_result(path: Path) -> dict[str, Floats]:
    """Every trajectory of a reference file, `NAME=[v, v, ...]` a line.

    Raises:
        ConfigError: no such file, or nothing in it.
    """
    if not path.is_file():
        raise ConfigError("no such reference file", where=str(path), remedy="name the public data with --data DIR")
    pairs = (line.split("=[", 1) for line in path.read_text(encoding="utf-8").splitlines() if "=[" in line)
    found = {name: np.array([float(v) for v in rest.rstrip("]").split(",")]) for name, rest in pairs}
    if not found:
        raise ConfigError("no trajectories in it", where=str(path), remedy="expected lines such as TRoom=[1.0, 2.0]")
    return found


def reference(folder: Path) -> Trajectory:
    """The published trajectories of the CDU example, from the folder of public data."""
    rows = read_result(folder / "cdu_reference" / CDU_FILE)
    begin_s, end_s = rows["time"]
    return Trajectory(
        time_s=np.linspace(begin_s, end_s, 101),
        supply_c=rows["senTRac_a.T"] - 273.15,
        return_c=rows["senTRac_b.T"] - 273.15,
        facility_return_c=rows["senTCDU_b.T"] - 273.15,
        case_c=rows["rac.casTem.TCas"] - 273.15,
        valve=rows["cdu.val.y_actual"],
        pump_w=rows["cdu.pum.P"],
    )


def utilisation(time_s: float) -> float:
    """Load of the example at a time [s]."""
    return 1.0 if UP_S <= time_s < DOWN_S or 4500.0 <= time_s < 6300.0 else 0.6


def simulated(step_s: float = STEP_S) -> Trajectory:
    """The same case by the twin."""
    loop, cdu = _parts()
    rows: list[tuple[float, ...]] = []
    per_sample = round(SAMPLE_S / step_s)
    for index in range(round(END_S / step_s) + 1):
        time_s = index * step_s
        if index % per_sample == 0:
            rack = loop.racks[0]
            state = (cdu.supply_c, rack.return_c, cdu.facility_return_c, rack.case_c, cdu.valve, cdu.power_w)
            rows.append((time_s, *state))
        loop.step(step_s, SETPOINT_PA, np.array([utilisation(time_s)]))
        cdu.step(step_s, SUPPLY_C, loop.return_c, loop.dp_pa, FACILITY_C)
        loop.mix(step_s)
    return Trajectory(*np.array(rows).T)


def _parts() -> tuple[CoolantLoop, Cdu]:
    coolant, water = fluid("propylene-glycol", GLYCOL_PERCENT, AT_C), fluid("water", 0.0, AT_C)
    flow_m3_s = POWER_W / (RISE_K * coolant.rho_cp)
    facility_m3_s = POWER_W / (RISE_K * water.rho_cp)
    plates = round(flow_m3_s * 60000.0 / PLATE_L_MIN)
    per_plate_k_w = float(GLYCOL.k_w(np.array([PLATE_L_MIN]))[0])
    rack = Rack(_rack(flow_m3_s, plates, per_plate_k_w), plates, coolant.rho_cp, 0, "propylene-glycol")
    cdu = Cdu(_cdu(flow_m3_s, facility_m3_s, coolant, water), coolant.rho_cp, water.rho_cp)
    cdu.valve = 1.0
    cdu.loop.integral = 1.0
    loop = CoolantLoop([rack], [cdu], coolant.rho_cp, 2.0 * flow_m3_s, 30.0, 120.0)
    return loop, cdu


def _rack(flow_m3_s: float, plates: int, per_plate_k_w: float) -> Equipment:
    design: Mapping[str, float] = {
        "power_w": POWER_W,
        "gpu_power_w": POWER_W / plates,
        "gpu_idle_share": 0.0,
        "liquid_fraction": 1.0,
        "leakage_per_k": 0.0,
        "flow_m3_s": flow_m3_s,
        "dp_pa": RACK_PA,
        "flow_spread": 0.0,
        "gpu_spread": 0.0,
        "case_resistance_k_w": per_plate_k_w,
        "plate_tau_s": 2.0,
    }
    return Equipment(id="racks", kind="rack", design=design)


def _cdu(flow_m3_s: float, facility_m3_s: float, coolant: Fluid, water: Fluid) -> Equipment:
    stream_w_k, water_w_k = coolant.rho_cp * flow_m3_s, water.rho_cp * facility_m3_s
    hottest_k = SUPPLY_C - FACILITY_C + RISE_K
    design = {
        "flow_m3_s": flow_m3_s,
        "facility_flow_m3_s": facility_m3_s,
        "ua_w_k": design_ua_w_k(POWER_W, stream_w_k, water_w_k, hottest_k),
        "film_ratio": water.film(facility_m3_s) / coolant.film(flow_m3_s),
        "internal_dp_pa": EXCHANGER_PA + FILTER_PA,
        "pump_efficiency": 0.7,
        "residence_s": 2.0,
    }
    return Equipment(id="cdu", kind="cdu", design=design)
