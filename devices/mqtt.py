"""MQTT: a subscriber that acknowledges only what its handler has stored.

On asyncio alone, 3.1.1 and 5: docs/decisions/003 says why no client library stands here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from devices import mqtt_wire as wire
from devices.mqtt_connection import Connection
from devices.mqtt_wire import Message
from devices.tls import Tls
from plant.errors import PermanentError, RefusedError, SilentError

__all__ = ["Handler", "Message", "Subscriber"]

MAX_BATCH = 2000
FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 30.0
CONNECT_TIMEOUT_S = 10.0
SESSION_EXPIRY_S = 86_400
RECEIVE_MAXIMUM = 1000
_SUBSCRIPTION_MID, _LAST_MID = 1, 0xFFFF

Handler = Callable[[list[Message]], Awaitable[None]]


class Subscriber:
    """Keeps a persistent session at one broker and hands over batches of messages; reconnects for ever with back-off.

    client_id must stay the same over restarts: the broker keeps unacknowledged messages for it.
    protocol: 5 (MQTT v5) or 4 (3.1.1). At most `capacity` messages wait here; then the socket is not read.
    on_session: called after each connect. keep_session: whether the broker keeps messages while we are away.
    """

    def __init__(
        self,
        host: str,
        port: int,
        client_id: str,
        topics: Sequence[str],
        *,
        protocol: int = wire.V311,
        capacity: int = 10_000,
        keepalive_s: int = 30,
        username: str = "",
        password: str = "",
        tls: Tls | None = None,
        keep_session: bool = True,
        on_session: Callable[[], None] = lambda: None,
    ) -> None:
        self.host, self.port, self.topics, self.protocol = host, port, tuple(topics), protocol
        self.keepalive_s, self._capacity, self._on_session = keepalive_s, capacity, on_session
        self._hello = wire.connect(
            client_id,
            protocol=protocol,
            keepalive_s=keepalive_s,
            username=username,
            password=password,
            expiry_s=SESSION_EXPIRY_S if keep_session else 0,
            maximum=min(RECEIVE_MAXIMUM, capacity),
        )
        self._tls = tls.context() if tls is not None else None
        self._waiting: deque[Message] = deque()
        self._in_hand = 0
        self._arrived = asyncio.Event()
        self._connection: Connection | None = None
        self._sessions = 0
        self._mid = _SUBSCRIPTION_MID
        self.last_error = "not connected yet"
        self.received = 0

    @property
    def name(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"

    @property
    def connected(self) -> bool:
        """Whether the broker took us."""
        return self._connection is not None

    @property
    def reconnects(self) -> int:
        """Connections after the first."""
        return max(0, self._sessions - 1)

    async def run(self, handler: Handler) -> None:
        """Receive until cancelled. The handler returns when a batch is stored; what it raises ends the run."""
        connecting = asyncio.create_task(self._keep_connected())
        connecting.add_done_callback(lambda _task: self._arrived.set())
        try:
            while not connecting.done():
                await self._arrived.wait()
                await self._hand_over(handler)
            connecting.result()
        finally:
            connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await connecting

    def publish(self, topic: str, payload: bytes) -> None:
        """Send one message at QoS 0; without a connection it is not sent."""
        if self._connection is not None:
            self._connection.send(wire.publish(topic, payload, self.protocol))

    async def deliver(self, topic: str, payload: bytes, timeout_s: float) -> None:
        """Send one message at QoS 1 and wait until the broker has it [real s]; it is never sent a second time.

        A message that is not taken in time may have been: the connection is cut, so that it does not arrive later.

        Raises:
            SilentError: no connection, or no acknowledgement in time.
            RefusedError: the broker did not take it.
        """
        connection = self._connection
        if connection is None:
            raise SilentError(f"no connection to the broker {self.name}: {self.last_error}")
        self._mid = self._mid + 1 if self._mid < _LAST_MID else _SUBSCRIPTION_MID + 1
        taken = connection.expect(self._mid)
        connection.send(wire.publish(topic, payload, self.protocol, self._mid))
        try:
            async with asyncio.timeout(timeout_s):
                refused = await taken
        except (TimeoutError, OSError, PermanentError) as error:
            connection.cut()
            raise SilentError(f"the broker {self.name} did not acknowledge a message: {_why(error)}") from error
        if refused:
            raise RefusedError(f"the broker {self.name} did not take a message on {topic}: {refused}")

    async def _keep_connected(self) -> None:
        wait_s = FIRST_BACKOFF_S
        while True:
            sessions = self._sessions
            try:
                await self._connect()
            except (OSError, ValueError, PermanentError) as error:  # a ValueError: no host name
                self.last_error = _why(error)
            wait_s = FIRST_BACKOFF_S if self._sessions > sessions else min(2 * wait_s, MAX_BACKOFF_S)
            await asyncio.sleep(wait_s)

    async def _connect(self) -> None:
        """One connection from begin to end."""
        connection = Connection(self, self._sessions + 1, self._hello)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await loop.create_connection(lambda: connection, self.host, self.port, ssl=self._tls)
                accepted = await connection.accepted
            self._sessions += 1
            self._connection, self.last_error = connection, ""
            connection.send(wire.subscribe(_SUBSCRIPTION_MID, self.topics, self.protocol))
            self._on_session()
            await connection.keep_alive(accepted.keepalive_s or self.keepalive_s)
        finally:
            self._connection = None
            connection.close()

    async def _hand_over(self, handler: Handler) -> None:
        self._arrived.clear()
        while self._waiting:
            waiting = self._waiting
            batch = [waiting.popleft() for _ in range(min(len(waiting), MAX_BATCH))]
            self._in_hand = len(batch)
            try:
                await handler(batch)
            finally:
                self._in_hand = 0
            self._acknowledge(batch)
            if self._connection is not None:
                self._connection.read_on()

    def _acknowledge(self, batch: list[Message]) -> None:
        # A packet id belongs to its connection: on a later one the same id may be another, unstored message
        if self._connection is not None:
            session, pack, head = self._sessions, wire.PUBACK.pack, wire.PUBACK_HEAD
            self._connection.send(b"".join([pack(head, m.mid) for m in batch if m.qos and m.session == session]))

    # --- called by the connection ---

    @property
    def room(self) -> int:
        """How many messages may still wait here."""
        return self._capacity - len(self._waiting) - self._in_hand

    def take(self, messages: list[Message]) -> None:
        """Messages that came."""
        self.received += len(messages)
        self._waiting.extend(messages)
        self._arrived.set()

    def subscribed(self, answer: wire.Subscribed) -> None:
        """The broker's answer to the subscription."""
        if answer.refused:
            self.last_error = "broker refuses the topics " + ", ".join(self.topics[i] for i in answer.refused)


def _why(error: Exception) -> str:
    text = str(getattr(error, "strerror", None) or error) or type(error).__name__
    return text if isinstance(error, PermanentError) else text.lower()
