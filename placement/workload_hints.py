"""The answer to a workload: what the API gives and its client reads."""

from __future__ import annotations

from dataclasses import dataclass

from placement.hint_list import InputAge
from placement.nodes import NodeHint
from placement.workload import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadHints:
    """The best nodes one by one, and a place for all of it; times [s since 1970, site clock], power of a node [W].

    valid_until: from then on it says nothing and is answered as expired.
    """

    id: str
    generated_at: float
    valid_until: float
    model_version: str
    confidence: float
    inputs: tuple[InputAge, ...]
    node_power_w: float
    nodes: tuple[NodeHint, ...]
    place: Place
