"""`coldplate doctor` against real devices, brokers and edges, and the log lines of the long-lived commands."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import logs
from cli.doctor import examine
from cli.doctor_checks import clock_checks, spool_checks, state_checks
from cli.main import app
from collector.spool import Spool
from plant.clock import ScaledClock
from plant.records import Condition, Message, Severity
from plant.running import LinkState
from plant.samples import SampleBatch
from simulator.dcgm import Exporter, SimulatedGpu
from simulator.http_server import serving
from simulator.redfish import RedfishService, SimulatedCdu
from store.bus import BusServer
from store.embedded import EmbeddedStore
from store.state import StateDir

SITE = """\
schema: 1
site:
  {{id: doc, name: Doc, timezone: UTC, gpus_per_rack: 2, coolant: {{fluid: water}}}}
links:
  cdus: {{transport: http, host: 127.0.0.1, port: {redfish}}}
  gpus: {{transport: http, host: 127.0.0.1, port: {dcgm}}}
  meters: {{transport: modbus-tcp, host: 127.0.0.1, port: {modbus}}}
  bms: {{transport: mqtt, host: 127.0.0.1, port: {mqtt}}}
equipment:
  - {{id: grid, kind: utility, feeds: [ups]}}
  - {{id: ups, kind: ups, feeds: [rack-01, cdu-1, pump]}}
  - {{id: cooler, kind: dry-cooler, feeds: [pump]}}
  - {{id: pump, kind: pump, feeds: [cdu-1]}}
  - {{id: cdu-1, kind: cdu, feeds: [rack-01], sources: [{{profile: redfish-cdu, link: cdus, object: "1"}}]}}
  - {{id: rack-01, kind: rack, sources: [{{profile: dsx-rack, link: bms}}, {{profile: dcgm-gpu, link: gpus}}]}}
  - {{id: meter-ups, kind: meter, meters: ups, sources: [{{profile: generic-power-meter, link: meters, unit: 3}}]}}
  - {{id: meter-grid, kind: meter, meters: grid, sources: [{{profile: generic-power-meter, link: meters, unit: 4}}]}}
tariff: {{currency: EUR, energy_per_kwh: {{default: 0.2}}}}
carbon: {{kg_per_kwh: 0.3}}
"""


def write_site(folder, **ports):
    """A small site whose links have these ports."""
    path = folder / "site.yaml"
    path.write_text(SITE.format(**({"redfish": 1, "dcgm": 2, "modbus": 3, "mqtt": 4} | ports)))
    return path


def by_name(checks):
    """Name -> the worst check of that name."""
    order = ["ok", "warn", "fail"]
    return {c.name: c for c in sorted(checks, key=lambda c: order.index(c.status))}


async def heard(site, state, enough, within_s=150.0):
    """What the doctor finds once it is enough."""
    async with asyncio.timeout(within_s):
        while not enough(checks := by_name(await examine(site, state))):  # noqa: ASYNC110 - a process brings it about
            await asyncio.sleep(0.2)
    return checks


@pytest.mark.real
async def test_without_an_edge_every_link_is_asked_once(peers, real_program, tmp_path):
    """Redfish, exporter, two Modbus units on one connection and a broker answer; a silent unit fails, with a remedy."""
    site_state = tmp_path / "state"
    StateDir(site_state)
    registers = {"holding": dict.fromkeys(range(200), 1), "input": dict.fromkeys(range(200), 1)}
    peer = peers.Peer({3: registers, 4: registers}, silent={4})
    service, exporter = (
        RedfishService([SimulatedCdu("1")], missing={"1/Pumps/2"}),
        Exporter([SimulatedGpu("n", i) for i in range(2)]),
    )
    with peers.Broker(real_program("mosquitto"), tmp_path) as broker:
        async with serving(service.app) as redfish, serving(exporter.app) as dcgm, peers.serving(peer):
            ports = {"redfish": redfish, "dcgm": dcgm, "modbus": peer.port, "mqtt": broker.port}
            checks = by_name(await examine(write_site(tmp_path, **ports), site_state))
    assert checks["link cdus, cdu-1"].status == "warn"
    assert "lacks pump_2_speed" in checks["link cdus, cdu-1"].text
    assert checks["link gpus, rack-01"].status == "ok"
    assert "24 points" in checks["link gpus, rack-01"].text
    assert checks["link meters, meter-ups"].status == "ok"
    assert checks["link meters, meter-ups"].round_trip_ms > 0
    assert checks["link meters, meter-grid"].status == "fail"
    assert "power and network" in checks["link meters, meter-grid"].remedy
    assert peer.connections <= 2  # one, and one more after the unit that did not answer
    assert checks["link bms"].status == "ok"
    assert checks["edge"].status == "warn"
    assert exporter.scrapes == 1


async def test_what_is_not_there_fails_and_says_so(peers, tmp_path):
    """Closed ports fail each link, and an HTTP server is not taken for a broker."""
    async with serving(Exporter([]).app) as port:
        ports = {name: peers.free_port() for name in ("redfish", "dcgm", "modbus")}
        checks = by_name(await examine(write_site(tmp_path, **ports, mqtt=port), tmp_path / "none"))
    links = [check for name, check in checks.items() if name.startswith("link ")]
    assert [check.status for check in links] == ["fail"] * 5
    assert checks["state directory"].status == "warn"
    assert not (tmp_path / "none").exists()


async def test_a_running_edge_is_asked_instead_of_the_devices(tmp_path):
    """While an edge answers on its bus its link states are told, and no device sees a connection."""
    state = StateDir(tmp_path / "state")
    state.acquire()
    exporter = Exporter([SimulatedGpu("n", 0)])
    async with serving(exporter.app) as port:
        bus = BusServer(state.bus, lambda _intent: None)
        await bus.start()
        now_s = time.time()
        links = [
            LinkState(link="gpus", endpoint="h:1", state="up", since_s=now_s, reads=7),
            LinkState(link="cdus", endpoint="h:2", state="silent", since_s=now_s, last_error="no answer within 5 s"),
            LinkState(link="bms", endpoint="h:3", state="slow", since_s=now_s),
        ]
        message = Message(code="x", text="cdu-1 does not answer")
        condition = Condition(
            code="device_silent", subject="cdu-1", severity=Severity.CRITICAL, since_s=now_s, cause=message,
            remedy=message, source="collector",
        )  # fmt: skip
        await bus.publish("links", links)
        await bus.publish("conditions", [condition])
        await bus.publish("counters", {"samples": 12})
        checks = by_name(await examine(write_site(tmp_path, dcgm=port), state.path))
        await bus.close()
    state.release()
    assert exporter.scrapes == 0
    assert (checks["edge"].status, checks["link gpus"].status, checks["link bms"].status) == ("ok", "ok", "warn")
    assert checks["link cdus"].status == "fail"
    assert "no answer within 5 s" in checks["link cdus"].text
    assert checks["condition device_silent cdu-1"].status == "fail"


async def test_a_real_edge_reads_http_and_the_doctor_asks_it(peers, tmp_path):
    """`coldplate edge` collects GPUs and a CDU over HTTP, logs JSON, and the doctor tells its links and asks no device."""
    service, exporter = RedfishService([SimulatedCdu("1")]), Exporter([SimulatedGpu("n", i) for i in range(2)])
    state = tmp_path / "state"
    async with serving(service.app) as redfish, serving(exporter.app) as dcgm:
        site = write_site(tmp_path, redfish=redfish, dcgm=dcgm, modbus=peers.free_port(), mqtt=peers.free_port())
        command = [sys.executable, "-m", "cli.main", "edge", str(site), "--state", str(state), "--log-format", "json"]
        with (tmp_path / "log").open("wb") as log:
            edge = await asyncio.create_subprocess_exec(*command, stderr=log)
        try:
            await heard(site, state, lambda checks: checks.get("link cdus", checks["edge"]).status == "ok")
            await heard(site, state, lambda checks: checks["link gpus"].status == "ok")
            checks = await heard(site, state, lambda checks: "condition device_silent meter-ups" in checks)
        finally:
            edge.terminate()
            await edge.wait()
    assert checks["link meters"].status == "fail"
    assert checks["spool"].status == checks["state directory"].status == "ok"
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    silent = next(line for line in lines if line["fields"].get("link") == "meters")
    assert (silent["level"], silent["room"], silent["fields"]["state"]) == ("warning", "cli", "silent")


async def test_an_edge_that_hangs_is_told_from_none(tmp_path):
    """A held lock without an answering bus names the process that holds it."""
    state = StateDir(tmp_path / "state")
    state.acquire()
    check = by_name(await examine(tmp_path / "no-site.yaml", state.path))["edge"]
    state.release()
    assert check.status == "fail"
    assert f"process {os.getpid()} holds" in check.text
    assert by_name(await examine(tmp_path / "no-site.yaml", state.path))["edge"].status == "warn"


async def test_spool_and_store_are_told(peers, tmp_path):
    """What waits in the spool, what was set aside, and the newest sample of the store."""
    state = StateDir(tmp_path / "state")
    clock = ScaledClock()
    spool = Spool(state.spool, 1_000_000, clock)
    batch = SampleBatch.of([("meter-ups/active_power", clock.now(), clock.now(), 1.0, 0)])
    spool.append([batch])
    spool.set_aside(spool.read(), "never")
    spool.close()
    before = sorted((p.name, p.stat().st_size) for p in state.spool.rglob("*"))
    store = EmbeddedStore.open(state.history, {})
    await store.write(batch)
    await store.close()
    checks = await examine(write_site(tmp_path), state.path)
    assert sorted((p.name, p.stat().st_size) for p in state.spool.rglob("*")) == before
    found = by_name(checks)
    assert found["spool"].status == "warn"
    assert "1 batches" in found["spool"].text
    assert found["store"].status == "ok"
    assert time.strftime("%Y-%m-%d", time.gmtime()) in found["store"].text
    server = f"vm+http://127.0.0.1:{peers.free_port()}"
    found = by_name(await examine(write_site(tmp_path), state.path, store=server))["store"]
    assert (found.status, "reached" in found.remedy) == ("fail", True)
    found = by_name(await examine(write_site(tmp_path), state.path, store="flux"))["store"]
    assert (found.status, "is no store" in found.text) == ("fail", True)
    state.history.write_bytes(b"not a database" * 100)
    assert by_name(await examine(write_site(tmp_path), state.path))["store"].status == "fail"
    assert state.history.read_bytes().startswith(b"not a database")


def test_state_version_and_clock_are_judged(tmp_path):
    """A newer state, a damaged version, a clock of 1970 and one behind the state's files fail."""
    state = StateDir(tmp_path / "state").path
    assert {c.status for c in state_checks(state) if c.name != "disk"} == {"ok"}
    for text in ("99", "x"):
        (state / "version").write_text(text)
        assert [c.status for c in state_checks(state) if c.name == "state version"] == ["fail"]
    (state / "version").write_text("1")
    assert "migrates" in state_checks(state)[-1].text
    assert clock_checks(state)[0].status == "ok"
    assert "can't be" in clock_checks(state, now_s=1000.0)[0].text
    assert "before the newest file" in clock_checks(state, now_s=time.time() - 3600)[0].text


def test_what_goes_while_we_look_is_passed_over(tmp_path, monkeypatch):
    """A running edge stores its spool's segments and removes them."""
    state = StateDir(tmp_path / "state")
    segments = [state.spool / f"0000000{n}.seg" for n in (1, 2)]
    for segment in segments:
        segment.write_bytes(b"x" * 1000)
    looked, left = Path.stat, [1]

    def look(path, **options):
        found = looked(path, **options)
        if path == segments[0] and left and left.pop():
            path.unlink()
        return found

    monkeypatch.setattr(Path, "stat", look)
    assert [c.status for c in (*spool_checks(state.path), *clock_checks(state.path))] == ["ok", "ok"]


def test_the_command_prints_and_exits_by_what_failed(tmp_path, lab_site_path):
    """Exit status 1 and one line with a remedy for each failure; `--json` has the same as data; nothing is made."""
    broken = tmp_path / "broken.yaml"
    broken.write_text("schema: 1\nsite: {id: a b}\n")
    result = CliRunner().invoke(app, ["doctor", str(broken), "--state", str(tmp_path / "s")])
    assert result.exit_code == 1
    assert "FAIL  site file: " in result.output
    assert "broken.yaml:2" in result.output
    result = CliRunner().invoke(app, ["doctor", str(broken), "--state", str(tmp_path / "s"), "--json"])
    found = json.loads(result.output)
    assert (result.exit_code, found["ok"]) == (1, False)
    assert {"name", "status", "text", "remedy", "round_trip_ms"} == set(found["checks"][0])
    assert not (tmp_path / "s").exists()


def test_json_lines_have_room_level_and_fields():
    """One object a line: UTC time, level, room, message, extras as fields, and the trace of an exception."""
    form = logs.JsonLines()

    def line(name, message, **extra):
        record = logging.LogRecord(name, logging.WARNING, __file__, 1, message, (), None)
        vars(record).update(extra)
        text = form.format(record)
        assert "\n" not in text
        return json.loads(text)

    found = line("coldplate.edge", "链路\nlost", link="cdu", wait_s=1.5, path=Path("/x"))
    assert found["time"].endswith("+00:00")
    assert (found["level"], found["room"], found["message"]) == ("warning", "cli", "链路\nlost")
    assert found["fields"] == {"logger": "coldplate.edge", "link": "cdu", "wait_s": 1.5, "path": "/x"}
    assert line("collector.collector", "x")["room"] == "collector"
    assert line("uvicorn.error", "x") | {"time": ""} == {
        "time": "", "level": "warning", "room": "library", "message": "x", "fields": {"logger": "uvicorn.error"},
    }  # fmt: skip
    try:
        int("why")
    except ValueError:
        assert "ValueError: invalid literal" in line("x", "y", exc_info=sys.exc_info())["trace"]


def test_a_real_process_writes_json_lines(tmp_path):
    """Everything that a process with --log-format json logs is JSON, warnings of libraries too."""
    program = (
        "import logging, warnings; from cli import logs; logs.set_up(logs.LogFormat('json'));"
        "logging.getLogger('coldplate.run').warning('page ended with %s', 3, extra={'status': 3});"
        "warnings.warn('old'); logging.getLogger('x').info('quiet')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    first, second = (json.loads(line) for line in done.stderr.splitlines())
    assert (first["message"], first["fields"]) == ("page ended with 3", {"logger": "coldplate.run", "status": 3})
    assert second["fields"]["logger"] == "py.warnings"


@pytest.mark.parametrize("command", ["run", "edge", "serve"])
def test_the_long_lived_commands_take_the_option(command):
    """run, edge and serve have --log-format, with its two forms."""
    text = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    assert "--log-format" in text
    assert "text|json" in text
