"""Joins GPU messages to the racks of the site."""

from __future__ import annotations

import math
from collections.abc import Sequence

from collector.rows import GOOD, Row
from collector.wiring import Wire, gpu_point
from devices.gpu import GpuMessage
from plant.points import PointId
from plant.topology import Site

_Field = tuple[str, PointId, float, float]
"""message field, point, factor and offset to SI."""


class GpuJoin:
    """Which rack and GPU a message speaks of; what the site does not declare is counted, not stored."""

    def __init__(self, site: Site, wires: Sequence[Wire]) -> None:
        self._fields: dict[tuple[str, int], list[_Field]] = {}
        for wire in wires:
            for index in range(wire.gpus or site.gpus_per_rack):
                fields = _fields(wire, index)
                for name in {wire.object.casefold(), wire.equipment.casefold()}:
                    self._fields[name, index] = fields
        self.unmapped = 0
        self.last_unmapped = ""

    def rows(self, message: GpuMessage) -> list[Row]:
        """All values of a node's message."""
        rack = message.rack.casefold()
        rows: list[Row] = []
        for index, values in message.gpus.items():
            fields = self._fields.get((rack, index))
            if fields is None:
                self.unmapped += 1
                self.last_unmapped = f"gpu {index} of {message.rack}/{message.node}"
                continue
            for name, point, factor, offset in fields:
                value = values.get(name)
                if name in values:
                    rows.append((point, message.time_s, math.nan if value is None else value * factor + offset, GOOD))
        return rows


def _fields(wire: Wire, index: int) -> list[_Field]:
    return [(p.field, gpu_point(wire.equipment, index, p.name), p.factor, p.offset) for p in wire.profile.points]
