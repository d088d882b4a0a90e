"""Joins DSX values to what their metadata says they are; values that come first wait for it."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass

from collector.rows import DISTRUSTED, GOOD, Row
from collector.wiring import Wire
from devices import dsx
from devices.dsx import Metadata, Topic, Value
from plant.points import PointId

MAX_WAITING = 10_000
DISCOVERED = "dsx"


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a tag path's values go: si = sent * factor + offset."""

    point: PointId
    factor: float
    offset: float

    def row(self, value: Value) -> Row:
        code = GOOD if value.good else DISTRUSTED
        return self.point, value.time_s, value.value * self.factor + self.offset, code


class DsxJoin:
    """What is known of one bus. discover: also take points that no equipment of the site file claims."""

    def __init__(self, wires: Sequence[Wire], *, discover: bool) -> None:
        self._discover = discover
        self._objects: dict[str, list[Wire]] = defaultdict(list)
        for wire in wires:
            self._objects[wire.object.casefold()].append(wire)
        self._targets: dict[str, _Target | None] = {}
        self._by_topic: dict[str, _Target] = {}
        self._claims: dict[PointId, tuple[int, str]] = {}
        self._waiting: dict[str, deque[Value]] = defaultdict(deque)
        self.waiting = 0
        self.waiting_lost = 0
        self.unmapped = 0
        self.last_unmapped = ""

    def row(self, topic: str, payload: bytes) -> Row | None:
        """The row of a Value message; None if it waits for metadata or belongs to nothing.

        Raises:
            PermanentError: not of the contract's form.
        """
        value = dsx.decode_value(payload)
        target = self._by_topic.get(topic)
        if target is not None:
            return target.row(value)
        parsed = dsx.parse_topic(topic)
        row = self.value(parsed, value)
        placed = self._targets.get(parsed.key)
        if placed is not None:
            self._by_topic[topic] = placed
        return row

    def metadata(self, topic: Topic, metadata: Metadata) -> list[Row]:
        """Learn what a tag path is; returns the rows that waited for it.

        Raises:
            PermanentError: its unit is unknown; its values belong to nothing then.
        """
        target = None
        try:
            target = self._place(topic, metadata)
        finally:
            if target is None or target != self._targets.get(topic.key):
                self._by_topic.clear()
            self._targets[topic.key] = target
            waited = self._waiting.pop(topic.key, deque())
            self.waiting -= len(waited)
            rows = [row for value in waited if (row := self._row(topic, target, value)) is not None]
        return rows

    def forget(self, topic: Topic) -> None:
        """The publisher took back the metadata (an empty retained message)."""
        self._by_topic.clear()
        target = self._targets.pop(topic.key, None)
        if target is not None:
            self._claims.pop(target.point, None)

    def value(self, topic: Topic, value: Value) -> Row | None:
        """The row of a value; None if it waits for metadata or belongs to nothing."""
        if topic.key in self._targets:
            return self._row(topic, self._targets[topic.key], value)
        self._keep(topic, value)
        return None

    def _row(self, topic: Topic, target: _Target | None, value: Value) -> Row | None:
        if target is not None:
            return target.row(value)
        if topic.object_type != dsx.HEARTBEAT_OBJECT:
            self.unmapped += 1
            self.last_unmapped = str(topic)
        return None

    def _keep(self, topic: Topic, value: Value) -> None:
        if self.waiting >= MAX_WAITING:
            self.waiting_lost += 1
            if not self._waiting.get(topic.key):
                return
            self._waiting[topic.key].popleft()
            self.waiting -= 1
        self._waiting[topic.key].append(value)
        self.waiting += 1

    def _place(self, topic: Topic, metadata: Metadata) -> _Target | None:
        held = self._targets.get(topic.key)
        if held is not None:  # corrected metadata must not keep what was claimed by mistake
            self._claims.pop(held.point, None)
        wires = {id(w): w for name in metadata.names for w in self._objects.get(name.casefold(), ())}
        for wire in wires.values():
            found = dsx.match(metadata, wire.profile)
            if found is not None:
                point, fit = found
                target = _Target(f"{wire.equipment}/{point.name}", *metadata.to_si(point.unit))
                if self._claim(target.point, fit, topic.key):
                    return target
        return self._discovered(topic, metadata)

    def _claim(self, point: PointId, fit: int, key: str) -> bool:
        """A point has one source: the tag path whose process area fits best, the first of equals."""
        held = self._claims.get(point)
        if held is not None and held[1] != key:
            if held[0] >= fit:
                return False
            self._targets[held[1]] = None
            self._by_topic.clear()
        self._claims[point] = (fit, key)
        return True

    def _discovered(self, topic: Topic, metadata: Metadata) -> _Target | None:
        if not self._discover:
            return None
        return _Target(f"{DISCOVERED}/{topic.tag_path}", *metadata.to_si(metadata.eng_unit or "1"))
