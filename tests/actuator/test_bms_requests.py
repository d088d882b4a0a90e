"""A CDU driven through the BMS over a real broker: simulated plant, collector and actuator, as a site wires them."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from actuator.actuator import Actuator
from cli.commission import commission
from cli.commissioned import highest_modes
from cli.edge import modbus_endpoints
from cli.hands import bms_integrations, hands
from collector.collector import Collector
from collector.spool import Spool
from devices.dsx import BMS_SILENT_S
from plant.intents import Mode
from plant.leases import Lease
from plant.live import LiveTable
from simulator.devices import ControlSource
from store.commissioning import read_commissioning
from store.state import StateDir

pytestmark = pytest.mark.real

SETPOINT = "cdu-1/bms_supply_temperature_setpoint"
PRESSURE = "cdu-1/differential_pressure_setpoint"
SPEED = 12.0


@pytest.fixture
def driven_site_path(demo_site_path, tmp_path):
    """The demo pod, whose supply temperature is asked of the BMS; its pressure is written to the CDU as ever."""
    text = demo_site_path.read_text(encoding="utf-8")
    own = "{profile: generic-cdu, link: cdu-1}, {profile: dsx-cdu, link: bms, object: CDU-1}"
    assert own in text
    text = text.replace(
        own, own.replace("generic-cdu,", "generic-cdu-pressure,").replace("dsx-cdu,", "dsx-cdu-driven,")
    )
    text = text.replace("supply_temperature: cdu-1/supply_temperature_setpoint", f"supply_temperature: {SETPOINT}")
    path = tmp_path / "driven.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def rigged(commission_rigs, monkeypatch, driven_site_path, tmp_path, broker):
    """A function that starts the driven pod's simulated devices and BMS at that broker."""

    def make(kind=None):
        address = ("127.0.0.1", broker.port)
        cls = getattr(commission_rigs, kind) if kind else None
        return commission_rigs.running(
            monkeypatch, driven_site_path, tmp_path, "cdu-1", cls, broker=address, speed=SPEED
        )

    return make


class Edge:
    """Collector and actuator of a rig's site; `audit` keeps what the actuator did."""

    def __init__(self, rig, folder, audit):
        self.rig, self.site, self.clock, self.audit = rig, rig.site(), rig.options.clock, audit
        self.live = LiveTable(self.site.points.values(), self.clock)
        self.endpoints = modbus_endpoints(self.site, self.site.path)
        self.spool = Spool(folder / "spool", 10_000_000, self.clock)
        self.collector = Collector(self.site, self.endpoints, self.live, self.spool, self.clock)
        self.integrations = bms_integrations(self.site, self.clock)
        found = hands(self.site, self.endpoints, self.integrations, self.clock)
        self.actuator = Actuator(self.site, found, self.live, self.clock, audit, 7, frozenset({"cdu-1"}))
        self.tasks = []
        self.seq = 0

    @property
    def desk(self):
        """What the BMS does with requests for the CDU."""
        return self.rig.plant.requested["cdu-1"]

    def start(self, *jobs):
        """Run rooms until the test ends, or `stop`."""
        self.tasks += [asyncio.ensure_future(job) for job in jobs]

    async def stop(self):
        """As a process that is gone: nothing is let go."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks = []

    def lease(self, point, value, ttl_s=300.0):
        """A controller's lease."""
        self.seq += 1
        return Lease(
            point=point, value=value, epoch=7, seq=self.seq, issued_s=self.clock.now(),
            issued_mono_s=self.clock.monotonic(), ttl_s=ttl_s,
        )  # fmt: skip

    async def ask(self, point, value, ttl_s=300.0):
        """Ask until the first values have come; the answer must be yes."""
        end = time.monotonic() + 20
        while not (answer := await self.actuator.request(self.lease(point, value, ttl_s))).accepted:
            assert time.monotonic() < end, answer.text
            await asyncio.sleep(0.3)

    async def until(self, condition):
        """Wait until it holds; gives the site seconds that it took [s].

        The patience is in real seconds: on a busy machine 120 site seconds are over before a poll has come round.
        """
        began, end = self.clock.monotonic(), time.monotonic() + 90
        while not condition():
            assert time.monotonic() < end, f"not within {self.clock.monotonic() - began:.0f} site seconds"
            await asyncio.sleep(0.02)
        return self.clock.monotonic() - began


@asynccontextmanager
async def edge_of(rig, folder, audit):
    """A running edge."""
    edge = Edge(rig, folder, audit)
    edge.start(edge.collector.run(), edge.actuator.run(), *(bms.run() for bms in edge.integrations.values()))
    try:
        yield edge
    finally:
        await edge.stop()
        for endpoint in edge.endpoints.values():
            await endpoint.close()


async def test_each_command_goes_its_own_way_and_the_bms_confirms(rigged, tmp_path, audit):
    """Supply over the BMS, pressure over Modbus, one CDU: both in force, confirmed by polls, nothing complains."""
    with rigged() as rig:
        async with edge_of(rig, tmp_path, audit) as edge:
            await edge.ask(SETPOINT, 32.8, ttl_s=3000.0)
            await edge.ask(PRESSURE, 105_000.0, ttl_s=3000.0)
            await edge.until(lambda: abs(edge.live.snapshot().get(f"cdu-1/effective_{SETPOINT[6:]}") - 32.8) < 0.01)
            assert edge.desk.source is ControlSource.REMOTE
            shown = f"cdu-1/effective_{PRESSURE[6:]}"
            await edge.until(lambda: abs(edge.live.snapshot().get(shown) - 105_000) < 200)
            await edge.until(lambda: edge.live.snapshot().get("cdu-1/tcs_supply_temperature") > 32.4)
            assert edge.actuator.conditions() == []
            assert [c.code for c in edge.collector.conditions() if c.subject == "cdu-1"] == []
            answer = await edge.actuator.relinquish(None, "operator:ann", "test")
            assert answer.accepted, answer.text
            assert await edge.until(lambda: edge.desk.source is not ControlSource.REMOTE) < 20
            await edge.until(lambda: edge.desk.effective(SETPOINT[6:]) == 32.0)


@pytest.mark.campaign
async def test_a_lease_that_ends_takes_its_request_back(rigged, tmp_path, audit):
    """Without renewal the request is withdrawn no later than the lease's end, and the BMS is at its default."""
    with rigged() as rig:
        async with edge_of(rig, tmp_path, audit) as edge:
            await edge.ask(SETPOINT, 32.8, ttl_s=120.0)
            held_s = await edge.until(lambda: edge.desk.source is ControlSource.REMOTE)
            held_s += await edge.until(lambda: edge.desk.source is not ControlSource.REMOTE)
            assert held_s <= 120.0 + 5.0
            await edge.until(lambda: edge.desk.effective(SETPOINT[6:]) == 32.0)


async def test_a_heartbeat_that_stops_brings_the_default(rigged, tmp_path, audit):
    """An edge that is gone without a word: within the drive's timeout the BMS is back at its own default."""
    with rigged() as rig:
        async with edge_of(rig, tmp_path, audit) as edge:
            await edge.ask(SETPOINT, 32.8, ttl_s=3000.0)
            await edge.until(lambda: edge.desk.effective(SETPOINT[6:]) == pytest.approx(32.8))
            await edge.stop()
            took_s = await edge.until(lambda: edge.desk.source is not ControlSource.REMOTE)
            assert took_s <= edge.site.drives["cdu-1@bms"].timeout_s
            await edge.until(lambda: edge.desk.effective(SETPOINT[6:]) == 32.0)


@pytest.mark.campaign
async def test_a_hung_actuator_brings_the_default_too(rigged, tmp_path, audit):
    """The connection lives and the integration could beat, but nobody vouches: the request goes before the heartbeat."""
    with rigged() as rig:
        async with edge_of(rig, tmp_path, audit) as edge:
            await edge.ask(SETPOINT, 32.8)
            await edge.until(lambda: edge.desk.effective(SETPOINT[6:]) == pytest.approx(32.8))
            edge.tasks.pop(1).cancel()
            took_s = await edge.until(lambda: edge.desk.source is not ControlSource.REMOTE)
            assert took_s <= edge.site.drives["cdu-1@bms"].timeout_s


async def test_a_request_that_is_not_confirmed_is_a_fault(rigged, tmp_path, audit):
    """A BMS that takes the request and stays where it was: `command_failure`, withdrawn, and no further request."""
    with rigged("Deaf") as rig:
        async with edge_of(rig, tmp_path, audit) as edge:
            await edge.ask(SETPOINT, 32.8, ttl_s=900.0)
            await edge.until(lambda: [c.code for c in edge.actuator.conditions()] == ["command_failure"])
            await edge.until(lambda: edge.desk.source is not ControlSource.REMOTE)
            assert edge.actuator.state().leases == ()
            writes = sum(action == "written" for action in audit.actions())
            answer = await edge.actuator.request(edge.lease(SETPOINT, 32.6))
            assert answer.text.startswith("locked_out")
            assert sum(action == "written" for action in audit.actions()) == writes


@pytest.mark.campaign
async def test_no_confirmation_from_the_start_is_no_request(rigged, tmp_path, audit):
    """While the BMS's own setpoint is unknown nothing is asked: what it follows now can't be known."""
    with rigged() as rig:
        rig.plant.faults.missing.add(f"cdu-1/effective_{SETPOINT[6:]}")
        async with edge_of(rig, tmp_path, audit) as edge:
            await edge.until(lambda: edge.live.snapshot().get("cdu-1/bms_tcs_flow") > 0)
            await edge.until(lambda: edge.integrations["bms"].alive)
            answer = await edge.actuator.request(edge.lease(SETPOINT, 32.8))
            assert answer.text.startswith("actual_unknown")
            assert "written" not in audit.actions()


async def test_writes_are_off_by_default(rigged, tmp_path, audit):
    """A device that was not commissioned is advisory over the BMS as it is over Modbus."""
    with rigged() as rig:
        edge = Edge(rig, tmp_path, audit)
        found = hands(edge.site, edge.endpoints, edge.integrations, edge.clock)
        actuator = Actuator(edge.site, found, edge.live, edge.clock, audit, 7, frozenset())
        answer = await actuator.request(edge.lease(SETPOINT, 32.8))
        assert answer.text.startswith("advisory")
        assert highest_modes(edge.site, read_commissioning(StateDir(tmp_path / "none"))) == {}


@pytest.mark.campaign
async def test_both_ways_of_a_cdu_are_commissioned(rigged):
    """One record for each way; only with both may the CDU be driven, and another object is another device."""
    with rigged() as rig:
        assert await commission(rig.options, lambda _question: True)
        site, known = rig.site(), read_commissioning(StateDir(rig.options.state))
        assert [r["outcome"] for r in known.records] == ["passed", "passed"]
        assert highest_modes(site, known) == {"cdu-1": Mode.CONFIRM}
        half = replace(known, devices=dict(list(known.devices.items())[:1]))
        assert highest_modes(site, half) == {}
        cdu = site.equipment["cdu-1"]
        other = replace(cdu, sources=(cdu.sources[0], replace(cdu.sources[1], object="CDU-9")))
        moved = replace(site, equipment={**site.equipment, "cdu-1": other})
        assert highest_modes(moved, known) == {}


@pytest.mark.campaign
@pytest.mark.parametrize("kind", ["Deaf", "TenTimes", "NeverLetsGo"])
async def test_a_bms_that_fails_is_signed_as_failed(rigged, kind):
    """A BMS that does not follow, follows tenfold, or does not let go: failed record, let go, advisory."""
    with rigged(kind) as rig:
        rig.plant.controllers["cdu-1"].__class__ = type(rig.plant.controllers["dry-coolers"])
        assert not await commission(rig.options, lambda _question: True)
        known = read_commissioning(StateDir(rig.options.state))
        over_modbus, over_bms = known.records
        assert (over_modbus["outcome"], over_bms["outcome"]) == ("passed", "failed")
        assert over_bms["failed"].startswith("failsafe" if kind == "NeverLetsGo" else f"step {SETPOINT}")
        assert highest_modes(rig.site(), known) == {}
        end = time.monotonic() + 30
        while rig.plant.requested["cdu-1"].source is ControlSource.REMOTE:
            assert time.monotonic() < end
            await asyncio.sleep(0.02)


def test_a_killed_process_leaves_the_bms_at_its_default(make_stack, driven_site_path):
    """`kill -9` of a whole edge in auto: the BMS lets go within the drive's timeout and returns to its default."""
    stack = make_stack(driven_site_path, speed=15.0, mosquitto=True)

    def of_bms(event, **wanted):
        return [
            e
            for e in stack.device_events()
            if e["event"] == event and all(e["values"].get(k) == v for k, v in wanted.items())
        ]

    end = time.monotonic() + 180
    while not of_bms("write", point=SETPOINT[6:]):
        assert time.monotonic() < end, stack.conditions()
        time.sleep(0.2)
    time.sleep(0.5)
    stack.kill("run", signal.SIGKILL)
    killed_mono_s = stack.clock.monotonic()
    end = time.monotonic() + 120

    def returned():
        sources = [e for e in of_bms("control_source") if "effective_bms_supply_temperature_setpoint" in e["values"]]
        return sources[-1] if sources and sources[-1]["values"]["to"] in {"returning", "local"} else None

    while not (let_go := returned()):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert let_go["mono"] - killed_mono_s <= BMS_SILENT_S + 12.0
    while returned()["values"]["to"] != "local":
        assert time.monotonic() < end
        time.sleep(0.1)
    assert returned()["values"]["effective_bms_supply_temperature_setpoint"] == 32.0
