"""Which topics are this collector's, where several share a broker."""

from __future__ import annotations

import zlib

from devices import sparkplug
from devices.mqtt import Message

MAX_PARTITION_TOPICS = 100_000
SPARKPLUG, DSX = f"{sparkplug.NAMESPACE}/", "BMS/"
"""What topics of these kinds begin with."""


class Partition:
    """Which topics are this collector's, where several share a broker. Topics that belong together stay together."""

    def __init__(self, partitions: int, partition: int) -> None:
        self._partitions, self._partition = partitions, partition
        self._known: dict[str, bool] = {}

    def mine(self, messages: list[Message]) -> list[Message]:
        """The messages of this share; the others are some other collector's."""
        return messages if self._partitions == 1 else [m for m in messages if self.has(m.topic)]

    def has(self, topic: str) -> bool:
        """Whether a topic is of this share."""
        found = self._known.get(topic)
        if found is None:
            if len(self._known) >= MAX_PARTITION_TOPICS:
                self._known.clear()
            found = zlib.crc32(_partition_key(topic).encode()) % self._partitions == self._partition
            self._known[topic] = found
        return found


def _partition_key(topic: str) -> str:
    """DSX values lie with their metadata; an edge node's messages, which are numbered as one, together."""
    parts = topic.split("/")
    if topic.startswith(DSX):
        return "/".join(parts[4:])
    return "/".join([parts[1], *parts[3:4]]) if topic.startswith(SPARKPLUG) and len(parts) > 3 else topic
