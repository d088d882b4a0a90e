"""The table of `bench control`: what goes into it and how it is printed."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks import bound, control, tuning
from benchmarks.baselines import (
    APPROACH_K,
    FLOW_SHARE,
    SUPPLY_C,
    Rule,
    Tuning,
    along,
    axes,
    commands_tower,
    warmest_supply_c,
)
from benchmarks.climate import CLIMATES, WeightedDay
from benchmarks.drive import Day
from benchmarks.plants import PLANTS
from benchmarks.rows import rows_of
from benchmarks.tasks import Commanded, Task
from benchmarks.tuned import read_tuned, write_tuned
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
    reset, ours = rows_of(done)
    assert reset["cooling_kwh"] == pytest.approx(2 * 31 + 28)
    assert reset["fans_kwh"] + reset["chillers_kwh"] == pytest.approx(reset["cooling_kwh"])
    assert ours["cooling_saving_pct"] == pytest.approx(100 * (1 - 59 / 90))
    assert ours["case_violation_minutes"] == 2.0
    assert ours["other_violation_minutes"] == 1.0
    assert reset["case_violation_minutes"] == 0.0


def test_the_controllers_row_tells_its_distance_from_the_bound():
    """Ours, and nobody else, is said to lie so far above the bound."""
    done = [(_task(name, 1.0), _day(joules)) for name, joules in (("reset", 8e6), ("ours", 7.7e6), ("bound", 7e6))]
    reset, ours, best = rows_of(done)
    assert ours["above_bound_pct"] == pytest.approx(10.0)
    assert "above_bound_pct" not in reset
    assert best["cooling_saving_pct"] == pytest.approx(12.5)


def _hilly(schedules):
    """Days of a plant that costs least at 36.3 °C and 6.2 K; above 37 °C no limit holds."""
    return [_day_of([_hill(tuning) for tuning in schedule]) for schedule in schedules]


def _hill(tuning):
    off = abs(tuning.supply_c - 36.3) + abs(tuning.approach_k - 6.2) + 5 * tuning.flow_share
    return 1e6 * (10 + off), 1e9, tuning.supply_c <= 37.0


def _day_of(hourly):
    return replace(_day(sum(joules for joules, _, _ in hourly)), hourly=tuple(hourly))


def test_the_bound_is_refined_around_each_hours_best():
    """It ends nearer to the valley than the coarse grid, within limits, and its figure is that of one whole day."""
    day, count = bound.bound_day(_hilly, tower=False)
    best_of_grid = min(_hill(t)[0] for t in bound.coarse(tower=False) if _hill(t)[2])
    assert all(held for _, _, held in day.hourly)
    assert day.hourly[0][0] < best_of_grid - 0.5e6
    assert day.hourly[0][0] == pytest.approx(1e6 * (10 + 5 * 0.47), rel=0.05)
    assert 30 < count < 60


def test_the_bounds_hours_that_break_a_limit_in_the_whole_day_yield():
    """An hour that held its limits only after a colder one gets colder water; a day that can't is not called held."""

    def strict_when_joined(schedules):
        days = _hilly(schedules)
        joined = len(schedules) == 1 and schedules[0][0].supply_c > 36.0
        return [_day_of([(j, s, False) for j, s, _ in days[0].hourly])] if joined else days

    day, _ = bound.bound_day(strict_when_joined, tower=False)
    assert all(held for _, _, held in day.hourly)


def test_tuning_finds_the_least_energy_that_holds_every_limit(monkeypatch):
    """Warmer and slower is cheaper here, until the case limit stops it."""

    def run(tasks):
        found = []
        for task in tasks:
            t = task.tuning
            cost = 1e9 * (50 - t.supply_c) + 1e9 * t.flow_share + 1e7 * abs(t.approach_k - 6)
            warmest_c = 52.0 if task.reserve else 54.0
            found.append(_day(cost, held=t.supply_c + 10 / t.flow_share <= warmest_c))
        return found

    monkeypatch.setattr(tuning, "run_tasks", run)
    has = Commanded(tower=False, air=False, stages=False, warmest_c=42.0)
    monkeypatch.setattr(tuning, "commanded", lambda *_names: has)
    monkeypatch.setattr(tuning, "_judging_days", lambda *_args, **_names: [(WeightedDay(0, 1.0), "frontier")])
    found = tuning.tune("twin", "atlanta", None, ("static", "reset", "static-no-reserve"))
    for name in tuning.KINDS:
        assert found[name] == Tuning(kind=name, supply_c=40.0, flow_share=0.9, approach_k=6.0)
    assert found["static-no-reserve"] == Tuning(kind="static", supply_c=42.0, flow_share=0.9, approach_k=6.0)


def test_twelve_days_count_by_their_weights(monkeypatch):
    """A rule tuned to the climate is judged on all twelve days: the common weather decides, not the hot one."""
    days = [(WeightedDay(0, 30.0), "frontier"), (WeightedDay(1, 1.0), "jobs")]

    def run(tasks):
        """On the common day a small approach is cheap, on the rare one (ten times as dear) a large one."""
        wanted = {0: 4.0, 1: 10.0}
        return [
            _day((10.0 if t.day.day else 1.0) * (1e9 + 1e8 * abs(t.tuning.approach_k - wanted[t.day.day])), held=True)
            for t in tasks
        ]

    monkeypatch.setattr(tuning, "run_tasks", run)
    monkeypatch.setattr(tuning, "commanded", lambda *_names: Commanded(tower=False, air=False, stages=False))
    monkeypatch.setattr(tuning, "days_of", lambda *_arguments: days)
    assert tuning.tune("twin", "atlanta", None, ("reset",), days=12)["reset"].approach_k == 4.0


def test_kept_tunings_come_back_as_they_were(tmp_path):
    """What `bench tuning --write` keeps is what a quick run reads; other plants stay."""
    file = tmp_path / "tuned.yaml"
    one = {"static": Tuning(kind="static", supply_c=36.5, tower_below_k=1.0)}
    two = {"reset-no-reserve": Tuning(kind="reset", supply_c=38.0, least_flow_share=0.65)}
    write_tuned(file, "hall", "atlanta", one)
    write_tuned(file, "hall", "atlanta", two)
    write_tuned(file, "twin", "chicago", two)
    assert read_tuned(file) == {"hall": {"atlanta": one | two}, "twin": {"chicago": two}}


def test_grids_reach_the_ends_of_what_may_be_written():
    """The best baseline can't lie outside the grid because the grid is too small."""
    for name in ("demo-pod.yaml", "hall.yaml"):
        site = example_site(name)
        group = next(iter(site.groups.values()))
        supply = site.envelopes[group.commands["supply_temperature"]]
        pressure = site.envelopes[group.commands["differential_pressure"]]
        assert warmest_supply_c(site) == supply.maximum
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
            assert set(tuning.KINDS) <= set(kept[plant][climate]), (plant, climate)


def test_data_that_is_missing_is_named():
    """Without weather files the benchmark says where they come from."""
    with pytest.raises(ConfigError, match="phoenix") as found:
        control.run(quick=True, data=Path("/nonexistent"))
    assert "--data" in str(found.value.remedy)


def test_an_option_is_passed_only_to_benchmarks_that_know_it():
    """`--plant` means nothing to others, and saying it there is an error."""
    assert _extras("control", control.run, {"plant": "hall", "days": 0}) == {"plant": "hall"}
    with pytest.raises(ConfigError, match="bench tuning takes no --load"):
        _extras("tuning", tuning.run, {"plant": "", "load": "jobs"})
    with pytest.raises(ConfigError, match="7 days"):
        control.run(quick=True, data=None, days=7)
    with pytest.raises(ConfigError, match="no controller 'reset2'"):
        control.run(quick=True, data=None, controllers="ours,reset2")
    with pytest.raises(ConfigError, match="no load 'waves'"):
        control.run(quick=True, data=None, load="waves")
    for bench in (control, tuning):
        with pytest.raises(ConfigError, match="no climate 'atlantis'"):
            bench.run(quick=True, data=None, climate="atlantis")
    with pytest.raises(ConfigError, match="7 days"):
        tuning.run(quick=True, data=None, days=7)


def test_a_table_has_a_column_for_what_only_some_rows_have():
    """Numbers stand right, words left, gaps stay blank."""
    lines = table([{"plant": "hall", "kwh": 1234.5678}, {"plant": "twin", "kwh": 98765.4, "note": "best"}])
    assert lines == ["plant     kwh  note", "hall    1,235", "twin   98,765  best"]


@pytest.mark.parametrize("held", ["just: words", "- 1", "a: [", b"\xff\xfe\x93"])
def test_where_tunings_go_is_looked_at_before_hours_are_spent(tmp_path, held):
    """No folder, or a file of something else: told at once, and the file stays as it was."""
    with pytest.raises(ConfigError, match="--write: there is no folder"):
        tuning.run(True, None, write=str(tmp_path / "no" / "t.yaml"))
    kept = tmp_path / "t.yaml"
    kept.write_bytes(held if isinstance(held, bytes) else held.encode())
    with pytest.raises(ConfigError, match=r"t\.yaml holds no tunings"):
        tuning.run(True, None, write=str(kept))
    assert kept.read_bytes() == (held if isinstance(held, bytes) else held.encode())
