"""Modes over restarts, races and clocks, and what an operator is told: through the whole control room."""

from __future__ import annotations

from pathlib import Path

import pytest
from coldplate_test_control_rig import LOOP, SUPPLY, Room

from plant.errors import ConfigError
from plant.intents import IntentKind, Mode
from sites import load_site

SITE = Path(__file__).parents[2] / "site-configs" / "demo-pod.yaml"
SETPOINT = "cdu-1/supply_temperature_setpoint"


@pytest.fixture(scope="module")
def site():
    """The demo pod."""
    return load_site(SITE)


async def held(room, value, seconds):
    """A hold of the supply temperature [°C]."""
    return await room.ask(IntentKind.HOLD, values={SETPOINT: value}, expires_s=room.clock.now() + seconds)


async def test_a_hold_ends_in_a_mode_that_the_record_still_allows(site, tmp_path):
    """Held from auto; a failed commissioning meanwhile allows confirm only: no auto when the hold is over."""
    room = Room(site, tmp_path)
    await room.cycles(2)
    assert (await held(room, 31.0, 600)).accepted
    room.highest = Mode.CONFIRM
    room.open()
    await room.cycles(15)
    assert room.mode() == "advisory"
    assert room.at_default()


async def confirmed(room):
    """What an operator hears who agrees to the newest plan."""
    await room.cycles(1)
    plan = next(p for p in room.said["plans"] if p.loop == LOOP)
    return await room.ask(IntentKind.CONFIRM, plan=plan.id)


async def test_what_was_confirmed_before_a_restart_is_confirmed_anew(site, tmp_path):
    """The devices went to their defaults meanwhile: nobody has agreed to move them away from there."""
    room = Room(site, tmp_path)
    await room.cycles(2)
    await room.ask(IntentKind.SET_MODE, mode=Mode.CONFIRM)
    assert (await confirmed(room)).accepted
    await room.cycles(2)
    assert room.actuator.state().leases
    room.open()
    await room.cycles(12)
    assert room.written() == 0
    assert (await confirmed(room)).accepted
    assert room.actuator.state().leases


async def test_a_loop_that_was_let_go_stays_so_where_its_mode_is_gone(site, tmp_path):
    """A failed commissioning acknowledges nothing."""
    room = Room(site, tmp_path)
    await room.cycles(1)
    await room.ask(IntentKind.SET_MODE, mode=Mode.LIMITED)
    kept = room.state.read_json("modes.json")
    kept[LOOP] |= {"let_go": "optimiser_failed", "let_go_s": 5.0}
    room.state.write_json("modes.json", kept)
    room.highest = Mode.CONFIRM
    room.open()
    await room.cycles(1)
    await room.ask(IntentKind.SET_MODE, mode=Mode.CONFIRM)
    assert (room.let_go(), room.state.read_json("modes.json")[LOOP]["mode"]) == ("optimiser_failed", "confirm")


@pytest.mark.parametrize("set_on_s", [-40 * 86_400.0, 7200.0])
async def test_a_hold_lasts_as_long_as_was_asked_for_when_the_clock_is_set(site, tmp_path, set_on_s):
    """Not for weeks where it is set back, and not cut short while somebody works at a pump."""
    room = Room(site, tmp_path)
    await room.cycles(2)
    await held(room, 31.0, 600)
    room.clock.epoch_s += set_on_s
    await room.cycles(5)
    assert room.mode() == "hold"
    assert abs(room.shown()[SUPPLY] - 31.0) < 0.05
    await room.cycles(7)
    assert room.mode() == "auto"


async def test_a_mode_that_changes_ends_what_is_being_asked(site, tmp_path):
    """In confirm a person agrees to each move, so also to what auto was just about to ask for."""
    room, asked = Room(site, tmp_path), []
    await room.cycles(1)
    request = room.actuator.request

    async def slow(lease):
        asked.append(lease.point)
        if len(asked) == 1:
            await room.ask(IntentKind.SET_MODE, mode=Mode.CONFIRM)
        return await request(lease)

    room.actuator.request = slow
    await room.cycles(1)
    assert len(asked) == 1


async def test_what_waits_at_a_device_is_told_of_another_mode(site, tmp_path, monkeypatch):
    """Every setpoint of the loop, before anything is asked for in the new mode."""
    room, told = Room(site, tmp_path), []
    await room.cycles(2)
    monkeypatch.setattr(room.actuator, "outdate", lambda points: told.append(set(points)))
    await room.ask(IntentKind.SET_MODE, mode=Mode.CONFIRM)
    assert SETPOINT in told[-1]
    assert told[-1] == set(site.groups[LOOP].commands.values())


async def test_an_operator_hears_what_the_devices_say(site, tmp_path):
    """A hold that could not be written, and an all-to-default that nobody confirmed, say so at once."""
    room = Room(site, tmp_path)
    await room.cycles(2)
    assert "not now" not in (await held(room, 31.0, 600)).text
    await room.ask(IntentKind.SET_MODE, mode=Mode.ADVISORY)
    room.plant.plant.faults.silent.add("cdu-1")
    answer = await held(room, 30.0, 600)
    assert answer.accepted
    assert "not now: write_silent" in answer.text
    assert "not confirmed by cdu-1" in (await room.ask(IntentKind.ALL_TO_DEFAULT)).text


@pytest.mark.parametrize("text", ["[]", '{"tcs-1": 3}', '{"tcs-1": {"loop": "tcs-1", "mode": "x"}}', "{"])
async def test_damaged_modes_say_which_file(site, tmp_path, text):
    """And what to do."""
    room = Room(site, tmp_path)
    (room.state.path / "modes.json").write_text(text)
    with pytest.raises(ConfigError, match=r"modes\.json.*repair or remove the file"):
        room.open()


async def test_a_fault_of_driving_is_over_when_nobody_drives(site, tmp_path):
    """A device that was silent, answers again and is left alone is no alarm for ever; while it is asked for, it is."""
    room = Room(site, tmp_path)
    await room.cycles(3)
    room.plant.plant.faults.silent.add("cdu-1")
    await room.cycles(12)
    assert "write_silent" in {c.code for c in room.actuator.conditions()}
    room.plant.plant.faults.silent.clear()
    await room.ask(IntentKind.SET_MODE, mode=Mode.ADVISORY)
    await room.cycles(3)
    assert "write_silent" in {c.code for c in room.actuator.conditions()}
    await room.cycles(4)
    assert room.actuator.conditions() == []
    assert room.at_default()
