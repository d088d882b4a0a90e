"""Commissioning of a unit's switch against simulated trains over real sockets: started, seen running, let go, signed."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from cli.commission import commission
from cli.commissioned import highest_modes
from plant.intents import Mode
from store.commissioning import read_commissioning
from store.state import StateDir

TRAINS = Path(__file__).parents[2] / "site-configs" / "six-trains.yaml"
PUMP = "fws-pump-6"


@pytest.fixture
def rig(commission_rigs, monkeypatch, tmp_path):
    """The six trains on free ports, sixty times as fast; nothing is sent to the BMS."""
    with commission_rigs.running(monkeypatch, TRAINS, tmp_path, PUMP) as running:
        yield running


def standing(rig):
    """The pump's switch in the plant, which stands and is rested; the plant's own sequence starts none meanwhile."""
    rig.plant.staging.pump_rule.up_load = math.inf
    switch = rig.plant.staging.switches[PUMP]
    switch.turn(False)
    switch.since_s = 1e9
    return switch


def record_of(rig):
    """The last signed record."""
    return read_commissioning(StateDir(rig.options.state)).records[-1]


async def test_a_switch_is_tried_and_signed(rig, capsys):
    """The person is told what will happen; the unit runs, lets go without heartbeats, and the record allows confirm."""
    switch, asked = standing(rig), []
    assert await commission(rig.options, lambda question: asked.append(question) or True), capsys.readouterr().out
    assert asked[0] == f"{PUMP}: start it; it may not run now?"
    assert len(asked) == 2
    checks = {(c["kind"], c["subject"]): c for c in record_of(rig)["checks"]}
    assert checks["step", f"{PUMP}/enable_command"]["figures"]["target"] == 1.0
    assert checks["step", f"{PUMP}/running"]["ok"]
    assert checks["failsafe", PUMP]["figures"]["took_s"] <= 60 * 1.6
    assert "its own sequence" in checks["failsafe", f"{PUMP}/enable_command"]["text"]
    assert switch.asked is None
    known = read_commissioning(StateDir(rig.options.state))
    assert highest_modes(rig.site(), known)[PUMP] is Mode.CONFIRM


async def test_a_no_leaves_the_unit_as_it_is(rig, capsys):
    """Held and not switched: the record says so, and the failsafe is tried all the same."""
    switch = standing(rig)
    assert await commission(rig.options, lambda question: "start" not in question), capsys.readouterr().out
    held = next(c for c in record_of(rig)["checks"] if c["subject"] == f"{PUMP}/enable_command" and c["kind"] == "step")
    assert "nobody agreed" in held["text"]
    assert not switch.running


async def test_a_unit_that_follows_its_switch_and_does_not_run_fails(rig, capsys, monkeypatch):
    """Its contactor is stuck: told, followed, and never running, so that only advisory is signed."""
    monkeypatch.setattr("actuator.commissioning.switched_within_s", lambda *_arguments, **_names: 60.0)
    switch = standing(rig)
    switch.min_off_s, switch.since_s = 1e9, 0.0
    assert not await commission(rig.options, lambda _question: True)
    record = record_of(rig)
    assert record["highest"] == Mode.ADVISORY.value
    assert f"{PUMP}/running" in record["failed"]
    assert "failed" in capsys.readouterr().out
