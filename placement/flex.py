"""Load targets of the grid as DSX Flex 1.7.0 sends them: CloudEvents 1.0.2 in JSON, `grid.loadtarget.set.v1`. Pure.

The schema is NVIDIA's `schemas/asyncapi/dsx-flex/dsx-flex.yaml` of dsx-exchange. A target holds for feeds from its
start to its end; one without an end holds until it is replaced. Of a feed's targets that hold now the newest counts;
one without a constraint takes away all that its time overlaps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from plant.errors import ConfigError

TYPE = "grid.loadtarget.set.v1"
MOST_BYTES = 256_000
MOST_TARGETS = 200
LAST_S = 253_402_300_799.0
"""The last second of the year 9999 [s since 1970]: some mean for ever by it, in whatever time zone."""
_WATTS = {"watt": 1.0, "kilowatt": 1e3, "megawatt": 1e6}
_SEE = "the sender must follow dsx-flex 1.7.0"


class _Interval(msgspec.Struct):
    start_time: str | None = None
    end_time: str | None = None


class _Constraint(msgspec.Struct):
    value: Annotated[float, msgspec.Meta(ge=0)]
    unit: Literal["watt", "kilowatt", "megawatt"]


class _Target(msgspec.Struct):
    interval: _Interval
    load_constraint: _Constraint | None
    feed_tags: list[Annotated[str, msgspec.Meta(max_length=200)]] = []


class _Data(msgspec.Struct):
    targets: Annotated[list[_Target], msgspec.Meta(min_length=1, max_length=MOST_TARGETS)]


class _Event(msgspec.Struct):
    specversion: str
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    source: str
    type: str
    time: str
    data: Any
    correlationid: Annotated[str, msgspec.Meta(max_length=100)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadTarget:
    """power_w: what the feeds may draw [W], None: no limit; feeds: () for all; times [s since 1970], end inf: none.

    event: the message's id; isv: who sent it; correlation: how the sender calls it.
    """

    event: str
    isv: str
    correlation: str
    feeds: tuple[str, ...]
    power_w: float | None
    start_s: float
    end_s: float

    def covers(self, feed: str, at_s: float) -> bool:
        """Whether it holds for a feed at that time [s since 1970]."""
        return (not self.feeds or feed in self.feeds) and self.start_s <= at_s < self.end_s


def load_targets(
    topic: str, payload: bytes, verified: Callable[[str], bytes], now_s: float, *, unsigned: bool
) -> list[LoadTarget]:
    """The targets of one message. verified: the payload of a JWS, or it raises; unsigned: plain data are taken, too.

    Raises:
        ConfigError: it can't be used; names the field.
    """
    if len(payload) > MOST_BYTES:
        raise ConfigError(f"{len(payload)} bytes are too many", where=topic, remedy=_SEE)
    event = _decoded(payload, _Event, topic)
    isv = _sender(event, topic)
    if isinstance(event.data, str):
        data = _decoded(verified(event.data), _Data, f"{topic}: data")
    elif unsigned:
        data = _converted(event.data, topic)
    else:
        remedy = "let the sender sign it (JWS), or start with --unsigned where the broker alone says who may send"
        raise ConfigError("data are not signed", where=topic, remedy=remedy)
    return [_target(event, isv, target, f"{topic}: data.targets[{i}]", now_s) for i, target in enumerate(data.targets)]


def with_targets(known: Sequence[LoadTarget], new: Sequence[LoadTarget], now_s: float) -> list[LoadTarget]:
    """All that may still count, oldest first; a message that came before changes nothing. now_s [s since 1970]."""
    if any(target.event == one.event for target in known for one in new):
        return [target for target in known if target.end_s > now_s]
    kept = [target for target in known if target.end_s > now_s and not any(_removes(one, target) for one in new)]
    return [*kept, *(target for target in new if target.end_s > now_s)][-MOST_TARGETS:]


def limits(known: Iterable[LoadTarget], feeds: Mapping[str, str], now_s: float) -> dict[str, LoadTarget]:
    """Scope -> the target that counts there now, the least of its feeds; feeds: tag -> scope."""
    found: dict[str, LoadTarget] = {}
    newest_first = list(known)[::-1]
    for feed, scope in feeds.items():
        target = next((t for t in newest_first if t.covers(feed, now_s)), None)
        if target is not None and target.power_w is not None:
            other = found.get(scope)
            if other is None or other.power_w is None or target.power_w < other.power_w:
                found[scope] = target
    return found


def _removes(new: LoadTarget, old: LoadTarget) -> bool:
    overlap = new.start_s < old.end_s and old.start_s < new.end_s
    return new.power_w is None and overlap and (not new.feeds or (bool(old.feeds) and set(old.feeds) <= set(new.feeds)))


def _sender(event: _Event, topic: str) -> str:
    parts = topic.split("/")
    isv = parts[3] if len(parts) == 6 and parts[:3] == ["grid", "v1", "isv"] else ""
    if event.specversion != "1.0.2" and not event.specversion.startswith("1."):
        raise ConfigError(f"specversion {event.specversion!r}", where=topic, remedy=_SEE)
    if event.type != TYPE:
        raise ConfigError(f"type {event.type!r} is not {TYPE}", where=topic, remedy=_SEE)
    if event.source != f"//grid/v1/isv/{isv}":
        raise ConfigError(f"source {event.source!r} is not that of the topic", where=topic, remedy=_SEE)
    return isv


def _target(event: _Event, isv: str, target: _Target, where: str, now_s: float) -> LoadTarget:
    start_s = _moment(target.interval.start_time, f"{where}.interval.start_time", now_s)
    end_s = _moment(target.interval.end_time, f"{where}.interval.end_time", math.inf)
    if end_s <= start_s:
        raise ConfigError("the end does not come after the start", where=f"{where}.interval", remedy=_SEE)
    limit = target.load_constraint
    power_w = None if limit is None else limit.value * _WATTS[limit.unit]
    if limit is not None and power_w is not None and not 0 < power_w < math.inf:
        remedy = "send null to remove a constraint"
        raise ConfigError(f"{limit.value} is no power limit", where=f"{where}.load_constraint.value", remedy=remedy)
    return LoadTarget(
        event=event.id,
        isv=isv,
        correlation=event.correlationid or event.id,
        feeds=tuple(target.feed_tags),
        power_w=power_w,
        start_s=start_s,
        end_s=end_s,
    )


def _moment(text: str | None, where: str, otherwise_s: float) -> float:
    if text is None:
        return otherwise_s
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text[:60]!r} is no time", where=where, remedy=_SEE) from None
    if moment.tzinfo is None:
        raise ConfigError(f"{text!r} has no time zone", where=where, remedy="send UTC: 2026-12-01T06:00:00Z")
    return min(max(moment.timestamp(), 0.0), LAST_S)


def _decoded(text: bytes, kind: Any, where: str) -> Any:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(str(error), where=where, remedy=_SEE) from error


def _converted(data: Any, topic: str) -> _Data:
    try:
        return msgspec.convert(data, type=_Data)
    except msgspec.ValidationError as error:
        raise ConfigError(str(error), where=f"{topic}: data", remedy=_SEE) from error
