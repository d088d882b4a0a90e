"""What the forecast promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller import history as ring
from controller.forecast import job_extra, persistence, refitted, state_space, subject_forecast
from plant.records import JobOutlook

NONE = np.zeros((3, 60))


def ar_series(count, seed, phi=0.8):
    """Mean-reverting heat [W]."""
    rng = np.random.default_rng(seed)
    values = np.full(count, 5e5)
    for i in range(1, count):
        values[i] = 5e5 + phi * (values[i - 1] - 5e5) + rng.normal() * 2e4
    return values


def remembered(values):
    """A history of one value a minute."""
    return ring.seeded(60.0 * np.arange(len(values)), values)


def test_ring_averages_a_minute_and_marks_gaps():
    """Samples of one minute are averaged, missed minutes are NaN, older ones are ignored."""
    history = ring.empty()
    for at_s, value in ((0, 1.0), (30, 3.0), (180, 5.0), (10, 99.0), (190, float("nan"))):
        history = ring.add(history, at_s, value)
    np.testing.assert_allclose(history.heat_w, [2.0, np.nan, np.nan, 5.0])
    assert history.minutes == 2


def test_ring_keeps_a_day():
    """The ring never grows beyond a day, a long gap included."""
    history = ring.add(remembered(np.ones(1000)), 1e6, 2.0)
    assert len(history.heat_w) == ring.LENGTH
    assert history.heat_w[-1] == 2.0


def test_model_beats_persistence_where_heat_reverts_to_a_mean():
    """On mean-reverting heat the state-space model is chosen, and its unseen errors are smaller than persistence's."""
    series = ar_series(900, 1)
    history = refitted(remembered(series[:600]), 1e6)
    assert subject_forecast("x", history, 1e6, NONE).model == "state-space"
    model, naive = [], []
    for origin in range(600, 840, 8):
        now = replace(remembered(series[:origin]), params=history.params)
        model.append(state_space(now).median_w - series[origin : origin + 60])
        naive.append(persistence(now).median_w - series[origin : origin + 60])
    assert np.sqrt(np.mean(np.square(model))) < 0.9 * np.sqrt(np.mean(np.square(naive)))


def test_persistence_where_there_is_nothing_to_model():
    """A heat that never changes carries no model, and persistence is chosen."""
    history = refitted(remembered(np.full(100, 4e5)), 1e6)
    assert subject_forecast("x", history, 1e6, NONE).model == "persistence"


def test_band_covers_what_it_says():
    """The 90 % band holds 80 to 98 % of unseen values."""
    series = ar_series(1200, 7)
    history = refitted(remembered(series[:600]), 1e6)
    inside = []
    for origin in range(600, 1130, 15):
        heat = subject_forecast("x", replace(remembered(series[:origin]), params=history.params), 1e6, NONE)
        came = series[origin : origin + 60]
        inside.append((came >= np.array(heat.at(0.05))) & (came <= np.array(heat.at(0.95))))
    assert 0.80 <= np.mean(inside) <= 0.98


def test_gaps_do_not_stop_the_forecast():
    """A history with holes still gives finite forecasts in order."""
    series = ar_series(400, 5)
    series[100:130] = np.nan
    history = ring.History(last=399, heat_w=series, count=1)
    heat = subject_forecast("x", refitted(history, 1e6), 1e6, NONE)
    quantiles = np.array(heat.heat_w)
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles, axis=0) >= 0).all()


def test_forecast_stays_within_zero_and_capacity():
    """No quantile leaves what the racks can give."""
    heat = subject_forecast("x", remembered(np.full(5, 9.9e5)), 1e6, NONE)
    assert np.array(heat.heat_w).min() >= 0
    assert np.array(heat.heat_w).max() <= 1e6


def test_job_start_raises_the_upper_and_end_lowers_the_lower_only():
    """A start known from the queue is fed forward; an end, being uncertain, lowers only the lower quantile."""
    start = JobOutlook(job="a", racks=("r",), start_s=600, end_s=9000, power_w=1e5, power_sd_w=1e4)
    end = JobOutlook(job="b", racks=("r",), start_s=-600, end_s=1200, power_w=5e4, power_sd_w=0)
    extra = job_extra((start, end), {"r": 0.9}, 0.0)
    assert extra[1][0] == 0
    assert extra[1][-1] == pytest.approx(9e4)
    assert extra[2][-1] > extra[1][-1]
    assert extra[0][-1] == pytest.approx(0.9 * (1e5 - 1.64e4) - 4.5e4)
