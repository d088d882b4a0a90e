"""Joins the GPUs of dcgm-exporter pages to the racks of the site.

A source's `object` names the hosts that the page may speak of, e.g. `node-01, node-02`. A rack's GPUs are counted over
its hosts in the order in which its sources name them, each host having an equal share, and within a host by the label
`gpu`. An entry `GPU-..` is a UUID and counts for one GPU. A single source without `object` takes every host's word.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from collector.rows import GOOD, SILENT, Row
from collector.wiring import Wire, gpu_point
from devices.dcgm import PROFILING, FreezeWatch, Gpu, profiling_lost
from devices.profiles import load_profile
from plant.points import PointId
from plant.samples import Quality, Reason, quality_code
from plant.topology import Equipment, Site

_STUCK = quality_code(Quality.UNCERTAIN, Reason.STUCK)

_Slot = tuple[Wire, int]
"""A rack's wire, and the number of the GPU in the rack."""


def hosts_of(text: str) -> list[str]:
    """The entries of a source's `object`."""
    return [entry.casefold() for entry in text.replace(",", " ").split()]


def is_uuid(entry: str) -> bool:
    """Whether an entry names one GPU and not a host."""
    return entry.startswith("gpu-")


class DcgmJoin:
    """Which rack's GPU a row speaks of; what the site does not declare is counted, not stored."""

    def __init__(self, site: Site, wires: Sequence[Wire]) -> None:
        self._hosts: dict[tuple[str, int], _Slot] = {}
        self._uuids: dict[str, _Slot] = {}
        self._any: dict[int, _Slot] = {}
        for wire in wires:
            self._place(site, wire)
        self._watch = FreezeWatch()
        self._present: set[tuple[str, int]] = set()
        self._wires = {wire.equipment: wire for wire in wires}
        self.unmapped = 0
        self.last_unmapped = ""
        self.frozen: set[str] = set()

    def rows(self, found: Sequence[Gpu], now_s: float, mono_s: float) -> list[Row]:
        """All values of a page read at `now_s` [s since 1970], and BAD ones of GPUs that were on the last one only."""
        rows: list[Row] = []
        present: set[tuple[str, int]] = set()
        for gpu in found:
            slot = self._slot(gpu)
            if slot is None:
                self.unmapped += 1
                self.last_unmapped = f"gpu {gpu.index} of {gpu.host or 'an unnamed host'}"
                continue
            present.add((slot[0].equipment, slot[1]))
            rows += self._values(slot, gpu, now_s, mono_s)
        for equipment, number in self._present - present:
            rows += self._gone(self._wires[equipment], number, now_s)
        self._present = present
        return rows

    def points(self, wire: Wire) -> list[PointId]:
        """Points of all GPUs of a rack that this link may speak of."""
        slots = [*self._hosts.values(), *self._uuids.values()]
        numbers = sorted({number for other, number in slots if other is wire})
        return [gpu_point(wire.equipment, number, point.name) for number in numbers for point in wire.profile.points]

    def _place(self, site: Site, wire: Wire) -> None:
        entries = entries_of(site.equipment[wire.equipment])
        hosts = [entry for entry in entries if not is_uuid(entry)]
        share = (site.gpus_per_rack - (len(entries) - len(hosts))) // max(len(hosts), 1)
        mine = set(hosts_of(wire.object))
        number = 0
        for entry in entries:
            width = 1 if is_uuid(entry) else share
            if entry in mine:
                self._place_entry(wire, entry, range(number, number + width), alone=len(entries) == 1)
            number += width

    def _place_entry(self, wire: Wire, entry: str, numbers: range, *, alone: bool) -> None:
        if is_uuid(entry):
            self._uuids[entry] = (wire, numbers.start)
            return
        for index, number in enumerate(numbers):
            self._hosts[entry, index] = (wire, number)
            if alone and entry == wire.equipment.casefold():
                self._any[index] = (wire, number)

    def _slot(self, gpu: Gpu) -> _Slot | None:
        host = gpu.host.casefold()
        return (
            self._uuids.get(gpu.uuid.casefold())
            or self._hosts.get((host, gpu.index))
            or self._hosts.get((host.partition(".")[0], gpu.index))
            or self._any.get(gpu.index)
        )

    def _values(self, slot: _Slot, gpu: Gpu, now_s: float, mono_s: float) -> list[Row]:
        wire, number = slot
        name = f"{wire.equipment}/gpu-{number:02d}"
        frozen, lost = self._watch.frozen(gpu, mono_s), profiling_lost(gpu)
        (self.frozen.add if frozen else self.frozen.discard)(name)
        rows: list[Row] = []
        for point in wire.profile.points:
            value = gpu.values.get(point.field)
            if value is not None:
                doubted = frozen or (lost and point.field.startswith(PROFILING))
                si = value * point.factor + point.offset
                rows.append((f"{name}/{point.name}", gpu.time_s or now_s, si, _STUCK if doubted else GOOD))
        return rows

    def _gone(self, wire: Wire, number: int, now_s: float) -> list[Row]:
        self.frozen.discard(f"{wire.equipment}/gpu-{number:02d}")
        return [(gpu_point(wire.equipment, number, p.name), now_s, math.nan, SILENT) for p in wire.profile.points]


def entries_of(equipment: Equipment) -> list[str]:
    """Hosts and UUIDs of a rack, over all its dcgm sources."""
    return [
        entry
        for source in equipment.sources
        if load_profile(source.profile).format == "dcgm"
        for entry in hosts_of(source.object or equipment.id)
    ]
