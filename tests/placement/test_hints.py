"""Promises of the placement hints."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placement.hints import HINT_LIFE_S, rank
from plant.errors import ConfigError
from plant.records import Headroom
from plant.topology import Equipment

RACKS = ("r1", "r2", "r3", "r4")
SITE = SimpleNamespace(of_kind=lambda kind: [Equipment(id=r, kind=kind) for r in RACKS])
NOW_S = 1000.0


def _room(rack, power_kw=50.0, cooling_kw=50.0, marginal=0.1, **changes):
    known = {"at_s": NOW_S - 10, "known": True}
    return Headroom(
        rack=rack, power_w=power_kw * 1e3, cooling_w=cooling_kw * 1e3, marginal_w_per_w=marginal, **{**known, **changes}
    )


def test_what_fits_comes_first_then_the_cheapest():
    """A cheap rack without room ranks behind a dear one that fits."""
    rooms = [_room("r1", marginal=0.3), _room("r2", marginal=0.2), _room("r3", power_kw=5, marginal=0.0)]
    hint = rank(SITE, rooms, 20e3, NOW_S)
    assert [r.rack for r in hint.racks] == ["r2", "r1", "r3", "r4"]
    assert [r.rank for r in hint.racks] == [1, 2, 3, 4]
    assert [r.fits for r in hint.racks] == [True, True, False, False]
    assert hint.racks[0].marginal_cooling_w == pytest.approx(4000)


def test_the_smaller_of_power_and_cooling_decides_and_is_named():
    """Room in power does not help where cooling is short, and the reason says which and by how much."""
    hint = rank(SITE, [_room("r1", cooling_kw=12)], 20e3, NOW_S)
    [first] = [r for r in hint.racks if r.rack == "r1"]
    assert not first.fits
    assert first.headroom_w == 12e3
    assert first.reasons[0].code == "hint.cooling_short"
    assert first.reasons[0].params["short_w"] == pytest.approx(8e3)


@pytest.mark.parametrize(
    "changes",
    [
        {"known": False, "reason": "meter stale"},
        {"at_s": NOW_S - 301},
        {"at_s": NOW_S + 5},
        {"marginal": math.nan},
        {"power_kw": math.nan},
        {"cooling_kw": math.inf},
    ],
)
def test_unknown_never_looks_attractive(changes):
    """A rack whose telemetry is missing, old or nonsense ranks behind every known one, fits nothing, and says why."""
    fine = {"power_kw": 500, "cooling_kw": 500, "marginal": 0.0}
    rooms = [_room("r1", **{**fine, **changes}), *(_room(r, power_kw=1) for r in RACKS[1:])]
    last = rank(SITE, rooms, 20e3, NOW_S).racks[-1]
    assert (last.rack, last.fits, last.headroom_w) == ("r1", False, 0.0)
    assert last.marginal_cooling_w == 20e3
    assert last.reasons[0].code == "hint.unknown"


def test_a_hint_expires_with_what_it_rests_on():
    """Fresh headrooms give a hint of full life, old ones a shorter life, none a life that promises nothing."""
    assert rank(SITE, [_room("r1")], 1e3, NOW_S).expires_s == NOW_S + HINT_LIFE_S
    assert rank(SITE, [_room("r1", at_s=NOW_S - 290)], 1e3, NOW_S).expires_s == NOW_S + 10
    assert not any(r.fits for r in rank(SITE, [], 1e3, NOW_S).racks)


@pytest.mark.parametrize("power_w", [0.0, -5.0, math.nan, math.inf])
def test_a_senseless_job_is_refused(power_w):
    """Not a positive number of watts: an error that says what to give."""
    with pytest.raises(ConfigError, match="positive number of watts"):
        rank(SITE, [], power_w, NOW_S)


numbers = st.floats(-1e5, 2e5) | st.sampled_from([math.nan, math.inf, -math.inf])
rooms_of = st.lists(
    st.builds(
        Headroom, rack=st.sampled_from(RACKS), at_s=st.floats(0, 1200), power_w=numbers, cooling_w=numbers,
        marginal_w_per_w=numbers, known=st.booleans(),
    ),
    unique_by=lambda h: h.rack,
)  # fmt: skip


@given(rooms_of, st.floats(1, 1e5))
def test_every_rack_is_ranked_once_and_none_fits_beyond_its_room(rooms, power_w):
    """Whatever the telemetry says: all racks, finite numbers, and those that fit stand first with room enough."""
    hint = rank(SITE, rooms, power_w, NOW_S)
    assert sorted(r.rack for r in hint.racks) == sorted(RACKS)
    fits = [r.fits for r in hint.racks]
    assert fits == sorted(fits, reverse=True)
    by_rack = {h.rack: h for h in rooms}
    for r in hint.racks:
        assert math.isfinite(r.headroom_w)
        assert math.isfinite(r.marginal_cooling_w)
        if r.fits:
            assert by_rack[r.rack].known
            assert min(by_rack[r.rack].power_w, by_rack[r.rack].cooling_w) >= power_w
