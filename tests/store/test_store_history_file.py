"""The history file in trouble: killed, deleted, full, damaged, old, new, and read while written."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from plant.clock import ManualClock
from plant.errors import ConfigError, StoreError
from plant.ports import RangeQuery
from plant.samples import SampleBatch
from store.embedded import EmbeddedStore
from store.schema import LADDER, VERSION

T0 = 1_767_225_600.0
DAYS = {"raw_days": 7.0}

WRITER = """
import asyncio, itertools, sys
from plant.samples import SampleBatch
from store.embedded import EmbeddedStore
async def main():
    store = EmbeddedStore.open(sys.argv[1], {"raw_days": 7.0})
    for i in itertools.count():
        rows = [(f"rack-{k}/x", 1767225600.0 + i * 60, 0.0, float(i), 0) for k in range(20)]
        await store.write(SampleBatch.of(rows))
        print(i, flush=True)
        if i % 20 == 19:
            await store.maintain(1767225600.0 + i * 60)
asyncio.run(main())
"""


def writer(path):
    """A real process that writes one sample a minute of 20 points, printing each number once it is accepted."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)


async def values(store, point="rack-7/x", step_s=None):
    """Everything known of a point."""
    (series,) = await store.range(RangeQuery(points=(point,), start_s=0, end_s=T0 + 1e8, step_s=step_s))
    return series.value.tolist()


def one(time_s=T0, value=1.0, point="rack-7/x"):
    """A batch of one sample."""
    return SampleBatch.of([(point, time_s, time_s, value, 0)])


@pytest.mark.parametrize("accepted", [30, 100, 211])
async def test_kill_minus_9_loses_nothing_accepted(tmp_path, accepted):
    """After SIGKILL at any moment, packing included, every sample that was accepted is there, once."""
    process = writer(tmp_path / "history.sqlite")
    last = -1
    while last < accepted:
        last = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    last = int((process.stdout.read().split() or [last])[-1])
    process.wait()
    process.stdout.close()
    store = EmbeddedStore.open(tmp_path / "history.sqlite", DAYS)
    found = await values(store)
    assert found[: last + 1] == list(map(float, range(last + 1)))
    assert len(found) <= last + 2
    await store.maintain(T0 + 86_400)
    assert await values(store) == found
    await store.close()


async def test_another_process_reads_while_one_writes(tmp_path):
    """A read-only store in this process sees whole, growing history while another process writes and packs."""
    path = tmp_path / "history.sqlite"
    reader = EmbeddedStore.open(path, DAYS, read_only=True)
    with pytest.raises(StoreError, match="no history yet"):
        await values(reader)
    process = writer(path)
    try:
        accepted = 0
        while accepted < 250:
            accepted = int(await asyncio.to_thread(process.stdout.readline))
            if accepted % 5 == 0:
                found = await values(reader)
                assert len(found) > accepted
                assert found == list(map(float, range(len(found))))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    await reader.close()


@pytest.mark.parametrize("whole_folder", [False, True])
async def test_a_deleted_file_is_made_anew_and_counted(tmp_path, whole_folder):
    """When the file (or its folder) is deleted, the next write goes to a new file, and `recreated` says so."""
    folder = tmp_path / "state"
    store = EmbeddedStore.open(folder / "history.sqlite", DAYS)
    reader = EmbeddedStore.open(folder / "history.sqlite", DAYS, read_only=True)
    await store.write(one(T0, 1.0))
    assert await values(reader) == [1.0]
    if whole_folder:
        shutil.rmtree(folder)
    else:
        (folder / "history.sqlite").unlink()
    assert store.recreated == 0
    await store.write(one(T0 + 1, 2.0))
    assert store.recreated == 1
    assert "vanished" in store.incidents[-1]
    assert await values(store) == await values(reader) == [2.0]
    await store.close()
    await reader.close()
    again = EmbeddedStore.open(folder / "history.sqlite", DAYS)
    assert await values(again) == [2.0]
    await again.close()


async def test_a_file_put_in_place_of_the_running_one_stays_whole(tmp_path):
    """A restored history.sqlite is gone on with: what is in it stays, nothing of the old one's journal gets into it."""
    path = tmp_path / "history.sqlite"
    backup = EmbeddedStore.open(tmp_path / "backup.sqlite", DAYS)
    for i in range(3):
        await backup.write(one(T0, 100.0 + i, f"old/{i}"))
    await backup.close()
    store = EmbeddedStore.open(path, DAYS)
    for i in range(3):
        await store.write(one(T0, float(i), f"new/{i}"))
    (tmp_path / "backup.sqlite").replace(path)
    await store.write(one(T0, 7.0, "fresh/1"))
    assert [await values(store, name) for name in ("old/0", "old/2", "new/0", "fresh/1")] == [
        [100.0],
        [102.0],
        [],
        [7.0],
    ]
    assert "was replaced" in store.incidents[-1]
    assert store.recreated == 0
    await store.close()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()


async def test_a_newer_file_put_in_place_of_the_running_one_is_waited_out(tmp_path):
    """Samples wait, as for a store that is down, and the file is left alone; with the old one back it goes on."""
    path, newer = tmp_path / "history.sqlite", tmp_path / "newer.sqlite"
    with sqlite3.connect(newer) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    content = newer.read_bytes()
    store = EmbeddedStore.open(path, DAYS)
    await store.write(one(T0, 1.0))
    path.rename(tmp_path / "aside.sqlite")
    newer.replace(path)
    for _ in range(2):
        with pytest.raises(StoreError, match="newer"):
            await store.write(one(T0 + 1, 2.0))
    assert path.read_bytes() == content
    path.unlink()
    await store.write(one(T0 + 1, 2.0))
    assert await values(store) == [2.0]
    await store.close()


async def test_a_full_disk_is_a_store_error_and_heals(tmp_path):
    """When SQLite can't grow the file the write raises StoreError, leaves nothing half done, and works again later."""
    store = EmbeddedStore.open(tmp_path / "history.sqlite", DAYS)
    await store.write(one())
    await store._do(lambda db: db.execute("PRAGMA max_page_count = 16").fetchone())
    big = SampleBatch.of([(f"rack/{i}", T0, T0, 1.0, 0) for i in range(20_000)])
    with pytest.raises(StoreError, match="disk full"):
        await store.write(big)
    assert await values(store) == [1.0]
    assert await store.last(["rack/0"]) == {}
    await store._do(lambda db: db.execute("PRAGMA max_page_count = 100000").fetchone())
    assert (await store.write(big)).accepted == 20_000
    await store.close()


async def test_a_full_disk_while_packing_loses_nothing(tmp_path):
    """Packing that finds the disk full raises StoreError and leaves history as it was."""
    store = EmbeddedStore.open(tmp_path / "history.sqlite", DAYS)
    rng = np.random.default_rng(1)
    rows = [("rack-7/x", T0 + i / 2, 0.0, float(v), 0) for i, v in enumerate(rng.random(7200))]
    await store.write(SampleBatch.of(rows))
    before = await values(store)
    await store._do(lambda db: db.execute("PRAGMA max_page_count = 1").fetchone())  # no more than it has
    with pytest.raises(StoreError, match="disk full"):
        await store.maintain(T0 + 4 * 3600)
    assert await values(store) == before
    await store.close()


@pytest.mark.parametrize("content", [b"not a database " * 1000, b"SQLite format 3\0" + b"\xff" * 9000])
async def test_a_corrupt_file_is_set_aside_at_start(tmp_path, content):
    """A damaged file is kept under another name with the time, and the store starts anew and says so."""
    path = tmp_path / "history.sqlite"
    path.write_bytes(content)
    store = EmbeddedStore.open(path, DAYS, clock=ManualClock())
    await store.write(one())
    assert await values(store) == [1.0]
    (aside,) = tmp_path.glob("history.sqlite.corrupt-*")
    assert aside.name == "history.sqlite.corrupt-20260101T000000"
    assert aside.read_bytes() == content
    assert aside.name in store.incidents[-1]
    await store.close()


async def test_damage_while_running_is_set_aside_and_reported(tmp_path):
    """Damage met by a running store raises one StoreError that names the file set aside; then it works again."""
    path = tmp_path / "history.sqlite"
    store = EmbeddedStore.open(path, DAYS)
    for i in range(50):
        await store.write(SampleBatch.of([(f"rack/{k}", T0 + i, T0, 1.0, 0) for k in range(200)]))
    await store._do(lambda db: None, writing=True)
    store._file.connected().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xa5" * (path.stat().st_size - 100))
    fresh = EmbeddedStore.open(path, DAYS)  # another connection, so that no page is cached
    await fresh.write(one())
    assert await values(fresh) == [1.0]
    assert any("corrupt" in note for note in fresh.incidents)
    assert len(list(tmp_path.glob("*.corrupt-*"))) >= 1
    await store.close()
    await fresh.close()


async def test_a_version_1_file_is_migrated(tmp_path):
    """A file that version 1 wrote gets its quarter hours from its minutes, keeps all history, and is then current."""
    path = tmp_path / "history.sqlite"
    old = sqlite3.connect(path)
    old.executescript((Path(__file__).parent / "history-version-1.sql").read_text(encoding="utf-8"))
    assert old.execute("PRAGMA user_version").fetchone() == (1,)
    assert old.execute("SELECT count(*) FROM sqlite_master WHERE name = 'quarter_day'").fetchone() == (0,)
    old.close()
    store = EmbeddedStore.open(path, DAYS)
    assert await store._do(lambda db: db.execute("PRAGMA user_version").fetchone()[0]) == VERSION == len(LADDER)
    point = "cdu-1/tcs_supply_temperature"
    raw = await values(store, point)
    assert len(raw) == 3 * 180 + 1
    assert raw[-1] == 31.25
    quarters = await values(store, point, step_s=900.0)
    assert len(quarters) == 3 * 4 + 1
    assert quarters[0] == pytest.approx(np.nanmean(raw[:45]), abs=0.01 / 16)
    assert await store._do(lambda db: db.execute("SELECT count(*) FROM quarter_day").fetchone()[0]) == 4
    assert await store.latest("plan", "tcs-1") == {"id": "p1"}
    await store.close()


async def test_a_newer_file_is_refused_and_left_alone(tmp_path):
    """A file of a future version raises a sentence and is not changed."""
    path = tmp_path / "history.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="version 99 is newer"):
        EmbeddedStore.open(path, DAYS)
    assert path.read_bytes() == before
