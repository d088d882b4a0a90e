"""Since when conditions stand that are made anew whenever somebody looks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from plant.records import Condition


@dataclass(slots=True)
class Standing:
    """Remembers the first look at which each stood; one that was gone in between begins anew."""

    _since_s: dict[tuple[str, str], float] = field(default_factory=dict)

    def of(self, found: Iterable[Condition]) -> list[Condition]:
        """The same conditions with their beginnings [s since 1970]; never one ahead of its look, as clocks are set."""
        looked = list(found)
        begun = {(c.code, c.subject): c.since_s for c in looked}
        self._since_s = {key: min(self._since_s.get(key, since_s), since_s) for key, since_s in begun.items()}
        return [replace(c, since_s=self._since_s[c.code, c.subject]) for c in looked]
