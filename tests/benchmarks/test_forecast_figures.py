"""What `bench forecast` says of one day's coverage."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.forecast import BLOCK, interval


@pytest.mark.parametrize("missed", [0, 20])
def test_a_day_without_a_miss_does_not_prove_a_band_that_never_misses(missed):
    """Eight two-hour forecasts, all of them covered but for some minutes, say nothing against a band of 95 %."""
    hits = np.ones(8 * BLOCK)
    hits[:missed] = 0.0
    assert interval(hits, 120) == (pytest.approx(0.63, abs=0.01), 1.0)


def test_the_interval_is_of_blocks_not_of_minutes():
    """Misses that come by the hour leave a wide interval around their share."""
    hits = np.ones(8 * BLOCK)
    hits[: 2 * BLOCK] = 0.0
    low, high = interval(hits, 120)
    assert low < 0.65
    assert 0.8 < high <= 1.0
