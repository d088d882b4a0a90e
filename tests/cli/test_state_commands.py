"""`coldplate state` as people call it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from cli.main import main
from plant.samples import SampleBatch
from plant.topology import Site
from sites import load_site
from store.audit import AuditLog
from store.embedded import EmbeddedStore
from store.state import StateDir

T0 = 1_767_225_600.0


@pytest.fixture
def run(capsys, monkeypatch):
    """Run it with words: status, output and errors."""

    def called(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["coldplate", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return end.value.code or 0, said.out, said.err

    return called


@pytest.mark.parametrize("command", [("backup", "b.tar.gz"), ("migrate",), ("verify-audit",)])
def test_a_mistyped_directory_is_told_not_made(run, tmp_path, monkeypatch, command):
    """An empty backup of a directory that nobody uses would be found out on the worst of days."""
    monkeypatch.chdir(tmp_path)
    status, _, said = run("state", *command, "--state", tmp_path / "sate")
    assert status
    assert "name the directory that `coldplate run --state` uses" in said
    assert list(tmp_path.iterdir()) == []


def test_a_directory_is_backed_up_checked_and_restored(run, tmp_path):
    """Each says what it did."""
    state = StateDir(tmp_path / "state")
    AuditLog(state.audit, "edge").append(1e9, "mei", "acknowledge", "tcs-1", {})
    assert run("state", "verify-audit", "--state", state.path)[:2] == (0, "edge.jsonl: 1 entries hold\n")
    assert run("state", "backup", tmp_path / "b.tar.gz", "--state", state.path)[0] == 0
    assert run("state", "restore", tmp_path / "b.tar.gz", "--state", tmp_path / "again")[0] == 0
    assert run("state", "migrate", "--state", tmp_path / "again")[0] == 0
    (tmp_path / "again" / "audit" / "edge.jsonl").write_text("{}\n")
    status, said, _ = run("state", "verify-audit", "--state", tmp_path / "again")
    assert (status, "then" in said) == (1, True)


async def a_day_of_registers(site: Site, history: Path) -> None:
    """What every energy meter counted in an hour, for a day."""
    points = [f"{meter.id}/energy_import" for meter in site.of_kind("meter")]
    rows = [(p, T0 + 3600.0 * h, T0 + 3600.0 * h, 3.6e9 * (h + 1), 0) for p in points for h in range(25)]
    store = EmbeddedStore.open(history, site.retention)
    await store.write(SampleBatch.of(rows))
    await store.close()


def test_a_report_keeps_its_name_and_wants_its_folder(run, tmp_path, demo_site_path):
    """A dot in its name is no ending; a folder that is not there is told before hours of history are read."""
    asyncio.run(a_day_of_registers(load_site(demo_site_path), StateDir(tmp_path / "state").history))
    given = ("report", demo_site_path, "--state", tmp_path / "state", "--out")
    status, _, said = run(*given, tmp_path / "none" / "november")
    assert (status, "make it, or name another" in said) == (2, True)
    status, said, _ = run(*given, tmp_path / "november.v1")
    assert (status, said.split()) == (0, [str(tmp_path / f"november.v1.{ending}") for ending in ("json", "pdf")])
    assert all(map(Path.exists, map(Path, said.split())))


def test_a_report_counts_days_of_its_site(run, tmp_path, demo_site_path):
    """A date is midnight where the meters stand, not in Greenwich: a year of the calendar is a year of the report."""
    asyncio.run(a_day_of_registers(load_site(demo_site_path), StateDir(tmp_path / "state").history))
    out, hours = tmp_path / "new-year", ("--start", "2026-01-01T02:00", "--end", "2026-01-01T20:00")
    assert run("report", demo_site_path, "--state", tmp_path / "state", "--out", out, *hours)[0] == 0
    period = json.loads(out.with_suffix(".json").read_text())["period"]
    assert (period["start"], period["hours"]) == ("2026-01-01T02:00:00+01:00", 18)
