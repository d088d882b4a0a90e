"""Hints for workloads as given, and which of them still hold."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from api.hint_journal import HintJournal, Line, whole
from api.problems import ProblemError
from placement.workload_hints import WorkloadHints

MOST_KEPT = 10_000
"""Hints that can still be asked for by their id; older ones are forgotten."""

OUTCOME_WINDOW_S = 86_400.0
"""After a restart, what became of a hint may be told for so long after its end [s, site time]."""


@dataclass(slots=True)
class HintsGiven:
    """The newest hints by id. journal: where they outlive the process; None: nowhere.

    late: how many outcomes were told of hints that had expired when they were used, since this server started.
    """

    journal: HintJournal | None = None
    late: int = 0
    _kept: OrderedDict[str, WorkloadHints | Line] = field(default_factory=OrderedDict)
    _ended: set[str] = field(default_factory=set)
    _telling: set[str] = field(default_factory=set)

    def recall(self, now_s: float) -> None:
        """Take over what an earlier server gave and may still be told of; now_s [s since 1970, site clock]."""
        for line in self.journal.read() if self.journal is not None else ():
            if line.ended:
                self._ended.add(line.id)
            elif line.valid_until + OUTCOME_WINDOW_S > now_s:
                self._hold(line.id, line)
        self._ended &= self._kept.keys()

    def keep(self, hints: WorkloadHints, body: bytes) -> None:
        """A hint, and the JSON that is answered; the oldest one makes room."""
        if self.journal is not None:
            self.journal.given(body)
        self._hold(hints.id, hints)

    def _hold(self, hint_id: str, hints: WorkloadHints | Line) -> None:
        self._kept[hint_id] = hints
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
        return whole(found) if isinstance(found, Line) else found

    @contextmanager
    def telling(self, hint_id: str) -> Iterator[None]:
        """While its outcome is told; only the first one of a hint counts, also where two are told at once.

        Raises:
            ProblemError: 409, it has been told already, or is being told.
        """
        if hint_id in self._ended or hint_id in self._telling:
            raise ProblemError(409, f"the outcome of hint {hint_id} has been told already", "one outcome for each hint")
        self._telling.add(hint_id)
        try:
            yield
        finally:
            self._telling.discard(hint_id)

    def ended(self, hint_id: str) -> None:
        """Note that its outcome has been told."""
        if self.journal is not None:
            self.journal.ended(hint_id)
        self._ended.add(hint_id)

    def close(self) -> None:
        """End the journal."""
        if self.journal is not None:
            self.journal.close()
