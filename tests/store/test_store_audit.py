"""The audit chain."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plant.errors import ConfigError, RefusedError, StoreError
from store.audit import AuditHead, AuditLog, read, verify


def chain(folder, count=5):
    """A chain of `count` entries; its path and the head after each."""
    log = AuditLog(folder, "actuator")
    heads = []
    for i in range(count):
        log.append(
            1000.0 + i, "controller", "write", "cdu-1/supply", {"value": 31.5 + i, "ok": True, "text": "grüß 你好"}
        )
        heads.append(log.head)
    log.close()
    return log.path, heads


def test_entries_are_numbered_linked_and_read_back(tmp_path):
    """Entries come back in order with number, actor and detail, each naming the hash before; the chain verifies."""
    path, heads = chain(tmp_path)
    entries = list(read(path))
    assert [e.seq for e in entries] == [1, 2, 3, 4, 5]
    assert all(after.previous == before.hash for before, after in pairwise(entries))
    assert entries[2].detail == {"value": 33.5, "ok": True, "text": "grüß 你好"}
    check = verify(path, heads[2])
    assert check.ok
    assert (check.entries, check.head) == (5, heads[-1])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_is_found_and_its_record_named(tmp_path, data):
    """Whichever byte is changed to whatever else, verify names the record that holds it (or the next, for a line's end)."""
    path = tmp_path / "actuator.jsonl"
    if not path.exists():
        chain(tmp_path)
    good = path.read_bytes()
    place = data.draw(st.integers(0, len(good) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda b: b != good[place]))
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(good[:place] + bytes([other]) + good[place + 1 :])
    check = verify(bad)
    assert not check.ok
    assert f"record {good[:place].count(10) + 1} " in check.fault


def test_a_dropped_swapped_or_doubled_line_is_found(tmp_path):
    """Removing, exchanging or repeating whole entries breaks the chain at that record."""
    path, _ = chain(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    for changed in (
        lines[:1] + lines[2:],
        [lines[0], lines[2], lines[1], *lines[3:]],
        [*lines[:2], lines[1], *lines[2:]],
    ):
        path.write_bytes(b"".join(changed))
        assert not verify(path).ok


def test_an_anchor_shows_truncation(tmp_path):
    """A shortened chain holds by itself; against a head noted earlier it doesn't."""
    path, heads = chain(tmp_path)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    assert verify(path).ok
    assert verify(path, heads[2]).ok
    check = verify(path, heads[4])
    assert "record 5" in check.fault
    assert not verify(path, AuditHead(2, "0" * 64)).ok


def test_a_torn_last_line_is_cut_off_and_noted(tmp_path):
    """What a kill leaves of a line is removed on open, an entry says what was lost, and the chain verifies again."""
    path, _ = chain(tmp_path)
    with path.open("ab") as file:
        file.write(b'{"seq":6,"at_s":10')
    assert len(list(read(path))) == 5
    assert "record 6" in verify(path).fault
    log = AuditLog(tmp_path, "actuator")
    log.append(2000.0, "ann", "set_mode", "tcs-1", {})
    log.close()
    assert verify(path).ok
    note, after = list(read(path))[5:]
    assert (note.action, note.detail["lost_bytes"]) == ("audit_repaired", 18)
    assert after.actor == "ann"


def test_a_chain_of_years_takes_no_memory(tmp_path):
    """To go on with it its end is enough, and it is checked line by line."""
    path, heads = chain(tmp_path)
    entries = path.read_bytes()
    path.write_bytes((b"x" * 199 + b"\n") * 100_000 + entries + b"torn")
    tracemalloc.start()
    try:
        AuditLog(tmp_path, "actuator").close()
        assert "record 1 is not an entry" in verify(path).fault
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000
    assert path.read_bytes().startswith(b"x" * 199)
    path.write_bytes(path.read_bytes()[200 * 100_000 :])
    assert verify(path).ok
    assert [e.seq for e in read(path)] == [*range(1, len(heads) + 1), len(heads) + 1]


def test_kill_minus_9_leaves_a_chain_that_goes_on(tmp_path):
    """After SIGKILL every entry that was acknowledged is in the chain, and the next process goes on with it."""
    code = (
        "import sys, pathlib, itertools\nfrom store.audit import AuditLog\n"
        "log = AuditLog(pathlib.Path(sys.argv[1]), 'actuator')\n"
        "for i in itertools.count(1):\n    print(log.append(i, 'a', 'b', 'c', {'text': 'x' * 500}).seq, flush=True)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        for _ in range(30):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        acknowledged = int((process.stdout.read().split() or ["30"])[-1])
    log = AuditLog(tmp_path, "actuator")
    assert log.head.seq >= acknowledged >= 30
    log.append(1.0, "a", "b", "c", {})
    log.close()
    assert verify(log.path).ok


def test_two_writers_never_share_a_chain(tmp_path):
    """A second process (here a second open) is refused; another writer's name has its own chain."""
    log = AuditLog(tmp_path, "actuator")
    with pytest.raises(RefusedError, match="another process"):
        AuditLog(tmp_path, "actuator")
    AuditLog(tmp_path, "api").close()
    log.close()


def test_a_deleted_chain_starts_over_and_says_so(tmp_path):
    """When the file is deleted under a running writer, a new chain begins with the head of the lost one."""
    log = AuditLog(tmp_path, "actuator")
    log.append(1.0, "a", "b", "c", {})
    lost = log.head
    log.path.unlink()
    log.append(2.0, "a", "b", "c", {})
    log.close()
    first, second = read(log.path)
    assert (first.action, first.detail["previous_hash"]) == ("audit_file_vanished", lost.hash)
    assert second.at_s == 2.0
    assert verify(log.path).ok


def test_entries_never_go_into_a_file_of_somebody_else(tmp_path):
    """While a new chain can't be begun, appending fails and touches nothing; once it can, the loss is noted first."""
    folder = tmp_path / "audit"
    log = AuditLog(folder, "actuator")
    log.append(1.0, "a", "b", "c", {})
    lost = log.head
    shutil.rmtree(folder)
    folder.write_text("in the way")
    with pytest.raises(StoreError):
        log.append(2.0, "a", "b", "c", {})
    other = os.open(tmp_path / "device-link", os.O_RDWR | os.O_CREAT)
    for _ in range(2):
        with pytest.raises(StoreError):
            log.append(3.0, "operator", "write", "cdu-1/pump", {})
    assert os.fstat(other).st_size == 0
    os.close(other)
    folder.unlink()
    log.append(4.0, "a", "b", "c", {})
    log.close()
    first, second = read(log.path)
    assert (first.action, first.detail["previous_hash"], second.at_s) == ("audit_file_vanished", lost.hash, 4.0)


def test_a_new_chain_that_another_process_took_is_not_closed_twice(tmp_path):
    """Refused, appending is refused again and again, until the other lets go; no file is left open or closed twice."""
    log = AuditLog(tmp_path, "actuator")
    log.append(1.0, "a", "b", "c", {})
    log.path.unlink()
    thief = AuditLog(tmp_path, "actuator")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(RefusedError, match="another process"):
            log.append(2.0, "a", "b", "c", {})
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    thief.close()
    log.append(3.0, "a", "b", "c", {})
    assert [entry.at_s for entry in read(log.path)] == [3.0, 3.0]
    log.close()


def test_the_name_of_a_new_chain_is_durable(tmp_path, monkeypatch):
    """The folder is synced before the first entry counts."""
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_ino) or real(file))
    log = AuditLog(tmp_path / "audit", "actuator")
    assert synced == [(tmp_path / "audit").stat().st_ino]
    log.close()


def test_a_failed_append_leaves_the_chain_as_it_was(tmp_path):
    """When the disk is full, append raises StoreError; once there is room the chain goes on without a gap."""
    import resource

    log = AuditLog(tmp_path, "actuator")
    log.append(1.0, "a", "b", "c", {})
    size = log.path.stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, before[1]))
    try:
        with pytest.raises(StoreError, match="free some space"):
            log.append(2.0, "a", "b", "c", {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert log.path.stat().st_size == size
    log.append(3.0, "a", "b", "c", {})
    log.close()
    assert verify(log.path).entries == 2


def test_what_is_not_a_chain_is_said(tmp_path):
    """A missing file, and a line that is no entry, each name the place."""
    with pytest.raises(ConfigError, match=r"none\.jsonl"):
        verify(tmp_path / "none.jsonl")
    (tmp_path / "x.jsonl").write_text("{}\n")
    with pytest.raises(ConfigError, match=r"x\.jsonl:1"):
        list(read(tmp_path / "x.jsonl"))
