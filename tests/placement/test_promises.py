"""Pods that were let in, before any meter shows them: a burst does not share one rack's room, nor a budget's."""

from __future__ import annotations

import json

from placement.budgets import Cap
from placement.kubernetes.extender import Extender, PodPower
from placement.kubernetes.promises import HELD_S, Budgeted, Promises
from placement.node_table import node_table
from plant.records import Headroom

NODES = {"a1": "rack-a", "a2": "rack-a", "b1": "rack-b"}


class Clock:
    """Steady seconds."""

    now_s = 0.0

    def __call__(self) -> float:
        """Now."""
        return self.now_s


def extender(promises, rooms, *, site_w=None):
    """Over racks with these rooms [W]; site_w: what the site's budget leaves."""
    found = [
        Headroom(rack=r, at_s=0.0, power_w=w, cooling_w=w, marginal_w_per_w=0.05, known=True) for r, w in rooms.items()
    ]
    shares = dict.fromkeys(rooms, 1.0)
    budgets = () if site_w is None else (Budgeted(scope="site", room_w=site_w, shares=shares),)
    caps = {} if site_w is None else {r: Cap(room_w=site_w, scope="site") for r in rooms}
    table = node_table(NODES, found, dict.fromkeys(rooms, 132e3), {}, 1.0, 300.0, caps)
    return Extender(table, PodPower(gpu_w=1000.0), promises, budgets)


def asked(over, pod, nodes=("a1", "a2", "b1"), power_w=4000):
    """The filter's answer for one pod."""
    metadata = {"name": pod, "uid": f"uid-{pod}", "annotations": {"coldplate.io/power-w": str(power_w)}}
    body = {"Pod": {"metadata": metadata}, "Nodes": None, "NodeNames": list(nodes)}
    return json.loads(over.filter(json.dumps(body).encode()))


def test_a_burst_fills_a_rack_once():
    """Ten pods of 4 kW within a breath, 9 kW of room: two pass, and the next says how much is left."""
    over = extender(Promises(Clock()), {"rack-a": 9e3, "rack-b": 0.0})
    passed = [bool(asked(over, f"p{i}")["NodeNames"]) for i in range(10)]
    assert passed == [True, True, *[False] * 8]
    assert asked(over, "p9")["FailedNodes"]["a1"] == "rack-a has 1.0 kW left of 4.0 kW wanted"


def test_a_burst_spends_a_budget_once():
    """10 kW of the site's budget over ample racks: two pods of 4 kW, wherever they go."""
    over = extender(Promises(Clock()), {"rack-a": 90e3, "rack-b": 90e3}, site_w=10e3)
    assert [len(asked(over, f"p{i}")["NodeNames"]) for i in range(4)] == [3, 3, 0, 0]
    assert asked(over, "p3")["FailedNodes"]["b1"] == "the budget of site has 2.0 kW left of 4.0 kW wanted"


def test_equal_racks_fill_evenly():
    """Two racks of 9 kW take four pods of 4 kW together."""
    over = extender(Promises(Clock()), {"rack-a": 9e3, "rack-b": 9e3})
    assert [bool(asked(over, f"p{i}")["NodeNames"]) for i in range(6)] == [True] * 4 + [False] * 2


def test_the_same_pod_asked_again_counts_once():
    """A pod that waits is asked about again and again; where it finds no place it holds nothing."""
    promises = Promises(Clock())
    over = extender(promises, {"rack-a": 9e3, "rack-b": 0.0})
    for _ in range(5):
        assert asked(over, "p0")["NodeNames"] == ["a1", "a2"]
    assert promises.by_rack() == {"rack-a": 4000.0}
    assert asked(over, "p0", nodes=["b1"])["NodeNames"] == []
    assert promises.by_rack() == {}


def test_what_was_promised_ends():
    """Meters show it by then; and it outlives a table that is made anew meanwhile."""
    clock = Clock()
    promises = Promises(clock)
    assert asked(extender(promises, {"rack-a": 5e3, "rack-b": 0.0}), "p0")["NodeNames"]
    anew = extender(promises, {"rack-a": 5e3, "rack-b": 0.0})
    assert not asked(anew, "p1")["NodeNames"]
    clock.now_s = HELD_S + 0.1
    assert asked(anew, "p1")["NodeNames"] == ["a1", "a2"]


def test_a_pod_without_power_holds_nothing():
    """Nor is one promised on a node that coldplate does not know."""
    promises = Promises(Clock())
    over = extender(promises, {"rack-a": 9e3, "rack-b": 0.0})
    asked(over, "p0", power_w=0)
    assert asked(over, "p1", nodes=["stranger"])["NodeNames"] == ["stranger"]
    assert promises.by_rack() == {}


def test_scores_of_a_pod_are_those_of_its_own_question():
    """Prioritize follows filter: the pod's own promise does not speak against the node where it is expected."""
    over = extender(Promises(Clock()), {"rack-a": 5e3, "rack-b": 0.0})
    assert asked(over, "p0")["NodeNames"] == ["a1", "a2"]
    pod = {"metadata": {"name": "p0", "uid": "uid-p0", "annotations": {"coldplate.io/power-w": "4000"}}}
    body = json.dumps({"Pod": pod, "Nodes": None, "NodeNames": ["a1", "b1", "stranger"]}).encode()
    scores = {row["Host"]: row["Score"] for row in json.loads(over.prioritize(body))}
    assert scores["a1"] > 0
    assert scores["b1"] == 0
    assert scores["stranger"] <= scores["a1"]
