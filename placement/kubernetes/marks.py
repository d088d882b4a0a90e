"""What coldplate writes on a node: integers and words under its own prefix, and one soft taint. Pure.

Annotations are read by people and by the upstream NodeMetadata score plugin, which reads one whole number; the taint
(PreferNoSchedule) steers every stock scheduler, managed clusters included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

PREFIX = "coldplate.io/"
SCORE, ROOM, UNTIL, CLASS, HOT = (f"{PREFIX}{name}" for name in ("score", "room-w", "valid-until", "class", "hot"))
_OURS = (SCORE, ROOM, UNTIL, CLASS)
"""All keys that this module writes and takes away; loans have theirs."""
HOT_BELOW, COOL_FROM = 15, 25
"""A node gets the taint below the first score and loses it from the second, so that it does not flicker."""
CLASSES = ((67, "good"), (34, "fair"), (0, "poor"))

Taint = Mapping[str, Any]


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
    """What a node is to say: score 0..100, room [W], until when [s since 1970]."""

    score: int
    room_w: float
    until_s: float


def patch_for(node: NodeNow, mark: Mark | None) -> dict[str, Any] | None:
    """A merge patch that brings a node to what `mark` says, None: to nothing of ours; None if it is so already.

    Only our own keys and our one taint are ever named; of taints, which can only be replaced as a whole, the
    others are repeated as they are and the patch holds only for the version that was read.
    """
    annotations, labels = _annotations(mark), _labels(mark)
    taints = [t for t in node.taints if t["key"] != HOT]
    ours = next((t for t in node.taints if t["key"] == HOT), None)
    if mark is not None and (mark.score < HOT_BELOW or (ours is not None and mark.score < COOL_FROM)):
        taints.append(ours or {"key": HOT, "value": "soft", "effect": "PreferNoSchedule"})
    changes: dict[str, Any] = {}
    for field, now, wanted in (("annotations", node.annotations, annotations), ("labels", node.labels, labels)):
        found = _difference(now, wanted)
        if found:
            changes[field] = found
    tainted = len(taints) != len(node.taints)
    if not changes and not tainted:
        return None
    patch: dict[str, Any] = {"metadata": {**changes, "resourceVersion": node.version}}
    return patch | {"spec": {"taints": taints or None}} if tainted else patch


def _annotations(mark: Mark | None) -> dict[str, str]:
    if mark is None:
        return {}
    until = datetime.fromtimestamp(mark.until_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {SCORE: str(int(mark.score)), ROOM: str(round(mark.room_w)), UNTIL: until}


def _labels(mark: Mark | None) -> dict[str, str]:
    return {} if mark is None else {CLASS: next(name for least, name in CLASSES if mark.score >= least)}


def _difference(now: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str | None]:
    gone: dict[str, str | None] = {key: None for key in _OURS if key in now and key not in wanted}
    return gone | {key: value for key, value in wanted.items() if now.get(key) != value}
