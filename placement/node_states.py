"""States of nodes on a grid: what a node may become while pods come, coarse enough to give each state a worth.

Nodes of one card, size and GPU count share a shape. A state of a shape is: packages with work; threads that are free in
them, by core; whole GPUs that are free; and free parts of GPUs, as far as pods that share GPUs can use them, in
quarters. Between the points of the grid figures are interpolated in threads and parts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from placement.fragmentation import Floats, Workload
from placement.gpu_cluster import GPU_MILLI, Cluster, Ints, Node
from placement.gpu_power import CORE_MILLI, NodePower, package_milli

PARTS = 5
"""Points of the grid for usable parts of GPUs: 0 to 1."""
FULL_USE = 0.95
"""A part that shares of GPUs fit well is used to so much, about."""
FEW = 0.2
"""A part that fewer of the pods with shares fit is of use only now and then."""
WHOLE_MILLI = 940
"""Who asks for so much of a GPU leaves nothing of use."""


@dataclass(frozen=True, slots=True)
class Points:
    """Where states lie on the grid: four of its points [s, 4], and what each counts."""

    index: Ints
    share: Floats

    def read(self, table: Floats) -> Floats:
        """A table over the grid, at the states [s]."""
        parts = table[self.index] * self.share
        # Four columns added are several times as fast as sums over rows of four.
        values: Floats = parts[:, 0] + parts[:, 1] + parts[:, 2] + parts[:, 3]
        return values


class NodeStates:
    """The grid of a cluster's shapes.

    Attributes:
        shapes: one node of each shape, as a cluster; its power.
        size: points of the grid; `shape`, `cpu_free`, `memory_free`, `gpu_free`, `whole`, `part`: the state of each.
    """

    def __init__(self, cluster: Cluster, workload: Workload) -> None:
        first = {_shape(cluster, node): node for node in range(len(cluster.nodes) - 1, -1, -1)}
        self._of = {shape: i for i, shape in enumerate(sorted(first))}
        self.shapes = Cluster(cluster.nodes[first[shape]] for shape in self._of)
        self.power = NodePower(self.shapes)
        self._usable = _usable(workload)
        self._lay_out()

    def of(self, cluster: Cluster) -> Ints:
        """The shape of each node of a cluster whose shapes are all known [n]."""
        return np.array([self._of[_shape(cluster, node)] for node in range(len(cluster.nodes))], dtype=np.int64)

    def parts(self, gpu_free: Ints) -> tuple[Ints, Floats]:
        """Whole GPUs that are free, and usable parts of others, one at most [s]."""
        whole = (gpu_free == GPU_MILLI).sum(axis=1)
        begun = np.where(gpu_free < GPU_MILLI, gpu_free, 0)
        part: Floats = np.minimum(self._usable[begun].sum(axis=1), 1.0)
        return whole, part

    def usable(self, milli: int) -> float:
        """What a free part of a GPU counts [GPUs]."""
        return float(self._usable[milli])

    def awake(self, shape: Ints, cpu_free: Ints) -> tuple[Ints, Ints]:
        """Packages with work, and the thousandths of threads that are free in them [s]."""
        awake = self.power.packages(shape, cpu_free).astype(np.int64)
        slack: Ints = np.maximum(self._upto[shape, awake] - (self.shapes.cpu[shape] - cpu_free), 0) * (awake > 0)
        return awake, slack

    def points(self, shape: Ints, awake: Ints, slack: Ints, whole: Ints, part: Floats) -> Points:
        """Where states lie: shape, `awake` packages and the threads free in them, whole GPUs and parts [s]."""
        rows, start = self._rows[shape, awake], self._start[shape, awake]
        row, up = _between(slack / CORE_MILLI, rows)
        column, right = _between(part * (PARTS - 1), np.full(len(shape), PARTS))
        per_row = (self.shapes.gpus[shape] + 1) * PARTS
        first = start + row * per_row + whole * PARTS + column
        above, beside = np.minimum(1, rows - 1 - row) * per_row, np.minimum(1, PARTS - 1 - column)
        index, share = np.empty((len(shape), 4), dtype=np.int64), np.empty((len(shape), 4))
        index[:, 0], index[:, 1], index[:, 2], index[:, 3] = (
            first,
            first + beside,
            first + above,
            first + above + beside,
        )
        low, left = 1 - up, 1 - right
        share[:, 0], share[:, 1], share[:, 2], share[:, 3] = low * left, low * right, up * left, up * right
        return Points(index, share)

    def _lay_out(self) -> None:
        """Give each state its place, shape by shape."""
        cpu, package = self.shapes.cpu, self.power.package_milli
        most = int(np.ceil(cpu / package).max(initial=0)) + 1
        self._upto: Ints = np.minimum(cpu[:, None], np.arange(most) * package[:, None])
        self._rows: Ints = np.diff(self._upto, axis=1, prepend=0) // CORE_MILLI + 1
        per_row = (self.shapes.gpus[:, None] + 1) * PARTS
        lengths = (self._rows * per_row).ravel()
        self._start: Ints = (np.cumsum(lengths) - lengths).reshape(self._rows.shape)
        self.size = int(lengths.sum())
        block = np.repeat(np.arange(len(lengths)), lengths)
        within = np.arange(self.size) - self._start.ravel()[block]
        self.shape, awake = block // most, block % most
        row, rest = within // per_row[self.shape, 0], within % per_row[self.shape, 0]
        self.whole, self.part = rest // PARTS, rest % PARTS / (PARTS - 1)
        used = np.maximum(self._upto[self.shape, awake] - row * CORE_MILLI, 0)
        self.cpu_free, self.memory_free = cpu[self.shape] - used, self.shapes.memory[self.shape]
        self.gpu_free = self._gpus()

    def _gpus(self) -> Ints:
        """GPUs as free as the states say [s, g]; parts are taken to be on one GPU."""
        slots = np.arange(self.shapes.gpu_free.shape[1])
        begun = np.minimum(self.part / FULL_USE * GPU_MILLI, GPU_MILLI - 1).astype(np.int64)
        partly = (slots == self.whole[:, None]) & (self.whole < self.shapes.gpus[self.shape])[:, None]
        free: Ints = np.where(slots < self.whole[:, None], GPU_MILLI, np.where(partly, begun[:, None], 0))
        return free


def most_points(nodes: Iterable[Node]) -> int:
    """How many points the grid of these nodes has at most, told without laying it out."""
    shapes = {(node.model, node.cpu_milli, node.gpus) for node in nodes}
    most = max((-(-cpu // package_milli(model)) for model, cpu, _ in shapes), default=0) + 1
    return sum((cpu // CORE_MILLI + most) * (gpus + 1) * PARTS for _, cpu, gpus in shapes)


def _shape(cluster: Cluster, node: int) -> tuple[str, int, int]:
    one = cluster.nodes[node]
    return (one.model, one.cpu_milli, one.gpus)


def _usable(workload: Workload) -> Floats:
    """What a free part counts, by its thousandths [GPUs]: little if few of the pods with shares fit it."""
    milli = np.arange(GPU_MILLI + 1)
    sharing = (workload.gpus == 1) & (workload.milli < GPU_MILLI)
    asked = workload.share_of.sum(axis=0)[sharing]
    fit = (workload.milli[sharing] <= milli[:, None]).astype(float) @ asked / max(float(asked.sum()), 1e-9)
    usable: Floats = FULL_USE * milli / GPU_MILLI * np.minimum(fit / FEW, 1.0)
    return usable


def _between(where: Floats, points: Ints) -> tuple[Ints, Floats]:
    """The point before, and how far the next one is reached; beyond the last is on it."""
    before = np.minimum(where.astype(np.int64), points - 1)
    share: Floats = np.where(before < points - 1, where - before, 0.0)
    return before, share
