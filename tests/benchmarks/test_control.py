"""The table of `bench control`: what goes into it and how it is printed."""

from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks import control, tuning
from benchmarks.baselines import APPROACH_K, FLOW_SHARE, SUPPLY_C, Rule, Tuning, along, axes, commands_tower
from benchmarks.climate import CLIMATES, WeightedDay
from benchmarks.control import Task
from benchmarks.drive import Day
from benchmarks.plants import PLANTS
from benchmarks.tuned import read_tuned
from benchmarks.twin_plant import example_site
from cli.study_commands import _extras, table
from plant.errors import ConfigError
from plant.live import Reading, Snapshot
from plant.samples import Quality, Reason


def _day(cooling_j, *, held=True, hours=24):
    return Day(
        energy_j={"fans": cooling_j * 0.25, "chillers": cooling_j * 0.75},
        it_j=1e9,
        site_j=1e9 + cooling_j,
        violation_s={} if held else {"case": 120.0, "rack-flow": 60.0},
        highest_case_c=70.0,
        least_dew_margin_k=5.0,
        moves=3,
        hourly=tuple((cooling_j / hours, 1e9 / hours, held) for _ in range(hours)),
    )


def _task(controller, weight, supply_c=32.0):
    kept = None if controller == "ours" else Tuning(kind="static", supply_c=supply_c)
    day = WeightedDay(int(weight), weight)
    return Task(plant="twin", climate="atlanta", controller=controller, day=day, data=None, cycle_s=60.0, tuning=kept)


def test_a_row_weighs_its_days_and_splits_energy():
    """A year is the sum of weighted days, components add up, savings stand beside violations."""
    done = [(_task("reset", 31.0), _day(7.2e6)), (_task("reset", 28.0), _day(3.6e6))]
    done += [(_task("ours", 31.0), _day(3.6e6, held=False)), (_task("ours", 28.0), _day(3.6e6))]
    reset, ours = control._rows(done, 12)
    assert reset["cooling_kwh"] == pytest.approx(2 * 31 + 28)
    assert reset["fans_kwh"] + reset["chillers_kwh"] == pytest.approx(reset["cooling_kwh"])
    assert ours["cooling_saving_pct"] == pytest.approx(100 * (1 - 59 / 90))
    assert ours["case_violation_minutes"] == 2.0
    assert ours["other_violation_minutes"] == 1.0
    assert reset["case_violation_minutes"] == 0.0


def test_the_bound_takes_each_hours_best_that_held_its_limits():
    """A cheaper hour outside a limit does not count."""
    sweep = [(_task("bound", 1.0, 32.0), _day(7.2e6)), (_task("bound", 1.0, 40.0), _day(3.6e6, held=False))]
    sweep += [(_task("bound", 1.0, 36.0), _day(5.4e6))]
    (row,) = control._rows(sweep, 1)
    assert row["cooling_kwh"] == pytest.approx(1.5)
    assert row["setpoints"] == "best of 3 each hour"


def test_tuning_finds_the_least_energy_that_holds_every_limit(monkeypatch):
    """Warmer and slower is cheaper here, until the case limit stops it."""

    def run(tasks):
        found = []
        for task in tasks:
            t = task.tuning
            cost = 1e9 * (50 - t.supply_c) + 1e9 * t.flow_share + 1e7 * abs(t.approach_k - 6)
            found.append(_day(cost, held=t.supply_c + 10 / t.flow_share <= 52.0))
        return found

    monkeypatch.setattr(tuning, "run_tasks", run)
    monkeypatch.setattr(tuning, "has_tower", lambda *_arguments: False)
    monkeypatch.setattr(tuning, "_judging_days", lambda *_args, **_names: [(WeightedDay(0, 1.0), "frontier")])
    for kind, best in tuning.tune("twin", "atlanta", None).items():
        assert best == Tuning(kind=kind, supply_c=40.0, flow_share=0.9, approach_k=6.0)


def test_grids_reach_the_ends_of_what_may_be_written():
    """The best baseline can't lie outside the grid because the grid is too small."""
    for name in ("demo-pod.yaml", "hall.yaml"):
        site = example_site(name)
        group = next(iter(site.groups.values()))
        supply = site.envelopes[group.commands["supply_temperature"]]
        pressure = site.envelopes[group.commands["differential_pressure"]]
        assert max(SUPPLY_C) == supply.maximum
        assert group.design["differential_pressure"] * min(FLOW_SHARE) ** 1.85 < pressure.minimum
    assert all(a < b for grid in (SUPPLY_C, FLOW_SHARE, APPROACH_K) for a, b in pairwise(grid))
    assert len(list(along(Tuning(kind="reset"), "approach_k"))) == len(APPROACH_K)


def test_the_reset_rule_follows_load():
    """Half the power, about half the flow, and facility water an approach below the supply."""
    site = example_site("demo-pod.yaml")
    shown = {f"rack-{n:02d}/power": 0.8 * 132e3 for n in range(1, 9)} | {"cdu-1/room_dew_point": 12.0}
    readings = {p: Reading(v, 0.0, 0.0, Quality.GOOD, Reason.NONE) for p, v in shown.items()}
    rule = Rule(site, Tuning(kind="reset", supply_c=38.0, flow_share=0.9, approach_k=5.0))
    asked = rule.decide(Snapshot(at_s=0.0, readings=readings), 0.0)
    assert asked["cdu-1/differential_pressure_setpoint"] == pytest.approx(110e3 * 0.72**1.85, abs=1)
    assert asked["dry-coolers/leaving_temperature_setpoint"] == 33.0
    blind = rule.decide(Snapshot(at_s=0.0, readings={}), 0.0)
    assert blind["cdu-1/differential_pressure_setpoint"] == pytest.approx(110e3 * 0.9**1.85, abs=1)


def test_the_rules_command_a_tower_where_there_is_one():
    """Condenser water stays below the facility water, the reset rule's never nearer to the wet bulb than its approach."""
    site = example_site("hall.yaml")
    assert commands_tower(site)
    assert not commands_tower(example_site("demo-pod.yaml"))
    shown = {"tower/outdoor_dry_bulb": 30.0, "tower/outdoor_relative_humidity": 0.95, "cdu-1/room_dew_point": 12.0}
    readings = {p: Reading(v, 0.0, 0.0, Quality.GOOD, Reason.NONE) for p, v in shown.items()}
    damp, point = Snapshot(at_s=0.0, readings=readings), "tower/leaving_temperature_setpoint"
    given = {"supply_c": 36.0, "approach_k": 4.0, "tower_below_k": 3.0}
    assert Rule(site, Tuning(kind="static", **given)).decide(damp, 0.0)[point] == 29.0
    reset = Rule(site, Tuning(kind="reset", wet_bulb_approach_k=4.0, **given)).decide(damp, 0.0)
    assert reset[point] == pytest.approx(33.3, abs=0.2)
    assert {"tower_below_k", "wet_bulb_approach_k"} <= axes("reset").keys()
    assert "tower_below_k" not in axes("static", tower=False)


def test_kept_tunings_cover_what_a_quick_run_needs():
    """A quick run never has to tune."""
    kept = read_tuned()
    for plant in PLANTS:
        for climate in CLIMATES:
            assert set(kept[plant][climate]) == set(tuning.KINDS), (plant, climate)


def test_data_that_is_missing_is_named():
    """Without weather files the benchmark says where they come from."""
    with pytest.raises(ConfigError, match="phoenix") as found:
        control.run(quick=True, data=Path("/nonexistent"))
    assert "--data" in str(found.value.remedy)


def test_an_option_is_passed_only_to_benchmarks_that_know_it():
    """`--plant` means nothing to others, and saying it there is an error."""
    assert _extras("control", control.run, {"plant": "hall", "days": 0}) == {"plant": "hall"}
    with pytest.raises(ConfigError, match="bench tuning takes no --days"):
        _extras("tuning", tuning.run, {"plant": "", "days": 12})
    with pytest.raises(ConfigError, match="7 days"):
        control.run(quick=True, data=None, days=7)


def test_a_table_has_a_column_for_what_only_some_rows_have():
    """Numbers stand right, words left, gaps stay blank."""
    lines = table([{"plant": "hall", "kwh": 1234.5678}, {"plant": "twin", "kwh": 98765.4, "note": "best"}])
    assert lines == ["plant     kwh  note", "hall    1,235", "twin   98,765  best"]
