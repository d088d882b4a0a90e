"""The live stream: each client is shown what changed since it last looked.

No queue stands between mirror and client, so a slow client skips what it was too slow for and holds up nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from fastapi.responses import StreamingResponse
from starlette.types import Message, Send

from api.answers import LiveValue, encode
from api.live import chosen, live_value
from api.service import Service
from plant.points import PointId

LOOK_EVERY_S = 0.5
STATUS_EVERY_S = 2.0
HEARTBEAT_S = 10.0
MAX_STREAMS = 64
SLOW_S = 30.0
"""How long a client may take nothing at all [s]."""
KINDS = (
    "forecast",
    "plans",
    "modes",
    "conditions",
    "actuator",
    "headroom",
    "ride_through",
    "shed",
    "switchback",
    "links",
)
_Shown = tuple[float | None, float | None, str, tuple[str, ...]]


def event(name: str, body: object, number: int) -> bytes:
    """One server-sent event; JSON has no line breaks of its own."""
    return b"event: %s\nid: %d\ndata: %s\n\n" % (name.encode(), number, encode(body))


@dataclass(slots=True)
class Viewer:
    """What one client has been shown."""

    service: Service
    number: int = 0
    _values: dict[PointId, _Shown] = field(default_factory=dict)
    _records: dict[str, bytes] = field(default_factory=dict)
    _status_s: float = 0.0
    _gpus: bytes = b""

    def first(self) -> bytes:
        """The snapshot."""
        self._status_s = time.monotonic()
        self._changed_points()
        self._records = {kind: encode(self.service.record(kind)) for kind in KINDS}
        self._gpus = encode(self.service.gpus().racks)
        return self._event("snapshot", self.service.snapshot())

    def changes(self) -> bytes:
        """What is new since the last look; empty when nothing is."""
        return b"".join((*self._live(), *self._changed_records(), *self._slow()))

    def _event(self, name: str, body: object) -> bytes:
        self.number += 1
        return event(name, body, self.number)

    def _live(self) -> list[bytes]:
        points = self._changed_points()
        return [self._event("live", {"now_s": self.service.mirror.now_s, "points": points})] if points else []

    def _changed_points(self) -> list[LiveValue]:
        changed = []
        for point in chosen(self.service.site):
            value = live_value(self.service.mirror, point)
            seen = (value.value, value.time_s, value.quality, value.reasons)
            if self._values.get(point.id) != seen:
                self._values[point.id] = seen
                changed.append(value)
        return changed

    def _changed_records(self) -> list[bytes]:
        changed = []
        for kind in KINDS:
            body = self.service.record(kind)
            encoded = encode(body)
            if self._records.get(kind) != encoded:
                self._records[kind] = encoded
                changed.append(self._event(kind, body))
        return changed

    def _slow(self) -> list[bytes]:
        if time.monotonic() - self._status_s < STATUS_EVERY_S:
            return []
        self._status_s = time.monotonic()
        events = [self._event("status", self.service.status())]
        gpus = self.service.gpus()
        encoded = encode(gpus.racks)
        if encoded != self._gpus:
            self._gpus = encoded
            events.append(self._event("gpus", gpus))
        return events


class LiveResponse(StreamingResponse):
    """Ends a stream whose client takes nothing for SLOW_S: it would keep its place for ever."""

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        """events: as `stream` makes them."""
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._events = events

    async def stream_response(self, send: Send) -> None:
        """Send until the client is gone, or too slow."""

        async def in_time(message: Message) -> None:
            async with asyncio.timeout(SLOW_S):
                await send(message)

        with contextlib.suppress(TimeoutError):
            async with contextlib.aclosing(self._events):
                await super().stream_response(in_time)


async def stream(service: Service) -> AsyncGenerator[bytes, None]:
    """The events for one client, until it goes or the server stops."""
    viewer = Viewer(service)
    service.streams += 1
    try:
        yield b"retry: 2000\n\n" + viewer.first()
        beat_s = time.monotonic()
        while not service.closing:
            await asyncio.sleep(LOOK_EVERY_S)
            news = viewer.changes()
            if time.monotonic() - beat_s >= HEARTBEAT_S:
                beat_s, news = time.monotonic(), news + b": still here\n\n"
            if news:
                yield news
        yield event("goodbye", {"reason": "the server stops"}, viewer.number + 1)
    finally:
        service.streams -= 1
