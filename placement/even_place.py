"""A workload's nodes spread so that the fullest feed, CDU (or network leaf) and rack stay as low as can be. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from placement.balance import Expected, choose
from placement.balance import Layout as Racks
from placement.node_table import Array, NodeTable
from placement.nodes import Judged
from placement.workload import Layout, Place, Workload, fill

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draws:
    """Of each rack in the order of the layout's (racks,): what it draws now and may at most [W], and its feed's number.

    Feeds are numbered from 0 without gaps; a rack whose power is not known counts with its most.
    """

    power_w: Array
    full_w: Array
    feed: Ints


def even_place(
    table: NodeTable, found: Judged, layout: Layout, draws: Draws, shared_w: Array, work: Workload
) -> Place | None:
    """Nodes for all of it, by `placement.balance`; None where it can't have them all so, together where it wants that.

    table: as `judged_for` gives it, `found` of it; shared_w: room of each block, (blocks,) [W]. Rooms, budgets and
    blocks are held as `placement.workload.place` holds them; a node that is not known is never chosen.
    """
    block = _blocks(layout, work)
    if block is None:
        return None
    order = found.order[found.fits[found.order]]
    room_w = np.zeros(len(layout.racks))
    room_w[layout.rack] = np.minimum(table.room_w, table.cap_w)
    counts = choose(
        Racks(block=block, row=draws.feed, full_w=draws.full_w),
        Expected(
            rack_w=draws.power_w,
            rack_most_w=draws.power_w + room_w,
            row_most_w=np.full(int(draws.feed.max()) + 1, np.inf),
        ),
        np.bincount(layout.rack[order], minlength=len(layout.racks)),
        work.nodes,
        work.power_w,
    )
    if counts is None:
        return None
    chosen = fill(table, layout, shared_w, work, _first(layout.rack[order], order, counts))
    blocks = {int(block[layout.rack[i]]) for i in chosen}
    if len(chosen) < work.nodes or (work.locality != "any" and len(blocks) > 1):
        return None
    names = layout.leaves if _by_leaf(layout, work) else layout.blocks
    return Place(
        nodes=tuple(table.names[i] for i in chosen),
        enough=True,
        block=names[blocks.pop()] if len(blocks) == 1 else "",
    )


def _by_leaf(layout: Layout, work: Workload) -> bool:
    return bool(layout.leaves) and work.locality != "cdu"


def _blocks(layout: Layout, work: Workload) -> Ints | None:
    """What holds a job together, by rack (racks,); None where that is one rack, or a rack lies in several leaves."""
    if work.locality == "rack":
        return None
    of_node = layout.leaf if _by_leaf(layout, work) else layout.block
    block = np.zeros(len(layout.racks), dtype=np.int64)
    block[layout.rack] = of_node
    return block if (block[layout.rack] == of_node).all() else None


def _first(racks: npt.NDArray[np.intp], order: npt.NDArray[np.intp], counts: Ints) -> npt.NDArray[np.intp]:
    """So many nodes of each rack, the best ones, in their order."""
    by_rack = np.argsort(racks, kind="stable")
    number = np.empty(len(racks), dtype=np.int64)
    starts = np.concatenate(([0], np.cumsum(np.bincount(racks, minlength=len(counts)))[:-1]))
    number[by_rack] = np.arange(len(racks)) - starts[racks[by_rack]]
    return order[number < counts[racks]]
