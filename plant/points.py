"""Points: one measured or commandable quantity each, with one owner."""

from __future__ import annotations

from dataclasses import dataclass

from plant.quantities import UNIT, Quantity

PointId = str
"""`equipment/name`, e.g. `cdu-1/tcs_supply_temperature`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One measured or commandable quantity.

    `minimum` and `maximum` [unit] bound what is plausible (a measured point) or writable (a command);
    `quantum` [unit] is the device's resolution; `period_s` how often a value is due.
    """

    id: PointId
    quantity: Quantity
    equipment: str
    link: str
    period_s: float
    minimum: float | None = None
    maximum: float | None = None
    quantum: float | None = None
    writable: bool = False
    max_age_s: float = 0.0

    def __post_init__(self) -> None:
        if self.max_age_s <= 0:
            object.__setattr__(self, "max_age_s", 3 * self.period_s)

    @property
    def name(self) -> str:
        """The part after the equipment."""
        return self.id.rpartition("/")[2]

    @property
    def unit(self) -> str:
        """The SI unit."""
        return UNIT[self.quantity]
