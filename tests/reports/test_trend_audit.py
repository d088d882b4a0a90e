"""Promises of the audit: it finds what was put into the trends, finds nothing where nothing is, and names bad lines."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.main import app
from plant.errors import ConfigError
from reports.pue import ReportError
from reports.trend_audit import audit
from reports.trend_savings import worth_of_a_kelvin
from reports.trend_table import read_trends

STEP_S = 300.0
START_S = 1_767_225_600.0


def trends(days=6.0, *, hunt=0.0, fight=0.0, rise=10.0, supply=32.0, period_s=1800.0, seed=3):
    """Two CDUs on one manifold through days and loads. hunt, fight: amplitudes of their valves [%]."""
    chance = np.random.default_rng(seed)
    time_s = START_S + np.arange(0, days * 86400, STEP_S)
    n = len(time_s)
    load = 0.6 + 0.2 * np.sin(2 * np.pi * (time_s - START_S) / 86400) + 0.02 * np.cumsum(chance.normal(0, 0.1, n))
    swing = np.sin(2 * np.pi * time_s / period_s)
    slow = np.sin(2 * np.pi * time_s / 2400)
    columns = {"time": [datetime.fromtimestamp(t, UTC).isoformat() for t in time_s]}
    for number, sign in ((1, 1), (2, -1)):
        noise = lambda size: chance.normal(0, size, n)  # noqa: E731
        columns[f"CDU-{number} supply temp (°C)"] = supply + noise(0.05)
        columns[f"CDU-{number} return temp (°C)"] = supply + rise + noise(0.05)
        columns[f"CDU-{number} flow (l/min)"] = 600 * load + noise(2)
        columns[f"CDU-{number} valve (%)"] = (
            50 * load + noise(0.3) + (hunt * swing if number == 1 else 0) + sign * fight * slow
        )
        columns[f"CDU-{number} pump speed (%)"] = 60 * load + noise(0.3)
    columns["cooling power (kW)"] = 50 + 40 * load
    columns["Building mood"] = np.ones(n)
    return columns


@pytest.fixture
def write(tmp_path):
    """Columns as a file."""

    def made(columns, name="t.csv"):
        path = tmp_path / name
        rows = zip(*columns.values(), strict=True)
        lines = [",".join(columns), *(",".join(c if isinstance(c, str) else f"{c:.4f}" for c in row) for row in rows)]
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    return made


def test_a_calm_plant_has_no_findings(write):
    """No hunting, no fight, good ΔT, warm supply: nothing to save is said of it."""
    found = audit(read_trends(write(trends())))
    assert not [h.trend for h in found.hunting if h.hunts]
    assert not [f for f in found.fights if f.fights]
    assert not any(d.low for d in found.delta_t)
    assert not any(c.cold for c in found.cold_supply)
    assert (found.savings, found.savings_high) == ((), 0.0)
    assert found.ignored == ("Building mood",)
    assert len(found.hunting) == 8


@pytest.mark.parametrize("period_s", [900.0, 1800.0, 3000.0])
def test_hunting_is_found_where_it_is(write, period_s):
    """An oscillating valve is named, with its period; its neighbour is not."""
    found = audit(read_trends(write(trends(hunt=4.0, period_s=period_s))))
    hunting = [h for h in found.hunting if h.hunts]
    assert [h.trend for h in hunting] == ["CDU-1 valve (%)"]
    assert hunting[0].period_s == pytest.approx(period_s, rel=0.1)
    assert hunting[0].share > 0.9
    assert found.savings_high > found.savings_low == 0.0


def test_hunting_in_part_of_the_time_is_found(write):
    """A third of the days is enough to be told, and the share says so."""
    columns, calm = trends(hunt=4.0), trends()
    half = len(columns["time"]) // 3
    valve = "CDU-1 valve (%)"
    columns[valve] = np.concatenate([columns[valve][:half], calm[valve][half:]])
    found = next(h for h in audit(read_trends(write(columns))).hunting if h.trend == valve)
    assert found.hunts
    assert 0.25 < found.share < 0.4


def test_cdus_that_fight_are_found(write):
    """Two valves of one manifold that move against one another are named as a pair; common load is no fight."""
    found = audit(read_trends(write(trends(fight=6.0))))
    assert [(f.first, f.second, f.role) for f in found.fights if f.fights] == [("cdu-1", "cdu-2", "valve")]
    assert next(f for f in found.fights if f.role == "flow").correlation > 0.5


def test_low_delta_t_and_cold_supply_are_found(write):
    """Five kelvin rise and twenty-four degrees supply are told with figures and a range of savings."""
    found = audit(read_trends(write(trends(rise=5.0, supply=24.0))))
    assert all(d.low and d.delta_t_k == pytest.approx(5, abs=0.1) for d in found.delta_t)
    assert all(c.cold and c.colder_k == pytest.approx(8, abs=0.1) for c in found.cold_supply)
    assert {s.finding for s in found.savings} == {"low ΔT", "cold supply"}
    assert 0.05 < found.savings_low < found.savings_high < 0.95
    assert "from winter to summer" in next(s.assumption for s in found.savings if s.finding == "cold supply")
    assert found.cooling_kwh == pytest.approx(6 * 24 * 74, rel=0.1)


def test_a_map_names_foreign_headers(write, tmp_path):
    """Headers that mean nothing are given a meaning, unit and manifold by a map."""
    columns = trends(hunt=4.0)
    columns = {
        "Zeit": columns["time"],
        "AI-23": columns["CDU-1 valve (%)"],
        "AI-24": 1.8 * columns["CDU-1 supply temp (°C)"] + 32,
    }
    plan = tmp_path / "map.yaml"
    plan.write_text(
        "time: Zeit\ncolumns:\n  AI-23: {equipment: cdu-1, role: valve, unit: '%'}\n"
        "  AI-24: {equipment: cdu-1, role: supply_temperature, unit: degF}\n"
    )
    found = audit(read_trends(write(columns), plan))
    assert [h.trend for h in found.hunting if h.hunts] == ["AI-23"]
    assert found.cold_supply[0].supply_c == pytest.approx(32, abs=0.1)


def test_a_unit_must_be_the_roles(write, tmp_path):
    """Kilowatt-hours taken for power would be a thousand times too much: left out where guessed, refused where mapped."""
    columns = trends()
    columns = {h.replace("cooling power (kW)", "cooling power (kWh)"): v for h, v in columns.items()}
    path, plan = write(columns), tmp_path / "map.yaml"
    found = audit(read_trends(path))
    assert found.cooling_kwh is None
    header = next(h for h in columns if "kWh" in h)
    assert header in found.ignored
    plan.write_text(f"columns: {{'{header}': {{role: cooling_power}}}}")
    with pytest.raises(ConfigError, match="'kWh' is no unit of cooling_power"):
        read_trends(path, plan)


@pytest.mark.parametrize(
    ("line", "text", "says"),
    [
        (41, "soon,1,1,1,1,1,1,1,1,1,1,1,1", "t.csv:41: 'soon' is no time"),
        (52, None, "t.csv:52: CDU-1 supply temp"),
        (60, "2020-01-01T00:00:00Z,1,1,1,1,1,1,1,1,1,1,1,1", "t.csv:60: '2020-01-01T00:00:00Z' is not after"),
        (70, "1,2", "t.csv:70: 2 cells, but 13 columns"),
        (80, '"x"y,1', "t.csv:80: not CSV"),
        (90, "1767225600000,1,1,1,1,1,1,1,1,1,1,1,1", "t.csv:90: '1767225600000' is no time"),
    ],
)
def test_a_bad_line_is_named(write, line, text, says):
    """Each fault of the file is one line: where, what, and what to do."""
    path = write(trends(days=2))
    lines = path.read_text().splitlines()
    lines[line - 1] = text or lines[line - 1].replace(",", ",3.1.4 ", 1)
    path.write_text("\n".join(lines))
    with pytest.raises(ConfigError) as caught:
        read_trends(path)
    assert says in str(caught.value)
    assert caught.value.remedy


def test_what_can_show_nothing_is_refused(write, tmp_path):
    """Too short, too coarse, no time, nothing understood, a map that names what is not there."""
    columns = trends()
    with pytest.raises(ReportError, match="days of trends"):
        audit(read_trends(write({k: v[:300] for k, v in columns.items()})))
    with pytest.raises(ReportError, match="shows no hunting"):
        audit(read_trends(write({k: v[::6] for k, v in columns.items()})))
    with pytest.raises(ConfigError, match="rows"):
        read_trends(write({k: v[:10] for k, v in columns.items()}))
    with pytest.raises(ConfigError, match="no column of times"):
        read_trends(write({k: v for k, v in columns.items() if k != "time"}))
    with pytest.raises(ConfigError, match="no header is understood"):
        read_trends(write({"time": columns["time"], "mood": columns["Building mood"]}))
    plan = tmp_path / "m.yaml"
    plan.write_text("columns:\n  AI-1: {role: valve}\n")
    with pytest.raises(ConfigError, match="'AI-1' is not there"):
        read_trends(write(columns), plan)
    for role in ("mood", "[valve]"):
        plan.write_text(f"columns:\n  AI-1: {{role: {role}}}\n")
        with pytest.raises(ConfigError, match="no known role"):
            read_trends(write(columns), plan)
    for manifolds in ("5", "{a: 5}"):
        plan.write_text(f"columns:\n  CDU-1 valve (%): {{role: valve}}\nmanifolds: {manifolds}\n")
        with pytest.raises(ConfigError, match="CDUs for a manifold"):
            read_trends(write(columns), plan)
    with pytest.raises(ConfigError, match="furlong"):
        read_trends(write({k.replace("l/min", "furlong"): v for k, v in columns.items()}))


@pytest.mark.parametrize("far", ["9999-12-31T00:00:00+00:00", "0001-01-01T00:00:00+00:00"])
def test_one_wrong_year_is_named_and_takes_no_memory(write, far):
    """Not a history of eight thousand years, which takes all the memory there is."""
    columns = {k: list(v) for k, v in trends().items()}
    columns["time"][-1 if far > "2026" else 0] = far
    with pytest.raises(ConfigError, match=far[:10]) as caught:
        read_trends(write(columns))
    assert "year" in caught.value.remedy


def test_the_command_prints_a_table_and_writes_json(write, tmp_path):
    """`coldplate audit` and `coldplate switchback` work from the command line."""
    columns = trends(hunt=4.0)
    columns["CDU-2 valve (%)"] = np.full(len(columns["time"]), 40.0)  # a valve that never moves
    path, out = write(columns), tmp_path / "o.json"
    done = CliRunner().invoke(app, ["audit", str(path), "--json", str(out)])
    assert done.exit_code == 0, done.output
    assert "hunts" in done.output
    assert json.loads(out.read_text())["hunting"]
    for option, given in (("--needed-supply", "nan"), ("--delta-t", "0")):
        done = CliRunner().invoke(app, ["audit", str(path), option, given])
        assert str(done.exception).startswith(option)
    plan = tmp_path / "plan.json"
    done = CliRunner().invoke(app, ["switchback", "plan", str(plan), "--days", "14", "--seed", "7"])
    assert done.exit_code == 0, done.output
    assert len(json.loads(plan.read_text())["blocks"]) == 28
    done = CliRunner().invoke(app, ["switchback", "report", str(plan), str(path)])
    assert "no column of heat or it_power" in str(done.exception)


@pytest.mark.parametrize("per_k", [0.0, 0.03, 0.1])
def test_a_kelvin_is_worth_what_outdoor_air_shows(write, per_k):
    """Where trends have outdoor air and cooling power, the range is the plant's own, and covers the truth narrowly."""
    columns = trends(days=20.0, supply=28.0)
    chance, n = np.random.default_rng(5), len(columns["time"])
    days = np.arange(n) / 288
    air_c = 15 + 6 * np.sin(2 * np.pi * days) + np.repeat(chance.normal(0, 3, 20), 288)
    load = 1 + 0.2 * np.sin(2 * np.pi * days / 3)
    columns["outdoor temp (°C)"] = air_c
    columns["IT power (kW)"] = 900 * load
    columns["cooling power (kW)"] = (
        90 * load * np.exp(-np.log1p(-per_k) * (air_c - 15)) * np.exp(chance.normal(0, 0.03, n))
    )
    found = audit(read_trends(write(columns)))
    (saving,) = found.savings
    low, high = (1 - (1 - x) ** (1 / 4) for x in (saving.low, saving.high))
    assert "in these trends" in saving.assumption
    assert low - 1e-4 <= per_k <= high + 1e-4
    assert high - low < 0.02


@pytest.mark.parametrize(("supply", "shown"), [(24.0, (0.046, 0.625)), (28.0, (0.016, 0.39))])
def test_the_range_holds_what_the_simulated_pod_shows(write, supply, shown):
    """Twelve hours at fixed setpoints in January and July: what 32 °C saves against a colder supply lies within."""
    saving = audit(read_trends(write(trends(supply=supply)))).savings[0]
    assert all(saving.low <= share <= saving.high for share in shown)


def test_the_range_holds_what_less_flow_shows_on_the_simulated_pod(write):
    """In July, ΔT 12.6 K instead of 9.1 K: 23 %."""
    saving = audit(read_trends(write(trends(rise=9.1))), good_delta_t_k=12.6).savings[0]
    assert saving.low <= 0.23 <= saving.high


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("columns:\n  AI-1: {role: valve, unti: '%'}", "m.yaml:2: unknown key 'unti'; did you mean 'unit'?"),
        ("colums: {}\ncolumns: {}", "m.yaml:1: unknown key 'colums'; did you mean 'columns'?"),
        ("columns: {}\ntime: 2027-13-31", "not YAML: month must be in 1..12"),
        ("columns: {}\nx: !!int abc", "not YAML: invalid literal for int()"),
        ("[" * 3000, "m.yaml:1: not YAML"),
        ("- 1", "m.yaml:1: a map must be a mapping"),
        ("columns:\n  AI-1: {}\n  AI-2: {role: none}", "m.yaml:2: column 'AI-1' has no known role"),
    ],
)
def test_a_bad_map_is_told_in_a_line(write, tmp_path, text, says):
    """Whatever stands in the map: where, what, and what to do; a misspelt unit is not taken for none."""
    plan = tmp_path / "m.yaml"
    plan.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_trends(write(trends()), plan)
    assert says in str(caught.value)
    assert caught.value.remedy


def test_power_in_every_third_row_is_the_same_energy(write):
    """Columns of 15 minutes among rows of five: a value holds until the next, for energy and for a kelvin's worth."""
    full = trends(days=10.0)
    n = len(full["time"])
    air = 15 + 8 * np.sin(2 * np.pi * np.arange(n) / 288)
    full["outdoor dry bulb (°C)"], full["cooling power (kW)"] = air, 50 * 1.02**air
    sparse = dict(full)
    sparse["cooling power (kW)"] = [f"{p:.4f}" if k % 3 == 0 else "" for k, p in enumerate(full["cooling power (kW)"])]
    whole, thin = read_trends(write(full)), read_trends(write(sparse, "s.csv"))
    assert audit(thin).cooling_kwh == pytest.approx(audit(whole).cooling_kwh, rel=0.005)
    assert worth_of_a_kelvin(thin) == pytest.approx(worth_of_a_kelvin(whole), abs=0.001)


def test_each_supply_meets_its_own_return(write):
    """CDUs named by letters in halls are told apart; returns that nobody can tell apart give no ΔT."""
    made = trends(days=2.5)
    n = len(made["time"])
    rises = {"Hall 1 CDU-A": 10.0, "Hall 1 CDU-B": 4.0, "Hall 2 CDU-A": 7.0}
    told = {"time": made["time"]}
    for name, rise in rises.items():
        told |= {f"{name} supply temp": np.full(n, 32.0), f"{name} return temp": np.full(n, 32.0 + rise)}
    found = audit(read_trends(write(told))).delta_t
    assert {d.equipment: round(d.delta_t_k, 3) for d in found} == {
        "hall-1-cdu-a": 10.0, "hall-1-cdu-b": 4.0, "hall-2-cdu-a": 7.0}  # fmt: skip
    loose = {"time": made["time"]}
    for name, rise in (("left", 10.0), ("right", 4.0)):
        loose |= {f"{name} supply temp": np.full(n, 32.0), f"{name} return temp": np.full(n, 32.0 + rise)}
    assert audit(read_trends(write(loose, "l.csv"))).delta_t == ()


def test_a_total_is_not_added_to_its_parts(write):
    """Cooling energy is counted once, and a chiller's cooling power, which may be its heat, not without a map."""
    made = trends(days=2.5)
    n = len(made["time"])
    del made["cooling power (kW)"]
    parts = {"Chiller power (kW)": np.full(n, 40.0), "Pump power (kW)": np.full(n, 10.0)}
    total = {"Total cooling power (kW)": np.full(n, 50.0), "Chiller 1 cooling power (kW)": np.full(n, 300.0)}
    alone = audit(read_trends(write(made | parts)))
    both = audit(read_trends(write(made | parts | total)))
    assert alone.cooling_kwh == pytest.approx(50.0 * 60.0, rel=0.01)
    assert both.cooling_kwh == pytest.approx(alone.cooling_kwh)
    assert "Chiller 1 cooling power (kW)" in both.ignored
