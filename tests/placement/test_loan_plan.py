"""What the planner proposes: by what waits where, and only where the rack can cool it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from placement.demand import Demand
from placement.hint_list import NodeScore
from placement.loan_plan import Place, Rules, places, propose
from placement.wishes import Wishes
from plant.loans import Loan, LoanState
from plant.records import Headroom

RULES = Rules(keep_idle={"a": 1, "b": 0}, node_w=10e3, least_score=34, most_loans=8)
COOL = {f"n{i}": Place(rack=f"r{i}", score=80 - i, room_w=50e3) for i in range(1, 7)}


def lent(node: str, state: LoanState = LoanState.LENT) -> Loan:
    """A loan from a to b."""
    given = {"id": node[1:], "node": node, "lender": "a", "borrower": "b", "owner": "ops"}
    return Loan(**given, due_s=1e9, state=state, since_s=0.0)


def test_lends_what_is_spare_to_who_waits():
    """The coolest first, as many as are missing, one kept back."""
    made = propose({"a": Demand(("n1", "n2", "n3", "n4"), 0), "b": Demand((), 2)}, [], COOL, RULES)
    assert [(p.node, p.lender, p.borrower) for p in made] == [("n1", "a", "b"), ("n2", "a", "b")]
    assert "score 79, r1 has 50 kW left" in made[0].why
    few = propose({"a": Demand(("n1", "n2"), 0), "b": Demand((), 9)}, [], COOL, RULES)
    assert [p.node for p in few] == ["n1"]


@pytest.mark.parametrize(
    ("places", "why"),
    [
        ({}, "no headroom is known"),
        ({"n1": Place(rack="r1", score=20, room_w=50e3)}, "too low a score"),
        ({"n1": Place(rack="r1", score=90, room_w=9e3)}, "no room for a full node"),
    ],
)
def test_lends_nothing_where_it_could_not_be_cooled(places, why):
    """Unknown is never attractive."""
    assert not propose({"a": Demand(("n1", "n2"), 0), "b": Demand((), 1)}, [], places, RULES), why


def test_nodes_of_a_rack_share_its_headroom():
    """Room for two full nodes is not lent three times."""
    places = {f"n{i}": Place(rack="r", score=80, room_w=25e3) for i in range(1, 7)}
    made = propose({"a": Demand(tuple(places), 0), "b": Demand((), 5)}, [], places, RULES)
    assert len(made) == 2


def test_racks_of_a_loop_share_what_it_can_cool():
    """A loop with room for one more node lends one, from whichever rack."""
    loop = {f"n{i}": Place(rack=f"r{i}", score=80, room_w=50e3, block="tcs-1", shared_w=15e3) for i in range(1, 5)}
    assert len(propose({"a": Demand(tuple(loop), 0), "b": Demand((), 4)}, [], loop, RULES)) == 1


def test_room_is_the_least_of_now_and_soon():
    """What the forecast takes away is not lent; what it can't tell takes nothing away."""
    score = NodeScore(node="n1", score=80, rack="r1", cdu="tcs-1", reasons=())
    wishes = Wishes(nodes={"n1": score, "n2": replace(score, node="n2", rack="r2")})
    now = Headroom(rack="r1", at_s=0.0, power_w=50e3, cooling_w=40e3, marginal_w_per_w=0.1, known=True)
    assert places(wishes, [now])["n1"].room_w == 40e3
    found = places(wishes, [replace(now, ahead_w=12e3, shared_w=5e3), replace(now, rack="r2", known=False)])
    assert (found["n1"].room_w, found["n1"].shared_w, found["n1"].block) == (12e3, 5e3, "tcs-1")
    assert "n2" not in found


def test_a_pool_with_work_of_its_own_lends_nothing():
    """Nor does one whose state is not known take part."""
    assert not propose({"a": Demand(("n1", "n2"), 1), "b": Demand((), 1)}, [], COOL, RULES)
    assert not propose({"b": Demand((), 1)}, [], COOL, RULES)


def test_what_is_on_its_way_counts():
    """One that drains already answers the demand, and is not proposed twice."""
    demands = {"a": Demand(("n1", "n2", "n3"), 0), "b": Demand((), 1)}
    assert not propose(demands, [lent("n1", LoanState.PROPOSED)], COOL, RULES)
    full = Rules(keep_idle={}, node_w=10e3, least_score=0, most_loans=1)
    assert not propose({"a": Demand(("n2",), 0), "b": Demand((), 3)}, [lent("n1")], COOL, full)


def test_calls_back_what_lies_idle_when_its_lender_waits():
    """No more than it needs; not while the borrower has work, not what is busy there."""
    loans = [lent("n1"), lent("n2"), lent("n3")]
    made = propose({"a": Demand((), 1), "b": Demand(("n2", "n3"), 0)}, loans, COOL, RULES)
    assert [(p.loan, p.node) for p in made] == [("2", "n2")]
    assert not propose({"a": Demand((), 1), "b": Demand(("n2",), 3)}, loans, COOL, RULES)
