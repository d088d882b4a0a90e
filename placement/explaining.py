"""Why one node comes before another: the parts of both scores, and what makes the difference. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from placement.node_table import CALM_S, CALM_SHARE, COST_SHARE, DEAREST_W_PER_W, ROOM_SHARE, NodeTable
from placement.nodes import NodeHint, explain
from plant.records import Message, Params

WORDS = {
    "cost": "{first} costs {a:.3f} W of cooling for each watt of IT, {second} {b:.3f} W",
    "room": "{first} keeps {a:.1f} kW of room, {second} {b:.1f} kW",
    "block": "the CDU of {first} keeps {a:.1f} kW of room, that of {second} {b:.1f} kW",
    "calm": "{first} has {a:.0f} s of ride-through if a pump stops, {second} {b:.0f} s",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Points of a score: for cheap cooling, room in rack and block (CDU or loop), ride-through; with 1 the score."""

    cost: float
    room: float
    block: float
    calm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two nodes for the same power_w [W]; `first` is the better one, "" where equal; why: most telling first."""

    power_w: float
    node: NodeHint
    before: NodeHint
    node_parts: Parts
    before_parts: Parts
    first: str
    why: tuple[Message, ...]


def compare(table: NodeTable, node: str, before: str, power_w: float) -> Comparison:
    """Two nodes side by side.

    Raises:
        KeyError: no such node.
    """
    one, other = explain(table, node, power_w), explain(table, before, power_w)
    better, worse = (one, other) if _order(one) >= _order(other) else (other, one)
    equal = _order(one) == _order(other)
    return Comparison(
        power_w=power_w,
        node=one,
        before=other,
        node_parts=_parts(table, node, power_w),
        before_parts=_parts(table, before, power_w),
        first="" if equal else better.node,
        why=(_equal(one, other),) if equal else _why(table, better, worse, power_w),
    )


def _order(hint: NodeHint) -> tuple[int, bool]:
    return hint.score, hint.known


def _parts(table: NodeTable, node: str, power_w: float) -> Parts:
    i = table.names.index(node)
    if not table.known[i]:
        return Parts(cost=0.0, room=0.0, block=0.0, calm=0.0)
    left = (min(table.room_w[i], table.cap_w[i]) - power_w) / table.full_w[i]
    block_left = float((table.block_w[i] - power_w) / table.block_full_w[i])
    share = ROOM_SHARE / 2.0 if math.isfinite(block_left) else ROOM_SHARE
    return Parts(
        cost=99.0 * COST_SHARE * (1.0 - _unit(table.marginal[i] / DEAREST_W_PER_W)),
        room=99.0 * share * _unit(left),
        block=99.0 * share * _unit(block_left) if math.isfinite(block_left) else 0.0,
        calm=99.0 * CALM_SHARE * _unit(table.calm_s[i] / CALM_S),
    )


def _unit(value: float) -> float:
    return float(min(max(value, 0.0), 1.0))


def _why(table: NodeTable, better: NodeHint, worse: NodeHint, power_w: float) -> tuple[Message, ...]:
    """What the worse node lacks, where it does not fit or is not known; else the parts in which it falls behind."""
    if not (worse.fits and better.fits):
        return worse.reasons
    more, less = (_parts(table, hint.node, power_w) for hint in (better, worse))
    gains = {name: getattr(more, name) - getattr(less, name) for name in WORDS}
    i, j = table.names.index(better.node), table.names.index(worse.node)
    shown = {
        "cost": (float(table.marginal[i]), float(table.marginal[j])),
        "room": ((better.room_w - power_w) / 1e3, (worse.room_w - power_w) / 1e3),
        "block": ((table.block_w[i] - power_w) / 1e3, (table.block_w[j] - power_w) / 1e3),
        "calm": (float(table.calm_s[i]), float(table.calm_s[j])),
    }
    telling = sorted((name for name, gain in gains.items() if gain > 0), key=lambda name: -gains[name])
    return tuple(_message(name, better, worse, *shown[name], gains[name]) for name in telling)


def _message(name: str, better: NodeHint, worse: NodeHint, a: float, b: float, gain: float) -> Message:
    text = WORDS[name].format(first=better.node, second=worse.node, a=a, b=b) + f": {gain:.1f} points"
    params: Params = {"first": better.node, "second": worse.node, "points": gain, "a": a, "b": b}
    return Message(code=f"hint.more_{name}", text=text.replace("inf s", "no end"), params=params)


def _equal(one: NodeHint, other: NodeHint) -> Message:
    text = f"{one.node} and {other.node} are equal; the site file's order decides"
    return Message(code="hint.equal", text=text, params={"first": one.node, "second": other.node})
