"""Places that keep peaks low: the fullest feed, CDU and rack, within all that a place has to hold anyway."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from placement.budgets import Cap
from placement.even_place import Draws, even_place
from placement.node_table import node_table
from placement.nodes import judged
from placement.workload import Workload, judged_for, layout_of, place
from plant.records import Headroom

NOW_S, FULL_W = 1000.0, 100e3
BLOCKS = {"a1": "A", "a2": "A", "b1": "B", "b2": "B", "c1": "C", "c2": "C"}
NODES = {f"{rack}-n{i}": rack for rack in BLOCKS for i in range(6)}
FEEDS = np.array([0, 0, 0, 0, 1, 1])
LEAVES = {node: f"leaf-{rack[0]}" for node, rack in NODES.items()}


def both(work, draw_kw, *, rooms_kw=None, costs=None, caps=None, shared_kw=None, leaves=None, only=None):
    """The even place and the plain one."""
    rooms_kw = rooms_kw or [100.0 - kw for kw in draw_kw]
    rooms = [
        Headroom(rack=r, at_s=NOW_S, power_w=1e3 * kw, cooling_w=9e5, marginal_w_per_w=cost, known=True)
        for r, kw, cost in zip(BLOCKS, rooms_kw, costs or [0.1] * 6, strict=True)
    ]
    full = dict.fromkeys(BLOCKS, FULL_W)
    table = judged_for(node_table(NODES, rooms, full, dict.fromkeys(BLOCKS, 60.0), NOW_S, 300.0, caps), work)
    found, layout = judged(table, work.power_w), layout_of(NODES, BLOCKS, leaves)
    if only is not None:
        found = replace(found, fits=found.fits & np.array([n in only for n in NODES]))
    shared_w = np.full(3, np.inf) if shared_kw is None else 1e3 * np.array(shared_kw)
    draws = Draws(power_w=1e3 * np.array(draw_kw), full_w=np.full(6, FULL_W), feed=FEEDS)
    return even_place(table, found, layout, draws, shared_w, work), place(table, found, layout, shared_w, work)


def racks(found) -> dict[str, int]:
    """Nodes by rack."""
    chosen = [NODES[n] for n in found.nodes]
    return {rack: chosen.count(rack) for rack in dict.fromkeys(chosen)}


def test_it_goes_to_the_feed_that_draws_least_and_is_levelled_over_racks():
    """Though another rack is the cheapest to cool, where the plain place puts all of it."""
    work = Workload(power_w=5e3, nodes=5)
    even, plain = both(work, [40, 40, 40, 40, 20, 31], costs=[0.0, 0.1, 0.1, 0.1, 0.1, 0.1])
    assert racks(plain) == {"a1": 5}
    assert (even.enough, even.block, racks(even)) == (True, "C", {"c1": 4, "c2": 1})
    assert len(set(even.nodes)) == 5


def test_what_is_not_free_or_has_no_room_is_left_out():
    """Nodes that the caller does not name, rooms of racks, budgets."""
    work, draw = Workload(power_w=5e3, nodes=4), [40, 40, 40, 40, 20, 30]
    only = {"c2-n1", "c2-n3", "c1-n5", "c1-n0", "a1-n0"}
    assert set(both(work, draw, only=only)[0].nodes) == {"c2-n1", "c2-n3", "c1-n5", "c1-n0"}
    assert racks(both(work, draw, rooms_kw=[60, 60, 60, 60, 9, 60])[0]) == {"c1": 1, "c2": 3}
    assert racks(both(work, draw, caps={"c1": Cap(room_w=11e3, scope="c1")})[0]) == {"c1": 2, "c2": 2}


def test_where_it_can_not_be_even_it_says_so():
    """A loop without room for all of it, a budget over all, one rack, one CDU that is too small, a rack in two leaves."""
    draw = [40, 40, 40, 40, 20, 30]
    assert both(Workload(power_w=5e3, nodes=4), draw, shared_kw=[99, 99, 9])[0] is None
    site = {r: Cap(room_w=12e3, scope="site") for r in BLOCKS}
    assert both(Workload(power_w=5e3, nodes=4), draw, caps=site)[0] is None
    assert both(Workload(power_w=5e3, nodes=4, locality="rack"), draw)[0] is None
    assert both(Workload(power_w=5e3, nodes=13, locality="cdu"), draw)[0] is None
    assert both(Workload(power_w=5e3, nodes=13), draw)[0].block == ""
    assert both(Workload(power_w=5e3, nodes=4), draw, leaves=LEAVES)[0].block == "leaf-c"
    assert both(Workload(power_w=5e3, nodes=4), draw, leaves=LEAVES | {"c1-n0": "leaf-x"})[0] is None


@pytest.mark.parametrize("seed", range(30))
def test_no_peak_is_higher_than_the_plain_place_makes(seed):
    """The hottest rack of the chosen block is as low as any split of the job over it could make it; rooms are held."""
    draw = np.random.default_rng(seed)
    draw_kw = draw.uniform(10, 70, 6).round(1).tolist()
    work = Workload(power_w=4e3, nodes=int(draw.integers(1, 12)), locality="cdu")
    even, plain = both(work, draw_kw, costs=draw.uniform(0, 0.3, 6).tolist())
    assert plain.enough
    assert even is not None
    counts = racks(even)
    drawn = dict(zip(BLOCKS, draw_kw, strict=True))
    assert all(drawn[r] + 4 * n <= 100 for r, n in counts.items())
    one, two = (r for r in BLOCKS if BLOCKS[r] == even.block)
    peaks = [max(drawn[one] + 4 * n, drawn[two] + 4 * (work.nodes - n)) for n in range(work.nodes + 1) if
             n <= 6 and work.nodes - n <= 6]  # fmt: skip
    assert max(drawn[r] + 4 * counts.get(r, 0) for r in (one, two)) == pytest.approx(min(peaks))
