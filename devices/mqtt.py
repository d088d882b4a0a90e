"""MQTT: a subscriber that acknowledges only what its handler has stored. The only module that knows paho-mqtt."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

MAX_BATCH = 2000
MAX_BACKOFF_S = 30
SESSION_EXPIRY_S = 86_400
RECEIVE_MAXIMUM = 1000


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it came; `mid` and `session` are for its acknowledgement."""

    topic: str
    payload: bytes
    retain: bool
    qos: int
    mid: int
    session: int


Handler = Callable[[list[Message]], Awaitable[None]]


class Subscriber:
    """Keeps a persistent session at one broker and hands over batches of messages; reconnects for ever with back-off.

    client_id must stay the same over restarts: the broker keeps unacknowledged messages for it.
    protocol: 5 (MQTT v5) or 4 (3.1.1). At most `capacity` messages wait here; then the socket is not read.
    """

    def __init__(
        self,
        host: str,
        port: int,
        client_id: str,
        topics: Sequence[str],
        *,
        protocol: int = 4,
        capacity: int = 10_000,
        keepalive_s: int = 30,
        username: str = "",
        password: str = "",
    ) -> None:
        self.host, self.port, self.topics, self._protocol = host, port, tuple(topics), protocol
        self._keepalive_s = keepalive_s
        self._waiting: deque[Message] = deque()
        self._room = threading.BoundedSemaphore(capacity)
        self._arrived = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = threading.Event()
        self._session = 0
        self.connected = False
        self.last_error = "not connected yet"
        self.received = 0
        self.reconnects = 0
        self._client = self._make_client(client_id)
        if username:
            self._client.username_pw_set(username, password or None)

    @property
    def name(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"

    async def run(self, handler: Handler) -> None:
        """Receive until cancelled. The handler returns when a batch is stored; what it raises ends the run."""
        self._loop = asyncio.get_running_loop()
        self._closing.clear()
        self._connect()
        self._client.loop_start()
        try:
            while True:
                await self._arrived.wait()
                await self._hand_over(handler)
        finally:
            await self._stop()

    def _make_client(self, client_id: str) -> Client:
        v5 = self._protocol == 5
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if v5 else False,
            protocol=MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
        )
        client.reconnect_delay_set(1, MAX_BACKOFF_S)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_connect_fail, client.on_message = self._on_connect_fail, self._on_message
        return client

    def _connect(self) -> None:
        if self._protocol != 5:
            self._client.connect_async(self.host, self.port, self._keepalive_s)
            return
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        self._client.connect_async(self.host, self.port, self._keepalive_s, clean_start=False, properties=properties)

    async def _hand_over(self, handler: Handler) -> None:
        batch: list[Message] = []
        while self._waiting and len(batch) < MAX_BATCH:
            batch.append(self._waiting.popleft())
        if not self._waiting:
            self._arrived.clear()
        if not batch:
            return
        try:
            await handler(batch)
        finally:
            self._room.release(len(batch))
        for message in batch:
            self._acknowledge(message)

    def _acknowledge(self, message: Message) -> None:
        # A packet id belongs to its connection: on a later one the same id may be another, unstored message
        if message.qos and message.session == self._session and self.connected:
            self._client.ack(message.mid, message.qos)

    async def _stop(self) -> None:
        self._closing.set()
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)
        self.connected = False

    # --- called in paho's thread ---

    def _on_connect(self, client: Client, _data: Any, _flags: ConnectFlags, reason: ReasonCode, _props: Any) -> None:
        if reason.is_failure:
            self.last_error = f"broker refused: {str(reason).lower()}"
            return
        self._session += 1
        self.reconnects = self._session - 1
        self.connected, self.last_error = True, ""
        client.subscribe([(topic, 1) for topic in self.topics])

    def _on_disconnect(
        self, _client: Client, _data: Any, _flags: DisconnectFlags, reason: ReasonCode, _props: Any
    ) -> None:
        self.connected = False
        self.last_error = f"connection lost: {str(reason).lower()}"

    def _on_connect_fail(self, _client: Client, _data: Any) -> None:
        self.connected = False
        self.last_error = "cannot connect"

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        while not self._room.acquire(timeout=0.5):
            if self._closing.is_set():
                return
        self.received += 1
        self._waiting.append(
            Message(message.topic, bytes(message.payload), message.retain, message.qos, message.mid, self._session)
        )
        with contextlib.suppress(RuntimeError):  # the loop may be gone at shutdown; the broker keeps the message
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._arrived.set)
