"""The BMS's side of setpoint requests: it offers them, obeys them while an integration's heart beats, and confirms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import aiomqtt

from devices import dsx
from devices.profiles import Profile, ProfilePoint, load_profile
from plant.errors import ColdplateError
from plant.topology import Equipment, Link, Site, Source
from simulator.plant import SimulatedPlant

LATE_S = 2 * dsx.HEARTBEAT_PERIOD_S
"""A message that was sent longer ago [s] is not obeyed."""
LONGEST_WAIT_S = 8.0

Obey = Callable[[float, bool, float], None]
"""Told a message's value, whether its sender stands by it, and the time [s since 1970]."""


def tag_path(site: Site, name: str, point: str) -> str:
    """Where the BMS keeps a point of an object."""
    return f"{site.id}/{name}/{point}"


def integration_of(link: Link) -> str:
    """The integration that the BMS of a link knows."""
    return str(link.options.get("integration", dsx.INTEGRATION))


def offers(site: Site) -> Iterator[tuple[Equipment, Source, Profile]]:
    """Everything that an integration may ask for."""
    for equipment in site.equipment.values():
        for source in equipment.sources:
            profile = load_profile(source.profile)
            if profile.format == "dsx" and profile.fallback.kind != "none":
                yield equipment, source, profile


class RequestDesk:
    """Takes an integration's messages for the plant."""

    def __init__(self, plant: SimulatedPlant) -> None:
        self._plant = plant
        self._obeys: dict[str, list[Obey]] = {}
        for equipment, source, profile in offers(plant.site):
            integration = integration_of(plant.site.links[source.link])
            for point in profile.points:
                if point.writable and point.object:
                    topic = request_topic(plant.site, source, point).answered_by(integration)
                    self._obeys.setdefault(topic, []).append(self._obey(equipment.id, profile, point))

    @property
    def topics(self) -> tuple[str, ...]:
        """What to subscribe to."""
        return tuple(self._obeys)

    def take(self, topic: str, payload: bytes) -> None:
        """One message; what is malformed, late or out of bounds changes nothing."""
        try:
            sent = dsx.decode_value(payload)
            if abs(self._plant.time_s - sent.time_s) <= LATE_S:
                for obey in self._obeys.get(topic, ()):
                    obey(sent.value, sent.good, self._plant.time_s)
        except ColdplateError:
            return

    def _obey(self, equipment: str, profile: Profile, point: ProfilePoint) -> Obey:
        fallback, desk = profile.fallback, self._plant.requested[equipment]

        def beat(value: float, good: bool, now_s: float) -> None:
            if good:
                desk.write(fallback.heartbeat, value, now_s)

        def request(value: float, good: bool, now_s: float) -> None:
            if good:
                desk.write(point.name, value, now_s)
                desk.write(fallback.enable, 1.0, now_s)
            elif not good:
                desk.write(fallback.enable, 0.0, now_s)

        return beat if point.name == fallback.heartbeat else request


def request_topic(site: Site, source: Source, point: ProfilePoint) -> dsx.Topic:
    """The metadata topic of a point that an integration writes; it has one heartbeat for all objects."""
    link = site.links[source.link]
    name = integration_of(link) if point.object == dsx.HEARTBEAT_OBJECT else source.object
    return dsx.Topic(dsx.METADATA, point.object, point.point, tag_path(site, name, point.name))


async def listen(plant: SimulatedPlant, host: str, port: int) -> None:
    """Obey what integrations publish at a broker, for ever; a lost one is looked for again with growing waits."""
    desk, wait_s = RequestDesk(plant), 0.5
    while desk.topics:
        try:
            async with aiomqtt.Client(host, port, identifier=f"plant-{plant.site.id}-requests") as client:
                wait_s = 0.5
                for topic in desk.topics:
                    await client.subscribe(topic, qos=1)
                async for message in client.messages:
                    if isinstance(message.payload, bytes) and not message.retain:
                        desk.take(str(message.topic), message.payload)
        except aiomqtt.MqttError:
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
