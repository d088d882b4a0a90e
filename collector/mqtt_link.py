"""One broker: DSX, Sparkplug B, GPU and plain JSON messages, acknowledged after they are spooled."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from collector.conditions import Ledger
from collector.dsx_join import DsxJoin
from collector.gpu_join import GpuJoin
from collector.intake import Intake
from collector.json_join import JsonJoin
from collector.late_values import LateValues
from collector.mqtt_options import link_options
from collector.mqtt_partition import SPARKPLUG, Partition
from collector.rows import Row
from collector.sparkplug_join import SparkplugJoin
from collector.wiring import Wire, equipment_of
from devices import dsx, gpu, sparkplug
from devices.mqtt import Message, Subscriber
from plant.clock import Clock
from plant.errors import PermanentError
from plant.running import LinkState
from plant.samples import SampleBatch
from plant.topology import Link, Site

FORGIVEN_AFTER_S = 600.0
"""Site seconds without another unparsable, missed or late message until the condition goes."""
LOST_AFTER_S = 3.0
"""Real seconds without a broker until a condition says so."""
BMS_SILENT_S = 3 * dsx.HEARTBEAT_PERIOD_S
"""Site seconds without a heartbeat of the BMS until a condition says so."""
LEARNT_AFTER_S = 0.4
"""Real seconds without another retained metadata message until all are taken to be known."""
LEARNING_S = 30.0
"""Real seconds after which the values are taken, too, whatever metadata is still to come."""
_UNREADABLE = (PermanentError, ArithmeticError, RecursionError, ValueError)
"""The decoders say PermanentError; what else a payload can provoke must not have the broker send it again for ever."""
_GPU = "coldplate/"


class MqttLink:
    """The task of one link."""

    def __init__(self, site: Site, link: Link, wires: list[Wire], intake: Intake, clock: Clock, ledger: Ledger) -> None:
        self.link = link.id
        self._intake, self._clock, self._ledger = intake, clock, ledger
        self.options = options = link_options(site, link)
        of = {name: [w for w in wires if w.profile.format == name] for name in ("dsx", "gpu", "sparkplug", "json")}
        self._has_dsx = bool(of["dsx"]) or options.discover
        self.join = DsxJoin(of["dsx"], discover=options.discover)
        self._gpus = GpuJoin(site, of["gpu"])
        self.sparkplug = SparkplugJoin(of["sparkplug"], self._ask_for_birth if options.rebirth else None)
        self.json = JsonJoin(of["json"])
        self._json_topics = frozenset(self.json.topics)
        self._partition = Partition(options.partitions, options.partition)
        self._late = LateValues(site.points)
        own = [topic for node in self.sparkplug.nodes for topic in sparkplug.subscription(node)] + self.json.topics
        topics = [dsx.SUBSCRIPTION, gpu.subscription(site.id), *own]
        self.subscriber = self._subscriber(link, options.client_id, topics)
        self._learner = self._subscriber(link, f"{options.client_id}-metadata", [dsx.METADATA_SUBSCRIPTION], once=True)
        self.unparsable = 0
        self._unparsable: tuple[str, str, float] = ("", "", -math.inf)  # topic, error, site time of the last
        self.values = 0
        self.foreign = 0
        self._heard: set[str] = set()
        self._beat_s = -math.inf
        self._unmapped, self._unmapped_s = 0, -math.inf
        self._state, self._since_s, self._down_since = "silent", clock.now(), 0.0

    async def run(self) -> None:
        """Receive until cancelled."""
        self._down_since = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            if self._has_dsx:
                await self._learn()
            tasks.create_task(self.subscriber.run(self._handle))

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

    def excuses(self, equipment: str) -> bool:
        """Whether points here are missing for a known reason: a condition tells it, or another collector has them."""
        return self._state == "silent" or (self.options.partitions > 1 and equipment not in self._heard)

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
            "missed_messages": self.sparkplug.missed_messages + self.json.missed_messages,
            "unborn_metrics": self.sparkplug.unborn_metrics,
            "rebirths_asked": self.sparkplug.rebirths_asked,
            "late_values": self._late.count,
            "other_partitions_messages": self.foreign,
        }

    def judge(self) -> None:
        """Bring the conditions on messages up to date."""
        self._judge_unmapped()
        self._judge_unparsable()
        self._judge_missed()
        self._judge_nodes()
        self._judge_bms()
        if self._recent(self._late.last_s):
            example: dict[str, str | float] = {"point": self._late.point, "age": round(self._late.age_s)}
            self._raise("late_values", {"count": self._late.count, **example})
        else:
            self._ledger.clear("late_values", self.link)

    def _judge_unmapped(self) -> None:
        unmapped = self.join.unmapped + self._gpus.unmapped
        if unmapped > self._unmapped:
            self._unmapped, self._unmapped_s = unmapped, self._clock.now()
        if self._recent(self._unmapped_s):
            last = self.join.last_unmapped or self._gpus.last_unmapped
            self._raise("unmapped_messages", {"count": unmapped, "topic": last})
        else:
            self._ledger.clear("unmapped_messages", self.link)

    def _judge_unparsable(self) -> None:
        topic, error, at_s = self._unparsable
        if self._recent(at_s):
            self._raise("unparsable_messages", {"count": self.unparsable, "topic": topic, "error": error})
        else:
            self._ledger.clear("unparsable_messages", self.link)

    def _judge_missed(self) -> None:
        source, at_s = max(self.sparkplug.last_gap, self.json.last_gap, key=lambda gap: gap[1])
        if self._recent(at_s):
            missed = self.sparkplug.missed_messages + self.json.missed_messages
            self._raise("messages_missed", {"count": missed, "source": source})
        else:
            self._ledger.clear("messages_missed", self.link)

    def _judge_nodes(self) -> None:
        dead = self.sparkplug.dead()
        if dead:
            self._raise("edge_node_offline", {"nodes": ", ".join(dead), "count": len(dead)})
        else:
            self._ledger.clear("edge_node_offline", self.link)

    def _judge_bms(self) -> None:
        """A BMS that beat once and no longer does; one that never did shows in its stale points."""
        self._beat_s = min(self._beat_s, self._clock.now())  # a clock may be set back
        silent_s = self._clock.now() - self._beat_s
        if math.isfinite(silent_s) and silent_s > BMS_SILENT_S and self._state == "up":
            self._raise("bms_silent", {"seconds": round(silent_s)})
        else:
            self._ledger.clear("bms_silent", self.link)

    def _recent(self, at_s: float) -> bool:
        return abs(self._clock.now() - at_s) <= FORGIVEN_AFTER_S  # far ahead: from before the clock was set back

    def _subscriber(self, link: Link, client_id: str, topics: Sequence[str], *, once: bool = False) -> Subscriber:
        return Subscriber(
            link.host,
            link.port,
            client_id,
            topics,
            protocol=self.options.protocol,
            username=self.options.username,
            password=self.options.secret(),
            tls=self.options.tls,
            keep_session=not once,
            on_session=(lambda: None) if once else self._on_session,
        )

    async def _learn(self) -> None:
        """Take the retained metadata before the values that the broker kept for us.

        Otherwise the backlog of an outage would wait for its metadata in memory only, though acknowledged.
        """
        heard = asyncio.Event()

        async def take(messages: list[Message]) -> None:
            if any(message.retain for message in messages):  # what is published meanwhile may go on for ever
                heard.set()
            now_s = self._clock.now()
            await self._keep(self._rows_of(self._partition.mine(messages), now_s), now_s)

        learning = asyncio.create_task(self._learner.run(take))
        try:
            while not self._learner.connected and not learning.done():
                self.subscriber.last_error = self._learner.last_error
                await asyncio.sleep(0.05)
            async with asyncio.timeout(LEARNING_S):
                while not learning.done():
                    heard.clear()
                    async with asyncio.timeout(LEARNT_AFTER_S):
                        await heard.wait()
        except TimeoutError:
            return
        finally:
            learning.cancel()
            await asyncio.gather(learning, return_exceptions=True)

    def _on_session(self) -> None:
        self.sparkplug.ask_unborn(self._clock.now())

    def _ask_for_birth(self, node: str) -> None:
        group, _, edge = node.partition("/")
        topic = sparkplug.Topic(group, "NCMD", edge)
        if self._partition.has(str(topic)):
            self.subscriber.publish(str(topic), sparkplug.rebirth(self._clock.now()))

    async def _handle(self, messages: list[Message]) -> None:
        if self.subscriber.connected:  # sooner than the next look: who speaks is not silent
            self._become("up")
        received_s = self._clock.now()
        mine = self._partition.mine(messages)
        self.foreign += len(messages) - len(mine)
        await self._keep(self._rows_of(mine, received_s), received_s)

    async def _keep(self, rows: list[Row], received_s: float) -> None:
        if not rows:
            return
        batch = SampleBatch.of([(p, t, received_s, value, code) for p, t, value, code in rows])
        if self.options.partitions > 1:
            self._heard.update(map(equipment_of, batch.names))
        self._intake.take(self._late.marked(batch))
        await self._intake.commit()

    def _rows_of(self, messages: list[Message], now_s: float) -> list[Row]:
        rows: list[Row] = []
        for message in messages:
            try:
                self._read(message, now_s, rows)
            except _UNREADABLE as error:
                self.unparsable += 1
                self._unparsable = message.topic, str(error), now_s
        return rows

    def _read(self, message: Message, now_s: float, rows: list[Row]) -> None:
        """Add a message's rows."""
        topic = message.topic
        if topic.startswith(dsx.VALUE_PREFIX):
            row = self.join.row(topic, message.payload)
            self.values += 1
            if row is not None:
                rows.append(row)
            if topic.startswith(dsx.HEARTBEAT_PREFIX):
                self._beat_s = now_s
        elif topic in self._json_topics:
            rows += self.json.rows(topic, message.payload, now_s, again=message.dup)
        elif topic.startswith(SPARKPLUG):
            payload = sparkplug.decode(message.payload)
            rows += self.sparkplug.rows(sparkplug.parse_topic(topic), payload, now_s, again=message.dup)
        elif topic.startswith(_GPU):
            rows += self._gpus.rows(gpu.decode(topic, message.payload))
        else:
            rows += self._metadata(message)

    def _metadata(self, message: Message) -> list[Row]:
        topic = dsx.parse_topic(message.topic)
        if not message.payload:
            self.join.forget(topic)
            return []
        return self.join.metadata(topic, dsx.decode_metadata(message.payload))

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
