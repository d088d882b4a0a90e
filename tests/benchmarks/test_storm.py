"""The hall whose load storms: what comes, who tells of it, and that chillers run before it."""

import pytest

from benchmarks import baselines
from benchmarks.baselines import Ours
from benchmarks.drive import drive_day
from benchmarks.plants import Scheduled, Working
from benchmarks.storm import ADDED_W, HOURS, RISE_S, TOLD_SHARE
from benchmarks.trains_variants import Stormy, StormyTold
from controller.step import step

SUMMER = 196
HOUR_S = 3600.0


def it_w(shown):
    """What all racks draw [W]."""
    return sum(watts for point, watts in shown.items() if point.startswith("rack-") and point.endswith("/power"))


def test_the_load_storms_within_five_minutes(scenario, climate):
    """From 1.6 to 4.9 MW, and back when the storm is over."""
    hall, (begin, end) = Stormy(scenario), HOURS[0]
    assert isinstance(hall, Working)
    assert not isinstance(hall, Scheduled)
    hall.reset(climate.start_s(SUMMER) + begin * HOUR_S - 60.0)
    calm_w, storm_w = it_w(hall.advance({}, 60.0)), it_w(hall.advance({}, RISE_S + 60.0))
    assert calm_w == pytest.approx(1.6e6, rel=0.03)
    assert storm_w == pytest.approx(4.9e6, rel=0.05)
    assert storm_w - calm_w == pytest.approx(ADDED_W, rel=0.07)
    start_s = climate.start_s(SUMMER)
    assert hall.work("rack-01", start_s + end * HOUR_S + RISE_S) == hall.work("rack-01", start_s)


def test_a_scheduler_tells_of_what_comes_not_quite_as_it_will_be(scenario, climate):
    """Two hours ahead, with the storm's power a tenth too low; nothing in a calm night."""
    hall, start_s = StormyTold(scenario), climate.start_s(SUMMER)
    assert isinstance(hall, Scheduled)
    assert hall.outlook(start_s + 3 * HOUR_S) == ()
    (job,) = hall.outlook(start_s + (HOURS[0][0] - 1.0) * HOUR_S)
    assert len(job.racks) == 40
    assert job.power_w == pytest.approx(TOLD_SHARE * ADDED_W)
    assert job.start_s == pytest.approx(start_s + HOURS[0][0] * HOUR_S, abs=120.0)
    assert job.end_s == pytest.approx(start_s + HOURS[0][1] * HOUR_S)


def test_what_is_told_reaches_the_forecast(scenario, climate, monkeypatch):
    """With less than an hour to go the controller that hears of the storm expects it, the other one does not."""
    start_s, heard = climate.start_s(SUMMER) + (HOURS[0][0] - 2.5) * HOUR_S, []

    def watched(*args, **options):
        result = step(*args, **options)
        heard.append(max(next(h for h in result.forecast.heats if h.subject == "tcs-1").at(0.5)[:90]))
        return result

    monkeypatch.setattr(baselines, "step", watched)
    for outlook in (StormyTold(scenario).outlook, baselines.untold):
        hall = StormyTold(scenario)
        drive_day(hall, Ours(hall.site, outlook=outlook), start_s, 1200.0, hours=0)
    told_w, untold_w = heard[len(heard) // 2 - 1], heard[-1]
    assert told_w > 2 * untold_w


def test_chillers_run_before_a_storm_that_nobody_foretells(scenario, climate):
    """After a calm morning the load triples within five minutes: no limit is broken, and no fault is seen."""
    hall = Stormy(scenario)
    begin_s = climate.start_s(SUMMER) + (HOURS[0][0] - 3.0) * HOUR_S
    day = drive_day(hall, Ours(hall.site), begin_s, 600.0, hours=2)
    assert day.violation_s == {}
    assert day.energy_j["chillers"] > 0.0
