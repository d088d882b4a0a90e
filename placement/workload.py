"""Nodes for a whole workload: the best ones, and enough of them together where it wants to stay together. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from placement.node_table import Array, NodeTable
from placement.nodes import Judged, for_now

Locality = Literal["any", "rack", "cdu", "leaf"]
_SOME = 64
SHORT_S = 600.0
"""A workload that is over sooner than this takes what is free now, whatever the forecast says of later [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What is to be placed: power_w on each of `nodes` nodes [W] for duration_s [s], together if asked."""

    power_w: float
    nodes: int = 1
    duration_s: float = float("inf")
    interruptible: bool = False
    locality: Locality = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Nodes for the whole workload, best first; `enough` where all fit together; block: their rack, CDU or leaf."""

    nodes: tuple[str, ...]
    enough: bool
    block: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """Where nodes stand, as numbers: rack, block (CDU or loop) and network leaf of each node, (n,), with their names.

    leaves: empty where nobody told them; then no node has one.
    """

    rack: npt.NDArray[np.intp]
    block: npt.NDArray[np.intp]
    leaf: npt.NDArray[np.intp]
    racks: tuple[str, ...]
    blocks: tuple[str, ...]
    leaves: tuple[str, ...]


def layout_of(nodes: Mapping[str, str], blocks: Mapping[str, str], leaves: Mapping[str, str] | None = None) -> Layout:
    """nodes: node -> rack; blocks: rack -> CDU or loop; racks that nothing cools are blocks of their own.

    leaves: node -> network leaf; a node without one is a leaf of its own.
    """
    of_node = {node: (leaves or {}).get(node, node) for node in nodes} if leaves else {}
    named = {leaf: i for i, leaf in enumerate(dict.fromkeys(of_node.values()))}
    racks = {rack: i for i, rack in enumerate(dict.fromkeys(nodes.values()))}
    of_rack = {rack: blocks.get(rack, rack) for rack in racks}
    names = {block: i for i, block in enumerate(dict.fromkeys(of_rack.values()))}
    return Layout(
        rack=np.array([racks[r] for r in nodes.values()], dtype=np.intp),
        block=np.array([names[of_rack[r]] for r in nodes.values()], dtype=np.intp),
        leaf=np.array([named[of_node[n]] for n in nodes] if leaves else [0] * len(nodes), dtype=np.intp),
        racks=tuple(racks),
        blocks=tuple(names),
        leaves=tuple(named),
    )


def judged_for(table: NodeTable, work: Workload) -> NodeTable:
    """The table as it counts for a workload: what can be stopped, or ends soon, may use what is only free for now."""
    return for_now(table) if work.interruptible or work.duration_s < SHORT_S else table


def place(table: NodeTable, found: Judged, layout: Layout, shared_w: Array, work: Workload) -> Place:
    """Nodes for all of it. table: as `judged_for` gives it, `found` of it; shared_w: room of each block, (blocks,) [W].

    Racks, blocks and budgets take no more than their room, however many nodes of them look good one by one. A node
    that is not known is never chosen.
    """
    order = found.order[found.fits[found.order]]
    if work.locality == "any" and not layout.leaves:
        return _told(table, fill(table, layout, shared_w, work, order), work, "")
    codes, names = _together(layout, work.locality)
    number = _takes(table, layout, work, order, codes, len(names))
    any_leaf = work.locality == "any"
    hopeless = any_leaf and number.max(initial=0) < work.nodes
    best, code = ((), 0) if hopeless else _best_block(table, layout, shared_w, work, order, codes, number)
    if len(best) < work.nodes and any_leaf:
        # no leaf holds all of it: as few leaves as can be, those with most nodes that fit first
        spread = order[np.argsort(-number[codes[order]] * len(names) + codes[order], kind="stable")]
        return _told(table, fill(table, layout, shared_w, work, spread), work, "")
    return _told(table, best, work, names[code] if best else "")


def _together(layout: Layout, locality: Locality) -> tuple[npt.NDArray[np.intp], tuple[str, ...]]:
    """By what nodes stay together, as numbers and names; where leaves are not known, a leaf is a CDU."""
    if locality == "rack":
        return layout.rack, layout.racks
    if locality == "cdu" or not layout.leaves:
        return layout.block, layout.blocks
    return layout.leaf, layout.leaves


def _takes(
    table: NodeTable,
    layout: Layout,
    work: Workload,
    order: npt.NDArray[np.intp],
    codes: npt.NDArray[np.intp],
    blocks: int,
) -> npt.NDArray[np.intp]:
    """So many nodes each block takes at most (blocks,), by its racks' rooms alone."""
    racks = len(layout.racks)
    parts, first, number = np.unique(codes[order] * racks + layout.rack[order], return_index=True, return_counts=True)
    room_w = table.room_w[order[first]]
    most = np.minimum(number, np.floor(room_w / work.power_w + 1e-9))
    return np.bincount(parts // racks, most, minlength=blocks).astype(np.intp)


def _best_block(
    table: NodeTable,
    layout: Layout,
    shared_w: Array,
    work: Workload,
    order: npt.NDArray[np.intp],
    codes: npt.NDArray[np.intp],
    takes: npt.NDArray[np.intp],
) -> tuple[tuple[int, ...], int]:
    """The first block that holds all of it in the order of its best node, else the one that holds most.

    takes: nodes that a block takes at most.
    """
    enough = takes[codes[order]] >= work.nodes
    number, best, block = takes.copy(), tuple[int, ...](), 0
    for part in (order[enough], order[~enough]):
        rest = part[number[codes[part]] > len(best)]
        while len(rest) and len(best) < work.nodes:
            code = int(codes[rest[0]])
            chosen = fill(table, layout, shared_w, work, rest[codes[rest] == code])
            best, block = (chosen, code) if len(chosen) > len(best) else (best, block)
            number[code] = 0
            rest = rest[number[codes[rest]] > len(best)]
    return best, block


def _told(table: NodeTable, chosen: tuple[int, ...], work: Workload, block: str) -> Place:
    return Place(nodes=tuple(table.names[i] for i in chosen), enough=len(chosen) == work.nodes, block=block)


def fill(
    table: NodeTable, layout: Layout, shared_w: Array, work: Workload, order: npt.NDArray[np.intp]
) -> tuple[int, ...]:
    """The first nodes of an order that racks, blocks and budgets can carry together."""
    racks: dict[int, float] = {}
    blocks: dict[int, float] = {}
    budgets: dict[str, float] = {}
    chosen: list[int] = []
    for i in _one_by_one(order):
        rack, block, under = int(layout.rack[i]), int(layout.block[i]), table.under[i]
        rack_w = racks.get(rack, float(table.room_w[i]))
        block_w = blocks.get(block, float(shared_w[block]))
        budget_w = min((budgets.get(cap.scope, cap.room_w * cap.share) / cap.share for cap in under), default=np.inf)
        if min(rack_w, block_w, budget_w) >= work.power_w:
            chosen.append(i)
            racks[rack], blocks[block] = rack_w - work.power_w, block_w - work.power_w
            for cap in under:
                budgets[cap.scope] = budgets.get(cap.scope, cap.room_w * cap.share) - cap.share * work.power_w
            if len(chosen) == work.nodes:
                break
    return tuple(chosen)


def _one_by_one(order: npt.NDArray[np.intp]) -> Iterator[int]:
    """As plain numbers, some at a time: few are looked at."""
    for start in range(0, len(order), _SOME):
        yield from order[start : start + _SOME].tolist()
