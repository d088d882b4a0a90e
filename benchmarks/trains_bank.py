"""Units of one kind side by side on common headers: those that run carry water in proportion to their design flow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from simulator.staging import Switch

Machine = TypeVar("Machine")


@dataclass(frozen=True, slots=True)
class Bank(Generic[Machine]):
    """switches, machines and sizes (design flow or heat) of each unit, in one order; like units have one machine."""

    switches: Sequence[Switch]
    machines: Sequence[Machine]
    sizes: Sequence[float]

    @property
    def count(self) -> int:
        """How many run."""
        return sum(switch.running for switch in self.switches)

    @property
    def size(self) -> float:
        """Of all that run."""
        return sum(size for switch, size in zip(self.switches, self.sizes, strict=True) if switch.running)

    @property
    def duty(self) -> float:
        """Of all but the largest, which is spare."""
        return sum(self.sizes) - max(self.sizes, default=0.0)

    def running(self) -> Iterator[tuple[Machine, list[str]]]:
        """Each machine that runs, with the units that are of its like."""
        found: dict[int, tuple[Machine, list[str]]] = {}
        for switch, machine in zip(self.switches, self.machines, strict=True):
            if switch.running:
                found.setdefault(id(machine), (machine, []))[1].append(switch.id)
        yield from found.values()

    def units(self, amount: float) -> float:
        """An amount of the sizes' kind in full loads of the units that run, of a mean one where none does."""
        size = self.size
        return self.count * amount / size if size > 0.0 else len(self.sizes) * amount / sum(self.sizes)

    def size_of(self, unit: str) -> float:
        """Of one unit."""
        return next(size for switch, size in zip(self.switches, self.sizes, strict=True) if switch.id == unit)

    def part(self, unit: str, flow_m3_s: float) -> float:
        """A unit's part of a flow [m³/s] while it runs."""
        return flow_m3_s * self.size_of(unit) / max(self.size, 1e-9)
