"""Scores of nodes: what fits, what is cheap, and what nobody knows."""

from __future__ import annotations

import math

import pytest

from placement.node_table import node_table
from placement.nodes import NEUTRAL, best, explain, scores
from plant.records import Headroom

NOW_S = 1000.0


def headroom(rack: str, room_kw: float = 50.0, marginal: float = 0.1, **changes) -> Headroom:
    """A known headroom."""
    given = {"rack": rack, "at_s": NOW_S, "power_w": room_kw * 1e3, "cooling_w": 1e6, "marginal_w_per_w": marginal}
    return Headroom(**(given | {"known": True} | changes))


def table(*headrooms: Headroom, nodes: dict[str, str] | None = None, calm_s: float = math.inf):
    """A node for each rack, by default."""
    racks = [h.rack for h in headrooms]
    where = nodes or {f"n-{rack}": rack for rack in racks}
    return node_table(where, headrooms, dict.fromkeys(racks, 132e3), dict.fromkeys(racks, calm_s), NOW_S, 300.0)


def test_cheap_and_roomy_first():
    """Cheaper cooling beats dearer; among equals more room beats less; what does not fit gets 0."""
    made = table(headroom("a", 50, 0.3), headroom("b", 50, 0.05), headroom("c", 90, 0.05), headroom("d", 5, 0.0))
    hints = best(made, 10e3, 4)
    assert [h.rack for h in hints] == ["c", "b", "a", "d"]
    assert hints[3].score == 0
    assert not hints[3].fits
    assert "5.0 kW short of room" in hints[3].reasons[0].text
    assert hints[0].marginal_cooling_w == pytest.approx(500.0)


@pytest.mark.parametrize(
    "bad",
    [
        headroom("x", known=False, reason="rack-01/power is stale"),
        headroom("x", at_s=NOW_S - 301),
        headroom("x", at_s=NOW_S + 60),
        headroom("x", power_w=math.nan),
    ],
)
def test_what_is_not_known_never_attracts(bad):
    """Below every node that fits, above those that do not, with the reason; the worst known node still goes first."""
    made = table(bad, headroom("dear", 12, 0.5), headroom("full", 1))
    hints = best(made, 10e3, 3)
    assert [h.rack for h in hints] == ["dear", "x", "full"]
    assert not hints[1].known
    assert math.isnan(hints[1].marginal_cooling_w)
    assert hints[1].score <= hints[0].score


def test_when_nobody_knows_anything_all_are_neutral():
    """No score, however small, is made up."""
    made = table(headroom("a", known=False), headroom("b", known=False))
    assert scores(made, 1e3).tolist() == [NEUTRAL, NEUTRAL]


def test_a_rack_without_any_headroom():
    """Named in the site, never computed."""
    made = node_table({"n1": "a"}, [], {"a": 1e5}, {}, NOW_S, 300.0)
    assert explain(made, "n1", 1e3).reasons[0].text == "a: no headroom has been computed for its rack; neutral"
    with pytest.raises(KeyError):
        explain(made, "n2", 1e3)


def test_little_ride_through_costs_points():
    """All else equal."""
    calm, hasty = table(headroom("a"), calm_s=600.0), table(headroom("a"), calm_s=12.0)
    assert scores(calm, 1e3)[0] > scores(hasty, 1e3)[0]
    assert "12 s of ride-through" in explain(hasty, "n-a", 1e3).reasons[-1].text


def test_a_table_expires_with_its_oldest_headroom():
    """And not later than its own time."""
    assert table(headroom("a", at_s=NOW_S - 200), headroom("b")).expires_s == NOW_S + 100
    assert table(headroom("a")).expires_s == NOW_S + 300


def test_of_two_equal_racks_the_one_on_the_emptier_cdu_is_better() -> None:
    """Room is judged by rack and by CDU: peaks of CDUs fall when they fill evenly."""
    rooms = {"a1": 60e3, "a2": 60e3, "b1": 60e3, "b2": 5e3}
    headrooms = [
        Headroom(rack=r, at_s=NOW_S, power_w=w, cooling_w=w, marginal_w_per_w=0.1, known=True) for r, w in rooms.items()
    ]
    nodes = {f"n-{rack}": rack for rack in rooms}
    blocks = {rack: rack[0] for rack in rooms}
    full = dict.fromkeys(rooms, 100e3)
    plain = scores(node_table(nodes, headrooms, full, {}, NOW_S, 300.0), 1e3)
    even = scores(node_table(nodes, headrooms, full, {}, NOW_S, 300.0, blocks=blocks), 1e3)
    assert plain[0] == plain[1] == plain[2] > plain[3]
    assert even[0] == even[1] == plain[0]
    assert even[3] < even[2] < even[0]


class Counted(dict):
    """How often it was asked."""

    asked = 0

    def get(self, key: str, default: float = 0.0) -> float:
        """As a dict's."""
        self.asked += 1
        return super().get(key, default)


def test_a_rack_is_reckoned_once_for_all_its_nodes():
    """Under a budget the table is made anew every two seconds, in the midst of a scheduler's questions."""
    where = {f"n{i}": ("a", "b", "c")[i % 3] for i in range(3000)}
    rooms = [
        Headroom(rack=r, at_s=NOW_S, power_w=w, cooling_w=w, marginal_w_per_w=0.1, known=True)
        for r, w in (("b", 2e4), ("a", 1e4))
    ]
    full_w = Counted(a=1e5, b=1e5)
    made = node_table(where, rooms, full_w, {"b": 60.0}, NOW_S, 300.0)
    assert full_w.asked < 10
    assert (made.names, made.racks) == (tuple(where), tuple(where.values()))
    assert made.room_w[:6].tolist() == [1e4, 2e4, 0.0, 1e4, 2e4, 0.0]
    assert made.calm_s[:3].tolist() == [0.0, 60.0, 0.0]
    assert made.known[:4].tolist() == [True, True, False, True]
    assert made.why[2:4] == ("no headroom has been computed for its rack", "")
