"""An embedded MQTT broker on loopback, for demos where no broker is configured. The only module that knows amqtt."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from amqtt.broker import Broker

from plant.errors import ConfigError

LOOPBACK = "127.0.0.1"
MOST_CONNECTIONS = 64


MOST_WAITING = 300
BREATH = 25


@dataclass(frozen=True, slots=True)
class Publication:
    """One message: topic, payload, retained or not, quality of service."""

    topic: str
    payload: bytes
    retain: bool = False
    qos: int = 0


@dataclass(frozen=True, slots=True)
class EmbeddedBroker:
    """A running broker and its address."""

    host: str
    port: int
    broker: Broker

    async def send(self, messages: Sequence[Publication]) -> None:
        """Publish from inside, which spares a socket and an acknowledgement for each message.

        Waits while the subscribers are behind, so that nothing piles up.
        """
        for index, message in enumerate(messages):
            if message.retain:
                await self.broker.retain_message(None, message.topic, message.payload, message.qos)
            await self.broker.internal_message_broadcast(message.topic, message.payload, message.qos)
            if index % BREATH == 0:
                await asyncio.sleep(0)
        while self.broker._broadcast_queue.qsize() > MOST_WAITING:  # noqa: ASYNC110, SLF001 - amqtt shows it nowhere else
            await asyncio.sleep(0.01)


@asynccontextmanager
async def embedded_broker(port: int, *, fallback: bool = False, where: str = "") -> AsyncIterator[EmbeddedBroker]:
    """Run a broker for anyone on this machine. With `fallback` a free port is taken if need be.

    Raises:
        ConfigError: the port is in use.
    """
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    logging.getLogger("transitions").setLevel(logging.WARNING)
    port = _free_port(port, fallback=fallback, where=where)
    config: dict[str, Any] = {
        "listeners": {"default": {"type": "tcp", "bind": f"{LOOPBACK}:{port}", "max_connections": MOST_CONNECTIONS}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }
    broker = Broker(config)
    await broker.start()
    try:
        yield EmbeddedBroker(LOOPBACK, port, broker)
    finally:
        await broker.shutdown()


def _free_port(port: int, *, fallback: bool, where: str) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if fallback and port:
                return _free_port(0, fallback=False, where=where)
            remedy = "stop the program that holds it, change the link's port, or give a broker"
            raise ConfigError(f"port {port} can't be opened: {error.strerror}", where=where, remedy=remedy) from error
        return int(probe.getsockname()[1])
