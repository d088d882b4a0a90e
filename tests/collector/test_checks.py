"""Quality checks on columns."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.checks import Rule, check, newest_good
from plant.samples import Quality, Reason, SampleBatch, quality_code, split_code

RULES = {"a/t": Rule(minimum=0.0, maximum=90.0, max_jump=10.0, period_s=2.0)}
NOW = 1_800_000_000.0


def judged(value, *, time_s=NOW, code=0, newest=None, point="a/t"):
    """One sample through the checks: all that was found, and its quality and reason."""
    checked = check(SampleBatch.of([(point, time_s, NOW, value, code)]), RULES, newest or {})
    quality, reason = split_code(int(checked.batch.code[0]))
    return checked, quality, reason


@pytest.mark.parametrize(
    ("value", "quality", "reason"),
    [
        (40.0, Quality.GOOD, Reason.NONE),
        (math.nan, Quality.BAD, Reason.NOT_A_NUMBER),
        (90.1, Quality.BAD, Reason.RANGE),
        (-0.1, Quality.BAD, Reason.RANGE),
        (math.inf, Quality.BAD, Reason.RANGE),
    ],
)
def test_impossible_values_are_bad(value, quality, reason):
    """A value that can't be is stored as NaN with the reason, and what came is kept for the report."""
    checked, *found = judged(value)
    assert found == [quality, reason]
    assert math.isnan(checked.batch.value[0]) == (quality is Quality.BAD)
    assert checked.raw[0] == value or math.isnan(value)


@pytest.mark.parametrize(
    ("gap_s", "step", "jumped"), [(2, 9, False), (2, 11, True), (0, 11, True), (6, 29, False), (6, 31, True)]
)
def test_jumps_are_uncertain_not_lost(gap_s, step, jumped):
    """More than max_jump per period is marked and kept; a longer gap allows more."""
    checked, quality, reason = judged(20.0 + step, newest={"a/t": (NOW - gap_s, 20.0)})
    assert (quality, reason) == ((Quality.UNCERTAIN, Reason.JUMP) if jumped else (Quality.GOOD, Reason.NONE))
    assert checked.batch.value[0] == 20.0 + step


@pytest.mark.parametrize(
    ("offset_s", "marked", "clamped"),
    [(299, False, False), (301, True, True), (1e9, True, True), (-86_399, False, False), (-86_401, True, False)],
)
def test_wrong_clocks_are_marked(offset_s, marked, clamped):
    """A future time becomes the receive time, a very old one stays; both are marked."""
    checked, quality, reason = judged(40.0, time_s=NOW + offset_s)
    assert (reason is Reason.CLOCK, quality is Quality.UNCERTAIN) == (marked, marked)
    assert checked.batch.time_s[0] == (NOW if clamped else NOW + offset_s)


def test_a_sample_that_came_bad_keeps_its_reason():
    """No communication is not also called not-a-number."""
    _, quality, reason = judged(math.nan, code=quality_code(Quality.BAD, Reason.NO_COMM))
    assert (quality, reason) == (Quality.BAD, Reason.NO_COMM)


def test_points_without_bounds_take_any_number():
    """No rule, no verdict; not-a-number is bad all the same."""
    assert judged(1e12, point="b/x")[1] is Quality.GOOD
    assert judged(math.nan, point="b/x")[1] is Quality.BAD


@given(st.lists(st.floats(), min_size=1, max_size=20))
def test_good_is_always_a_possible_number(values):
    """Whatever comes, what is GOOD or UNCERTAIN is finite and in range, and what is BAD is NaN."""
    checked = check(SampleBatch.of([("a/t", NOW + i, NOW, v, 0) for i, v in enumerate(values)]), RULES, {})
    for value, bad in zip(checked.batch.value, checked.bad, strict=True):
        assert math.isnan(value) if bad else 0 <= value <= 90
    assert all(0 <= value <= 90 for _, value in newest_good(checked).values())
