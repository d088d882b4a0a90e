"""Nodes that kube-scheduler asks about and the site file lacks: the filter lets them pass, so people must be told."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from plant.records import Condition, Message, Params, Severity

LOOK_S = 10.0
"""A question has up to ten thousand names; they are looked through no more often than this [s]."""
KEPT_S = 900.0
"""A name that is asked about no more is forgotten after this [s]."""
MOST = 1000
NAMED = 3
_CAUSE = "kube-scheduler asks the extender about {count} nodes that the site file lacks ({first}); they pass unjudged"
TEXTS = {
    "extender_unknown_nodes": (
        _CAUSE,
        "name them under jobs.nodes in the site file, or correct what jobs.names calls them",
    ),
}


@dataclass(slots=True)
class Strangers:
    """steady_s: a clock that never jumps [s]."""

    steady_s: Callable[[], float]
    _asked_s: dict[str, float] = field(default_factory=dict)
    _looked_s: float = -math.inf

    def look(self, names: Iterable[str], known: Collection[str]) -> None:
        """Remember those that are not known."""
        now_s = self.steady_s()
        if now_s - self._looked_s < LOOK_S:
            return
        self._looked_s = now_s
        self._asked_s |= dict.fromkeys((n for n in names if n not in known), now_s)
        while len(self._asked_s) > MOST:
            del self._asked_s[next(iter(self._asked_s))]

    def now(self) -> tuple[str, ...]:
        """Those that were asked about of late."""
        least_s = self.steady_s() - KEPT_S
        return tuple(sorted(n for n, asked_s in self._asked_s.items() if asked_s > least_s))

    def conditions(self, now_s: float) -> list[Condition]:
        """What is to be told, at now_s [s since 1970, site clock]."""
        names = self.now()
        if not names:
            return []
        code = "extender_unknown_nodes"
        params: Params = {
            "count": len(names),
            "first": ", ".join([*names[:NAMED], *(["…"] if len(names) > NAMED else [])]),
        }
        cause, remedy = (text.format(**params) for text in TEXTS[code])
        return [
            Condition(
                code=code,
                subject="extender",
                severity=Severity.WARNING,
                since_s=now_s,
                cause=Message(code=code, text=cause, params=params),
                remedy=Message(code=f"{code}_remedy", text=remedy, params=params),
                source="extender",
            )
        ]
