"""Peaks stay low where power is known: rows first, then blocks, then racks; a job stays in a block where one has room."""

from __future__ import annotations

import numpy as np
import pytest

from placement.balance import Expected, Layout, choose, level

RACKS, NODES = 8, 10
FULL_W = 10_000.0
LAYOUT = Layout(block=np.arange(RACKS) // 2, row=np.arange(RACKS) // 4, full_w=np.full(RACKS, FULL_W))
"""Two rows of two blocks of two racks of ten nodes."""


def expected(*rack_kw: float, most_kw: float = 10.0, row_kw: float = 40.0) -> Expected:
    """What racks draw [kW], and may."""
    return Expected(
        rack_w=np.array(rack_kw) * 1e3, rack_most_w=np.full(RACKS, most_kw * 1e3), row_most_w=np.full(2, row_kw * 1e3)
    )


FREE = np.full(RACKS, NODES)


def test_a_job_goes_to_the_row_that_draws_least_and_is_levelled_over_its_racks() -> None:
    """A job goes to the row that draws least and is levelled over its racks."""
    place = choose(LAYOUT, expected(5, 5, 5, 5, 1, 3, 2, 3), FREE, 6, 500.0)
    assert place is not None
    assert place.tolist() == [0, 0, 0, 0, 5, 1, 0, 0], "rack 4 draws 2 kW less than its neighbour"


def test_a_job_stays_in_a_block_as_long_as_one_has_room() -> None:
    """A job stays in a block as long as one has room."""
    free = np.array([5, 0, 5, 0, 5, 0, 6, 6])
    place = choose(LAYOUT, expected(1, 1, 1, 1, 9, 9, 9, 9, most_kw=99.0, row_kw=400.0), free, 12, 100.0)
    assert place is not None
    assert place.tolist() == [0, 0, 0, 0, 0, 0, 6, 6], "torn apart it could go to cooler racks"


def test_what_fits_no_block_takes_the_fewest_and_one_of_each_row() -> None:
    """What fits no block takes the fewest and one of each row."""
    place = choose(LAYOUT, expected(*[1.0] * 8), FREE, 36, 200.0)
    assert place is not None
    blocks, rows = np.bincount(LAYOUT.block, place), np.bincount(LAYOUT.row, place)
    assert (blocks > 0).sum() == 2
    assert (rows > 0).all()


def test_no_place_where_power_or_cooling_or_a_feed_is_used_up() -> None:
    """No place where power or cooling or a feed is used up."""
    assert choose(LAYOUT, expected(*[9.8] * 8), FREE, 1, 500.0) is None
    assert choose(LAYOUT, expected(*[5.0] * 8, row_kw=20.3), FREE, 1, 500.0) is None
    assert choose(LAYOUT, expected(*[5.0] * 8), np.zeros(RACKS, dtype=np.int64), 1, 500.0) is None
    one = choose(LAYOUT, expected(*[5.0] * 8, row_kw=20.6), FREE, 2, 500.0)
    assert one is not None, "one more in each row"
    assert np.bincount(LAYOUT.row, one).tolist() == [1, 1]


@pytest.mark.parametrize("seed", range(20))
def test_a_level_is_as_low_as_any_way_to_spread_them(seed: int) -> None:
    """A level is as low as any way to spread them."""
    rng = np.random.default_rng(seed)
    base, usable = expected(*rng.uniform(0, 5, RACKS)), rng.integers(0, 5, RACKS)
    nodes = int(rng.integers(1, usable.sum()))
    got = level(base, usable, nodes, 700.0)
    assert got.sum() == nodes
    assert (got <= usable).all()
    left, greedy = usable.copy(), base.rack_w.copy()
    for _ in range(nodes):
        rack = int(np.argmin(np.where(left > 0, greedy, np.inf)))
        left[rack] -= 1
        greedy[rack] += 700.0
    peak = (base.rack_w + 700.0 * got)[got > 0].max()
    assert peak == pytest.approx(greedy[left < usable].max())
