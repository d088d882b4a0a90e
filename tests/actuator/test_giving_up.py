"""What a relinquish ends stays ended, whatever was on its way; and a clock that is set back blinds nobody."""

from __future__ import annotations

import asyncio

import pytest

SUPPLY, PRESSURE = "cdu-1/supply_setpoint", "cdu-1/pressure_setpoint"


@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize("steps", range(1, 30))
async def test_nothing_on_its_way_survives_all_to_default(rig, steps, tells):
    """However far a request has come when everything is let go: no lease is left and the device is at its default.

    tells: whether the device tells the setpoint that it follows; else its registers are read first.
    """
    if not tells:
        for name in ("supply", "pressure"):
            rig.site.points.pop(f"cdu-1/effective_{name}_setpoint")
        rig.start(5)
    asked = asyncio.create_task(rig.ask(31.5))
    for _ in range(steps):
        await asyncio.sleep(0)
    over = asked.done()
    await rig.actuator.relinquish(None, "operator:ann", "test")
    answer = await asked
    assert over or not answer.accepted
    assert rig.actuator.state().leases == ()
    assert not rig.device.remote
    rig.poll()
    await rig.actuator.tick()
    assert not rig.device.remote


async def test_what_was_issued_before_a_relinquish_is_refused_after_it(rig):
    """A cycle that still has leases in its hand does not take a device that a person has just given back."""
    await rig.ask(31.5)
    late = rig.lease(110000.0, point=PRESSURE)
    rig.clock.advance(1)
    await rig.actuator.relinquish(None, "operator:ann", "test")
    rig.poll()
    answer = await rig.actuator.request(late)
    assert not answer.accepted
    assert answer.text.startswith("withdrawn")
    assert not rig.device.remote
    assert (await rig.ask(112000.0, point=PRESSURE)).accepted


async def test_a_clock_set_back_does_not_blind_the_watch(rig):
    """An hour back: that the device has gone local is seen within two polls, not an hour later."""
    await rig.ask(31.5)
    await rig.pass_time(20)
    rig.clock.epoch_s -= 3600
    await rig.pass_time(10)
    rig.device.registers["remote_enable"] = 0.0
    await rig.pass_time(20)
    assert "mode_lost" in rig.codes()


async def test_a_clock_set_back_does_not_hide_a_foreign_write(rig):
    """An hour back: somebody else's value is seen within two polls."""
    await rig.ask(31.5)
    await rig.pass_time(20)
    rig.clock.epoch_s -= 3600
    await rig.pass_time(10)
    rig.device.registers["supply_setpoint"] = 36.0
    await rig.pass_time(20)
    assert "foreign_write" in rig.codes()


@pytest.mark.parametrize("silent_s", [20, 300])
async def test_an_unconfirmed_release_is_told_until_the_device_shows_that_it_let_go(rig, silent_s):
    """All to default while a device is silent: critical, also beyond its own timeout; over once it answers as local."""
    await rig.ask(31.5)
    rig.device.fault = "silent"
    await rig.actuator.relinquish(None, "operator:ann", "test")
    for _ in range(silent_s // 5):
        rig.clock.advance(5)
        await rig.actuator.tick()
    assert rig.codes() == ["release_unconfirmed"]
    rig.device.fault = ""
    await rig.pass_time(30)
    assert not rig.device.remote
    assert rig.codes() == []


async def moved_to(rig, value):
    """What is held for long enough that it may change again, and a lease of `value` on its way to the device."""
    await rig.ask(31.5, ttl_s=900)
    await rig.pass_time(320)
    late = rig.lease(value, ttl_s=900)
    rig.clock.advance(1)
    return late


async def test_a_lease_that_waits_at_the_devices_lock_is_not_written_after_a_change_of_mode(rig):
    """Automatic to hold or confirm: what the device follows stays, what waited for the lock does not move it."""
    late = await moved_to(rig, 31.0)
    async with rig.actuator._hands["cdu-1"].lock:
        asked = asyncio.create_task(rig.actuator.request(late))
        await asyncio.sleep(0)
        rig.actuator.outdate([SUPPLY])
    answer = await asked
    assert not answer.accepted
    assert answer.text.startswith("withdrawn")
    assert rig.device.registers["supply_setpoint"] == 31.5
    await rig.pass_time(20)
    assert [lease.value for lease in rig.actuator.state().leases] == [31.5]
    assert rig.device.remote


@pytest.mark.parametrize("steps", range(12))
async def test_no_frame_leaves_after_a_change_of_mode_however_far_it_had_come(rig, steps):
    """What was written before stands and is held; what was not is not written, and what was held stays held."""
    late = await moved_to(rig, 31.0)
    asked = asyncio.create_task(rig.actuator.request(late))
    for _ in range(steps):
        await asyncio.sleep(0)
    rig.actuator.outdate([SUPPLY])
    stood, written = rig.device.registers["supply_setpoint"], len(rig.device.log)
    await asked
    left = [row for row in rig.device.log[written:] if row[1] == "supply_setpoint"]
    assert len(left) <= 1, "one frame may have been on the wire"
    await rig.pass_time(30)
    now = rig.device.registers["supply_setpoint"]
    assert [lease.value for lease in rig.actuator.state().leases] == [now]
    assert rig.device.remote
    assert rig.codes() == []
    assert left or now == stood


async def test_a_lease_that_waits_its_turn_is_not_handed_the_device_after_a_change_of_mode(rig):
    """A controller's lease behind a person's: outdated with the mode it was asked in."""
    await rig.ask(31.5, ttl_s=400, holder="operator:ann")
    await rig.pass_time(320)
    await rig.ask(31.0, ttl_s=900)
    rig.clock.advance(1)
    rig.actuator.outdate([SUPPLY])
    await rig.pass_time(120)
    assert rig.device.registers["supply_setpoint"] == 31.5
    assert rig.actuator.state().leases == ()
    assert not rig.device.remote
