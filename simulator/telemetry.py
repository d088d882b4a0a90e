"""MQTT telemetry of the simulated plant: the BMS's DSX values, its heartbeat, and GPU nodes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import aiomqtt

from devices import dsx, gpu
from devices.profiles import Profile, ProfilePoint, load_profile
from plant.clock import Clock
from plant.points import PointId
from plant.quantities import Quantity
from plant.topology import Equipment, Site
from simulator.bms import integration_of, offers, request_topic, tag_path
from simulator.broker import Publication
from simulator.plant import SimulatedPlant

PERIOD_S = 10.0
GPUS_PER_NODE = 4
DEADBAND_K = 0.1
DEADBAND_SHARE = 0.01  # of a value that is no temperature
BMS = "BMS"
LONGEST_WAIT_S = 8.0
PENDING = 200


@dataclass(slots=True)
class _Tag:
    """One DSX point and what was last said of it."""

    id: PointId
    equipment: str
    point: ProfilePoint
    value_topic: str
    metadata: Publication
    said: float = math.nan
    said_s: float = -math.inf
    said_good: bool = True


@dataclass(slots=True)
class Bms:
    """What the BMS of a plant says, as messages; nothing here knows a broker."""

    plant: SimulatedPlant
    _tags: list[_Tag] = field(default_factory=list)
    _metadata_s: float = -math.inf

    def __post_init__(self) -> None:
        site = self.plant.site
        for equipment in site.equipment.values():
            for source in equipment.sources:
                profile = load_profile(source.profile)
                if profile.format == "dsx":
                    self._tags += _tags(site, equipment, profile, source.object)

    def restart(self) -> None:
        """Say everything again (after a reconnect)."""
        self._metadata_s = -math.inf
        for tag in self._tags:
            tag.said_s = -math.inf

    def messages(self) -> list[Publication]:
        """Everything due now: metadata, heartbeat, changed values, GPU nodes."""
        now_s = self.plant.time_s
        silent = self.plant.faults.silent
        wanted = {tag.equipment for tag in self._tags} | set(self.plant.racks)
        values = self.plant.measured(wanted - silent)
        due = [] if BMS in silent else [*self._metadata(now_s), _heartbeat(self.plant.site, now_s)]
        if BMS not in silent:
            due += [m for tag in self._tags if tag.id in values and (m := _value(tag, values[tag.id], now_s))]
        return due + list(_nodes(self.plant, values, now_s))

    def _metadata(self, now_s: float) -> list[Publication]:
        if now_s - self._metadata_s < dsx.REPUBLISH_S:
            return []
        self._metadata_s = now_s
        topic = str(_heartbeat_topic(self.plant.site, dsx.METADATA))
        beat = Publication(topic, dsx.encode_heartbeat_metadata(BMS), retain=True)
        return [beat, *(tag.metadata for tag in self._tags), *_offers(self.plant.site)]


async def publish(plant: SimulatedPlant, clock: Clock, host: str, port: int) -> None:
    """Publish to a broker for ever; a lost one is looked for again with growing waits."""
    bms, wait_s = Bms(plant), 0.5
    while True:
        try:
            async with aiomqtt.Client(host, port, identifier=f"plant-{plant.site.id}") as client:
                client.pending_calls_threshold = PENDING
                wait_s = 0.5
                bms.restart()
                await pace(bms, clock, lambda messages: _send_all(client, messages))
        except aiomqtt.MqttError:
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)


async def pace(bms: Bms, clock: Clock, send: Callable[[Sequence[Publication]], Awaitable[None]]) -> None:
    """Send what is due every 10 s of site time; where sending is slower than that, rounds are left out."""
    due_s = clock.monotonic()
    while True:
        await send(bms.messages())
        due_s = max(due_s + PERIOD_S, clock.monotonic())
        await asyncio.sleep(clock.real(due_s - clock.monotonic()))


async def _send_all(client: aiomqtt.Client, messages: Sequence[Publication]) -> None:
    """A window of messages in flight, not one round trip each."""
    for first in range(0, len(messages), PENDING):
        window = messages[first : first + PENDING]
        await asyncio.gather(*(client.publish(m.topic, m.payload, qos=m.qos, retain=m.retain) for m in window))


def _tags(site: Site, equipment: Equipment, profile: Profile, name: str) -> Iterator[_Tag]:
    for point in profile.points:
        if point.writable:
            continue  # an integration writes it: `_offers`
        value, metadata = dsx.point_topics(point, tag_path(site, name, point.name))
        payload = dsx.encode_metadata(point, name, serves=_serves(site, equipment))
        yield _Tag(
            id=f"{equipment.id}/{point.name}",
            equipment=equipment.id,
            point=point,
            value_topic=str(value),
            metadata=Publication(str(metadata), payload, retain=True),
        )


def _offers(site: Site) -> Iterator[Publication]:
    """Metadata of what an integration may write; its heartbeat once, though every object's profile has it."""
    found: dict[str, Publication] = {}
    for _, source, profile in offers(site):
        integration = integration_of(site.links[source.link])
        for point in profile.points:
            if point.writable and point.object:
                topic = str(request_topic(site, source, point))
                name = integration if point.object == dsx.HEARTBEAT_OBJECT else source.object
                payload = dsx.encode_metadata(point, name, integration=integration)
                found[topic] = Publication(topic, payload, retain=True)
    yield from found.values()


def _serves(site: Site, equipment: Equipment) -> tuple[str, ...]:
    """Racks below a CDU's manifold, or what the metered equipment feeds."""
    for group in site.groups.values():
        if equipment.id in group.members:
            return group.racks
    metered = site.equipment.get(equipment.meters)
    return metered.feeds if metered else ()


def _value(tag: _Tag, value_si: float, now_s: float) -> Publication | None:
    shown = (value_si - tag.point.offset) / tag.point.factor
    good = not math.isnan(shown)
    changed = good != tag.said_good or (good and not abs(shown - tag.said) < _deadband(tag.point, shown))
    if not changed and now_s - tag.said_s < dsx.REPUBLISH_S - PERIOD_S / 2:
        return None
    tag.said, tag.said_s, tag.said_good = shown, now_s, good
    rounded = round(shown, 3) if good else shown
    return Publication(tag.value_topic, dsx.encode_value(rounded, now_s, good=good))


def _deadband(point: ProfilePoint, value: float) -> float:
    if point.quantity is Quantity.TEMPERATURE:
        return DEADBAND_K
    return 0.5 if point.quantity is Quantity.STATE else DEADBAND_SHARE * abs(value)


def _heartbeat_topic(site: Site, kind: str) -> dsx.Topic:
    return dsx.Topic(kind, dsx.HEARTBEAT_OBJECT, dsx.HEARTBEAT_POINT, f"{site.id}/{BMS}")


def _heartbeat(site: Site, now_s: float) -> Publication:
    return Publication(str(_heartbeat_topic(site, dsx.VALUE)), dsx.encode_value(round(now_s * 1000), now_s))


def _nodes(plant: SimulatedPlant, values: Mapping[PointId, float], now_s: float) -> Iterator[Publication]:
    per_rack = plant.site.gpus_per_rack
    for rack in plant.racks:
        if rack in plant.faults.silent or f"{rack}/gpu-00/temperature" not in values:
            continue
        for first in range(0, per_rack, GPUS_PER_NODE):
            node = f"node-{first // GPUS_PER_NODE:02d}"
            names = {i: f"{rack}/gpu-{i:02d}" for i in range(first, min(first + GPUS_PER_NODE, per_rack))}
            told = {i: _gpu(values, name) for i, name in names.items() if f"{name}/temperature" in plant.site.points}
            if not told:
                break
            payload = gpu.encode(now_s, told)
            yield Publication(gpu.topic(plant.site.id, rack, node), payload, qos=1)


# field of the message -> point, units per SI unit, decimals
_GPU_FIELDS = {
    "temp_c": ("temperature", 1.0, 1),
    "power_w": ("power", 1.0, 1),
    "util_pct": ("utilisation", 100.0, 1),
    "sm_clock_mhz": ("sm_clock", 1e-6, 0),
    "xid": ("xid", 1.0, 0),
}


def _gpu(values: Mapping[PointId, float], prefix: str) -> dict[str, float | None]:
    fields: dict[str, float | None] = {}
    for name, (point, factor, decimals) in _GPU_FIELDS.items():
        value = values[f"{prefix}/{point}"]
        fields[name] = None if math.isnan(value) else round(value * factor, decimals)
    return fields
