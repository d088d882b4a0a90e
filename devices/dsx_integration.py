"""One integration on the DSX bus: what the BMS offers it and says, and the heartbeat that keeps requests alive.

The bus has one heartbeat for all requests of an integration. So each device vouches for it in turn, and no heartbeat
leaves while a request stands that its device no longer vouches for: that one is withdrawn first, or nothing beats.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from devices import dsx
from devices.dsx import Metadata, Topic, Value
from devices.mqtt import Message, Subscriber
from devices.profiles import Profile, ProfilePoint
from plant.clock import Clock
from plant.errors import ColdplateError, PermanentError, RefusedError

log = logging.getLogger(__name__)

VOUCHED_S = 45.0
"""How long one device's word carries the heartbeat of all [s]; with the BMS's own patience it is a drive's timeout."""
LEAST_REAL_WAIT_S = 0.05

Withdraw = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Offer:
    """A point that the BMS lets us write. topic: where; unit: the engineering unit in which the BMS reads it."""

    topic: str
    unit: str


@dataclass(slots=True)
class _Standing:
    """A device whose request stands: since when its word holds [s], and how it is taken back."""

    vouched_mono_s: float
    withdraw: Withdraw


def topics(integration: str) -> tuple[str, ...]:
    """What an integration listens to: metadata and values of CDUs and systems, and its own requests on their way."""
    kinds = [f"BMS/v1/PUB/{kind}/{thing}/#" for kind in (dsx.METADATA, dsx.VALUE) for thing in ("CDU", "System")]
    return (*kinds, f"BMS/v1/{integration}/{dsx.VALUE}/CDU/#")


class BmsIntegration:
    """Our side of the bus at one broker.

    send_timeout_s: for the broker's acknowledgement [real s]. silent: nothing is said, as if this process were gone.
    """

    def __init__(self, name: str, subscriber: Subscriber, clock: Clock, *, send_timeout_s: float = 2.0) -> None:
        self.name, self._subscriber, self._clock = name, subscriber, clock
        self._send_timeout_s = send_timeout_s
        self._metadata: dict[str, tuple[Topic, Metadata]] = {}
        self._values: dict[str, tuple[Value, float]] = {}
        self._seen: dict[str, tuple[int, Value]] = {}
        self._bms_time_s = self._bms_mono_s = -math.inf
        self._standing: dict[str, _Standing] = {}
        self._beating = asyncio.Lock()
        self.silent = False

    async def run(self) -> None:
        """Listen and beat until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._subscriber.run(self._take))
            tasks.create_task(self._beat_on())

    # what the bus says

    @property
    def alive(self) -> bool:
        """Whether the BMS's own heartbeat is fresh."""
        return self._clock.monotonic() - self._bms_mono_s <= dsx.BMS_SILENT_S

    def must_be_alive(self) -> None:
        """Raises: RefusedError without a fresh heartbeat of the BMS."""
        age_s = self._clock.monotonic() - self._bms_mono_s
        if not self.alive:
            seen = (
                f"its last heartbeat is {age_s:.0f} s old" if math.isfinite(age_s) else "no heartbeat of it was heard"
            )
            raise RefusedError(f"the BMS at {self._subscriber.name} is not there: {seen}; nothing is asked of it")

    def offer(self, object_type: str, point_type: str, name: str = "") -> Offer:
        """Where we may publish a point of the object called `name`; of any where it is empty.

        Raises:
            RefusedError: the BMS offers it to no integration of our name.
        """
        for topic, known in self._metadata.values():
            same = (known.object_type, known.point_type) == (object_type, point_type)
            if same and known.integration == self.name and (not name or name.casefold() in _folded(known)):
                return Offer(topic.answered_by(self.name), known.eng_unit)
        what = f"{object_type}/{point_type}" + (f" of {name}" if name else "")
        raise RefusedError(f"the BMS at {self._subscriber.name} offers no {what} to integration {self.name!r}")

    def shown(self, profile: Profile, point: ProfilePoint, name: str) -> float:
        """What the BMS last said of a point [SI]; NaN if it said nothing, nothing good, or too long ago."""
        best, found = 0, math.nan
        for key, (_, known) in self._metadata.items():
            fit = dsx.match(known, profile) if name.casefold() in _folded(known) else None
            if fit is not None and fit[0] is point and fit[1] > best and key in self._values:
                value, heard_s = self._values[key]
                fresh = value.good and self._clock.monotonic() - heard_s <= point.max_age_s
                best, found = fit[1], _in_si(known, point, value.value) if fresh else math.nan
        return found

    def passed(self, topic: str) -> tuple[int, Value | None]:
        """How many messages the bus has carried on one of our topics, and the last of them."""
        return self._seen.get(topic, (0, None))

    async def _take(self, messages: list[Message]) -> None:
        for message in messages:
            try:
                self._read(message)
            except PermanentError:
                continue  # the collector's link keeps and tells what can't be read

    def _read(self, message: Message) -> None:
        if not message.topic.startswith("BMS/v1/PUB/"):
            count, _ = self.passed(message.topic)
            self._seen[message.topic] = count + 1, dsx.decode_value(message.payload)
            return
        topic = dsx.parse_topic(message.topic)
        if topic.kind == dsx.METADATA:
            self._learn(topic, message.payload)
        elif topic.point_type == dsx.HEARTBEAT_POINT:
            self._hear(dsx.decode_value(message.payload), message)
        else:
            self._values[topic.key] = dsx.decode_value(message.payload), self._clock.monotonic()

    def _learn(self, topic: Topic, payload: bytes) -> None:
        self._metadata.pop(topic.key, None)
        if payload:  # an empty one takes the point back
            self._metadata[topic.key] = topic, dsx.decode_metadata(payload)

    def _hear(self, value: Value, message: Message) -> None:
        """A heartbeat counts when it has moved on; a retained one may be of any age."""
        if value.good and value.time_s != self._bms_time_s and not message.retain:
            self._bms_time_s, self._bms_mono_s = value.time_s, self._clock.monotonic()

    # what we say

    async def send(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 1, never retained. Raises: SilentError, RefusedError."""
        await self._subscriber.deliver(topic, payload, self._send_timeout_s)

    def stands(self, equipment: str) -> bool:
        """Whether a device's request is alive."""
        return equipment in self._standing

    def stand(self, equipment: str, withdraw: Withdraw) -> None:
        """A device makes a request; until its first word for it, a part of the usual time is all that it has."""
        self._standing.setdefault(equipment, _Standing(self._clock.monotonic() - VOUCHED_S / 2, withdraw))

    async def vouch(self, equipment: str) -> None:
        """A device's word that its lease covers a whole timeout from now; the heartbeat goes out with it.

        Raises:
            RefusedError: the BMS is not there, has no heartbeat point for us, or the request was withdrawn meanwhile.
            SilentError: the broker did not take it.
        """
        self.must_be_alive()
        standing = self._standing.get(equipment)
        if standing is None:
            raise RefusedError(f"{equipment}: its request was withdrawn, nobody vouched for it in {VOUCHED_S:g} s")
        standing.vouched_mono_s = self._clock.monotonic()
        try:
            await self.beat()
        except ColdplateError:
            standing.vouched_mono_s = -math.inf  # so that nothing beats until it is withdrawn
            raise

    def forget(self, equipment: str) -> None:
        """A device's request was withdrawn; the heartbeat no longer depends on it."""
        self._standing.pop(equipment, None)

    async def beat(self) -> None:
        """One heartbeat, if any request stands; those without a word are withdrawn before it.

        Raises:
            RefusedError: the BMS has no heartbeat point for us, or the broker did not take it.
            SilentError: the broker did not acknowledge; nothing beats.
        """
        if self.silent:
            return
        async with self._beating:
            oldest_s = self._clock.monotonic() - VOUCHED_S
            for equipment, standing in list(self._standing.items()):
                if standing.vouched_mono_s < oldest_s:
                    await standing.withdraw()
                    self.forget(equipment)
            if self._standing:
                now_s = self._clock.now()
                offer = self.offer(dsx.HEARTBEAT_OBJECT, dsx.INTEGRATION_HEARTBEAT)
                await self.send(offer.topic, dsx.encode_value(round(now_s * 1000), now_s))

    async def _beat_on(self) -> None:
        while True:
            await asyncio.sleep(max(self._clock.real(dsx.HEARTBEAT_PERIOD_S), LEAST_REAL_WAIT_S))
            try:
                await self.beat()
            except ColdplateError as error:
                log.warning("integration %s does not beat: %s", self.name, error)


def _in_si(known: Metadata, point: ProfilePoint, sent: float) -> float:
    """A value in SI; NaN in a unit that is not known, or of something else."""
    try:
        factor, offset = known.to_si(point.unit)
    except PermanentError:  # the collector's link tells it
        return math.nan
    return sent * factor + offset


def _folded(metadata: Metadata) -> set[str]:
    return {name.casefold() for name in metadata.names}
