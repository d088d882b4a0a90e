"""Energy registers that roll over or are set back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant.counters import Counted, energy_between


@pytest.mark.parametrize(
    ("values", "end", "expected"),
    [
        ([10.0, 20.0, 35.0], math.nan, Counted(25.0, 0, 0)),
        ([980.0, 995.0, 10.0, 30.0], 1000.0, Counted(50.0, 1, 0)),
        ([500.0, 3.0, 10.0], 1000.0, Counted(7.0, 0, 1)),
        ([995.0, math.nan, 10.0], 1000.0, Counted(15.0, 1, 0)),
        ([995.0, 10.0], math.nan, Counted(0.0, 0, 1)),
        ([7.0], 1000.0, Counted(0.0, 0, 0)),
        ([], 1000.0, Counted(0.0, 0, 0)),
    ],
)
def test_what_a_register_counted(values, end, expected):
    """Roll-overs go on, resets are counted apart, and nothing is invented."""
    assert energy_between(np.array(values), end) == expected


@given(st.lists(st.integers(0, 90), min_size=1, max_size=50))
def test_a_register_that_wraps_counts_what_a_long_one_counts(steps):
    """Whatever is counted, the end of the register does not show in the sum."""
    total = np.cumsum([0, *steps]).astype(float)
    found = energy_between(total % 1000.0, 1000.0)
    assert found.amount == total[-1]
    assert found.resets == 0
