"""What kube-scheduler's questions show of its cluster and its configuration, for people to mend."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from plant.records import Condition, Message, Params, Severity

LOOK_S = 10.0
"""A question has up to ten thousand names; they are looked through no more often than this [s]."""
KEPT_S = 900.0
"""What no question shows any more is forgotten after this [s]."""
MOST = 1000
NAMED = 3
MANY_WHOLE = 100
"""Whole nodes in a question that are worth a word: some kilobytes each, for every pod."""
_UNKNOWN = "kube-scheduler asks the extender about {count} nodes that the site file lacks ({first}); they pass unjudged"
_WHOLE = "kube-scheduler sends the extender {count} whole nodes for a pod, where their names would do"
_CLAIMED = (
    "{count} pods have devices by resource claims alone ({first}): they count without power, under budgets as well"
)
TEXTS = {
    "extender_unknown_nodes": (
        _UNKNOWN,
        "name them under jobs.nodes in the site file, or correct what jobs.names calls them",
    ),
    "extender_whole_nodes": (
        _WHOLE,
        "set nodeCacheCapable: true for this extender in kube-scheduler's configuration, as in packaging/kubernetes",
    ),
    "extender_claimed_devices": (
        _CLAIMED,
        "annotate such pods with what they draw, in watts: coldplate.io/power-w: '5600'",
    ),
}


@dataclass(slots=True)
class Questions:
    """steady_s: a clock that never jumps [s]."""

    steady_s: Callable[[], float]
    _asked_s: dict[str, float] = field(default_factory=dict)
    _claimed_s: dict[str, float] = field(default_factory=dict)
    _whole: int = 0
    _whole_s: float = -math.inf
    _looked_s: float = -math.inf

    def look(self, names: Sequence[str], known: Collection[str], *, whole: bool) -> None:
        """Remember names that are not known, and how many nodes came whole."""
        now_s = self.steady_s()
        if now_s - self._looked_s < LOOK_S:
            return
        self._looked_s = now_s
        if whole:
            self._whole, self._whole_s = len(names), now_s
        self._asked_s |= dict.fromkeys((n for n in names if n not in known), now_s)
        _shortened(self._asked_s)

    def claimed(self, pod: str) -> None:
        """Remember a pod whose devices stand in resource claims, which kube-scheduler does not send."""
        self._claimed_s.pop(pod, None)
        self._claimed_s[pod] = self.steady_s()
        _shortened(self._claimed_s)

    def conditions(self, now_s: float) -> list[Condition]:
        """What is to be told, at now_s [s since 1970, site clock]."""
        return [
            Condition(
                code=code,
                subject="extender",
                severity=severity,
                since_s=now_s,
                cause=Message(code=code, text=TEXTS[code][0].format(**params), params=params),
                remedy=Message(code=f"{code}_remedy", text=TEXTS[code][1], params={}),
                source="extender",
            )
            for code, severity, params in self._found()
        ]

    def _found(self) -> Iterator[tuple[str, Severity, Params]]:
        least_s = self.steady_s() - KEPT_S
        named = {"extender_unknown_nodes": self._asked_s, "extender_claimed_devices": self._claimed_s}
        for code, found_s in named.items():
            names = sorted(n for n, asked_s in found_s.items() if asked_s > least_s)
            if names:
                first = [*names[:NAMED], *(["…"] if len(names) > NAMED else [])]
                yield code, Severity.WARNING, {"count": len(names), "first": ", ".join(first)}
        if self._whole >= MANY_WHOLE and self._whole_s > least_s:
            yield "extender_whole_nodes", Severity.INFO, {"count": self._whole}


def _shortened(found_s: dict[str, float]) -> None:
    while len(found_s) > MOST:
        del found_s[next(iter(found_s))]
