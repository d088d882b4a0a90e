"""Promises of the actuator, on devices in memory with the heartbeat semantics of real ones."""

from __future__ import annotations

import asyncio
import json
import math

import pytest

from plant.records import Message

SUPPLY = "cdu-1/supply_setpoint"
PRESSURE = "cdu-1/pressure_setpoint"


async def test_taking_a_device_is_bumpless_and_in_order(rig):
    """Owner and present values come before remote is enabled, so stale registers never take effect."""
    rig.device.registers["pressure_setpoint"] = 46000.0
    answer = await rig.ask(31.5)
    assert answer.accepted, answer.text
    names = [name for _, name, _ in rig.device.log]
    assert names[0] == "owner_epoch"
    assert names.index("pressure_setpoint") < names.index("heartbeat") < names.index("remote_enable")
    assert names[-1] == "supply_setpoint"
    assert rig.device.registers["pressure_setpoint"] == 110000.0
    assert (rig.device.effective("supply"), rig.device.registers["owner_epoch"]) == (31.5, 5.0)


async def test_intent_is_audited_before_the_write_and_result_after(rig):
    """Each write has an intent with its reason and a result with the value read back."""
    await rig.ask(31.5)
    assert rig.audit.actions() == ["write", "written"]
    assert rig.audit.entries[0][3]["reason"] == "test"
    assert rig.audit.entries[1][3]["read_back"] == 31.5
    assert rig.actuator.state().accepted_commands == 1


async def test_a_reason_with_a_code_is_audited_with_its_numbers(rig):
    """So that a reader of another language has it, too; what is not a number is null, as JSON knows no NaN."""
    why = Message(code="plan_move", text="test", params={"supply_to_c": 31.5, "price": math.nan, "binding": "none"})
    await rig.ask(31.5, why=why)
    detail = rig.audit.entries[0][3]
    assert (detail["reason"], detail["reason_code"]) == ("test", "plan_move")
    assert json.loads(detail["reason_params"]) == {"supply_to_c": 31.5, "price": None, "binding": "none"}


async def test_no_durable_intent_no_write(rig):
    """With a full disk nothing is written, the held setpoint stays, its renewals go on, and letting go still works."""
    await rig.ask(31.5)
    rig.audit.full = True
    await rig.pass_time(60)
    assert (await rig.ask(31.5)).accepted
    await rig.pass_time(300, 60 / 12)
    writes = len(rig.device.log)
    answer = await rig.ask(31.0)
    assert not answer.accepted
    assert "audit_failed" in rig.codes()
    assert not any(n == "supply_setpoint" for _, n, _ in rig.device.log[writes:])
    await rig.actuator.relinquish(None, "operator:ann", "test")
    assert not rig.device.remote


async def test_renewals_beat_but_do_not_write_again(rig):
    """An hour of renewals keeps the device remote with a single setpoint write."""
    assert (await rig.ask(31.5)).accepted
    for _ in range(60):
        await rig.pass_time(60)
        assert (await rig.ask(31.5)).accepted
        assert rig.device.effective("supply") == 31.5
    assert sum(n == "supply_setpoint" for _, n, _ in rig.device.log) == 2  # parked, then commanded
    assert rig.actuator.state().accepted_commands == 1
    assert rig.codes() == []


async def test_a_clipped_step_is_held_while_it_dwells_and_goes_on_after(rig):
    """Asking for the far value again renews the first step, and takes the second once the dwell is over."""
    assert "at most" in (await rig.ask(30.0)).text
    await rig.pass_time(60)
    assert (await rig.ask(30.0)).accepted
    assert rig.device.effective("supply") == 31.0
    for _ in range(5):
        await rig.pass_time(60)
        assert (await rig.ask(30.0)).accepted
    assert rig.device.effective("supply") == 30.0


async def test_expiry_ends_the_hold(rig):
    """Without renewal the device is in local default when the lease ends, and it is switched to local."""
    await rig.ask(31.5)
    await rig.pass_time(180)
    assert rig.device.effective("supply") == 32.0
    assert rig.device.registers["remote_enable"] == 0.0
    assert rig.actuator.state().leases == ()
    assert rig.codes() == []


async def test_expiry_of_one_setpoint_lets_the_whole_device_go(rig):
    """One remote switch for two setpoints: the one that is still leased does not keep the other alive."""
    await rig.ask(31.5, ttl_s=120)
    await rig.ask(105000.0, point=PRESSURE, ttl_s=600)
    await rig.pass_time(120)
    assert not rig.device.remote
    assert rig.actuator.state().leases == ()


@pytest.mark.parametrize("killed_s", range(0, 100, 5))
async def test_a_killed_controller_is_outlived_by_nothing(rig, killed_s):
    """Killed at any time, the device is back at its default no later than the lease's end."""
    await rig.ask(31.5, ttl_s=100)
    await rig.pass_time(killed_s)
    rig.clock.advance(100 - killed_s)
    assert rig.device.effective("supply") == 32.0


async def test_a_paused_process_writes_nothing_to_a_device_with_a_new_owner(rig):
    """A process that sleeps past its hold finds a newer epoch on the device and leaves it alone."""
    await rig.ask(31.5)
    old = rig.actuator
    rig.clock.advance(70)
    rig.poll()
    rig.start(6)
    assert (await rig.ask(31.0)).accepted
    before = len(rig.device.log)
    await old.tick()
    assert len(rig.device.log) == before
    assert rig.device.effective("supply") == 31.0


async def test_an_older_epoch_waits_until_the_newer_owner_lapses(rig):
    """Fencing: while a newer epoch drives, an older one is refused; when its hold has lapsed it may take over."""
    await rig.ask(31.5)
    rig.poll()
    rig.start(3)
    assert not (await rig.ask(31.5)).accepted
    assert rig.codes() == ["foreign_owner"]
    rig.clock.advance(70)
    rig.poll()
    assert (await rig.ask(31.5)).accepted
    assert rig.codes() == []


async def test_operator_outranks_and_hands_back(rig):
    """A hold by hand wins over the controller; before it ends the controller's lease takes over, without a gap."""
    assert (await rig.ask(31.2, holder="operator:ann", ttl_s=400)).accepted
    assert "waits behind operator:ann" in (await rig.ask(31.2, ttl_s=900)).text
    await rig.pass_time(100)
    assert rig.device.effective("supply") == 31.2
    await rig.ask(31.0, ttl_s=900)  # refused: dwell
    await rig.pass_time(210)
    assert "waits" in (await rig.ask(31.0, ttl_s=700)).text
    for _ in range(30):
        await rig.pass_time(5)
        assert rig.device.remote
    assert rig.device.effective("supply") == 31.0
    assert {lease.holder for lease in rig.actuator.state().leases} == {"controller"}


async def test_an_operator_takes_over_at_once(rig):
    """A person's hold replaces the controller's setpoint without waiting for the dwell."""
    await rig.ask(31.5)
    assert (await rig.ask(32.2, holder="operator:ann", ttl_s=600)).accepted
    assert rig.device.effective("supply") == 32.2


async def test_replays_and_short_leases_are_refused(rig):
    """A lease seen before, or shorter than the device's own timeout, is never written."""
    lease = rig.lease(31.5)
    assert (await rig.actuator.request(lease)).accepted
    assert (await rig.actuator.request(lease)).text.startswith("replayed")
    assert (await rig.ask(31.5, ttl_s=59)).text.startswith("too_short")
    assert rig.actuator.state().refused_commands == 2


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ("sidecar/supply_setpoint", "no fallback of its own"),
        ("cdu-1/heartbeat", "no envelope"),
        ("cdu-2/supply_setpoint", "not enabled in this run"),
    ],
)
async def test_what_is_not_writable_is_refused_in_words(make_rig, point, words):
    """Devices without fallback, points without envelope and devices not enabled are advisory, and it says why."""
    rig = make_rig(("cdu-1", "cdu-2"))
    rig.start(5, frozenset({"cdu-1", "sidecar"}))
    answer = await rig.ask(31.5, point=point)
    assert not answer.accepted
    assert words in answer.text
    assert not rig.devices["cdu-2"].log


@pytest.mark.parametrize(
    ("fault", "code"),
    [("silent", "write_silent"), ("hang", "write_silent"), ("refuse", "write_refused"), ("bug", "actuator_fault")],
)
async def test_a_failing_write_drops_the_lease_and_says_why(rig, fault, code):
    """Whatever the wire does, the lease is gone, the condition has cause and remedy, and recovery withdraws it."""
    rig.device.fault = fault
    assert not (await rig.ask(31.5)).accepted
    [condition] = [c for c in rig.actuator.conditions() if c.code == code]
    assert condition.cause.text
    assert condition.remedy.text
    assert rig.actuator.state().leases == ()
    rig.device.fault = ""
    await rig.pass_time(5)
    assert (await rig.ask(31.5)).accepted
    assert rig.codes() == []


async def test_silence_while_driven_ends_by_the_devices_own_timeout(rig):
    """A device that falls silent gets no more beats, so it is at its default within its timeout."""
    await rig.ask(31.5)
    await rig.pass_time(15)
    rig.device.fault = "silent"
    await rig.pass_time(60)
    assert not rig.device.remote
    assert rig.actuator.state().leases == ()


async def test_mode_lost_relinquishes_and_locks_the_controller_out(rig):
    """Someone switches the device to local: leases go, a condition says so, and the controller does not fight."""
    await rig.ask(31.5)
    await rig.pass_time(20)
    rig.device.registers["remote_enable"] = 0.0
    await rig.pass_time(10)
    assert rig.codes() == ["mode_lost"]
    before = len(rig.device.log)
    assert (await rig.ask(31.5)).text.startswith("locked_out")
    await rig.pass_time(300)
    assert len(rig.device.log) == before
    assert (await rig.ask(31.5, holder="operator:ann", ttl_s=600)).accepted
    assert rig.codes() == []


async def test_a_foreign_write_is_seen_and_not_fought(rig):
    """Another master changes the setpoint: we let go within two polls and write no setpoint again."""
    await rig.ask(31.5)
    await rig.pass_time(20)
    rig.device.registers["supply_setpoint"] = 27.0
    before = len(rig.device.log)
    await rig.pass_time(15)
    assert rig.codes() == ["foreign_write"]
    assert "27" in rig.actuator.conditions()[0].cause.text
    assert [n for _, n, _ in rig.device.log[before:]] == ["remote_enable"]


async def test_a_renewal_rewrites_once_then_gives_up(rig):
    """A register changed between polls is put right once; the second time it is a foreign write."""
    await rig.ask(31.5)
    rig.device.registers["supply_setpoint"] = 27.0
    assert (await rig.ask(31.5)).accepted
    assert rig.device.effective("supply") == 31.5
    rig.device.registers["supply_setpoint"] = 27.0
    assert not (await rig.ask(31.5)).accepted
    assert rig.codes() == ["foreign_write"]


async def test_a_device_that_does_not_follow_is_let_go(rig):
    """The register takes the value but the device's effective setpoint does not move: command failure."""
    rig.device.stuck = True
    assert (await rig.ask(31.5)).accepted
    for _ in range(6):
        await rig.pass_time(60)
        await rig.ask(31.5)
    assert rig.codes() == ["command_failure"]
    assert rig.device.registers["remote_enable"] == 0.0


async def test_a_wrong_frame_is_caught(rig):
    """The value decoded from the frame that left must be the one that was meant."""
    rig.device.scale_error = 5.0
    assert not (await rig.ask(31.5)).accepted
    assert rig.codes() == ["frame_mismatch"]
    assert not rig.device.remote


async def test_blind_is_not_driving(rig):
    """Without a good effective setpoint nothing is renewed, and the hold ends."""
    await rig.ask(31.5)
    rig.clock.advance(40)
    await rig.actuator.tick()
    assert (await rig.ask(31.5)).text.startswith("actual_unknown")


async def test_all_to_default_works_though_one_hangs(make_rig):
    """Every device is tried at once; the one that hangs is named, and its heartbeats have stopped."""
    rig = make_rig(("cdu-1", "cdu-2", "cdu-3"))
    for device in rig.devices:
        assert (await rig.ask(31.5, point=f"{device}/supply_setpoint")).accepted
    rig.devices["cdu-2"].fault = "hang"
    stuck = asyncio.create_task(rig.ask(31.5, point="cdu-2/supply_setpoint"))
    await asyncio.sleep(0.01)
    async with asyncio.timeout(3):
        answer = await rig.actuator.relinquish(None, "operator:ann", "something smells")
    assert not answer.accepted
    assert "cdu-2" in answer.text
    assert not rig.devices["cdu-1"].remote
    assert not rig.devices["cdu-3"].remote
    assert rig.actuator.state().leases == ()
    assert "release_unconfirmed" in rig.codes()
    assert ("operator:ann", "relinquish") in [e[:2] for e in rig.audit.entries]
    await stuck
    rig.devices["cdu-2"].fault = ""
    await rig.pass_time(10)
    assert not rig.devices["cdu-2"].remote
    assert rig.codes() in ([], ["write_silent"])


async def test_relinquish_of_points_leaves_other_devices(make_rig):
    """Letting one device go does not touch another."""
    rig = make_rig(("cdu-1", "cdu-2"))
    for device in rig.devices:
        await rig.ask(31.5, point=f"{device}/supply_setpoint")
    assert (await rig.actuator.relinquish([SUPPLY], "operator:ann", "test")).accepted
    assert not rig.devices["cdu-1"].remote
    assert rig.devices["cdu-2"].remote


async def test_one_device_that_hangs_delays_no_other(make_rig):
    """`run` beats every device by itself, whatever the others do, until it is cancelled."""
    rig = make_rig(("cdu-1", "cdu-2"))
    for device in rig.devices:
        await rig.ask(31.5, point=f"{device}/supply_setpoint")
    rig.devices["cdu-1"].fault = "hang"
    run = asyncio.create_task(rig.actuator.run())
    for _ in range(12):
        rig.clock.advance(10)
        rig.poll()
        await asyncio.sleep(0.12)
    assert rig.devices["cdu-2"].remote
    assert not rig.devices["cdu-1"].remote
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run


async def test_what_a_killed_process_left_is_not_kept_alive(rig):
    """No heartbeat for one setpoint prolongs another whose lease died with its process; asked for too, both go on."""
    await rig.ask(100000.0, point=PRESSURE)
    rig.poll()
    rig.start(6)
    assert "waits" in (await rig.ask(31.5)).text
    await rig.pass_time(50)
    assert (rig.device.effective("pressure"), rig.device.effective("supply")) == (100000.0, 32.0)
    await rig.pass_time(20)
    assert (rig.device.effective("pressure"), rig.device.effective("supply")) == (110000.0, 31.5)


async def test_a_restart_that_asks_for_all_goes_on_without_a_gap(rig):
    """Once every setpoint of the device has a lease of the new process it is taken, with nothing in between."""
    await rig.ask(31.0)
    await rig.ask(100000.0, point=PRESSURE)
    rig.poll()
    rig.start(6)
    assert "waits" in (await rig.ask(31.0)).text
    assert (await rig.ask(100000.0, point=PRESSURE)).accepted
    await rig.pass_time(120)
    assert (rig.device.effective("pressure"), rig.device.effective("supply")) == (100000.0, 31.0)
    assert {value for _, name, value in rig.device.log if name == "pressure_setpoint"} == {110000.0, 100000.0}
