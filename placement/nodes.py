"""One integer score 0..100 for each node of the schedulers, from the headroom of its rack; ten thousand at a time.

A score is absolute, so that it means the same tomorrow: 100 costs nothing and strains nothing. A node that is not known
never looks better than one that is (PEAKS gave nodes without metrics its best score), and a node without room gets 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from placement.budgets import Cap
from plant.records import Headroom, Message, Params

Array = npt.NDArray[np.float64]

NEUTRAL = 50
"""Score of a node whose telemetry is stale or missing, unless a node that fits has less."""
COST_SHARE, ROOM_SHARE, CALM_SHARE = 0.5, 0.3, 0.2
"""What a score is made of: marginal cooling power, room left afterwards, and time left if a pump stops.

Room is half that of the rack, half that of its CDU or loop, so that those fill evenly.
"""
DEAREST_W_PER_W = 0.5
"""Cooling watts per IT watt that earn nothing: a chiller of COP 3 with its pumps and fans."""
CALM_S = 120.0
"""Ride-through from which more is no better [s]: jobs can be checkpointed and moved in it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NodeTable:
    """What is known of each node, arrays of shape (n,).

    room_w: watts that its rack (and what feeds it) can still take, now and over the forecast's horizon; now_w: now;
    limits: what lets it take no more; ahead: whether a forecast told; full_w: the rack's own power, to compare with;
    base: points for cheap cooling and ride-through; marginal: cooling W per IT W; calm_s: ride-through [s], inf where
    the rest of its loop carries the heat for good; cap_w: watts that power budgets let its rack add, inf without one;
    capped_by: whose budget that is; under: all budgets over it; block_w, block_full_w: what the racks of its CDU or
    loop can still take together, and draw at most; why: reason where not known.
    """

    names: tuple[str, ...]
    racks: tuple[str, ...]
    room_w: Array
    now_w: Array
    limits: tuple[str, ...]
    ahead: npt.NDArray[np.bool_]
    full_w: Array
    base: Array
    marginal: Array
    calm_s: Array
    cap_w: Array
    capped_by: tuple[str, ...]
    under: tuple[tuple[Cap, ...], ...]
    block_w: Array
    block_full_w: Array
    known: npt.NDArray[np.bool_]
    why: tuple[str, ...]
    made_s: float
    expires_s: float


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


def node_table(
    nodes: Mapping[str, str],
    headrooms: Sequence[Headroom],
    full_w: Mapping[str, float],
    calm_s: Mapping[str, float],
    now_s: float,
    max_age_s: float,
    caps: Mapping[str, Cap] | None = None,
    blocks: Mapping[str, str] | None = None,
) -> NodeTable:
    """Everything by node. nodes: node -> rack; full_w: rack -> its power [W]; calm_s: rack -> ride-through [s].

    caps: rack -> what power budgets leave it; blocks: rack -> its CDU or loop, so that those fill evenly.
    """
    caps = caps or {}
    under = {rack: cap.all for rack, cap in caps.items()}
    found = {h.rack: h for h in headrooms}
    why = {rack: _why(found.get(rack), now_s, max_age_s) for rack in set(nodes.values())}
    racks = tuple(nodes.values())
    known = np.array([not why[r] for r in racks], dtype=np.bool_)
    rows = [(found[r], full_w.get(r, math.nan), calm_s.get(r, 0.0)) if not why[r] else None for r in racks]
    columns = np.array(
        [
            (min(h.power_w, h.cooling_w), full, h.marginal_w_per_w, calm, h.ahead_w)
            for h, full, calm in (row or (_NOTHING, 1.0, 0.0) for row in rows)
        ]
    ).reshape(-1, 5)
    now_w, ahead = np.maximum(columns[:, 0], 0.0), known & np.isfinite(columns[:, 4])
    limit = {rack: _limit(found[rack]) for rack, unknown in why.items() if not unknown}
    used = [h.at_s + max_age_s for h in headrooms if not why.get(h.rack, "x")]
    room_w = np.where(ahead, np.clip(columns[:, 4], 0.0, now_w), now_w)
    told = {rack: room for rack, room, sure in zip(racks, room_w.tolist(), known.tolist(), strict=True) if sure}
    block_w, block_full_w = _blocks(racks, told, full_w, blocks or {})
    return NodeTable(
        names=tuple(nodes),
        racks=racks,
        room_w=room_w,
        now_w=now_w,
        limits=tuple(limit.get(r, "") for r in racks),
        ahead=ahead,
        full_w=columns[:, 1],
        base=_base(columns[:, 2], columns[:, 3]),
        marginal=columns[:, 2],
        calm_s=columns[:, 3],
        cap_w=np.array([caps[r].room_w if r in caps else math.inf for r in racks], dtype=np.float64),
        capped_by=tuple(caps[r].scope if r in caps else "" for r in racks),
        under=tuple(under.get(r, ()) for r in racks),
        block_w=block_w,
        block_full_w=block_full_w,
        known=known,
        why=tuple(why[r] for r in racks),
        made_s=now_s,
        expires_s=min([now_s + max_age_s, *used]),
    )


_NOTHING = Headroom(rack="", at_s=0.0, power_w=0.0, cooling_w=0.0, marginal_w_per_w=1.0, known=False)


def _blocks(
    racks: Sequence[str], room_w: Mapping[str, float], full_w: Mapping[str, float], blocks: Mapping[str, str]
) -> tuple[Array, Array]:
    """Room and full power [W] of the block of each node's rack, (n,); NaN where nobody tells of any of its racks."""
    room: dict[str, float] = {}
    full: dict[str, float] = {}
    for rack in room_w:
        block = blocks.get(rack, rack)
        room[block] = room.get(block, 0.0) + room_w[rack]
        full[block] = full.get(block, 0.0) + full_w.get(rack, math.nan)
    of = [blocks.get(rack, rack) for rack in racks]
    rooms, fulls = ([found.get(block, math.nan) for block in of] for found in (room, full))
    return np.array(rooms, dtype=np.float64), np.array(fulls, dtype=np.float64)


def _base(marginal: Array, calm_s: Array) -> Array:
    cheap = 1.0 - np.clip(marginal / DEAREST_W_PER_W, 0.0, 1.0)
    calm = np.clip(calm_s / CALM_S, 0.0, 1.0)
    return np.asarray(1.0 + 99.0 * (COST_SHARE * cheap + CALM_SHARE * calm), dtype=np.float64)


def for_now(table: NodeTable) -> NodeTable:
    """The same table for work that can be stopped again at any time: what the forecast may take back counts too."""
    return replace(table, room_w=table.now_w)


def _limit(headroom: Headroom) -> str:
    lower_later = headroom.ahead_w < min(headroom.power_w, headroom.cooling_w)
    return headroom.ahead_limiting if lower_later else headroom.limiting


def _why(headroom: Headroom | None, now_s: float, max_age_s: float) -> str:
    if headroom is None:
        return "no headroom has been computed for its rack"
    if not headroom.known:
        return headroom.reason or "its rack's telemetry is not good"
    if not 0 <= now_s - headroom.at_s <= max_age_s:
        return f"its rack's headroom is {now_s - headroom.at_s:.0f} s old"
    values = (headroom.power_w, headroom.cooling_w, headroom.marginal_w_per_w)
    return "" if all(map(math.isfinite, values)) else "its rack's headroom is no number"


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
