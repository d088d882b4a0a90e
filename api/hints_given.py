"""Hints for workloads as given, and which of them still hold."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from api.problems import ProblemError
from placement.hint_list import InputAge
from placement.nodes import NodeHint
from placement.workload import Place

MOST_KEPT = 10_000
"""Hints that can still be asked for by their id; older ones are forgotten."""


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


@dataclass(slots=True)
class HintsGiven:
    """The newest hints by id."""

    _kept: OrderedDict[str, WorkloadHints] = field(default_factory=OrderedDict)
    _ended: set[str] = field(default_factory=set)

    def keep(self, hints: WorkloadHints) -> None:
        """The oldest one makes room."""
        self._kept[hints.id] = hints
        if len(self._kept) > MOST_KEPT:
            self._ended.discard(self._kept.popitem(last=False)[0])

    def valid(self, hint_id: str, at_s: float) -> WorkloadHints:
        """The hint of that id, as long as it is valid at at_s [s since 1970, site clock].

        Raises:
            ProblemError: 404 never given or forgotten, 410 expired.
        """
        found = self._kept.get(hint_id)
        if found is None:
            raise ProblemError(404, f"no hint {hint_id!r}", "ask for a new one: POST /v1/hints")
        late_s = at_s - found.valid_until
        if late_s >= 0:
            text = f"hint {hint_id} expired {late_s:.0f} s ago; headroom may be gone"
            raise ProblemError(410, text, "ask for a new one: POST /v1/hints")
        return found

    def ended(self, hint_id: str) -> None:
        """Note that its outcome has been told."""
        self._ended.add(hint_id)

    def check_open(self, hint_id: str) -> None:
        """Only the first outcome of a hint counts.

        Raises:
            ProblemError: 409, it has been told already.
        """
        if hint_id in self._ended:
            raise ProblemError(409, f"the outcome of hint {hint_id} has been told already", "one outcome for each hint")
