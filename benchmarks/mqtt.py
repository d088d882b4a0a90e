"""MQTT at QoS 1 from a real mosquitto: what the collector takes a second, and what it loses when it is killed.

Sustained: a backlog is drained by the real collector (subscriber, joins, checks, live table, fsynced spool), which
acknowledges after the fsync; a message's cost is the process's CPU time. The plain aiomqtt loop drains an equal one.
Campaign: the collector is killed with SIGKILL again and again while values come; then everything that the broker had
acknowledged to the publisher is looked for in the embedded store.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.mqtt_bus import BUS, point_and_ms
from benchmarks.mqtt_publisher import STOP
from benchmarks.mqtt_rig import Mosquitto, result, start
from collector.forwarder import Forwarder
from collector.spool import Spool
from plant.clock import ScaledClock
from plant.ports import RangeQuery
from store.embedded import EmbeddedStore

RATE = 5000
LIVED_S = (0.2, 1.2)
"""How long a collector lives after its first fsync before it is killed [s]."""
SPOOL_BYTES = 1 << 40


def run(quick: bool, data: Path | None) -> dict[str, float | str]:  # noqa: ARG001 - every benchmark is given both
    """Messages a second and core, kills, lost messages, duplicates; `quick` has fewer of all."""
    kills, backlog = (3, 12_000) if quick else (20, 60_000)
    with tempfile.TemporaryDirectory(prefix="coldplate-mqtt-") as work:
        sustained = _Bus(Path(work), "drain").sustained(backlog)
        campaign = _Bus(Path(work), "campaign").campaign(kills)
    return {"messages": backlog, **sustained, **campaign}


class _Bus:
    """A broker, its publishers, and a folder in which collectors keep what they got."""

    def __init__(self, parent: Path, name: str) -> None:
        self._folder = parent / name
        self._folder.mkdir()
        self._begin_s = float(round(time.time()))
        self._broker = Mosquitto(self._folder)

    def sustained(self, backlog: int) -> dict[str, float | str]:
        """Collector and plain loop drain the same backlog, one after the other; then the plain loop is killed."""
        try:
            places = {part: self._session(part) for part in ("collect", "peer")}
            self._publish(0, backlog)
            ours, theirs = (result(self._start(part, place, backlog)) for part, place in places.items())
            lost = self._lost_by_peer(places["peer"], backlog)
        finally:
            self._broker.close()
        rates = [f["measured"] / f["cpu_s"] for f in (ours, theirs)]
        return {
            "messages_per_s_per_core": rates[0],
            "messages_per_s": ours["measured"] / ours["wall_s"],
            "plain_loop_messages_per_s_per_core": rates[1],
            "plain_loop_messages_per_s": theirs["measured"] / theirs["wall_s"],
            "ratio_to_plain_loop": rates[0] / rates[1],
            "plain_loop_lost_by_one_kill": lost,
        }

    def campaign(self, kills: int) -> dict[str, float | str]:
        """Kill the collector while values come; then count."""
        chance = random.Random(1)
        try:
            place = self._session("collect")
            publisher = start("publish", self._broker.port, self._begin_s, 0, 0, RATE)
            for _ in range(kills):
                collector = self._start("collect", place, 0)
                _await_growth(collector, place)
                time.sleep(chance.uniform(*LIVED_S))
                _kill(collector)
            publisher.send_signal(STOP)
            published = result(publisher)
            self._collect_rest(place)
        finally:
            self._broker.close()
        counts = self._compare(place, int(published["published"]))
        return {"publish_rate_per_s": published["rate"], "kills": kills, **counts}

    def _start(self, part: str, place: Path, count: int) -> subprocess.Popen[str]:
        return start(part, self._broker.port, place, count)

    def _publish(self, first: int, count: int, rate: float = 0) -> None:
        result(start("publish", self._broker.port, self._begin_s, first, count, rate))

    def _session(self, part: str) -> Path:
        """Make a client's session at the broker, with messages from before the begin; its folder."""
        place = self._folder / part
        place.mkdir()
        process = self._start(part, place, 0)
        while not _size(place):
            self._publish(-BUS, BUS, RATE)
        result(process)
        return place

    def _collect_rest(self, place: Path) -> None:
        """Until messages that were published after all others have come: then nothing is left at the broker."""
        before = self._older(place)
        self._publish(-BUS, BUS, RATE)
        while self._older(place) - before < BUS:
            result(self._start("collect", place, 0))

    def _lost_by_peer(self, place: Path, backlog: int) -> float:
        self._publish(backlog, backlog)
        killed = self._start("peer", place, 0)
        _await_growth(killed, place)
        _kill(killed)
        rest = self._start("peer", place, 0)
        self._publish(-BUS, BUS, RATE)
        result(rest)
        wanted = {point_and_ms(number) for number in range(backlog, 2 * backlog)}
        return float(len(wanted - set(self._spooled(place))))

    def _compare(self, place: Path, published: int) -> dict[str, float | str]:
        """What was published, spooled and stored."""
        spooled = self._spooled(place)
        stored = asyncio.run(self._stored(place, published))
        wanted = {point_and_ms(number) for number in range(published)}
        return {
            "published": published,
            "lost": len(wanted - set(stored)),
            "never_published": len(set(stored) - wanted),
            "duplicates_absorbed": len(spooled) - len(set(spooled)),
            "duplicates_stored": len(stored) - len(set(stored)),
        }

    async def _stored(self, place: Path, published: int) -> list[tuple[str, int]]:
        """Forward the spool into an embedded store and read back all that was measured since the begin."""
        clock = ScaledClock()
        store = EmbeddedStore.open(place / "history.sqlite", {"raw_days": 36_500, "gpu_raw_days": 36_500})
        spool = Spool(place / "spool", SPOOL_BYTES, clock)
        await Forwarder(spool, store, clock).drain()
        points = tuple(point_and_ms(number)[0] for number in range(BUS))
        end_s = self._begin_s + published / BUS / 1000 + 1
        series = await store.range(RangeQuery(points=points, start_s=self._begin_s, end_s=end_s))
        await store.close()
        spool.close()
        return [(s.point, ms) for s in series for ms in self._ms(s.time_s)]

    def _spooled(self, place: Path) -> list[tuple[str, int]]:
        """Point and time of every sample since the begin."""
        return [(point, ms) for point, ms in self._all_spooled(place) if ms >= 0]

    def _older(self, place: Path) -> int:
        return sum(ms < 0 for _, ms in self._all_spooled(place))

    def _all_spooled(self, place: Path) -> list[tuple[str, int]]:
        """Point and time of every sample in a spool that nobody writes to."""
        spool = Spool(place / "spool", SPOOL_BYTES, ScaledClock())
        batches = [frame.batch for frame in spool.read_on(None, SPOOL_BYTES) if frame.batch is not None]
        spool.close()
        return [pair for batch in batches for pair in zip(batch.points, self._ms(batch.time_s), strict=True)]

    def _ms(self, time_s: npt.NDArray[np.float64]) -> list[int]:
        """Times after the begin [ms]."""
        found: list[int] = np.rint((time_s - self._begin_s) * 1000).astype(int).tolist()
        return found


def _size(place: Path) -> int:
    return sum(path.stat().st_size for path in (place / "spool").glob("*.seg"))


def _await_growth(process: subprocess.Popen[str], place: Path) -> None:
    """Until the collector has written to the spool."""
    before = _size(place)
    while _size(place) <= before:
        if process.poll() is not None:
            raise RuntimeError("the collector ended on its own")
        time.sleep(0.01)


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()
