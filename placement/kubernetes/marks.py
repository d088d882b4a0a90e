"""What coldplate writes on a node: integers and words under its own prefix, a soft taint and a hard one. Pure.

Annotations are read by people and by the upstream NodeMetadata score plugin, which reads one whole number; the soft
taint (PreferNoSchedule) steers every stock scheduler, managed clusters included; the hard one (NoSchedule) is for
emergencies: a budget that is exceeded already.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

Taint = Mapping[str, Any]
PREFIX = "coldplate.io/"
SCORE, UNTIL, CLASS, HOT, BUDGET = (f"{PREFIX}{name}" for name in ("score", "valid-until", "class", "hot", "budget"))
_OURS = (SCORE, UNTIL, CLASS)
"""All keys of annotations and labels that this module writes and takes away; loans have theirs."""
_TAINTS: Mapping[str, Taint] = {
    HOT: {"key": HOT, "value": "soft", "effect": "PreferNoSchedule"},
    BUDGET: {"key": BUDGET, "value": "exceeded", "effect": "NoSchedule"},
}
"""As they are written; one of others under these keys (a NoExecute would end pods) is set right or taken away."""
HOT_BELOW, COOL_FROM = 15, 25
"""A node gets the taint below the first score and loses it from the second, so that it does not flicker."""
CLASSES = ((67, "good"), (34, "fair"), (0, "poor"))
NEAR = 3
"""A score that differs by less is not written anew: ten thousand nodes would be patched at each breath of a pump."""
_NUMBER = re.compile(r"[0-9]{1,3}")
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeNow:
    """A node as the API server has it. version: its resourceVersion, so that nobody's change is overwritten."""

    name: str
    version: str
    annotations: Mapping[str, str]
    labels: Mapping[str, str]
    taints: Sequence[Taint]
    unschedulable: bool = False
    ready: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a node is to say: score 0..100 (None: not known), until when [s since 1970]; shut: no new pod may come."""

    score: int | None
    until_s: float
    shut: bool = False


def patch_for(node: NodeNow, mark: Mark | None) -> dict[str, Any] | None:
    """A merge patch that brings a node to what `mark` says, None: to nothing of ours; None if it is so already.

    Only our own keys and our two taints are ever named; of taints, which can only be replaced as a whole, the
    others are repeated as they are and the patch holds only for the version that was read.
    """
    changes: dict[str, Any] = {}
    wishes = (("annotations", node.annotations, _annotations(mark)), ("labels", node.labels, _labels(mark)))
    for field, now, wanted in wishes:
        found = _difference(now, wanted)
        if found:
            changes[field] = found
    taints = [t for t in node.taints if t["key"] not in _TAINTS] + _taints(node, mark)
    if sorted(map(_said, taints)) == sorted(map(_said, node.taints)):
        return {"metadata": changes} if changes else None
    return {"metadata": {**changes, "resourceVersion": node.version}, "spec": {"taints": taints or None}}


def steady(node: NodeNow, mark: Mark, now_s: float) -> Mark:
    """The mark as it stands there already, where that is near enough and lasts half as long; now_s [s since 1970]."""
    score, until = node.annotations.get(SCORE, ""), node.annotations.get(UNTIL, "")
    if mark.score is None or not _NUMBER.fullmatch(score) or abs(int(score) - mark.score) >= NEAR:
        return mark
    try:
        until_s = datetime.strptime(until, _TIME).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return mark
    lasts = until_s - now_s >= (mark.until_s - now_s) / 2
    return replace(mark, score=int(score), until_s=until_s if lasts else mark.until_s)


def ours(node: NodeNow) -> list[str]:
    """Our keys that a node carries as annotation, label or taint; loans' are not among them."""
    carried = (*node.annotations, *node.labels, *(t["key"] for t in node.taints))
    return sorted({key for key in carried if key in (*_OURS, *_TAINTS)})


def _taints(node: NodeNow, mark: Mark | None) -> list[Taint]:
    """Ours, as they are to be: soft below a score, hard while a budget is exceeded."""
    if mark is None:
        return []
    there = {_said(t): t for t in node.taints}
    hot = any(t["key"] == HOT for t in node.taints)
    wanted = []
    if mark.score is not None and (mark.score < HOT_BELOW or (hot and mark.score < COOL_FROM)):
        wanted.append(_TAINTS[HOT])
    if mark.shut:
        wanted.append(_TAINTS[BUDGET])
    return [there.get(_said(taint), taint) for taint in wanted]


def _said(taint: Taint) -> tuple[str, str, str]:
    """All of a taint but its time."""
    return taint["key"], taint.get("value") or "", taint["effect"]


def _annotations(mark: Mark | None) -> dict[str, str]:
    if mark is None or mark.score is None:
        return {}
    return {SCORE: str(int(mark.score)), UNTIL: datetime.fromtimestamp(mark.until_s, UTC).strftime(_TIME)}


def _labels(mark: Mark | None) -> dict[str, str]:
    if mark is None or mark.score is None:
        return {}
    score = mark.score
    return {CLASS: next(name for least, name in CLASSES if score >= least)}


def _difference(now: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str | None]:
    gone: dict[str, str | None] = {key: None for key in _OURS if key in now and key not in wanted}
    return gone | {key: value for key, value in wanted.items() if now.get(key) != value}
