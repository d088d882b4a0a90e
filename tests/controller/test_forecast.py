"""What the forecasts of many series promise."""

from __future__ import annotations

import numpy as np
import pytest

from controller.forecasting import bank as banks
from controller.forecasting import experts
from controller.forecasting.bank import FINE, learn, look, new_bank, promise, refitted
from controller.forecasting.calibration import QUANTILES
from controller.forecasting.coherence import agreed, shared
from controller.forecasting.fit import fit_arma
from controller.forecasting.jobs import no_jobs
from controller.forecasting.telling import quantiles

CAPACITY_W = 1e6


def bank_of(count, horizons=FINE):
    """A bank for some series of a megawatt each."""
    names = tuple(f"s{i}" for i in range(count))
    return new_bank(names, np.full(count, 1.2e4), np.zeros(count), np.full(count, CAPACITY_W), horizons)


def lived(bank, series, first=0, fit_every=0):
    """The bank after some minutes, and what it forecast at each: quantiles (minutes, 7, n, k)."""
    none, made = no_jobs(len(bank.names)), []
    for minute, values in enumerate(series, start=first):
        bank = learn(bank, minute, values, none.now_w)
        bank = refitted(bank) if fit_every and minute % fit_every == 0 else bank
        ahead = look(bank, none)
        bank = promise(bank, ahead)
        made.append(quantiles(bank, ahead))
    return bank, np.array(made)


def reverting(count, minutes, seed, phi=0.9):
    """Heat that comes back to its mean [W]."""
    rng = np.random.default_rng(seed)
    values = np.full((minutes, count), 5e5)
    for i in range(1, minutes):
        values[i] = 5e5 + phi * (values[i - 1] - 5e5) + rng.normal(size=count) * 2e4
    return values


def rmse_against_persistence(series, made, column, first):
    """RMSE of the middle over persistence's, on the minutes from `first` on."""
    horizon = FINE[column]
    middle = made[first:-horizon, QUANTILES.index(0.5), :, column]
    came, last = series[first + horizon :], series[first:-horizon]
    return np.sqrt(np.mean((middle - came) ** 2) / np.mean((last - came) ** 2))


def test_beats_persistence_where_heat_comes_back_to_its_mean():
    """On mean-reverting heat the forecast is clearly better than persistence, without any fit beforehand."""
    series = reverting(6, 900, 1)
    _, made = lived(bank_of(6), series)
    assert rmse_against_persistence(series, made, FINE.index(15), 300) < 0.90


def test_is_no_worse_than_persistence_on_a_random_walk():
    """Where nothing beats persistence, the mixture costs next to nothing."""
    series = 5e5 + np.cumsum(np.random.default_rng(2).normal(size=(900, 6)) * 3e3, axis=0)
    _, made = lived(bank_of(6), series)
    for horizon in (1, 15, 60):
        assert rmse_against_persistence(series, made, FINE.index(horizon), 300) < 1.04


def test_daily_shape_is_used_once_days_are_known():
    """A daily swing is forecast an hour ahead after two days; a shape is not trusted before two days are known."""
    minutes = np.arange(4500)
    rng = np.random.default_rng(3)
    swing = 5e5 + 3e5 * np.sin(2 * np.pi * minutes / 1440)[:, None] + rng.normal(size=(len(minutes), 1)) * 1e4
    bank, _ = lived(bank_of(1, banks.COARSE), swing[:1440])
    assert look(bank, no_jobs(1)).weights[experts.DAILY].max() == 0
    bank, _ = lived(bank, swing[1440:4200], first=1440)
    start = bank
    _, made = lived(start, swing[4200:], first=4200)
    column = banks.COARSE.index(60)
    came, last = swing[4260:], swing[4200:-60]
    middle = made[:-60, QUANTILES.index(0.5), :, column]
    assert np.sqrt(np.mean((middle - came) ** 2)) < 0.5 * np.sqrt(np.mean((last - came) ** 2))


@pytest.mark.parametrize("noise", ["normal", "jumps"])
def test_bands_cover_what_they_say(noise):
    """80 % and 95 % bands hold their share of unseen values, for normal errors and for rare jumps alike."""
    rng = np.random.default_rng(7)
    if noise == "normal":
        series = reverting(8, 2000, 7)
    else:
        levels = rng.uniform(2e5, 8e5, size=(40, 8)).repeat(50, axis=0)
        series = levels + rng.normal(size=levels.shape) * 5e3
    _, made = lived(bank_of(8, banks.COARSE), series)
    for column, horizon in enumerate(banks.COARSE):
        came, band = series[600 + horizon :], made[600:-horizon, :, :, column]
        for low, high, share in ((0.1, 0.9, 0.80), (0.025, 0.975, 0.95)):
            inside = (came >= band[:, QUANTILES.index(low)]) & (came <= band[:, QUANTILES.index(high)])
            assert inside.mean() == pytest.approx(share, abs=0.06), (horizon, share)


def test_a_first_day_of_loads_that_switch_is_not_widened_twice():
    """Far errors come late, when the scale has grown by their like already: they must not stretch the quantiles too.

    Series that switch between idle and full every hour or two: at two hours 80 % covered 90 % for the rest of the day.
    """
    rng = np.random.default_rng(1)
    full = rng.random(60) < 0.5
    series = np.empty((1440, 60))
    for minute in range(len(series)):
        full = full ^ (rng.random(60) < 0.01)
        series[minute] = np.where(full, 9e5, 3e5) + rng.normal(size=60) * 1e4
    _, made = lived(bank_of(60, banks.COARSE), series)
    came, band = series[480 + 120 :], made[480:-120, :, :, banks.COARSE.index(120)]
    inside = (came >= band[:, QUANTILES.index(0.1)]) & (came <= band[:, QUANTILES.index(0.9)])
    assert inside.mean() == pytest.approx(0.80, abs=0.04)


def test_quantiles_are_ordered_and_within_the_capacity():
    """No quantile leaves what the racks can give, and none crosses another, from the first minute on."""
    series = np.clip(reverting(3, 200, 5), 0.0, CAPACITY_W)
    _, made = lived(bank_of(3), series)
    assert (np.diff(made, axis=1) >= 0).all()
    assert made.min() >= 0
    assert made.max() <= CAPACITY_W


def test_gaps_do_not_stop_the_forecast():
    """Missing values and missed minutes leave finite forecasts of the last known value's neighbourhood."""
    series = reverting(2, 400, 6)
    series[100:130, 0] = np.nan
    bank, _ = lived(bank_of(2), series)
    late = learn(bank, 450, np.array([4e5, np.nan]), np.zeros(2))
    made = quantiles(late, look(late, no_jobs(2)))
    assert np.isfinite(made).all()
    assert late.level[0] == 4e5
    assert late.level[1] == series[-1, 1]
    assert late.known.tolist() == [371, 400]


def test_an_old_minute_changes_nothing():
    """A second look within the same minute, or a clock that went back, teaches nothing twice."""
    bank, _ = lived(bank_of(1), reverting(1, 20, 8))
    assert learn(bank, 19, np.array([9e5]), np.zeros(1)) is bank
    assert learn(bank, 3, np.array([9e5]), np.zeros(1)) is bank


def test_a_gap_of_a_day_voids_promises_but_not_what_was_learnt():
    """After a long silence nothing that was forecast before it is judged."""
    bank, _ = lived(bank_of(1), reverting(1, 300, 9))
    later = learn(bank, 300 + 1440, np.array([9e5]), np.zeros(1))
    assert later.judged.tolist() == bank.judged.tolist()
    assert later.known[0] == 301


def test_statsmodels_fit_finds_the_model_and_refuses_a_constant():
    """ARMA parameters give the series' mean back; heat that never changes carries no model."""
    constant, phi1, phi2, _ = fit_arma(reverting(1, 700, 4)[:, 0])
    assert constant / (1 - phi1 - phi2) == pytest.approx(5e5, rel=0.05)
    assert np.isnan(fit_arma(np.full(100, 4e5))).all()


def test_state_space_expert_runs_online_with_its_own_innovations():
    """The online recursion forecasts what the fitted model says: towards the mean, faster than persistence."""
    series = reverting(1, 700, 4)
    bank, _ = lived(bank_of(1), series[:-1])
    bank, _ = lived(bank, series[-1:], first=699, fit_every=1)
    assert np.isfinite(bank.arma).all()
    guess = look(bank, no_jobs(1)).guesses[experts.STATE_SPACE, 0, FINE.index(60)]
    assert abs(guess - 5e5) < 0.2 * abs(series[-1, 0] - 5e5) + 1e4


def test_agreed_parts_sum_to_the_total_and_the_surest_moves_least():
    """Reconciled parts sum to the total exactly; variance decides who gives way."""
    total, parts = np.array([100.0]), np.array([[30.0], [50.0]])
    whole, moved = agreed(total, parts, np.array([1.0]), np.array([[1.0], [18.0]]))
    assert moved.sum(axis=0) == pytest.approx(whole)
    assert whole[0] == pytest.approx(99.0)
    assert moved[:, 0].tolist() == pytest.approx([31.0, 68.0])


def test_shared_parts_sum_to_a_settled_total_and_stay_above_zero():
    """A total far below its parts scales them down, never below zero."""
    moved = shared(np.array([10.0]), np.array([[30.0], [1.0]]), np.array([[1.0], [9.0]]))
    assert moved.sum() == pytest.approx(10.0)
    assert moved.min() >= 0
