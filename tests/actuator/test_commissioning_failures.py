"""Devices that must not be driven: each leaves a signed record of what failed, is let go, and stays advisory."""

from __future__ import annotations

import asyncio
import time

import pytest

from actuator import commissioning
from cli.commission import commission, raise_loop
from cli.commissioned import address_and_identity, highest_modes, highest_of_loop
from devices.links import ModbusDevice
from plant.errors import RefusedError, SilentError
from plant.intents import Mode
from plant.ports import any_frame
from simulator.devices import ControlSource
from store.commissioning import append_record, read_commissioning
from store.state import StateDir

DRIVEN = ("cdu-1", "dry-coolers", "air-unit")
FAILING = ("cdu-1", pytest.param("dry-coolers", marks=pytest.mark.campaign))


@pytest.fixture
def start(commission_rigs, monkeypatch, demo_site_path, tmp_path):
    """`start(equipment, kind)`: the demo pod with one device of that kind, e.g. `Deaf`; None for a sound one."""
    open_rigs = []

    def make(equipment, kind=None):
        manager = commission_rigs.running(
            monkeypatch, demo_site_path, tmp_path, equipment, getattr(commission_rigs, kind) if kind else None
        )
        open_rigs.append(manager)
        return manager.__enter__()

    yield make
    for manager in open_rigs:
        manager.__exit__(None, None, None)


async def fails(rig, ask=lambda _question: True):
    """Commission, which must fail; gives the signed record. The device has been let go, or lets go by itself."""
    assert not await commission(rig.options, ask)
    known = read_commissioning(StateDir(rig.options.state))
    assert known.fault == ""
    record = known.records[-1]
    assert (record["outcome"], record["highest"]) == ("failed", "advisory")
    assert highest_modes(rig.site(), known) == {}
    return record


async def let_go(rig, equipment):
    """Wait until the device itself is no longer remote; its own timeout is a second of real time here."""
    end = time.monotonic() + 30
    while rig.plant.controllers[equipment].source is ControlSource.REMOTE:
        assert time.monotonic() < end, "the device is remote still"
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("equipment", DRIVEN)
async def test_a_sound_device_of_each_kind_passes(start, equipment):
    """What the faulty devices below are compared with: the same run passes and allows confirm."""
    rig = start(equipment)
    assert await commission(rig.options, lambda _question: True)
    record = read_commissioning(StateDir(rig.options.state)).records[-1]
    assert (record["outcome"], record["highest"], record["failed"]) == ("passed", "confirm", "")
    await let_go(rig, equipment)


@pytest.mark.parametrize("equipment", FAILING)
async def test_one_that_does_not_follow(start, equipment):
    """A device that takes the write and stays where it was fails the step, with what it was told and what it does."""
    rig = start(equipment, "Deaf")
    record = await fails(rig)
    assert record["failed"].startswith(f"step {equipment}/")
    assert "was told" in record["failed"]
    await let_go(rig, equipment)


@pytest.mark.parametrize(("step", "kind"), [("0.04", "step"), ("0.02", "checkout")])
async def test_one_that_does_not_follow_a_step_that_hardly_shows(
    monkeypatch, commission_rigs, demo_site_path, tmp_path, step, kind
):
    """A step of few counts is made as long as the envelope lets it; one that can't be told from none is no step."""
    site = tmp_path / "site.yaml"
    site.write_text(demo_site_path.read_text().replace("max: 42, max_step: 1.0", f"max: 42, max_step: {step}"))
    with commission_rigs.running(monkeypatch, site, tmp_path, "cdu-1", commission_rigs.Deaf) as rig:
        record = await fails(rig)
        assert record["failed"].startswith(f"{kind} cdu-1/supply_temperature_setpoint")


@pytest.mark.parametrize("equipment", FAILING)
async def test_one_that_follows_ten_times_the_register(start, equipment):
    """A device that shows what was written and follows ten times that fails the step."""
    rig = start(equipment, "TenTimes")
    record = await fails(rig)
    assert record["failed"].startswith(f"step {equipment}/")
    await let_go(rig, equipment)


@pytest.mark.parametrize("equipment", FAILING)
async def test_one_that_does_not_fall_back(start, equipment):
    """A device that is remote still after its timeout fails the failsafe, and is switched off remote all the same."""
    rig = start(equipment, "NeverLetsGo")
    record = await fails(rig)
    assert record["failed"].startswith(f"failsafe {equipment}: is remote still")
    assert record["checks"][-1]["kind"] == "release"
    assert record["checks"][-1]["ok"]
    await let_go(rig, equipment)


@pytest.mark.parametrize("equipment", FAILING)
@pytest.mark.parametrize(
    ("at", "after_s"),
    [
        pytest.param("move", 0.0, marks=pytest.mark.campaign),
        pytest.param("move", 0.3, marks=pytest.mark.campaign),
        ("stop the heartbeats", 0.0),
    ],
)
async def test_one_that_is_lost_half_way(start, equipment, at, after_s):
    """A device that falls silent before or in the step, or in the failsafe, fails there: silence shows no fallback."""
    rig = start(equipment)

    def ask(question):
        if at in question:
            asyncio.get_running_loop().call_later(after_s, rig.plant.faults.silent.add, equipment)
        return True

    record = await fails(rig, ask)
    reached = ("step", "failsafe") if after_s else ("step",) if at == "move" else ("failsafe",)
    assert record["failed"].startswith(reached)
    assert "does not say" in record["failed"] or "went from" in record["failed"] or "no answer" in record["failed"]
    assert not record["checks"][-1]["ok"]
    await let_go(rig, equipment)


async def test_a_failure_takes_back_what_was_allowed(start):
    """A device that was commissioned and later fails goes back to advisory, and its loop climbs no rung."""
    rig = start("cdu-1", "Deaf")
    site, state = rig.site(), StateDir(rig.options.state)
    for name in DRIVEN:
        address, about = address_and_identity(site, site.drives[name])
        append_record(state, {"identity": about, "equipment": name, "address": address, "highest": "auto", "at_s": 0.0})
    assert highest_of_loop(site, "tcs-1", highest_modes(site, read_commissioning(state))) is Mode.AUTO
    assert not await commission(rig.options, lambda _question: True)
    assert highest_of_loop(site, "tcs-1", highest_modes(site, read_commissioning(state))) is Mode.ADVISORY
    with pytest.raises(RefusedError, match="its last commissioning failed"):
        raise_loop(rig.options, "tcs-1", "why")


@pytest.mark.parametrize("name", ["effective_supply_temperature_setpoint", "tcs_supply_temperature"])
async def test_one_that_stops_telling_in_the_step_has_not_followed(start, monkeypatch, name):
    """What can't be read any more after the write shows nothing: neither that it follows nor that the plant answers."""
    rig = start("cdu-1")
    monkeypatch.setattr(commissioning, "FOLLOW_S", 60.0)
    monkeypatch.setattr(commissioning, "RESPOND_S", 60.0)
    look, write, written = ModbusDevice.look, ModbusDevice.write, []

    async def blind(self, point):
        if written and point == f"cdu-1/{name}":
            raise SilentError(f"{point}: no answer")
        return await look(self, point)

    async def noted(self, point, value, check=any_frame):
        said = await write(self, point, value, check)
        followed = point == "cdu-1/supply_temperature_setpoint" and abs(value - 32.0) > 0.1
        written.extend([point] if followed else [])
        return said

    monkeypatch.setattr(ModbusDevice, "look", blind)
    monkeypatch.setattr(ModbusDevice, "write", noted)
    record = await fails(rig)
    assert written
    assert record["failed"].startswith("step cdu-1/")


async def test_one_whose_plant_is_never_seen_has_shown_nothing(start, monkeypatch):
    """A witness that its profile names and that can't be read is no reason to do without."""
    rig, look = start("cdu-1"), ModbusDevice.look

    async def blind(self, point):
        if point == "cdu-1/tcs_supply_temperature":
            raise SilentError(f"{point}: no answer")
        return await look(self, point)

    monkeypatch.setattr(ModbusDevice, "look", blind)
    record = await fails(rig)
    assert record["failed"].startswith("step cdu-1/tcs_supply_temperature: can't be read")


async def test_a_plant_that_was_elsewhere_is_told_not_to_have_been_judged(start, monkeypatch):
    """A supply 5 K off its setpoint says nothing of the step; the record says so."""
    rig, look = start("cdu-1"), ModbusDevice.look

    async def off(self, point):
        return await look(self, point) + (5.0 if point == "cdu-1/tcs_supply_temperature" else 0.0)

    monkeypatch.setattr(ModbusDevice, "look", off)
    assert await commission(rig.options, lambda _question: True)
    record = read_commissioning(StateDir(rig.options.state)).records[-1]
    (told,) = [c["text"] for c in record["checks"] if c["subject"] == "cdu-1/tcs_supply_temperature"]
    assert told.startswith("not judged")
