"""What is known of each node: reckoned by rack, as all nodes of a rack share everything but the name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from placement.budgets import Cap
from plant.records import Headroom

Array = npt.NDArray[np.float64]

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
    racks = tuple(dict.fromkeys(nodes.values()))
    return node_rows(rack_table(racks, headrooms, full_w, calm_s, now_s, max_age_s, caps, blocks), nodes)


def node_rows(table: NodeTable, nodes: Mapping[str, str]) -> NodeTable:
    """A row for each node, from a table with one for each rack. nodes: node -> rack."""
    number = {rack: i for i, rack in enumerate(table.racks)}
    return replace(rows_of(table, [number[rack] for rack in nodes.values()]), names=tuple(nodes))


def rack_rows(table: NodeTable) -> NodeTable:
    """One row for each rack, that of its first node."""
    first: dict[str, int] = {}
    for i, rack in enumerate(table.racks):
        first.setdefault(rack, i)
    return rows_of(table, list(first.values()))


def rows_of(table: NodeTable, rows: Sequence[int]) -> NodeTable:
    """These rows of it, in this order; a row may come more than once."""
    index = np.asarray(rows, dtype=np.intp)
    taken: dict[str, Any] = {
        f.name: value[index] if isinstance(value, np.ndarray) else tuple([value[i] for i in rows])
        for f in fields(table)
        if not isinstance(value := getattr(table, f.name), float)
    }
    return replace(table, **taken)


def rack_table(
    racks: tuple[str, ...],
    headrooms: Sequence[Headroom],
    full_w: Mapping[str, float],
    calm_s: Mapping[str, float],
    now_s: float,
    max_age_s: float,
    caps: Mapping[str, Cap] | None = None,
    blocks: Mapping[str, str] | None = None,
) -> NodeTable:
    """As `node_table`, a row for each rack, named as itself."""
    caps, blocks = caps or {}, blocks or {}
    under = {rack: cap.all for rack, cap in caps.items()}
    found = {h.rack: h for h in headrooms}
    why = {rack: _why(found.get(rack), now_s, max_age_s) for rack in racks}
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
    block_w, block_full_w = _blocks(racks, told, full_w, blocks)
    return NodeTable(
        names=racks,
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
