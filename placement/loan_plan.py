"""Which nodes to lend or to call back now: by what waits where, and by what their racks can still cool. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isnan

from placement.demand import Demand
from placement.wishes import Wishes
from plant.loans import OVER, Loan, LoanState
from plant.records import Headroom


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a node stands: its rack, its score 0..100, and the watts that its rack can still take.

    block, shared_w: the loop that cools it, and what all racks of that can take together [W].
    """

    rack: str
    score: int
    room_w: float
    block: str = ""
    shared_w: float = inf


def places(wishes: Wishes, headrooms: Iterable[Headroom]) -> dict[str, Place]:
    """Every node that has a valid score and whose rack's headroom is known; of others nothing is proposed.

    Room is the least of now (power and cooling) and of the coming hour, where the forecast tells that.
    """
    known = {h.rack: h for h in headrooms if h.known}
    return {
        name: Place(
            rack=node.rack,
            score=node.score,
            room_w=min(known[node.rack].power_w, known[node.rack].cooling_w, _or_inf(known[node.rack].ahead_w)),
            block=node.cdu,
            shared_w=_or_inf(known[node.rack].shared_w),
        )
        for name, node in wishes.nodes.items()
        if node.rack in known
    }


def _or_inf(value_w: float) -> float:
    return inf if isnan(value_w) else value_w


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """keep_idle: by pool, idle nodes that it never lends; node_w: what a full node draws [W]; most_loans: at once."""

    keep_idle: Mapping[str, int]
    node_w: float
    least_score: int
    most_loans: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Lend `node` from lender to borrower, or (loan: its id) call that loan back."""

    node: str
    lender: str
    borrower: str
    why: str
    loan: str = ""


def propose(
    demands: Mapping[str, Demand], loans: Sequence[Loan], places: Mapping[str, Place], rules: Rules
) -> list[Proposal]:
    """Calls back what its borrower no longer needs, then lends what its lender does not need.

    A node whose rack's headroom is not known is never proposed, nor one whose rack can't take a full node more; several
    nodes of a rack, and of a loop, share its headroom. A pool with waiting work of its own lends nothing.
    """
    under_way = [loan for loan in loans if loan.state not in OVER]
    back = list(_calls_back(demands, under_way))
    lend = list(_lends(demands, under_way, places, rules))
    return back + lend


def _calls_back(demands: Mapping[str, Demand], loans: Sequence[Loan]) -> Iterator[Proposal]:
    """Of a lender that has waiting work, what lies idle at a borrower that has none; no more than it needs."""
    missing = {name: demand.waiting - len(demand.idle) for name, demand in demands.items()}
    for loan in loans:
        borrower = demands.get(loan.borrower)
        if loan.state is not LoanState.LENT or borrower is None or missing.get(loan.lender, 0) <= 0:
            continue
        if borrower.waiting == 0 and loan.node in borrower.idle:
            missing[loan.lender] -= 1
            why = f"{loan.lender} has work waiting, {loan.borrower} has none"
            yield Proposal(node=loan.node, lender=loan.lender, borrower=loan.borrower, why=why, loan=loan.id)


def _lends(
    demands: Mapping[str, Demand], loans: Sequence[Loan], places: Mapping[str, Place], rules: Rules
) -> Iterator[Proposal]:
    taken = {loan.node for loan in loans}
    room_w = {place.rack: place.room_w for place in places.values()}
    shared_w = {place.block: place.shared_w for place in places.values()}
    left = rules.most_loans - len(loans)
    spare = {name: _spare(name, demand, rules) for name, demand in demands.items()}
    missing = _missing(demands, loans)
    for borrower in sorted(missing, key=lambda name: (-missing[name], name)):
        for lender, node in _candidates(borrower, demands, places, rules.least_score):
            rack, block = places[node].rack, places[node].block
            if missing[borrower] <= 0 or left <= 0:
                break
            if node in taken or spare[lender] <= 0 or min(room_w[rack], shared_w[block]) < rules.node_w:
                continue
            missing[borrower] -= 1
            left, spare[lender] = left - 1, spare[lender] - 1
            why = f"{borrower} waits for nodes; score {places[node].score}, {rack} has {room_w[rack] / 1e3:.0f} kW left"
            room_w[rack] -= rules.node_w
            shared_w[block] -= rules.node_w
            taken.add(node)
            yield Proposal(node=node, lender=lender, borrower=borrower, why=why)


def _spare(name: str, demand: Demand, rules: Rules) -> int:
    return 0 if demand.waiting else len(demand.idle) - rules.keep_idle.get(name, 0)


def _missing(demands: Mapping[str, Demand], loans: Sequence[Loan]) -> dict[str, int]:
    """How many nodes each pool misses, beside those that are on their way to it."""
    coming = [loan.borrower for loan in loans if loan.state is not LoanState.LENT]
    return {name: d.waiting - len(d.idle) - coming.count(name) for name, d in demands.items()}


def _candidates(
    borrower: str, demands: Mapping[str, Demand], places: Mapping[str, Place], least_score: int
) -> list[tuple[str, str]]:
    """(lender, node) of all that lies idle elsewhere and is known to be cool enough, the coolest first."""
    found = [
        (lender, node)
        for lender, demand in demands.items()
        if lender != borrower
        for node in demand.idle
        if node in places and places[node].score >= least_score
    ]
    return sorted(found, key=lambda pair: (-places[pair[1]].score, pair[1]))
