"""The extender's quick reckoning beside a plain and slow one: the same answers to the byte, and no budget broken."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from placement.budgets import Cap
from placement.kubernetes.extender import MOST, Extender, PodPower
from placement.kubernetes.promises import HELD_S, Budgeted, Promises
from placement.node_table import node_table, rack_rows
from placement.nodes import neutral_score, scores
from plant.records import Headroom

RACKS = ("rack-a", "rack-b", "rack-c", "rack-d")
NODES = {f"{rack[-1]}{i}": rack for rack in RACKS for i in range(2)}
ASKED = [*NODES, "stranger"]
SCOPES = {
    "site": dict.fromkeys(RACKS, 1.0),
    "cdu-1": dict.fromkeys(RACKS[:2], 0.5),
    "cdu-2": dict.fromkeys(RACKS[:2], 0.5),
    "rack-c": {"rack-c": 1.0},
}
POWERS = ("0", "1000", "4000", "9000")


class Plain:
    """What the extender must answer, as one would first write it: rack by rack, budget by budget, all pods anew."""

    def __init__(self, table, budgets):
        self.table, self.budgets = rack_rows(table), budgets
        self.pods = {}  # pod -> until [s], rack, [W]; oldest first

    def held(self, now_s, but):
        """Rack -> [W], without one pod."""
        sums = dict.fromkeys(RACKS, 0.0)
        for pod, (until_s, rack, watts) in self.pods.items():
            if until_s > now_s and pod != but:
                sums[rack] += watts
        return sums

    def left(self, now_s, pod):
        """By rack: room and cap [W], and whose cap that is."""
        held = self.held(now_s, pod)
        for i, rack in enumerate(self.table.racks):
            cap_w, whose = float(self.table.cap_w[i]), self.table.capped_by[i]
            for budget in self.budgets:
                taken_w = sum(share * held[other] for other, share in budget.shares.items())
                mine_w = max(budget.room_w - taken_w, 0.0) / budget.shares[rack] if rack in budget.shares else math.inf
                if mine_w < cap_w:
                    cap_w, whose = mine_w, budget.scope
            yield rack, max(float(self.table.room_w[i]) - held[rack], 0.0), cap_w, whose

    def ask(self, now_s, pod, wanted_w):
        """The body of `filter`'s answer, that of `prioritize`'s after it."""
        left = list(self.left(now_s, pod))
        why = {}
        for (rack, room_w, cap_w, whose), known in zip(left, self.table.known.tolist(), strict=True):
            if cap_w < wanted_w:
                why[rack] = f"the budget of {whose} has {cap_w / 1e3:.1f} kW left of {wanted_w / 1e3:.1f} kW wanted"
            elif known and room_w < wanted_w:
                why[rack] = f"{rack} has {room_w / 1e3:.1f} kW left of {wanted_w / 1e3:.1f} kW wanted"
        failed = {node: why[rack] for node, rack in NODES.items() if rack in why}
        answer = {"Nodes": None, "NodeNames": [n for n in ASKED if n not in failed], "FailedNodes": failed}
        answer |= {"FailedAndUnresolvableNodes": failed, "Error": ""}
        marks, neutral = self.marks(left, wanted_w)
        self.promise(now_s, pod, wanted_w, {r: m for r, m in marks.items() if r not in why})
        rows = [{"Host": n, "Score": marks[NODES[n]] if n in NODES else neutral} for n in ASKED]
        return [json.dumps(told, separators=(",", ":")).encode() for told in (answer, rows)]

    def marks(self, left, wanted_w):
        """Rack -> 0..10, and that of a node that is not known."""
        rooms, caps = (np.array([row[i] for row in left]) for i in (1, 2))
        table = replace(self.table, room_w=rooms, cap_w=caps)
        made = scores(table, wanted_w)
        marks = {rack: int(m * MOST + 50) // 100 for rack, m in zip(table.racks, made.tolist(), strict=True)}
        return marks, neutral_score(table, made, wanted_w) * MOST // 100

    def promise(self, now_s, pod, wanted_w, marks):
        """To the rack of the best with the least held."""
        held = self.held(now_s, pod)
        self.pods.pop(pod, None)
        if marks and wanted_w > 0.0:
            best = sorted(r for r, m in marks.items() if m == max(marks.values()))
            self.pods[pod] = (now_s + HELD_S, min(best, key=held.__getitem__), wanted_w)


def tables(rooms, budgets):
    """The table under these budgets, scope -> what it leaves [W]; racks without a room are not known."""
    found = [
        Headroom(rack=r, at_s=0.0, power_w=w or 0.0, cooling_w=w or 0.0, marginal_w_per_w=0.05, known=w is not None)
        for r, w in rooms.items()
    ]
    given = [Budgeted(scope=scope, room_w=w, shares=SCOPES[scope]) for scope, w in budgets.items()]
    caps = {}
    for budget in given:
        for rack, share in budget.shares.items():
            cap = Cap(room_w=budget.room_w / share, scope=budget.scope, share=share)
            if rack not in caps or cap.room_w < caps[rack].room_w:
                caps[rack] = cap
    return node_table(NODES, found, dict.fromkeys(RACKS, 132e3), {}, 1.0, 300.0, caps), given


def bodies(extender, pod, power_w):
    """What it answers to both verbs."""
    annotated = {"name": pod, "uid": f"uid-{pod}", "annotations": {"coldplate.io/power-w": power_w}}
    body = json.dumps({"Pod": {"metadata": annotated}, "Nodes": None, "NodeNames": ASKED}).encode()
    return [extender.filter(body), extender.prioritize(body)]


watts = st.integers(0, 60).map(lambda kw: 500.0 * kw)
asks = st.tuples(st.integers(0, 12), st.sampled_from(POWERS), st.sampled_from((0.0, 0.5, 40.0)), st.booleans())


@given(
    st.fixed_dictionaries(dict.fromkeys(RACKS, st.none() | watts)),
    st.dictionaries(st.sampled_from(sorted(SCOPES)), watts),
    st.lists(asks, max_size=40),
)
@example(  # two CDUs of one loop leave the same, less than at first: the first of them is named
    {"rack-a": 30e3, "rack-b": 30e3, "rack-c": 0.0, "rack-d": 0.0},
    {"cdu-1": 10e3, "cdu-2": 10e3},
    [(number, "9000", 0.0, False) for number in range(3)],
)
def test_the_same_as_reckoned_plainly(rooms, budgets, asked):
    """Pods that are new or asked again, at any time, over editions made anew: byte for byte."""
    now_s = 0.0
    table, given_budgets = tables(rooms, budgets)
    promises, plain = Promises(lambda: now_s), Plain(table, given_budgets)
    quick = Extender(table, PodPower(gpu_w=1000.0), promises, given_budgets)
    for number, power_w, later_s, anew in asked:
        now_s += later_s
        if anew:
            quick = Extender(table, PodPower(gpu_w=1000.0), promises, given_budgets)
        assert bodies(quick, f"p{number}", power_w) == plain.ask(now_s, f"uid-p{number}", float(power_w))


@pytest.mark.parametrize("gpu_w", [1833.3333333333333, 700.1, 1e3 / 3.0])
@given(st.dictionaries(st.sampled_from(sorted(SCOPES)), watts, min_size=1), st.lists(st.integers(1, 8), max_size=60))
def test_no_budget_is_broken(gpu_w, budgets, gpus):
    """Whatever was let in within the time that promises last fits under every budget, to a millionth of a watt."""
    table, given_budgets = tables(dict.fromkeys(RACKS, 1e6), budgets)
    promises = Promises(lambda: 0.0)
    quick = Extender(table, PodPower(gpu_w=gpu_w), promises, given_budgets)
    for number, wanted in enumerate(gpus):
        pod = {"metadata": {"uid": f"u{number}"}, "spec": {"containers": [{"resources": {"limits": {}}}]}}
        pod["spec"]["containers"][0]["resources"]["limits"] = {"nvidia.com/gpu": str(wanted)}
        quick.filter(json.dumps({"Pod": pod, "NodeNames": list(NODES)}).encode())
    held = promises.by_rack()
    for budget in given_budgets:
        taken_w = sum(share * held.get(rack, 0.0) for rack, share in budget.shares.items())
        assert taken_w <= budget.room_w + 1e-6
