"""The forwarder: everything reaches the store, in order, whatever the store does meanwhile."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.forwarder import Forwarder
from collector.frames import HEADER, FrameDecoder
from collector.spool import Spool
from plant.clock import ManualClock, ScaledClock
from plant.errors import PermanentError, StoreError
from plant.ports import WriteResult
from plant.samples import SampleBatch


def batch(start, count=3, point="a/t"):
    """Samples at consecutive seconds."""
    return SampleBatch.of([(point, float(start + i), 0.0, float(start + i), 0) for i in range(count)])


def open_spool(folder, max_bytes=10_000_000):
    """A spool as after a start."""
    return Spool(folder, max_bytes, ManualClock())


class Wall:
    """Real time [s], by hand."""

    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        """The time [s]."""
        return self.now_s


class Server:
    """A store that acknowledges before it is on disk: a kill takes the last five seconds with it.

    tells: whether it says since when it runs. poison: points that it refuses, with all that came in the same write.
    """

    capabilities = frozenset({"upsert"})

    def __init__(self, wall, *, tells=True):
        self._wall, self._tells = wall, tells
        self.rows, self._unsaved = {}, {}
        self.started, self.up, self.writes = wall(), True, []
        self.poison, self.errors = set(), []
        self.order = {}

    async def write(self, batch):
        """Into memory; to disk after five seconds."""
        self._require_up()
        if self.errors:
            raise self.errors.pop(0)
        if self.poison & set(batch.points):
            raise PermanentError("field type conflict")
        self.writes.append(len(batch))
        for point, time_s in zip(batch.points, batch.time_s.tolist(), strict=True):
            if (point, time_s) not in self.rows:
                self.order.setdefault(point, []).append(time_s)
            self.rows[point, time_s] = self._unsaved[point, time_s] = self._wall()
        return WriteResult(accepted=len(batch))

    async def started_s(self):
        """Since when it runs, if it says so."""
        self._require_up()
        return self.started if self._tells else None

    def kill(self):
        """It dies at once."""
        self.up = False
        for row, taken_s in list(self.rows.items()):
            if self._wall() - taken_s < 5:
                del self.rows[row]
        self.order = {}

    def start(self):
        """It comes back with what was on its disk."""
        self.up, self.started = True, self._wall()

    def times(self):
        """What it holds, by point and time."""
        return sorted(self.rows)

    def _require_up(self):
        if not self.up:
            raise ConnectionRefusedError("connection refused")


async def test_the_store_may_come_and_go(tmp_path, memory_store):
    """While the store fails a condition tells since when; afterwards every sample is stored, oldest first."""
    clock = ManualClock()
    spool = open_spool(tmp_path)
    forwarder = Forwarder(spool, memory_store, clock)
    spool.append([batch(0)])
    memory_store.failing = StoreError("disk is gone")
    await forwarder.drain()
    since = clock.now()
    clock.advance(60)
    await forwarder.drain()
    (lost,) = forwarder.conditions()
    assert (lost.code, lost.since_s) == ("store_lost", since)
    assert "disk is gone" in lost.cause.text
    spool.append([batch(10)])
    memory_store.failing = None
    await forwarder.drain()
    assert forwarder.conditions() == []
    assert [time_s for _, time_s in memory_store.rows] == [0, 1, 2, 10, 11, 12]
    assert spool.read() is None


async def test_a_crash_before_the_cursor_repeats_but_doubles_nothing(tmp_path, memory_store):
    """A restart between store and cursor writes the frame again, and the store holds it once."""
    spool = open_spool(tmp_path)
    spool.append([batch(0)])
    await memory_store.write(spool.read().batch)
    spool.close()
    await Forwarder(open_spool(tmp_path), memory_store, ScaledClock()).drain()
    assert memory_store.writes == 2
    assert len(memory_store.rows) == 3


async def test_what_was_dropped_is_told_with_figures(tmp_path, memory_store):
    """A spool that had to drop says how many samples went, and why."""
    spool = open_spool(tmp_path, 200_000)
    rng = random.Random(1)
    for i in range(100):
        spool.append([SampleBatch.of([(f"p/{j}", float(i), 0.0, rng.random(), 0) for j in range(500)])])
    forwarder = Forwarder(spool, memory_store, ManualClock())
    await forwarder.drain()
    (overflow,) = forwarder.conditions()
    assert overflow.code == "spool_overflow"
    assert overflow.cause.params["lost"] == overflow.cause.params["by_size"] == spool.dropped_samples > 0
    assert forwarder.forwarded_samples + spool.dropped_samples == 50_000


# --- what the store refuses for good ---


async def test_a_poison_batch_is_set_aside(tmp_path, memory_store):
    """What the store never takes is kept for a person and counted, and does not stop what follows."""
    spool = open_spool(tmp_path)
    memory_store.poison = {"bad/t"}
    spool.append([batch(0), batch(5, point="bad/t"), batch(10)])
    forwarder = Forwarder(spool, memory_store, ManualClock())
    await forwarder.drain()
    assert [time_s for _, time_s in memory_store.rows] == [0, 1, 2, 10, 11, 12]
    assert forwarder.counters()["set_aside_batches"] == 1
    assert forwarder.counters()["set_aside_samples"] == 3
    (told,) = forwarder.conditions()
    assert (told.code, told.cause.params["count"]) == ("samples_set_aside", 3)
    (kept,) = (tmp_path / "set-aside").glob("*.frame")
    assert set(FrameDecoder().decode(kept.read_bytes()[HEADER.size :]).points) == {"bad/t"}


async def test_only_the_poison_rows_of_a_batch_are_set_aside(tmp_path):
    """Of a large batch with some poison rows all others are stored, in the order of their series."""
    store, spool = Server(Wall()), open_spool(tmp_path)
    store.poison = {"p/7", "p/399"}
    rows = [(f"p/{i}", float(t), 0.0, 1.0, 0) for t in range(3) for i in range(500)]
    spool.append([SampleBatch.of(rows)])
    forwarder = Forwarder(spool, store, ManualClock())
    await forwarder.drain()
    assert store.times() == sorted((p, t) for p, t, *_ in rows if p not in store.poison)
    assert all(times == sorted(times) for times in store.order.values())
    (kept,) = (tmp_path / "set-aside").glob("*.frame")
    aside = FrameDecoder().decode(kept.read_bytes()[HEADER.size :])
    found = sorted(zip(aside.points, aside.time_s.tolist(), strict=True))
    assert found == sorted((p, float(t)) for p in store.poison for t in range(3))
    assert forwarder.counters()["set_aside_samples"] == 6
    assert "field type conflict" in (tmp_path / "set-aside" / f"{kept.stem}.json").read_text()


async def test_a_store_that_refuses_everything_is_not_asked_forever(tmp_path, monkeypatch):
    """Bisection has a bound: what was not tried is set aside as well, and nothing is lost without being counted."""
    monkeypatch.setattr("collector.forwarder.MAX_BISECTIONS", 50)
    store, spool = Server(Wall()), open_spool(tmp_path)
    store.poison = {f"p/{i}" for i in range(300)}
    spool.append([SampleBatch.of([(f"p/{i}", 1.0, 0.0, 1.0, 0) for i in range(300)]), batch(0)])
    forwarder = Forwarder(spool, store, ManualClock())
    await forwarder.drain()
    assert forwarder.counters()["set_aside_samples"] == 300
    assert store.times() == [("a/t", 0.0), ("a/t", 1.0), ("a/t", 2.0)]


async def test_a_store_that_goes_away_during_a_bisection(tmp_path):
    """The frame is tried again as a whole later; its poison rows are set aside and counted once."""
    store, spool = Server(Wall()), open_spool(tmp_path)
    store.poison = {"p/5"}
    spool.append([SampleBatch.of([(f"p/{i}", 1.0, 0.0, 1.0, 0) for i in range(16)])])
    forwarder = Forwarder(spool, store, ManualClock())
    store.errors = [PermanentError("no"), PermanentError("no"), StoreError("busy")]
    await forwarder.drain()
    assert forwarder.counters()["set_aside_samples"] == 0
    await forwarder.drain()
    assert forwarder.counters()["set_aside_samples"] == 1
    assert len(store.rows) == 15


async def test_rows_that_a_store_names_are_set_aside_with_its_reason(tmp_path):
    """Rows that the store took out of a batch by itself are kept, too, and their reason is told."""

    class Choosy(Server):
        async def write(self, batch):
            """All but the second row."""
            return WriteResult(accepted=len(batch) - 1, rejected=("a/t: time 1.0 is too old",), rows=(1,))

    spool = open_spool(tmp_path)
    spool.append([batch(0)])
    forwarder = Forwarder(spool, Choosy(Wall()), ManualClock())
    await forwarder.drain()
    assert forwarder.counters()["rejected_samples"] == 1
    (kept,) = (tmp_path / "set-aside").glob("*.frame")
    assert FrameDecoder().decode(kept.read_bytes()[HEADER.size :]).time_s.tolist() == [1.0]
    assert "too old" in forwarder.conditions()[0].cause.text


async def test_all_refused_rows_of_a_frame_lie_in_one_lot(tmp_path):
    """Rows that the store names and rows that it refuses in a bisection: none overwrites another, each frame has its lot."""

    class Mixed(Server):
        async def write(self, batch):
            """Refuses poison with all around it; leaves out what is old."""
            await super().write(batch)
            old = [i for i, point in enumerate(batch.points) if point.startswith("old/")]
            return WriteResult(accepted=len(batch) - len(old), rejected=("too old",) * len(old), rows=tuple(old))

    store, spool = Mixed(Wall()), open_spool(tmp_path)
    store.poison = {"x/poison"}
    names = ("old/1", "x/a", "old/2", "x/b", "x/poison", "x/c", "x/d", "x/e")
    spool.append([SampleBatch.of([(name, 1.0, 1.0, 0.0, 0) for name in names])])
    forwarder = Forwarder(spool, store, ManualClock())
    await forwarder.drain()
    store.poison = set()
    spool.append([SampleBatch.of([(f"old/{i}", 2.0, 2.0, 0.0, 0), ("x/a", 2.0, 2.0, 0.0, 0)]) for i in (5, 6)])
    await forwarder.drain()
    lots = sorted((tmp_path / "set-aside").glob("*.frame"), key=lambda lot: int(lot.stem.rpartition("-")[2]))
    found = [set(FrameDecoder().decode(lot.read_bytes()[HEADER.size :]).points) for lot in lots]
    assert found == [{"old/1", "old/2", "x/poison"}, {"old/5"}, {"old/6"}]
    assert forwarder.counters()["set_aside_samples"] == 5
    said = lots[0].with_suffix(".json").read_text()
    assert "too old" in said
    assert "field type conflict" in said


async def test_damage_of_the_spool_is_told(tmp_path):
    """Samples lost with a deleted file raise a condition, with their number; what follows is forwarded."""
    store, spool = Server(Wall()), open_spool(tmp_path)
    spool.append([batch(0)])
    next(tmp_path.glob("*.seg")).unlink()
    spool.append([batch(10)])
    forwarder = Forwarder(spool, store, ManualClock())
    await forwarder.drain()
    assert [t for _, t in store.times()] == [10, 11, 12]
    (told,) = forwarder.conditions()
    assert (told.code, told.cause.params["samples"]) == ("spool_damaged", 3)
    assert forwarder.counters()["spool_damaged_frames"] == 1


# --- pace ---


async def test_a_backlog_goes_in_large_writes(tmp_path, monkeypatch):
    """Many small frames become few writes, in order, and nothing is left."""
    monkeypatch.setattr("collector.forwarder.MAX_WRITE_SAMPLES", 2000)
    store, spool = Server(Wall()), open_spool(tmp_path)
    spool.append([batch(40 * i, 40) for i in range(300)])
    forwarder = Forwarder(spool, store, ManualClock())
    await forwarder.drain()
    assert len(store.writes) == 6
    assert max(store.writes) == 2000
    assert store.order["a/t"] == [float(t) for t in range(12_000)]
    assert forwarder.forwarded_samples == 12_000
    assert spool.read() is None


async def test_a_store_that_can_not_take_much_gets_less(tmp_path):
    """Writes become smaller until they pass, and larger again once they do; nothing overtakes."""

    class Small(Server):
        limit = 3000

        async def write(self, batch):
            """Only so many at once."""
            if len(batch) > self.limit:
                raise StoreError("timed out")
            return await super().write(batch)

    store, spool = Small(Wall()), open_spool(tmp_path, 100_000_000)
    spool.append([batch(1000 * i, 1000) for i in range(100)])
    forwarder = Forwarder(spool, store, ManualClock())
    for _ in range(200):
        await forwarder.drain()
    assert store.order["a/t"] == [float(t) for t in range(100_000)]
    assert max(store.writes) <= 3000
    assert forwarder.failures < 60


async def test_a_store_that_names_a_time_is_given_it(tmp_path):
    """After an answer like 429 with Retry-After the wait is at least that long; after others it grows, within a bound."""
    store, spool = Server(Wall()), open_spool(tmp_path)
    spool.append([batch(0)])
    forwarder = Forwarder(spool, store, ManualClock(), jitter=lambda: 0.0)
    busy = StoreError("too many requests")
    busy.retry_after_s = 42.0
    store.errors = [busy, *[StoreError("down")] * 12]
    await forwarder.forward_one()
    assert forwarder.pause_s() == 42.0
    pauses = []
    for _ in range(12):
        await forwarder.forward_one()
        pauses.append(forwarder.pause_s())
    assert pauses == sorted(pauses)
    assert pauses[-1] == 7.5
    await forwarder.drain()
    assert forwarder.pause_s() < 1
    assert len(store.rows) == 3


# --- stores that may forget what they acknowledged ---


class Rig:
    """A spool, a forgetful server and a forwarder on one real-time clock; a flush of samples every two seconds."""

    def __init__(self, folder, *, tells=True):
        self.wall, self.folder = Wall(), folder
        self.server = Server(self.wall, tells=tells)
        self.spool, self.sent = open_spool(folder), 0
        self.forwarder = self.new_forwarder()

    def new_forwarder(self):
        """As after a start."""
        return Forwarder(self.spool, self.server, ManualClock(), monotonic=self.wall)

    async def live(self, flushes):
        """Time passes; samples come in and are forwarded if that is possible."""
        for _ in range(flushes):
            self.spool.append([batch(self.sent)])
            self.sent += 3
            await self.forwarder.drain()
            self.wall.now_s += 2.0

    def gaps(self):
        """Samples that were forwarded and are not in the store."""
        return {float(t) for t in range(self.sent)} - {t for _, t in self.server.rows}


@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize("outage_s", [1, 30, 600])
async def test_no_gap_after_a_store_was_killed_after_acknowledging(tmp_path, tells, outage_s):
    """A server that forgets its last seconds gets them again after it is back, however long it was away."""
    rig = Rig(tmp_path, tells=tells)
    await rig.live(40)
    assert rig.gaps() == set()
    rig.server.kill()
    assert rig.gaps() != set()
    await rig.live(2)
    rig.wall.now_s += outage_s
    await rig.live(2)
    rig.server.start()
    await rig.live(10)
    assert rig.gaps() == set()
    assert rig.forwarder.counters()["store_replays"] >= 2
    times = rig.server.order["a/t"]
    assert times == sorted(times)


async def test_a_restart_between_two_writes_is_noticed(tmp_path):
    """A server that was back before anyone missed it is known by its start time."""
    rig = Rig(tmp_path)
    await rig.live(35)
    rig.server.kill()
    rig.server.start()
    assert rig.gaps() != set()
    rig.wall.now_s += 10
    await rig.forwarder.drain()
    assert rig.gaps() == set()


async def test_a_collector_and_its_store_killed_together(tmp_path):
    """A collector that starts anew sends its window once more: nobody watched the store in between."""
    rig = Rig(tmp_path)
    await rig.live(35)
    rig.server.kill()
    rig.server.start()
    rig.spool.close()
    rig.spool = open_spool(tmp_path)
    rig.forwarder = rig.new_forwarder()
    await rig.forwarder.drain()
    assert rig.gaps() == set()


async def test_the_window_is_bounded(tmp_path):
    """Only about a minute is sent again, and the spool lets go of what is older."""
    rig = Rig(tmp_path)
    rig.spool._segment_bytes = 500
    await rig.live(80)
    before = rig.forwarder.counters()["replayed_samples"]
    rig.server.kill()
    rig.server.start()
    await rig.live(6)
    assert 30 * 3 <= rig.forwarder.counters()["replayed_samples"] - before <= 40 * 3
    assert len(list(tmp_path.glob("*.seg"))) < 30


async def test_a_store_that_asks_for_patience_is_not_sent_everything_again(tmp_path):
    """429 says that the server is there: nothing is replayed. A lost connection says nothing: it is."""
    rig = Rig(tmp_path, tells=False)
    await rig.live(35)
    replays = rig.forwarder.counters()["store_replays"]
    busy = StoreError("too many requests")
    busy.retry_after_s = 1.0
    rig.server.errors = [busy]
    await rig.live(3)
    assert rig.forwarder.counters()["store_replays"] == replays
    rig.server.errors = [ConnectionResetError("connection reset")]
    await rig.live(3)
    assert rig.forwarder.counters()["store_replays"] == replays + 1
    assert rig.gaps() == set()


async def test_replays_do_not_keep_new_samples_waiting_forever(tmp_path):
    """A server that does not say since when it runs and drops every third connection still gets all, new ones too."""
    rig = Rig(tmp_path, tells=False)
    rig.forwarder._write_samples = 30
    await rig.live(35)
    for _ in range(20):
        rig.server.errors = [ConnectionResetError("connection reset")]
        await rig.forwarder.forward_one()
        await rig.forwarder.forward_one()
        await rig.live(1)
    await rig.live(5)
    assert rig.gaps() == set()


@given(
    st.lists(st.sampled_from(["live", "live", "kill", "start", "busy", "lost", "restart"]), max_size=10), st.booleans()
)
@settings(max_examples=12, deadline=None)
def test_whatever_happens_everything_arrives_in_order(tmp_path_factory, events, tells):
    """Kills, outages, refused connections and restarts of either side in any order: no gap, no overtaking, nothing dropped."""

    async def story():
        rig = Rig(tmp_path_factory.mktemp("story"), tells=tells)
        for event in [*events, "start", "live", "live"]:
            if event == "kill":
                rig.server.kill()
            elif event == "start" and not rig.server.up:
                rig.server.start()
            elif event in ("busy", "lost"):
                rig.server.errors = [StoreError("busy") if event == "busy" else ConnectionResetError("reset")]
            elif event == "restart":
                rig.spool.close()
                rig.spool = open_spool(rig.folder)
                rig.forwarder = rig.new_forwarder()
            await rig.live(4)
        assert rig.gaps() == set()
        times = rig.server.order.get("a/t", [])
        assert times == sorted(times)
        assert rig.spool.dropped_samples == 0
        rig.spool.close()

    asyncio.run(story())
