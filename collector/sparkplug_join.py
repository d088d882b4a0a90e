"""Joins Sparkplug metrics to the site's points: births, aliases, sequence, deaths."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from collector.rows import BACKFILL, DISTRUSTED, GOOD, SILENT, Row
from collector.wiring import Wire
from devices import sparkplug
from devices.profiles import ProfilePoint
from devices.sparkplug import Metric, Payload, Topic
from plant.errors import PermanentError
from plant.points import PointId
from plant.quantities import to_si
from plant.samples import Quality, Reason, quality_code

REBIRTH_EVERY_S = 10.0
"""An edge node is asked for its births no more often than this [s]."""
AHEAD_S = 300.0
"""A clock further ahead than this [s] is wrong, and its values are dated by their arrival."""
_NO_NUMBER = quality_code(Quality.BAD, Reason.NOT_A_NUMBER)
_STALE = quality_code(Quality.BAD, Reason.STALE)
_DOUBTED = quality_code(Quality.UNCERTAIN, Reason.DEVICE_FAULT)
_QUALITIES = {None: GOOD, sparkplug.GOOD: GOOD, 0: DISTRUSTED, sparkplug.STALE: _STALE}


class _Target:
    """Where a metric's values go."""

    def __init__(self, point_id: PointId, point: ProfilePoint) -> None:
        self.point, self._factor, self._offset = point_id, point.factor, point.offset
        self._codes = {text.casefold(): float(code) * to_si(point.unit)[0] for code, text in point.states.items()}

    def row(self, metric: Metric, datatype: int, time_s: float) -> Row:
        code = _QUALITIES.get(metric.quality, _DOUBTED) | (BACKFILL if metric.historical else 0)
        value = sparkplug.meant(metric.value, datatype)
        if isinstance(value, str):
            return self.point, time_s, *self._of_text(value, code)
        if value is None:
            return self.point, time_s, math.nan, code & ~3 | _NO_NUMBER
        return self.point, time_s, value * self._factor + self._offset, code

    def _of_text(self, text: str, code: int) -> tuple[float, int]:
        """A state by its name."""
        found = self._codes.get(text.casefold())
        return (math.nan, code & ~3 | _NO_NUMBER) if found is None else (found, code)


@dataclass(slots=True)
class _Node:
    """What is known of one edge node. by_alias: device, name and data type; born: its birth was seen and holds."""

    devices: dict[str, dict[str, _Target]] = field(default_factory=dict)
    by_alias: dict[int, tuple[str, str, int]] = field(default_factory=dict)
    types: dict[tuple[str, str], int] = field(default_factory=dict)
    born: bool = False
    born_s: float = -math.inf
    bd_seq: float | None = None
    next_seq: int | None = None
    dead_since_s: float | None = None
    asked_s: float = -math.inf
    newest_s: float = -math.inf

    def end_s(self, now_s: float) -> float:
        """When its values end [s]: not before the newest of them, for a node's clock may be a little ahead."""
        return max(now_s, min(self.newest_s, now_s + AHEAD_S))


class SparkplugJoin:
    """ask: sends an edge node (`GROUP/EDGE`) the request to be born again, None where that is not allowed."""

    def __init__(self, wires: Sequence[Wire], ask: Callable[[str], None] | None) -> None:
        self._ask = ask
        self._nodes: dict[str, _Node] = {}
        for wire in wires:
            group, _, rest = wire.object.partition("/")
            edge, _, device = rest.partition("/")
            node = self._nodes.setdefault(f"{group}/{edge}", _Node())
            targets = node.devices.setdefault(device, {})
            targets |= {p.field: _Target(f"{wire.equipment}/{p.name}", p) for p in wire.profile.points}
        self.missed_messages = 0
        self.unborn_metrics = 0
        self.rebirths_asked = 0
        self.last_gap = ("", -math.inf)
        """The node that last missed messages, and when [s]."""

    @property
    def nodes(self) -> list[str]:
        """The edge nodes that the site names, as `GROUP/EDGE`."""
        return list(self._nodes)

    def dead(self) -> list[str]:
        """Edge nodes that are known to be offline."""
        return [name for name, node in self._nodes.items() if node.dead_since_s is not None]

    def ask_unborn(self, now_s: float) -> None:
        """Ask for the births that were never seen, e.g. after a start: they are not kept by the broker."""
        for name, node in self._nodes.items():
            if not node.born:
                self._ask_for_birth(name, node, now_s)

    def rows(self, topic: Topic, payload: Payload, now_s: float, *, again: bool = False) -> list[Row]:
        """A message's values. again: the broker sends it a second time; then its number says nothing."""
        node = self._nodes.get(topic.node)
        if node is None or topic.kind not in sparkplug.READ:
            return []
        if topic.kind == sparkplug.NDEATH:
            return self._node_death(node, payload, now_s)
        if topic.kind == sparkplug.NBIRTH:
            self._node_birth(node, payload)
        elif not again:
            self._follow(topic.node, node, payload.seq, now_s)
        if topic.kind == sparkplug.DDEATH:
            return _silent(node.devices.get(topic.device, {}), node.end_s(now_s))
        if topic.kind in (sparkplug.NBIRTH, sparkplug.DBIRTH):
            self._learn(node, topic.device, payload)
        # A second delivery from before the present birth may use aliases that mean something else by now
        trusted = node.born and not (again and payload.time_s < node.born_s)
        rows = [row for m in payload.metrics if (row := self._row(node, topic.device, m, payload, now_s, trusted))]
        node.newest_s = max([node.newest_s, *(row[1] for row in rows)])
        if not node.born:
            self._ask_for_birth(topic.node, node, now_s)
        return rows

    def _row(
        self, node: _Node, device: str, metric: Metric, payload: Payload, now_s: float, trusted: bool
    ) -> Row | None:
        name, datatype = metric.name, metric.datatype
        if not name:
            known = node.by_alias.get(-1 if metric.alias is None else metric.alias) if trusted else None
            if known is None:
                self.unborn_metrics += 1
                node.born = node.born and not trusted
                return None
            device, name, born_type = known
            datatype = datatype or born_type
        target = node.devices.get(device, {}).get(name)
        if target is None:
            return None
        time_s = next((t for t in (metric.time_s, payload.time_s) if not math.isnan(t)), now_s)
        return target.row(metric, datatype or node.types.get((device, name), 0), time_s)

    def _node_birth(self, node: _Node, payload: Payload) -> None:
        node.by_alias.clear()
        node.types.clear()
        node.born, node.born_s, node.dead_since_s = True, payload.time_s, None
        node.next_seq = ((payload.seq or 0) + 1) % 256
        node.bd_seq = _bd_seq(payload)

    def _learn(self, node: _Node, device: str, payload: Payload) -> None:
        for metric in payload.metrics:
            if metric.name:
                node.types[device, metric.name] = metric.datatype
                if metric.alias is not None:
                    node.by_alias[metric.alias] = (device, metric.name, metric.datatype)

    def _follow(self, name: str, node: _Node, seq: int | None, now_s: float) -> None:
        """Numbers run 0..255 over all of a node's messages; what is missed may have been a birth."""
        node.dead_since_s = None
        if seq is None:
            raise PermanentError("a message without seq")
        if node.next_seq is not None and seq != node.next_seq:
            self.missed_messages += (seq - node.next_seq) % 256
            self.last_gap = (name, now_s)
            node.born = False
        node.next_seq = (seq + 1) % 256

    def _node_death(self, node: _Node, payload: Payload, now_s: float) -> list[Row]:
        """The broker's last will of a session; that of an older session says nothing of the present one."""
        ended = _bd_seq(payload)
        if node.bd_seq is not None and ended != node.bd_seq:
            return []
        node.born, node.next_seq, node.dead_since_s = False, None, now_s
        node.by_alias.clear()
        return [row for targets in node.devices.values() for row in _silent(targets, node.end_s(now_s))]

    def _ask_for_birth(self, name: str, node: _Node, now_s: float) -> None:
        lately = abs(now_s - node.asked_s) < REBIRTH_EVERY_S  # far ahead: from before the clock was set back
        if self._ask is not None and node.dead_since_s is None and not lately:
            node.asked_s = now_s
            self.rebirths_asked += 1
            self._ask(name)


def _bd_seq(payload: Payload) -> float | None:
    metric = payload.metric(sparkplug.BD_SEQ)
    return None if metric is None or not isinstance(metric.value, int | float) else float(metric.value)


def _silent(targets: dict[str, _Target], now_s: float) -> list[Row]:
    return [(target.point, now_s, math.nan, SILENT) for target in targets.values()]
