"""The board of what is wrong now: each room publishes its whole list, the board keeps when each began."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from plant.records import Condition, Severity

Key = tuple[str, str, str]
_RANK = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.INFO: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What happened between two looks: new conditions, those whose severity or text moved, and those that ended."""

    raised: tuple[Condition, ...] = ()
    changed: tuple[Condition, ...] = ()
    withdrawn: tuple[Condition, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.raised or self.changed or self.withdrawn)


class ConditionBoard:
    """Conditions by source, code and subject. No clock and no I/O: times come with the conditions."""

    def __init__(self) -> None:
        self._now: dict[Key, Condition] = {}
        self._seen: dict[Key, Condition] = {}

    def publish(self, source: str, conditions: Iterable[Condition]) -> None:
        """Replace all that `source` said before; one that goes on keeps its beginning, one left out is withdrawn."""
        fresh = {_key(c): c for c in (replace(c, source=source) for c in conditions)}
        kept = {key: c for key, c in self._now.items() if c.source != source}
        self._now = kept | {key: self._continued(key, c) for key, c in fresh.items()}

    def _continued(self, key: Key, condition: Condition) -> Condition:
        held = self._now.get(key)
        return condition if held is None else replace(condition, since_s=min(held.since_s, condition.since_s))

    def all(self) -> list[Condition]:
        """Everything that is wrong now: worst first, then the longest lasting."""
        return sorted(self._now.values(), key=_order)

    def changes(self) -> Changes:
        """What changed since this was last asked."""
        before, now = self._seen, self._now
        self._seen = dict(now)
        return Changes(
            raised=tuple(sorted((c for k, c in now.items() if k not in before), key=_order)),
            changed=tuple(sorted((c for k, c in now.items() if k in before and before[k] != c), key=_order)),
            withdrawn=tuple(sorted((c for k, c in before.items() if k not in now), key=_order)),
        )


def _key(condition: Condition) -> Key:
    return condition.source, condition.code, condition.subject


def _order(condition: Condition) -> tuple[int, float, str, str]:
    return _RANK[condition.severity], condition.since_s, condition.code, condition.subject
