"""What was learnt for clusters and mixes of pods, kept for those who ask again."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from placement.gpu_cluster import Node, Pod
from placement.node_worth import Worth

KEPT = 8
"""Cases that are remembered; those asked for longest ago are forgotten first."""
MOST_KINDS = 200
"""Kinds of pods with GPUs that count, and as many without: memory and time grow with nodes times kinds."""


@dataclass(frozen=True, slots=True)
class Case:
    """What worth depends on: how many nodes of each kind, and each request's share of the arrivals."""

    nodes: Mapping[object, int]
    mix: Mapping[object, float]

    def differs(self, other: Case) -> float:
        """By what share of the arrivals the mixes differ (total variation) [0..1]; 1 if the nodes are not the same."""
        if self.nodes != other.nodes:
            return 1.0
        requests = self.mix.keys() | other.mix.keys()
        return 0.5 * sum(abs(self.mix.get(request, 0.0) - other.mix.get(request, 0.0)) for request in requests)


def case_of(nodes: Iterable[Node], pods: Sequence[Pod]) -> Case:
    """The case of these nodes, where pods come of which these are a sample."""
    counts = Counter(pod.request for pod in pods)
    kinds: Counter[object] = Counter((node.model, node.cpu_milli, node.memory_mib, node.gpus) for node in nodes)
    return Case(kinds, {request: count / len(pods) for request, count in counts.items()})


def frequent(pods: Sequence[Pod], most: int = MOST_KINDS) -> list[Pod]:
    """The pods of the most frequent requests, with GPUs and without."""
    counted: set[object] = set()
    for with_gpus in (True, False):
        counts = Counter(pod.request for pod in pods if bool(pod.gpus) == with_gpus)
        counted.update(request for request, _ in counts.most_common(most))
    return [pod for pod in pods if pod.request in counted]


class Learnt:
    """A memory of what was learnt."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._known: OrderedDict[int, tuple[Case, Worth]] = OrderedDict()

    def find(self, case: Case, most: float) -> Worth | None:
        """What was learnt for the case, or for the mix most like it that differs by `most` [0..1] at most."""
        differ = {key: known.differs(case) for key, (known, _) in self._known.items()}
        best = min(differ, key=differ.__getitem__, default=None)
        if best is None or differ[best] > most:
            return None
        self._known.move_to_end(best)
        return self._known[best][1]

    def keep(self, case: Case, worth: Worth) -> None:
        """Remember it."""
        self._known[id(worth)] = (case, worth)
        while len(self._known) > self._kept:
            self._known.popitem(last=False)
