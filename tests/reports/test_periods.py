"""Promises of intervals in the site's calendar."""

from __future__ import annotations

import itertools
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.periods import hours, notation

BERLIN = "Europe/Berlin"


def _at(text, zone=BERLIN):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2026-11-01", "2026-11-25", "iPUE1(2026-11-01:2026-11-24)"),
        ("2026-11-24T08:00", "2026-11-24T09:00", "iPUE1(2026-11-24:2026-11-24)"),
        ("2025-11-01", "2026-11-01", "PUE1(2026-10-31)"),
        ("2025-11-01", "2026-10-31", "iPUE1(2025-11-01:2026-10-30)"),
    ],
)
def test_notation_carries_category_and_period(start, end, expected):
    """Twelve months are PUE with their last day; anything else is interim with both days, as the site counts days."""
    assert notation(1, _at(start), _at(end), BERLIN) == expected


@pytest.mark.parametrize(
    ("day", "after", "count", "twos"),
    [("2026-03-29", "2026-03-30", 23, 0), ("2026-10-25", "2026-10-26", 25, 2), ("2026-06-01", "2026-06-02", 24, 1)],
)
def test_days_of_the_clock_change_have_23_and_25_hours(day, after, count, twos):
    """The hour that does not exist is not priced, and the one that comes twice is priced twice."""
    pieces = hours(_at(day), _at(after), BERLIN)
    assert len(pieces) == count
    assert sum(hour == 2 for hour, _, _ in pieces) == twos


zones = st.sampled_from([BERLIN, "Asia/Shanghai", "Asia/Kolkata", "America/St_Johns", "Australia/Lord_Howe", "UTC"])


@given(zones, st.floats(1.6e9, 1.9e9), st.floats(1, 5e5))
def test_hours_tile_the_interval(zone, start_s, length_s):
    """The pieces leave no time out, count none twice, and none is longer than an hour."""
    pieces = hours(start_s, start_s + length_s, zone)
    assert pieces[0][1] == start_s
    assert pieces[-1][2] == start_s + length_s
    assert all(a[2] == b[1] for a, b in itertools.pairwise(pieces))
    assert all(0 < end - begin <= 3600.001 for _, begin, end in pieces)
