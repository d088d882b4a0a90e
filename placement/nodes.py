"""One integer score 0..100 for each node of the schedulers, from the headroom of its rack; ten thousand at a time.

A score is absolute, so that it means the same tomorrow: 100 costs nothing and strains nothing. A node that is not known
never looks better than one that is (PEAKS gave nodes without metrics its best score), and a node without room gets 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from placement.node_table import ROOM_SHARE, Array, NodeTable
from plant.records import Message, Params

NEUTRAL = 50
"""Score of a node whose telemetry is stale or missing, unless a node that fits has less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeHint:
    """One node for a workload. Watts; score 0..100; marginal_cooling_w: what the workload costs the facility there."""

    node: str
    rack: str
    score: int
    fits: bool
    known: bool
    room_w: float
    marginal_cooling_w: float
    reasons: tuple[Message, ...]


def for_now(table: NodeTable) -> NodeTable:
    """The same table for work that can be stopped again at any time: what the forecast may take back counts too."""
    return replace(table, room_w=table.now_w)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """All nodes for one power, (n,): score, whether it fits, and the order from the best to the worst."""

    power_w: float
    made: npt.NDArray[np.int64]
    fits: npt.NDArray[np.bool_]
    order: npt.NDArray[np.intp]


def judged(table: NodeTable, power_w: float) -> Judged:
    """Every node for power_w [W] more on it; ties in the table's order, what is known before what is not."""
    made, fits = _scored(table, power_w)
    # sixteen bits: numpy sorts them by radix, ten times as fast
    order = np.argsort((-2 * made - table.known).astype(np.int16), kind="stable")
    return Judged(power_w=power_w, made=made, fits=fits, order=order)


def scores(table: NodeTable, power_w: float | Array) -> npt.NDArray[np.int64]:
    """Score of each node for power_w [W] more on it, one figure or (n,); shape (n,)."""
    return _scored(table, power_w)[0]


def _scored(table: NodeTable, power_w: float | Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    left = _unit((np.minimum(table.room_w, table.cap_w) - power_w) / table.full_w)
    block_left = _unit((table.block_w - power_w) / table.block_full_w)
    left = np.where(np.isfinite(block_left), (left + block_left) / 2.0, left)
    points = table.base + 99.0 * ROOM_SHARE * left
    allowed = table.cap_w >= power_w
    fits = table.known & allowed & (table.room_w >= power_w)
    made = np.where(fits, np.rint(points), 0.0)
    unknown = allowed & ~table.known
    made[unknown] = _neutral(made, fits)
    return made.astype(np.int64), fits


def _unit(values: Array) -> Array:
    """Cut to 0..1; half as dear as numpy's own clip."""
    return np.minimum(np.maximum(values, 0.0), 1.0)


def neutral_score(table: NodeTable, made: npt.NDArray[np.int64], power_w: float) -> int:
    """What a node gets that the table does not have, beside the scores made of it for power_w [W]."""
    return _neutral(made, table.known & (table.cap_w >= power_w) & (table.room_w >= power_w))


def _neutral(made: npt.NDArray[Any], fits: npt.NDArray[np.bool_]) -> int:
    return min(NEUTRAL, int(made[fits].min())) if fits.any() else NEUTRAL


def best(table: NodeTable, power_w: float, k: int) -> list[NodeHint]:
    """The k best nodes for power_w [W] more on one node, best first, ties by the table's order."""
    return first(table, judged(table, power_w), k)


def first(table: NodeTable, found: Judged, k: int) -> list[NodeHint]:
    """The k best nodes of those that were judged."""
    return [_hint(table, i, int(found.made[i]), found.power_w) for i in found.order[:k].tolist()]


def explain(table: NodeTable, node: str, power_w: float) -> NodeHint:
    """One node's hint.

    Raises:
        KeyError: no such node.
    """
    if node not in table.names:
        raise KeyError(node)
    index = table.names.index(node)
    return _hint(table, index, int(scores(table, power_w)[index]), power_w)


def _hint(table: NodeTable, i: int, score: int, power_w: float) -> NodeHint:
    room_w, cooling_w = min(float(table.room_w[i]), float(table.cap_w[i])), float(table.marginal[i]) * power_w
    known = bool(table.known[i])
    return NodeHint(
        node=table.names[i],
        rack=table.racks[i],
        score=score,
        fits=known and room_w >= power_w,
        known=known,
        room_w=room_w,
        marginal_cooling_w=cooling_w if known else math.nan,
        reasons=reasons(table, i, power_w),
    )


def reasons(table: NodeTable, i: int, power_w: float) -> tuple[Message, ...]:
    """Why node number i has its score for power_w [W]."""
    rack, cap_w = table.racks[i], float(table.cap_w[i])
    if cap_w < power_w:
        text = f"the budget of {table.capped_by[i]} leaves {cap_w / 1e3:.1f} kW"
        params: Params = {"scope": table.capped_by[i], "room_w": cap_w}
        return (Message(code="hint.budget_short", text=text, params=params),)
    if not table.known[i]:
        text = f"{rack}: {table.why[i]}; neutral"
        return (Message(code="hint.unknown", text=text, params={"rack": rack, "reason": table.why[i]}),)
    spare_w = float(table.room_w[i]) - power_w
    if spare_w < 0:
        limit = table.limits[i]
        text = f"{rack} is {-spare_w / 1e3:.1f} kW short of room" + (f" ({limit})" if limit else "")
        given: Params = {"rack": rack, "short_w": -spare_w, "limit": limit}
        return (Message(code="hint.room_short", text=text, params=given),)
    cooling_w, calm_s = float(table.marginal[i]) * power_w, float(table.calm_s[i])
    text = f"{rack} keeps {spare_w / 1e3:.1f} kW of room"
    found = [Message(code="hint.room", text=text, params={"rack": rack, "spare_w": spare_w})]
    text = f"costs about {cooling_w / 1e3:.2f} kW more cooling power"
    found.append(Message(code="hint.marginal", text=text, params={"cooling_w": cooling_w}))
    if math.isfinite(calm_s):
        text = f"{calm_s:.0f} s of ride-through if a pump stops"
        found.append(Message(code="hint.calm", text=text, params={"calm_s": calm_s}))
    return tuple(found)
