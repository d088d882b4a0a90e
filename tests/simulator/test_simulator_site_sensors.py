"""Instruments that a site file says are not perfect."""

from pathlib import Path

import pytest

import sites
from plant.errors import ConfigError
from simulator.plant import SimulatedPlant

JULY_S = 1_783_764_000.0
DEMO = Path(__file__).parents[2] / "site-configs" / "demo-pod.yaml"
ROWS = """
sensors:
  - {points: "cdu-*/tcs_flow", gain: 0.05}
  - {points: cdu-1/tcs_supply_temperature, bias: 2.0, quantum: 0.5, drift_per_day: 24.0}
  - {points: cdu-2/tcs_flow, stuck_after_s: 600}
"""


def plants(folder, rows):
    """The demo pod with and without the rows, at the same moment."""
    path = folder / "site.yaml"
    path.write_text(DEMO.read_text(encoding="utf-8") + rows, encoding="utf-8")
    sites_ = sites.load_site(path), sites.load_site(DEMO)
    return [SimulatedPlant(s, JULY_S, warm_up_s=600.0, work=lambda _rack, _at_s: 0.5) for s in sites_]


def test_rows_falsify_what_they_name_and_nothing_else(tmp_path):
    """Gain, bias, drift, coarse register and a value that sticks, all from the site file."""
    wrong, right = plants(tmp_path, ROWS)
    seen = []
    for _ in range(3):
        for plant in (wrong, right):
            plant.step(600.0)
        seen.append((wrong.measured(["cdu-1", "cdu-2"]), right.measured(["cdu-1", "cdu-2"])))
    shown, true = seen[-1]
    assert shown["cdu-1/tcs_flow"] == pytest.approx(1.05 * true["cdu-1/tcs_flow"])
    error_k = shown["cdu-1/tcs_supply_temperature"] - true["cdu-1/tcs_supply_temperature"]
    assert error_k == pytest.approx(2.0 + 24.0 * 1800 / 86400, abs=0.26)
    assert shown["cdu-1/tcs_supply_temperature"] % 0.5 == 0.0
    stuck = [s["cdu-2/tcs_flow"] for s, _ in seen]
    assert stuck[0] == stuck[1] == stuck[2]
    same = {p for p in shown if shown[p] == true[p]}
    assert {"cdu-1/tcs_flow", "cdu-2/tcs_flow", "cdu-1/tcs_supply_temperature"} == set(shown) - same


def test_a_row_that_fits_no_point_is_a_fault(tmp_path):
    """A misspelt pattern is told with its line, not ignored."""
    with pytest.raises(ConfigError, match=r"no point fits 'cdu-1/tcs_flo'"):
        plants(tmp_path, "\nsensors:\n  - {points: cdu-1/tcs_flo, bias: 1.0}\n")
