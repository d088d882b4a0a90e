"""Nodes for whole workloads, headroom by level, and why one node comes before another."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from placement.budgets import Cap
from placement.explaining import compare
from placement.node_table import node_table
from placement.nodes import judged
from placement.rooms import believed, cdu_rooms, node_rooms
from placement.workload import Workload, judged_for, layout_of, place
from plant.records import Headroom, RideThrough
from sites import load_site

NOW_S = 1000.0
NODES = {f"{rack}-n{i}": rack for rack in ("a1", "a2", "b1", "b2") for i in range(4)}
BLOCKS = {"a1": "A", "a2": "A", "b1": "B", "b2": "B"}


def headroom(rack: str, room_kw: float = 40.0, **more) -> Headroom:
    """A known headroom."""
    given = {"rack": rack, "at_s": NOW_S, "power_w": room_kw * 1e3, "cooling_w": 9e5, "marginal_w_per_w": 0.1}
    return Headroom(**(given | {"known": True} | more))


LEAVES = {n: f"leaf-{r}" for r, n in ((n[-1:] in "01", n) for n in NODES)}
"""Two leaves across all racks: nodes 0 and 1 of each, nodes 2 and 3 of each."""


def chosen(
    work: Workload,
    *headrooms: Headroom,
    shared_kw: float = math.inf,
    caps: dict[str, Cap] | None = None,
    leaves: dict[str, str] | None = None,
):
    """A place by these headrooms."""
    full = dict.fromkeys(BLOCKS, 132e3)
    table = judged_for(node_table(NODES, headrooms, full, dict.fromkeys(BLOCKS, 60.0), NOW_S, 300.0, caps), work)
    shared_w = np.full(2, shared_kw * 1e3)
    return place(table, judged(table, work.power_w), layout_of(NODES, BLOCKS, leaves), shared_w, work)


def test_a_rack_takes_no_more_than_its_room():
    """Four nodes look good one by one; two of 15 kW fill a rack of 40 kW."""
    found = chosen(Workload(power_w=15e3, nodes=4), headroom("a1", marginal_w_per_w=0.0), headroom("b2"))
    assert found.nodes == ("a1-n0", "a1-n1", "b2-n0", "b2-n1")
    assert found.enough
    assert chosen(Workload(power_w=15e3, nodes=5), headroom("a1"), headroom("b2")).enough is False


def test_a_loop_and_a_budget_take_no_more_than_theirs():
    """Rooms of racks are worth what their loop, and the budget over them, can still carry."""
    rooms = [headroom(r) for r in BLOCKS]
    assert len(chosen(Workload(power_w=10e3, nodes=9), *rooms, shared_kw=25.0).nodes) == 4
    caps = {r: Cap(room_w=35e3, scope="site") for r in BLOCKS}
    assert len(chosen(Workload(power_w=10e3, nodes=9), *rooms, caps=caps).nodes) == 3


def test_every_budget_over_a_rack_is_held():
    """A loop's own budget is the tighter one for its racks, yet what they take counts on the site's, too."""
    rooms, site = [headroom(r) for r in BLOCKS], Cap(room_w=35e3, scope="site")
    loop = Cap(room_w=20e3, scope="A", also=(site,))
    caps = {r: loop if block == "A" else site for r, block in BLOCKS.items()}
    assert len(chosen(Workload(power_w=10e3, nodes=9), *rooms, caps=caps).nodes) == 3
    halved = {r: Cap(room_w=30e3, scope="cdu", share=0.5) for r in BLOCKS}
    assert len(chosen(Workload(power_w=10e3, nodes=9), *rooms, caps=halved).nodes) == 3


@pytest.mark.parametrize(("locality", "block"), [("rack", "b1"), ("cdu", "B")])
def test_what_wants_to_stay_together_does(locality, block):
    """The best block that holds all of it, not the one with the single best node."""
    rooms = [headroom("a1", 12, marginal_w_per_w=0.0), headroom("b1", 45), headroom("b2", 15)]
    found = chosen(Workload(power_w=10e3, nodes=4, locality=locality), *rooms)
    assert (found.block, found.enough) == (block, True)
    assert {NODES[n] for n in found.nodes} <= ({"b1"} if locality == "rack" else {"b1", "b2"})
    apart = chosen(Workload(power_w=10e3, nodes=6, locality="rack"), *rooms)
    assert (apart.enough, len(apart.nodes)) == (False, 4)


@pytest.mark.parametrize("locality", ["any", "leaf"])
def test_no_leaf_is_torn_that_holds_all(locality):
    """The best nodes one by one would lie in two leaves; `any` spills only where one leaf is not enough."""
    rooms = [headroom("a1", 40, marginal_w_per_w=0.0), headroom("a2", 40), headroom("b1", 12), headroom("b2", 12)]
    torn = chosen(Workload(power_w=10e3, nodes=4), *rooms)
    assert len({LEAVES[n] for n in torn.nodes}) == 2
    whole = chosen(Workload(power_w=10e3, nodes=4, locality=locality), *rooms, leaves=LEAVES)
    assert (len(whole.nodes), whole.enough) == (4, True)
    assert {LEAVES[n] for n in whole.nodes} == {whole.block}
    more = chosen(Workload(power_w=10e3, nodes=8, locality=locality), *rooms, leaves=LEAVES)
    assert (more.enough, more.block == "") == ((True, True) if locality == "any" else (False, False))


def test_a_block_that_holds_most_is_found_behind_one_that_only_looks_so():
    """Its rack has room for all of it, its budget for one."""
    caps = {"a1": Cap(room_w=15e3, scope="a1")}
    found = chosen(Workload(power_w=10e3, nodes=4, locality="rack"), headroom("a1"), headroom("b1", 35), caps=caps)
    assert (found.block, len(found.nodes), found.enough) == ("b1", 3, False)


def test_where_no_leaf_holds_all_the_fullest_come_first():
    """As few leaves as can be; a node that no leaf has is one of its own."""
    leaves = dict(zip(NODES, "xxxxyyyzzz", strict=False))
    rooms = [headroom(r) for r in BLOCKS]
    found = chosen(Workload(power_w=10e3, nodes=7), *rooms, leaves=leaves)
    assert found.enough
    assert {leaves.get(n) for n in found.nodes} == {"x", "y"}


def test_what_is_not_known_is_never_chosen():
    """Also where nothing else is left."""
    assert chosen(Workload(power_w=1e3, nodes=2), headroom("a1", known=False, reason="stale")).nodes == ()


@pytest.mark.parametrize(
    ("work", "fits"),
    [
        (Workload(power_w=10e3), False),
        (Workload(power_w=10e3, interruptible=True), True),
        (Workload(power_w=10e3, duration_s=300.0), True),
        (Workload(power_w=10e3, duration_s=3600.0), False),
    ],
)
def test_what_the_forecast_takes_back_is_for_work_that_can_go(work, fits):
    """Free now, taken within the hour: only for what is short or can be stopped."""
    assert chosen(work, headroom("a1", 40, ahead_w=5e3, ahead_limiting="n+1")).enough is fits


def test_why_one_comes_before_another():
    """The parts make the score; the largest difference is told first; what does not fit says so."""
    rooms = [headroom("a1", marginal_w_per_w=0.05), headroom("b1", 50), headroom("b2", 5, limiting="pdu")]
    table = node_table(NODES, rooms, dict.fromkeys(BLOCKS, 132e3), dict.fromkeys(BLOCKS, 60.0), NOW_S, 300.0)
    found = compare(table, "a1-n0", "b1-n0", 10e3)
    assert found.first == "a1-n0"
    assert found.why[0].code == "hint.more_cost"
    assert "a1-n0 costs 0.050 W of cooling for each watt of IT, b1-n0 0.100 W" in found.why[0].text
    for hint, parts in ((found.node, found.node_parts), (found.before, found.before_parts)):
        assert hint.score == round(1 + parts.cost + parts.room + parts.block + parts.calm)
    short = compare(table, "b2-n0", "a1-n0", 10e3)
    assert (short.first, short.why[0].text) == ("a1-n0", "b2 is 5.0 kW short of room (pdu)")
    unknown = compare(table, "a2-n0", "a1-n0", 10e3)
    assert unknown.first == "a1-n0"
    assert "no headroom has been computed" in unknown.why[0].text
    assert compare(table, "a1-n0", "a1-n1", 10e3).first == ""
    with pytest.raises(KeyError):
        compare(table, "a1-n0", "z", 10e3)


def test_a_loop_has_what_its_racks_and_its_cooling_have():
    """Racks that are not known count for nothing; the loop's own figure and the worst pump bound it."""
    site = load_site(Path(__file__).parents[2] / "site-configs" / "demo-pod.yaml")
    rooms = [
        headroom(f"rack-0{i}", 20, shared_w=90e3, ahead_w=15e3, horizon_s=3600.0, limiting="pdu") for i in range(1, 8)
    ]
    rides = [
        RideThrough(cdu=c, loop="tcs-1", at_s=NOW_S, seconds=s, known=True)
        for c, s in (("cdu-1", None), ("cdu-2", 74.0))
    ]
    (room,) = cdu_rooms(site, rooms, rides, {})
    assert (room.id, room.now_w, room.limiting, room.ahead_w, room.ride_through_s) == (
        "tcs-1",
        90e3,
        "cooling",
        90e3,
        74.0,
    )
    assert room.reason == "the headroom of 1 racks is not known; they count for nothing"
    (room,) = cdu_rooms(site, rooms, rides, {"rack-02": Cap(room_w=7e3, scope="site")})
    assert (room.now_w, room.limiting) == (7e3, "budget")
    (room,) = cdu_rooms(site, [], [], {})
    assert (room.known, room.now_w, room.ride_through_known) == (False, 0.0, False)


def test_a_node_has_its_racks_room_and_no_more_than_it_draws():
    """And nothing where its rack is not known, or what is known has grown old."""
    rooms = believed([headroom("a1", 40, ahead_w=5e3, limiting="pdu"), headroom("a2", at_s=NOW_S - 999)], NOW_S)
    found = {
        r.id: r for r in node_rooms(NODES, dict.fromkeys(BLOCKS, 132e3), rooms, {"a1": Cap(room_w=3e4, scope="s")})
    }
    assert (found["a1-n0"].now_w, found["a1-n0"].limiting, found["a1-n0"].ahead_w) == (3e4, "budget", 5e3)
    assert (found["a2-n0"].known, found["a2-n0"].reason) == (False, "its rack's headroom is 999 s old")
    assert found["b1-n0"].now_w == 0.0
