"""Places that keep peaks down: by what rows, blocks and racks are expected to draw, not by how many nodes are free.

A block (a network leaf, or a CDU's racks) holds a job together; a row shares a feed. A job goes into one block if one
has room for all of it. Among those it takes the one whose row and block peak least with it, and in there the racks
whose expected power it levels. What "expected" means is the caller's: an upper estimate of each running job over the
horizon (`placement.job_power`), headroom and thermal state as the room that is left (`plant.records.Headroom`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

ROW_SHARE, BLOCK_SHARE = 0.7, 0.3
"""What a block is judged by: how full its row's feed will be, and its own cooling."""
TIGHT_SHARE = 0.02
"""A job that leaves no remainder in a block is worth this much of a row's power: large jobs need whole blocks."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """Which racks (r,) share a block and a row, by number; full_w: what each rack may draw [W] (r,)."""

    block: Ints
    row: Ints
    full_w: Floats

    @property
    def row_of_block(self) -> Ints:
        """A block lies in one row (b,)."""
        rows = np.zeros(int(self.block.max()) + 1, dtype=np.int64)
        rows[self.block] = self.row
        return rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Expected:
    """What racks are expected to draw at most over the horizon [W] (r,), and may at all: power and cooling [W] (r,).

    row_most_w: what a row's feed may carry [W] (n,).
    """

    rack_w: Floats
    rack_most_w: Floats
    row_most_w: Floats


def choose(layout: Layout, expected: Expected, free: Ints, nodes: int, rise_w: float) -> Ints | None:
    """Nodes by rack (r,) for a job of so many nodes, each of which draws rise_w [W] more than idle; None: no place.

    free: nodes that are free by rack (r,).
    """
    usable = np.minimum(free, _takes(expected, rise_w))
    room = np.bincount(layout.block, usable)
    row_w = np.bincount(layout.row, expected.rack_w)
    row_left = expected.row_most_w - row_w
    row_takes = _count(row_left, rise_w)
    room = np.minimum(room, row_takes[layout.row_of_block])
    whole = room >= nodes
    if whole.any():
        block = int(np.argmin(np.where(whole, _cost(layout, expected, room, nodes, rise_w), np.inf)))
        return level(expected, usable * (layout.block == block), nodes, rise_w)
    return _over_blocks(layout, expected, usable, room, row_takes, nodes, rise_w)


def _takes(expected: Expected, rise_w: float) -> Ints:
    """So many such nodes fit each rack's power and cooling."""
    return _count(expected.rack_most_w - expected.rack_w, rise_w)


def _count(left_w: Floats, rise_w: float) -> Ints:
    """How often rise_w [W] goes into it; a limit may be infinite."""
    return np.floor(left_w / max(rise_w, 1e-9) + 1e-9).clip(0.0, 1e9).astype(np.int64)


def _cost(layout: Layout, expected: Expected, room: Ints, nodes: int, rise_w: float) -> Floats:
    """How full row and block would be with the job in each block (b,)."""
    row_full = np.bincount(layout.row, layout.full_w)
    row_w = np.bincount(layout.row, expected.rack_w)
    block_full = np.bincount(layout.block, layout.full_w)
    block_w = np.bincount(layout.block, expected.rack_w)
    rows = ((row_w + nodes * rise_w) / row_full)[layout.row_of_block]
    blocks = (block_w + nodes * rise_w) / block_full
    return ROW_SHARE * rows + BLOCK_SHARE * blocks + TIGHT_SHARE * (1.0 - nodes / np.maximum(room, 1))


def level(expected: Expected, usable: Ints, nodes: int, rise_w: float) -> Ints:
    """Nodes by rack (r,), so that the fullest rack is as low as can be: water poured on what racks already draw."""
    racks = np.nonzero(usable)[0]
    base, most = expected.rack_w[racks], usable[racks]
    rise_w = max(rise_w, 1e-9)
    low, high = float(base.min()), float((base + most * rise_w).max()) + rise_w
    for _ in range(40):  # halving: to a 10^12th of the span
        middle = (low + high) / 2.0
        poured = np.clip(np.floor((middle - base) / rise_w), 0, most).sum()
        low, high = (low, middle) if poured >= nodes else (middle, high)
    counts = np.clip(np.floor((high - base) / rise_w), 0, most).astype(np.int64)
    over = int(counts.sum()) - nodes
    while over > 0:  # racks that reach the level together: take back from the fullest
        fullest = int(np.argmax(np.where(counts > 0, base + counts * rise_w, -np.inf)))
        counts[fullest] -= 1
        over -= 1
    found = np.zeros_like(usable)
    found[racks] = counts
    return found


def _over_blocks(
    layout: Layout, expected: Expected, usable: Ints, room: Ints, row_takes: Ints, nodes: int, rise_w: float
) -> Ints | None:
    """The fewest blocks that hold it, always one more of the row that is then least full; levelled over all of them."""
    parts = _parts(layout, expected, room, row_takes, nodes, rise_w)
    if parts is None:
        return None
    levelled = level(expected, usable * (parts > 0)[layout.block], nodes, rise_w)
    if (np.bincount(layout.row, levelled) <= row_takes).all():
        return levelled
    found = np.zeros_like(usable)
    for block in np.nonzero(parts)[0]:
        found += level(expected, usable * (layout.block == block), int(parts[block]), rise_w)
    return found


def _parts(layout: Layout, expected: Expected, room: Ints, row_takes: Ints, nodes: int, rise_w: float) -> Ints | None:
    """Nodes by block (b,), none where there is no room for all of them."""
    row_of, row_left, left = layout.row_of_block, row_takes.copy(), nodes
    row_w, row_full = (np.bincount(layout.row, w) for w in (expected.rack_w, layout.full_w))
    parts, open_room = np.zeros_like(room), room.copy()
    while left > 0:
        open_room = np.minimum(open_room, row_left[row_of])
        if open_room.sum() < left:
            return None
        largest = np.sort(open_room)[::-1]
        others = int(np.searchsorted(np.cumsum(largest), left))  # blocks that are needed beside this one
        enough = open_room >= max(left - int(largest[:others].sum()), 1)
        part = np.minimum(open_room, left)
        block = int(np.argmin(np.where(enough, (row_w / row_full)[row_of] - 1e-6 * part, np.inf)))
        taken = int(part[block])
        parts[block] = taken
        row_w[row_of[block]] += taken * rise_w
        row_left[row_of[block]] -= taken
        open_room[block] = 0
        left -= taken
    return parts
