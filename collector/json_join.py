"""Joins plain JSON messages to the site's points by topic and path."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from collector.rows import GOOD, Row
from collector.wiring import Wire
from devices import json_payload
from devices.json_payload import JsonPoint, Stamp
from plant.errors import ConfigError, PermanentError
from plant.points import PointId

MOST_MISSED = 1_000_000_000
"""A number that is so far ahead is of another count, or none: nobody sent so many messages in between."""


@dataclass(slots=True)
class _Reading:
    """What one profile takes from messages of one topic. next: the number that the next message should have."""

    stamp: Stamp
    sequence: json_payload.Path
    points: list[tuple[PointId, JsonPoint]] = field(default_factory=list)
    next: int | None = None


class JsonJoin:
    """Which points a topic's messages hold."""

    def __init__(self, wires: Sequence[Wire]) -> None:
        self._topics: dict[str, list[_Reading]] = defaultdict(list)
        for wire in wires:
            self._add(wire)
        self.missed_messages = 0
        self.last_gap = ("", -math.inf)
        """The topic that last missed messages, and when [s]."""

    @property
    def topics(self) -> list[str]:
        """What must be subscribed."""
        return list(self._topics)

    def rows(self, topic: str, payload: bytes, now_s: float, *, again: bool = False) -> list[Row]:
        """A message's values. again: the broker sends it a second time; then its number says nothing.

        What is no number is none (NaN), and costs the other values of the message nothing.

        Raises:
            PermanentError: not JSON, or nothing of what its profile names is a number.
        """
        message = json_payload.decode(payload)
        rows: list[Row] = []
        fault: PermanentError | None = None
        for reading in self._topics[topic]:
            stamp = reading.stamp.time_s(message)
            time_s = now_s if stamp is None else stamp
            for point_id, point in reading.points:
                try:
                    value = point.value(message)
                except PermanentError as error:
                    value, fault = math.nan, error
                rows += [] if value is None else [(point_id, time_s, value, GOOD)]
            if reading.sequence and not again:
                self._follow(topic, reading, message, now_s)
        if fault is not None and all(math.isnan(value) for _, _, value, _ in rows):
            raise fault
        if not rows:
            raise PermanentError("json payload: nothing of what the profile names is in it")
        return rows

    def _add(self, wire: Wire) -> None:
        profile = wire.profile
        if not profile.topic or "+" in profile.topic or "#" in profile.topic:
            remedy = "give it a topic without wildcards, with {object} where the equipment's name stands"
            raise ConfigError(f"profile {profile.profile} has the topic {profile.topic!r}", remedy=remedy)
        readings: dict[str, _Reading] = {}
        for point in profile.points:
            topic = json_payload.topic_of(profile, wire.object, point)
            if topic not in readings:
                readings[topic] = _Reading(Stamp(profile), json_payload.parse_path(profile.sequence_path))
                self._topics[topic].append(readings[topic])
            readings[topic].points.append((f"{wire.equipment}/{point.name}", JsonPoint(point)))

    def _follow(self, topic: str, reading: _Reading, message: object, now_s: float) -> None:
        seq = json_payload.number(json_payload.find(message, reading.sequence), reading.sequence)
        if not math.isfinite(seq):
            return
        # A smaller number is a restarted publisher
        missed = 0 if reading.next is None else int(seq) - reading.next
        if 0 < missed <= MOST_MISSED:
            self.missed_messages += missed
            self.last_gap = (topic, now_s)
        reading.next = int(seq) + 1
