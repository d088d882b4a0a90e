"""One broker: DSX values and GPU messages, acknowledged after they are spooled."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from collector.conditions import Ledger
from collector.dsx_join import DsxJoin, Row
from collector.gpu_join import GpuJoin
from collector.intake import Intake
from collector.spool_writer import SpoolWriter
from collector.wiring import Wire
from devices import dsx, gpu
from devices.mqtt import Message, Subscriber
from plant.clock import Clock
from plant.errors import PermanentError
from plant.records import LinkState
from plant.samples import SampleBatch
from plant.topology import Link, Site

KEPT_UNPARSABLE = 20
KEPT_BYTES = 500
FORGIVEN_AFTER_S = 600.0
"""Site seconds without another unparsable message until the condition goes."""
LOST_AFTER_S = 3.0
"""Real seconds without a broker until a condition says so."""


@dataclass(frozen=True, slots=True)
class Unparsable:
    """A message that could not be read, cut to its first bytes."""

    topic: str
    payload: bytes
    error: str
    at_s: float


class MqttLink:
    """The task of one link."""

    def __init__(
        self,
        site: Site,
        link: Link,
        wires: list[Wire],
        intake: Intake,
        writer: SpoolWriter,
        clock: Clock,
        ledger: Ledger,
    ) -> None:
        self.link = link.id
        self._intake, self._writer, self._clock, self._ledger = intake, writer, clock, ledger
        options = link.options
        self.join = DsxJoin(
            [w for w in wires if w.profile.format == "dsx"], discover=bool(options.get("discover", False))
        )
        self._gpus = GpuJoin(site, [w for w in wires if w.profile.format == "gpu"])
        self.subscriber = Subscriber(
            link.host,
            link.port,
            str(options.get("client_id", f"coldplate-{site.id}-{link.id}")),
            [dsx.SUBSCRIPTION, gpu.subscription(site.id)],
            protocol=int(options.get("protocol", 4)),
            username=str(options.get("username", "")),
            password=str(options.get("password", "")),
        )
        self.unparsable = 0
        self.kept: deque[Unparsable] = deque(maxlen=KEPT_UNPARSABLE)
        self.values = 0
        self._state, self._since_s, self._down_since = "silent", clock.now(), 0.0

    async def run(self) -> None:
        """Receive until cancelled."""
        self._down_since = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.subscriber.run(self._handle))
            tasks.create_task(self._watch())

    def state(self) -> LinkState:
        """How the link is doing."""
        return LinkState(
            link=self.link,
            endpoint=self.subscriber.name,
            state=self._state,
            since_s=self._since_s,
            last_error=self.subscriber.last_error,
            reads=self.subscriber.received,
            failures=self.unparsable,
        )

    def excuses(self, _equipment: str) -> bool:
        """Whether points here are missing for a reason that a condition tells already."""
        return self._state == "silent"

    def counters(self) -> dict[str, int]:
        """Running totals."""
        return {
            "mqtt_messages": self.subscriber.received,
            "mqtt_reconnects": self.subscriber.reconnects,
            "unparsable_messages": self.unparsable,
            "unmapped_values": self.join.unmapped + self._gpus.unmapped,
            "waiting_values": self.join.waiting,
            "waiting_values_lost": self.join.waiting_lost,
            "dsx_values": self.values,
        }

    def judge(self) -> None:
        """Bring the conditions on messages up to date."""
        unmapped = self.join.unmapped + self._gpus.unmapped
        if unmapped:
            last = self.join.last_unmapped or self._gpus.last_unmapped
            self._raise("unmapped_messages", {"count": unmapped, "topic": last})
        newest = self.kept[-1] if self.kept else None
        if newest is None or self._clock.now() - newest.at_s > FORGIVEN_AFTER_S:
            self._ledger.clear("unparsable_messages", self.link)
        else:
            params: dict[str, str | float] = {"count": self.unparsable, "topic": newest.topic, "error": newest.error}
            self._raise("unparsable_messages", params)

    async def _handle(self, messages: list[Message]) -> None:
        received_s = self._clock.now()
        rows: list[Row] = []
        for message in messages:
            try:
                rows += self._rows(message)
            except PermanentError as error:
                self._set_aside(message, str(error))
        self._intake.take(SampleBatch.of([(p, t, received_s, value, code) for p, t, value, code in rows]))
        await self._writer.commit_or_give_up()

    def _rows(self, message: Message) -> list[Row]:
        if not message.topic.startswith("BMS/"):
            return self._gpus.rows(gpu.decode(message.topic, message.payload))
        topic = dsx.parse_topic(message.topic)
        if topic.kind == dsx.VALUE:
            value = dsx.decode_value(message.payload)
            self.values += 1
            row = self.join.value(topic, value)
            return [row] if row is not None else []
        if not message.payload:
            self.join.forget(topic)
            return []
        return self.join.metadata(topic, dsx.decode_metadata(message.payload))

    def _set_aside(self, message: Message, error: str) -> None:
        self.unparsable += 1
        self.kept.append(Unparsable(message.topic, message.payload[:KEPT_BYTES], error, self._clock.now()))

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if self.subscriber.connected:
                self._down_since = loop.time()
                self._ledger.clear("broker_lost", self.link)
                self._become("up")
            elif loop.time() - self._down_since > LOST_AFTER_S:
                self._become("silent")
                error = self.subscriber.last_error
                self._raise("broker_lost", {"endpoint": self.subscriber.name, "link": self.link, "error": error})
            await asyncio.sleep(0.2)

    def _become(self, state: str) -> None:
        if state != self._state:
            self._state, self._since_s = state, self._clock.now()

    def _raise(self, code: str, params: dict[str, str | float]) -> None:
        self._ledger.raise_(code, self.link, self._clock.now(), {**params, "link": self.link})
