"""A link whose code falls over, and the join of one bus."""

from __future__ import annotations

import asyncio

from collector.collector import Collector
from collector.dsx_join import DsxJoin
from collector.spool import Spool
from collector.wiring import Wire
from devices import dsx
from devices.profiles import load_profile
from plant.clock import ScaledClock
from plant.live import LiveTable


class Falls:
    """A link that falls over some times, then runs."""

    link = "bms"

    def __init__(self, times):
        self.left = times

    async def run(self):
        """Fall, or run for ever."""
        if self.left:
            self.left -= 1
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._fall())
        await asyncio.Event().wait()

    async def _fall(self):
        raise KeyError("rack-99")


async def test_a_link_that_falls_again_and_again_is_told_until_it_runs(peers, make_site, tmp_path, monkeypatch):
    """One fault is only logged; the second in a row raises a condition with its cause, which goes once the link runs."""
    monkeypatch.setattr("collector.collector.RESTART_AFTER_S", 0.3)
    monkeypatch.setattr("collector.collector.STEADY_S", 1.0)
    clock, site = ScaledClock(), make_site([], [])
    spool = Spool(tmp_path, 1_000_000, clock)
    collector = Collector(site, {}, LiveTable([], clock), spool, clock)
    link = Falls(3)
    async with peers.running(collector._keep_running(link)):
        await peers.until(lambda: link.left == 2)
        assert collector.conditions() == []
        await peers.until(lambda: [c.cause.params["count"] for c in collector.conditions()] == [3])
        (told,) = collector.conditions()
        assert (told.code, told.subject, told.cause.params["count"]) == ("link_failing", "bms", 3)
        assert "KeyError: 'rack-99'" in told.cause.text
        await peers.until(lambda: collector.conditions() == [], 5)


class FallsAtTheEnd(Falls):
    """A link whose child falls over as it is cancelled, which turns the cancellation into a fault."""

    def __init__(self):
        super().__init__(0)
        self.started = 0

    async def run(self):
        """Run until cancelled, then fall."""
        self.started += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await super()._fall()


async def test_a_link_that_falls_while_cancelled_ends(peers, make_site, tmp_path, monkeypatch):
    """It was started again by a collector that was ending, which then waited for it for ever."""
    monkeypatch.setattr("collector.collector.RESTART_AFTER_S", 0.1)
    clock, site = ScaledClock(), make_site([], [])
    collector = Collector(site, {}, LiveTable([], clock), Spool(tmp_path, 1_000_000, clock), clock)
    link = FallsAtTheEnd()
    collector._counting.append(link)
    running = asyncio.create_task(collector.run())
    await peers.until(lambda: link.started == 1)
    running.cancel()
    done, _ = await asyncio.wait({running}, timeout=60)
    assert done
    assert (running.cancelled(), link.started) == (True, 1)


def metadata(point, name):
    """As a publisher says it."""
    return dsx.decode_metadata(dsx.encode_metadata(point, name))


def test_corrected_metadata_lets_go_of_what_it_claimed():
    """A tag path that was first said to be one CDU and then another leaves the first to the tag path whose it is."""
    profile = load_profile("dsx-cdu")
    point = next(p for p in profile.points if p.object)
    join = DsxJoin([Wire("cdu-1", profile, 0, "ONE"), Wire("cdu-2", profile, 0, "TWO")], discover=False)
    (value_a, metadata_a), (value_b, metadata_b) = (dsx.point_topics(point, tag) for tag in ("tag/a", "tag/b"))
    join.metadata(metadata_a, metadata(point, "ONE"))
    join.metadata(metadata_a, metadata(point, "TWO"))
    join.metadata(metadata_b, metadata(point, "ONE"))
    rows = [join.row(str(topic), dsx.encode_value(1.0, 1.0)) for topic in (value_a, value_b)]
    assert [row and row[0] for row in rows] == [f"cdu-2/{point.name}", f"cdu-1/{point.name}"]
    join.metadata(metadata_a, metadata(point, "ONE"))  # the first of equals keeps it
    assert join.row(str(value_a), dsx.encode_value(1.0, 1.0)) is None
    assert join.row(str(value_b), dsx.encode_value(1.0, 1.0))[0] == f"cdu-1/{point.name}"
