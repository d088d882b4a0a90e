"""What an adapter believes, and for how long: whatever clocks say, and while the API is silent."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from placement.wishes import Ear


@dataclass
class Steady:
    """A clock that the test moves."""

    now_s: float = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now_s


@pytest.mark.parametrize("ahead_s", [0.0, -3e6, 3e6])
def test_a_clock_that_differs_changes_nothing(make_api, ahead_s):
    """Hints last as long as the site's clock gave them, counted by ours."""
    api, clock = make_api({"n1": 80}, life_s=60.0, ahead_s=ahead_s), Steady()
    ear = Ear(api.client(), clock)
    assert ear.hear().left_s == pytest.approx(60.0, abs=1.0)
    assert ear.hear().site_ahead_s == pytest.approx(ahead_s, abs=1.0)
    api.silent = True
    clock.now_s = 58.0
    heard = ear.hear()
    assert heard.scores == {"n1": 80}
    assert "no answer" in heard.problem
    clock.now_s = 61.0
    heard = ear.hear()
    assert (heard.scores, heard.rack_of) == ({}, {"n1": "rack-n1"})


def test_hints_that_were_over_when_given(make_api):
    """Are none."""
    api = make_api({"n1": 80}, life_s=-1.0)
    assert not Ear(api.client(), Steady()).hear().nodes


def test_budgets_hold_through_silence_until_their_end(make_api, budget):
    """And one that nobody was ever told of is not taken for none."""
    api, clock = make_api({"n1": 80}), Steady()
    api.budgets = [budget(40.0, left_s=100.0)]
    api.silent = True
    ear = Ear(api.client(), clock)
    assert not ear.hear().budgets_known
    api.silent = False
    assert ear.hear().budgets_known
    api.silent = True
    clock.now_s = 99.0
    assert [b.kw for b in ear.hear().budgets] == [40.0]
    clock.now_s = 101.0
    assert not ear.hear().budgets


def test_a_scope_shuts_when_exceeded_and_opens_when_a_node_fits(make_api, budget):
    """Not at the first free watt, or nodes would flicker."""
    api = make_api({"n1": 80, "n2": 80, "n3": 80}, racks={"n1": "r1", "n2": "r2", "n3": "r2"}, cdus={"n3": "cdu-2"})
    ear = Ear(api.client(), Steady())
    api.budgets = [budget(40.0, scope="r2", over_kw=3.0, room_kw=0.0), budget(10.0, over_kw=5.0)]
    shut = ear.hear().shut(10.0)
    assert shut == {"n2": "budget of r2 is 40 kW: feed B is out", "n3": "budget of r2 is 40 kW: feed B is out"}
    api.budgets = [budget(40.0, scope="r2", room_kw=5.0)]
    assert not ear.hear().shut(10.0)
    assert set(ear.hear().shut(10.0, frozenset({"r2"}))) == {"n2", "n3"}
    api.budgets = [budget(40.0, scope="r2", room_kw=11.0), budget(1.0, scope="cdu-2", over_kw=1.0)]
    assert set(ear.hear().shut(10.0, frozenset({"r2"}))) == {"n3"}
