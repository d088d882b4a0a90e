"""The chance that a limit is passed, from a forecast's quantiles."""

from __future__ import annotations

from statistics import NormalDist

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from controller.chance import above

QUANTILES = (0.025, 0.05, 0.1, 0.5, 0.9, 0.95, 0.975)


@pytest.mark.parametrize("limit_w", [60e3, 80e3, 92e3, 100e3, 107e3, 113e3, 125e3, 140e3])
def test_a_normal_forecast_gives_its_own_chances(limit_w):
    """Between the quantiles and beyond them."""
    normal = NormalDist(100e3, 10e3)
    told = [normal.inv_cdf(q) for q in QUANTILES]
    assert above(QUANTILES, told, limit_w) == pytest.approx(1.0 - normal.cdf(limit_w), abs=1e-9)


@example([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1e-6], 0.0, 0.0)
@given(st.lists(st.floats(0, 1e7), min_size=7, max_size=7), st.floats(-1e6, 2e7), st.floats(0, 1e6))
def test_it_is_a_chance_and_falls_with_the_limit(values, limit_w, more_w):
    """Whatever the quantiles, crossed ones too."""
    chance = above(QUANTILES, sorted(values), limit_w)
    assert 0.0 <= chance <= 1.0
    assert above(QUANTILES, sorted(values), limit_w + more_w) <= chance + 1e-9
    assert 0.0 <= above(QUANTILES, values, limit_w) <= 1.0


def test_at_a_quantile_it_is_what_the_quantile_says():
    """Skewed ones, too."""
    told = [10.0, 11.0, 12.0, 20.0, 60.0, 90.0, 200.0]
    for quantile, value in zip(QUANTILES, told, strict=True):
        assert above(QUANTILES, told, value) == pytest.approx(1.0 - quantile, abs=1e-9)
    assert 0.025 > above(QUANTILES, told, 210.0) > above(QUANTILES, told, 400.0) > 0.0


def test_a_forecast_without_spread_is_sure():
    """Above or not."""
    assert above(QUANTILES, [5.0] * 7, 4.9) == 1.0
    assert above(QUANTILES, [5.0] * 7, 5.0) == 0.0
