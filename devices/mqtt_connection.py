"""One TCP or TLS connection to an MQTT broker: packets in and out, keep-alive, back-pressure."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from devices import mqtt_wire as wire
from devices.mqtt_wire import Message, Packet
from plant.errors import PermanentError


class Owner(Protocol):
    """Who takes what comes."""

    protocol: int

    @property
    def room(self) -> int:
        """How many messages may still wait there."""

    def take(self, messages: list[Message]) -> None:
        """Messages that came."""

    def subscribed(self, answer: wire.Subscribed) -> None:
        """The broker's answer to the subscription."""


class Connection(asyncio.Protocol):
    """One TCP or TLS connection."""

    def __init__(self, owner: Owner, session: int, hello: bytes) -> None:
        self._owner, self._hello = owner, hello
        self._parser = wire.Parser(owner.protocol, session)
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._heard_s = self._sent_s = 0.0
        loop = asyncio.get_running_loop()
        self._now = loop.time
        self.accepted: asyncio.Future[wire.Accepted] = loop.create_future()
        self._lost: asyncio.Future[None] = loop.create_future()
        self._expected: dict[int, asyncio.Future[str]] = {}

    def send(self, data: bytes) -> None:
        """Queue bytes; what a broken connection does not take, the broker sends again."""
        if data and self._transport is not None:
            self._sent_s = self._now()
            self._transport.write(data)

    async def keep_alive(self, keepalive_s: float) -> None:
        """Until the connection ends.

        Raises:
            OSError: it ended, or the broker went silent.
            PermanentError: the broker broke the protocol or said why it ends.
        """
        while not self._lost.done():
            await asyncio.wait([self._lost], timeout=keepalive_s / 4)
            if self._now() - self._sent_s >= keepalive_s / 2:
                self.send(wire.PINGREQ)
            if not self._paused and self._now() - self._heard_s > 1.5 * keepalive_s:
                raise OSError("the broker went silent")
        self._lost.result()

    def close(self) -> None:
        """Say goodbye and let go."""
        if self._transport is not None:
            self.send(wire.DISCONNECT)
            self._transport.close()
        self._fail(OSError("the connection was ended"))

    def expect(self, mid: int) -> asyncio.Future[str]:
        """The broker's answer to a message of ours: why it did not take it, empty if it did."""
        self._expected[mid] = asyncio.get_running_loop().create_future()
        return self._expected[mid]

    def cut(self) -> None:
        """End at once; what is still on its way out is thrown away."""
        if self._transport is not None:
            self._transport.abort()

    def read_on(self) -> None:
        """There is room again."""
        if self._paused and self._transport is not None and self._owner.room > 0:
            self._paused, self._heard_s = False, self._now()
            self._take()
            if not self._paused:
                self._transport.resume_reading()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._heard_s = transport, self._now()
        self.send(self._hello)

    def data_received(self, data: bytes) -> None:
        """Packets, or parts of them."""
        self._heard_s = self._now()
        self._parser.feed(data)
        if not self._paused:
            self._take()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits."""
        self._transport = None
        self._fail(exc or OSError("the broker closed the connection"))

    def _take(self) -> None:
        try:
            while self._parser.waiting and not self._paused:
                packets = self._parser.take(self._owner.room)
                if packets:
                    self._sort(packets)
                if self._owner.room <= 0:
                    self._pause()
                elif not packets:
                    break
        except PermanentError as error:
            self._fail(error)

    def _sort(self, packets: list[Packet]) -> None:
        messages = [p for p in packets if type(p) is Message]
        if len(messages) < len(packets):
            for packet in packets:
                self._note(packet)
        if messages:
            self._owner.take(messages)

    def _note(self, packet: Packet) -> None:
        match packet:
            case wire.Accepted() if not self.accepted.done():
                self.accepted.set_result(packet)
            case wire.Refused():
                self._fail(PermanentError(f"broker refused: {packet.reason}"))
            case wire.Subscribed():
                self._owner.subscribed(packet)
            case wire.Taken() if packet.mid in self._expected:
                answer = self._expected.pop(packet.mid)
                if not answer.done():
                    answer.set_result(packet.refused)

    def _pause(self) -> None:
        self._paused = True
        if self._transport is not None:
            self._transport.pause_reading()

    def _fail(self, error: Exception) -> None:
        waiting: list[asyncio.Future[Any]] = [self.accepted, self._lost, *self._expected.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(error)
                future.exception()  # it may be that nobody waits for this one
