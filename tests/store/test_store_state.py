"""The state directory."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import threading
import tracemalloc
from pathlib import Path

import pytest

from plant.errors import ConfigError, RefusedError, StoreError
from plant.ports import RangeQuery
from plant.samples import SampleBatch
from store.audit import AuditLog, verify
from store.embedded import EmbeddedStore
from store.state import VERSION, StateDir

ROOT = Path(__file__).parents[2]


def test_a_new_directory_has_all_its_places(tmp_path):
    """Opening makes the directory with version, spool and audit; opening again changes nothing."""
    for _ in range(2):
        state = StateDir(tmp_path / "deep" / "state")
        assert (state.path / "version").read_text() == f"{VERSION}\n"
        assert state.spool.is_dir()
        assert state.audit.is_dir()
    assert {state.history.name, state.bus.name} == {"history.sqlite", "bus.sock"}


def test_each_acquire_has_a_greater_epoch(tmp_path):
    """The epoch grows with every acquire, in the same directory and across processes' ends."""
    state = StateDir(tmp_path)
    epochs = []
    for _ in range(3):
        epochs.append(state.acquire())
        state.release()
    assert epochs == [1, 2, 3]
    assert StateDir(tmp_path).acquire() == 4


def test_a_second_process_is_refused_by_pid_until_the_first_is_killed(tmp_path):
    """While one process has the lock another is refused, with its pid; kill -9 frees it and the epoch still grows."""
    code = "import sys, time\nfrom store.state import StateDir\ns = StateDir(sys.argv[1])\nprint(s.acquire(), flush=True)\ntime.sleep(60)"
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout.readline() == "1\n"
        with pytest.raises(RefusedError, match=f"process {process.pid} "):
            StateDir(tmp_path).acquire()
        process.send_signal(signal.SIGKILL)
        process.wait()
    state = StateDir(tmp_path)
    assert state.acquire() == 2
    with pytest.raises(RefusedError, match=f"process {os.getpid()} "):
        StateDir(tmp_path).acquire()
    state.release()


def test_a_damaged_epoch_is_never_guessed(tmp_path):
    """An epoch file without a number refuses to start, says what to do, and leaves the lock free."""
    (StateDir(tmp_path).path / "epoch").write_text("what?")
    for _ in range(2):
        with pytest.raises(ConfigError, match="greater than any used before"):
            StateDir(tmp_path).acquire()


def test_the_token_is_secret_and_stays(tmp_path):
    """The token is long, made once, the same for everybody who asks at once, and readable by the owner only."""
    state, found = StateDir(tmp_path), []
    threads = [threading.Thread(target=lambda: found.append(StateDir(tmp_path).token())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {state.token()}
    assert len(state.token()) >= 40
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    (tmp_path / "token").chmod(0o644)
    state.token()
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600


def test_documents_are_kept_whole(tmp_path):
    """write_json replaces a document; a missing one is None; a damaged one is named."""
    state = StateDir(tmp_path)
    assert state.read_json("modes.json") is None
    state.write_json("modes.json", {"tcs-1": {"mode": "auto", "x": float("nan")}})
    state.write_json("modes.json", [{"loop": "tcs-1", "mode": "hold"}])
    assert state.read_json("modes.json") == [{"loop": "tcs-1", "mode": "hold"}]
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    (tmp_path / "modes.json").write_text("{")
    with pytest.raises(ConfigError, match=r"modes\.json"):
        state.read_json("modes.json")


def test_a_document_that_cannot_be_written_stays_as_it_was(tmp_path):
    """When the disk is full the old document is still whole, and StoreError says so."""
    import resource

    state = StateDir(tmp_path)
    state.write_json("modes.json", {"old": True})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(StoreError, match="old content stays"):
            state.write_json("modes.json", {"new": "x" * 5000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert state.read_json("modes.json") == {"old": True}


def test_a_version_1_directory_is_migrated(tmp_path):
    """Version 1 kept the epoch in edge.lock; it goes on from there, never from nothing."""
    (tmp_path / "version").write_text("1\n")
    (tmp_path / "edge.lock").write_text("4711 17\n")
    (tmp_path / "token").write_text("a-secret\n")
    (tmp_path / "spool").mkdir()
    state = StateDir(tmp_path)
    assert (tmp_path / "version").read_text() == "2\n"
    assert state.acquire() == 18
    assert state.token() == "a-secret"


@pytest.mark.parametrize(
    ("files", "message"),
    [({"version": "3"}, "newer than 2"), ({"notes.txt": "x"}, "not a state directory"), ({"version": "x"}, "number")],
)
def test_what_is_no_state_directory_is_refused_untouched(tmp_path, files, message):
    """A newer version, a foreign folder or a damaged version is refused, and nothing is written into it."""
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=message):
        StateDir(tmp_path)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == files


def test_a_directory_whose_files_were_deleted_in_use_opens_again(tmp_path):
    """History recreated after somebody deleted everything does not keep the next start from working."""
    (tmp_path / "history.sqlite-wal").write_bytes(b"")
    (tmp_path / "bus.sock").write_bytes(b"")
    assert StateDir(tmp_path).acquire() == 1


async def test_a_backup_made_while_running_restores_everything(tmp_path):
    """A backup taken between two writes of a running store holds all that was accepted before it."""
    state = StateDir(tmp_path / "state")
    epoch, token = state.acquire(), state.token()
    state.write_json("modes.json", {"tcs-1": "auto"})
    (state.spool / "0001.spool").write_bytes(b"segment")
    log = AuditLog(state.audit, "actuator")
    log.append(1.0, "a", "b", "c", {})
    store = EmbeddedStore.open(state.history, {})
    await store.write(SampleBatch.of([("cdu-1/t", 1.7e9 + i, 0.0, float(i), 0) for i in range(500)]))
    state.backup(tmp_path / "b.tar.gz")
    await store.write(SampleBatch.of([("cdu-1/t", 1.8e9, 0.0, 1.0, 0)]))
    await store.close()
    log.close()
    state.release()
    assert stat.S_IMODE((tmp_path / "b.tar.gz").stat().st_mode) == 0o600

    restored = StateDir.restore(tmp_path / "again", tmp_path / "b.tar.gz")
    assert restored.token() == token
    assert restored.acquire() > epoch + 100
    assert restored.read_json("modes.json") == {"tcs-1": "auto"}
    assert (restored.spool / "0001.spool").read_bytes() == b"segment"
    assert verify(restored.audit / "actuator.jsonl").entries == 1
    again = EmbeddedStore.open(restored.history, {})
    (series,) = await again.range(RangeQuery(points=("cdu-1/t",), start_s=0, end_s=2e9))
    assert series.value.tolist() == list(map(float, range(500)))
    await again.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again", "b.tar.gz", "state"]


def test_a_restore_never_overwrites(tmp_path):
    """Restoring into a directory that holds anything is refused, and the directory is as before."""
    StateDir(tmp_path / "state").backup(tmp_path / "b.tar.gz")
    (tmp_path / "busy").mkdir()
    (tmp_path / "busy" / "x").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        StateDir.restore(tmp_path / "busy", tmp_path / "b.tar.gz")
    assert (tmp_path / "busy" / "x").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    StateDir.restore(tmp_path / "empty", tmp_path / "b.tar.gz")


def _evil(tmp_path, name):
    path = tmp_path / "evil.tar.gz"
    (tmp_path / "payload").write_text("x")
    with tarfile.open(path, "w:gz") as tar:
        tar.add(tmp_path / "payload", name)
    return path


@pytest.mark.parametrize(
    "name", ["../outside", "/tmp/outside", "spool/../../outside", "bus.sock", "other.txt", "spool"]
)
def test_only_what_a_backup_holds_is_restored(tmp_path, name):
    """An archive with any other member, or none of ours, is refused and leaves nothing behind."""
    with pytest.raises(ConfigError):
        StateDir.restore(tmp_path / "new", _evil(tmp_path, name))
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08\x00" + b"x" * 50])
def test_a_damaged_archive_is_said(tmp_path, content):
    """What is no archive raises ConfigError and makes no directory."""
    (tmp_path / "b.tar.gz").write_bytes(content)
    with pytest.raises(ConfigError):
        StateDir.restore(tmp_path / "new", tmp_path / "b.tar.gz")
    assert not (tmp_path / "new").exists()


def test_a_backup_holds_all_that_a_site_remembers(tmp_path):
    """What docs/operating.md names; a plan that has begun, e.g., would be refused without how far it is."""
    table = (ROOT / "docs" / "operating.md").read_text("utf-8").partition("## State")[2].partition("\n\n`coldplate")[0]
    named = {
        n.removesuffix("*.jsonl")
        for row in table.split("\n| `")[1:]
        for n in ("`" + row.split("|")[0]).split("`")[1::2]
    }
    assert {"version", "switchback.json", "shed-books/", "balances.json"} <= named
    state = StateDir(tmp_path / "state")
    kept = {
        name + ("it" if name.endswith("/") else "")
        for name in named - {"history.sqlite", "edge.lock", "version", "epoch"}
    }
    for name in kept:
        (state.path / name).write_text(name)
    state.backup(tmp_path / "b.tar.gz")
    again = StateDir.restore(tmp_path / "again", tmp_path / "b.tar.gz")
    assert {name: (again.path / name).read_text() for name in kept} == {name: name for name in kept}
    (state.path / "version").unlink()
    assert StateDir(state.path).path == state.path, "its files are known without their version, too"


def test_a_backup_of_years_of_audit_needs_no_memory_for_it(tmp_path):
    """An audit chain grows for years; it goes into the archive in pieces, and whole."""
    state = StateDir(tmp_path / "state")
    chain = state.audit / "edge.jsonl"
    with chain.open("wb") as file:
        file.truncate(64_000_000)
    tracemalloc.start()
    state.backup(tmp_path / "b.tar.gz")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8_000_000
    with tarfile.open(tmp_path / "b.tar.gz") as tar:
        assert tar.getmember("audit/edge.jsonl").size == 64_000_000


def test_a_backup_that_fails_leaves_no_half_file(tmp_path):
    """When the target folder is missing the backup raises StoreError."""
    state = StateDir(tmp_path / "state")
    with pytest.raises(StoreError, match="no backup made"):
        state.backup(tmp_path / "none" / "b.tar.gz")
    shutil.rmtree(state.path)


def synced(monkeypatch):
    """What is synced from now on, by inode, in order."""
    found = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: found.append(os.fstat(file).st_ino) or real(file))
    return found


def test_a_backup_outlives_a_power_failure(tmp_path, monkeypatch):
    """The archive is synced before it gets its name, and then the name."""
    state = StateDir(tmp_path / "state")
    order = synced(monkeypatch)
    state.backup(tmp_path / "b.tar.gz")
    assert order == [(tmp_path / "b.tar.gz").stat().st_ino, tmp_path.stat().st_ino]


def test_a_document_whose_folder_cannot_be_synced_says_which_content_stands(tmp_path, monkeypatch):
    """The new content is there by then, and the error does not claim otherwise."""
    state = StateDir(tmp_path)
    state.write_json("modes.json", {"n": 1})
    real = os.fsync

    def fail_for_folders(file):
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(5, "Input/output error")
        real(file)

    monkeypatch.setattr(os, "fsync", fail_for_folders)
    with pytest.raises(StoreError, match="written, but its folder can't be synced") as caught:
        state.write_json("modes.json", {"n": 2})
    assert "old content stays" not in str(caught.value)
    assert state.read_json("modes.json") == {"n": 2}


def test_an_unreadable_document_is_a_store_error(tmp_path):
    """Such as a folder in its place."""
    state = StateDir(tmp_path)
    (tmp_path / "modes.json").mkdir()
    with pytest.raises(StoreError, match=r"modes\.json: can't be read"):
        state.read_json("modes.json")
