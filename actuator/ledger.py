"""What the actuator leaves behind: audit entries, conditions and counters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from actuator.faults import fault_condition
from plant.clock import Clock
from plant.errors import ColdplateError
from plant.records import Condition

Detail = dict[str, str | float | int | bool | None]
AUDIT = "audit"


class Audit(Protocol):
    """Anything that keeps who did what, durable when `append` returns."""

    def append(self, at_s: float, actor: str, action: str, subject: str, detail: Detail) -> object:
        """Keep one entry; at_s [s since 1970]."""
        ...


class Ledger:
    """Audit, conditions and counters in one place."""

    def __init__(self, audit: Audit, clock: Clock) -> None:
        self._audit, self._clock = audit, clock
        self._conditions: dict[tuple[str, str], Condition] = {}
        self.accepted = 0
        self.refused = 0

    def keep(self, actor: str, action: str, subject: str, detail: Detail) -> bool:
        """Audit one entry; False (and a condition) when it can't be made durable."""
        try:
            self._audit.append(self._clock.now(), actor, action, subject, detail)
        except (OSError, ColdplateError) as error:
            self.raise_condition(AUDIT, "audit_failed", AUDIT, f"the audit log takes no entries: {error}", {})
            return False
        self._conditions.pop((AUDIT, "audit_failed"), None)
        return True

    def raise_condition(
        self, device: str, code: str, subject: str, text: str, params: Mapping[str, str | float]
    ) -> None:
        """Publish a fault of a device; one that lasts keeps its beginning."""
        held = self._conditions.get((device, code))
        since_s = held.since_s if held else self._clock.now()
        self._conditions[device, code] = fault_condition(code, subject, since_s, text, dict(params))

    def withdraw(self, device: str, *codes: str) -> None:
        """Take back some of a device's faults, or all."""
        for key in [k for k in self._conditions if k[0] == device and (not codes or k[1] in codes)]:
            del self._conditions[key]

    def conditions(self) -> list[Condition]:
        """Everything that is wrong now."""
        return list(self._conditions.values())
