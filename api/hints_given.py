"""Hints for workloads as given, and which of them still hold."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from api.problems import ProblemError
from placement.workload_hints import WorkloadHints

MOST_KEPT = 10_000
"""Hints that can still be asked for by their id; older ones are forgotten."""


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
