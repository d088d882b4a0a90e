"""Bad input through the whole control room: named, default, alarm, and no write until somebody acknowledges it."""

from __future__ import annotations

import asyncio
import getpass
import math
from dataclasses import replace
from pathlib import Path

import pytest
from coldplate_test_control_rig import LOOP, NOON_S, Room
from typer.testing import CliRunner

from benchmarks.fault_scenarios import Scenario
from cli.main import app
from controller.letting_go import LATE_CYCLES
from controller.loops import plan_loop
from controller.worker import HANG_FILE, StepWorker
from plant.intents import IntentKind, Mode
from simulator.memory import MemoryPlant
from simulator.plant import SimulatedPlant
from sites import load_site

SITE = Path(__file__).parents[2] / "site-configs" / "demo-pod.yaml"


@pytest.fixture(scope="module")
def site():
    """The demo pod."""
    return load_site(SITE)


def spoil(monkeypatch, spoilt):
    """Plans of NaN while `spoilt` says so."""

    def bad(*args):
        decision = plan_loop(*args)
        if not spoilt() or decision.plan is None:
            return decision
        nan = tuple(replace(s, value=math.nan, target=math.nan) for s in decision.plan.setpoints)
        return replace(decision, plan=replace(decision.plan, setpoints=nan))

    monkeypatch.setattr("controller.step.plan_loop", bad)


async def assert_let_go(room, cause):
    """The state has its name, the devices their defaults, the page its alarm; good plans write nothing."""
    assert room.let_go() == cause
    assert "loop_let_go" in room.codes()
    alarm = next(c for c in room.board.all() if c.code == "loop_let_go")
    assert alarm.cause.params["cause"] == cause
    assert f"acknowledge {LOOP}" in alarm.remedy.text
    before = room.written()
    await room.cycles(8)
    assert room.written() == before
    assert room.at_default()


async def acknowledged(room, reason):
    """As an operator does it on the command line."""
    await room.bus.start()
    arguments = ["acknowledge", LOOP, "--state", str(room.state.path), "--reason", reason]
    done = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    await room.bus.close()
    return done


async def test_nan_lets_go_until_acknowledged(site, tmp_path, monkeypatch):
    """One plan of NaN: good ones after it write nothing; a restart changes nothing; a reason does, and is kept."""
    bad = []
    spoil(monkeypatch, lambda: bad)
    room = Room(site, tmp_path)
    await room.cycles(2)
    assert room.written() > 0
    assert not room.let_go()
    bad.append(1)
    await room.cycles(1)
    bad.clear()
    await assert_let_go(room, "optimiser_failed")
    refused = await room.ask(IntentKind.ACKNOWLEDGE, reason=" ")
    assert not refused.accepted
    assert (await room.ask(IntentKind.SET_MODE, mode=Mode.AUTO)).accepted, "a mode may change, and acknowledges nothing"
    room.open()
    await room.cycles(2)
    assert room.let_go() == "optimiser_failed"
    assert room.written() == 0
    done = await acknowledged(room, "site file mended")
    assert done.exit_code == 0, done.output
    assert not (await room.ask(IntentKind.ACKNOWLEDGE)).accepted
    await room.cycles(2)
    assert room.written() > 0
    assert "loop_let_go" not in room.codes()
    told = [(e["action"], e["actor"], e["detail"].get("reason")) for e in room.entries()]
    assert ("intent:acknowledge", getpass.getuser(), "site file mended") in told
    assert ("let_go", "coldplate", None) in told


async def test_a_person_may_hold_a_loop_that_was_let_go(site, tmp_path, monkeypatch):
    """What coldplate may not, its operator may."""
    spoil(monkeypatch, lambda: True)
    room = Room(site, tmp_path)
    await room.cycles(1)
    assert room.let_go() == "optimiser_failed"
    values = {"cdu-1/supply_temperature_setpoint": 31.5}
    held = await room.ask(IntentKind.HOLD, values=values, expires_s=room.clock.now() + 3600)
    assert held.accepted
    assert {lease.holder for lease in room.actuator.state().leases} == {"operator:mei"}
    assert room.let_go() == "optimiser_failed"


async def test_an_optimiser_that_never_returns(site, tmp_path):
    """One late cycle may be a busy machine; three in a row are not taken up again by themselves."""
    room = Room(site, tmp_path)
    await room.cycles(1)
    room.worker.late = True
    await room.cycles(LATE_CYCLES - 1)
    assert not room.let_go()
    await room.cycles(1)
    room.worker.late = False
    await assert_let_go(room, "optimiser_late")


@pytest.mark.campaign
async def test_a_real_process_that_hangs(site, tmp_path, monkeypatch):
    """The same through the worker's own process, which is killed at each deadline and started again."""
    hang = tmp_path / "hang"
    monkeypatch.setenv(HANG_FILE, str(hang))
    worker = StepWorker(site, deadline_s=60.0)
    room = Room(site, tmp_path, worker=worker)
    try:
        await room.cycles(1)
        assert room.written() > 0
        hang.touch()
        worker.deadline_s = 0.5
        await room.cycles(LATE_CYCLES)
        assert worker.kills == LATE_CYCLES
        hang.unlink()
        worker.deadline_s = 60.0
        await assert_let_go(room, "optimiser_late")
    finally:
        await worker.close()


async def test_telemetry_older_than_its_limit(site, tmp_path):
    """Leases lapse within minutes; after half an hour without inputs nobody but a person starts again."""
    room = Room(site, tmp_path)
    await room.cycles(2)
    room.deaf = True
    await room.cycles(10)
    assert room.at_default()
    assert not room.let_go()
    await room.cycles(26)
    room.deaf = False
    await assert_let_go(room, "inputs_missing")


async def test_a_short_silence_heals_by_itself(site, tmp_path):
    """Ten minutes are no reason to call anybody."""
    room = Room(site, tmp_path)
    room.deaf = True
    await room.cycles(10)
    room.deaf = False
    await room.cycles(22)
    assert not room.let_go()
    assert room.written() > 0


async def test_limits_that_cannot_be_met(site, tmp_path):
    """A case limit below the supply: a quarter of an hour at design, then let go with its name."""
    impossible = replace(site, limits={**site.limits, "case": replace(site.limits["case"], maximum=30.0)})
    room = Room(impossible, tmp_path, plant=MemoryPlant(site, NOON_S))
    await room.cycles(14)
    assert not room.let_go()
    await room.cycles(3)
    await assert_let_go(room, "limits_unmet")


async def test_a_plant_that_does_not_react(site, tmp_path):
    """Exchangers blocked: named after a quarter of an hour; acknowledged too early it is let go again."""
    steady = SimulatedPlant(site, NOON_S, work=Scenario(name="steady", strike=lambda _: None, loads=(0.6, 0.6)).work)
    room = Room(site, tmp_path, plant=MemoryPlant(site, NOON_S, plant=steady))
    for cdu in room.plant.plant.cdus:
        cdu.fouling_k_w = 4e-5
    await room.cycles(24)
    assert room.let_go() == "not_reacting"
    assert (await room.ask(IntentKind.ACKNOWLEDGE, reason="too early")).accepted
    await room.cycles(1)
    await assert_let_go(room, "not_reacting")
