"""Commissioning against the simulated plant over real sockets: what passes is signed, what does not leaves nothing behind."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cli.commission import commission, raise_loop
from cli.commissioned import address_and_identity, highest_modes, too_high
from plant.errors import RefusedError
from plant.intents import Intent, IntentKind, Mode
from sites import load_site
from store.audit import AuditLog
from store.commissioning import append_record, read_commissioning
from store.state import StateDir


@pytest.fixture
def rig(commission_rigs, monkeypatch, demo_site_path, tmp_path):
    """The demo pod's devices on free ports, sixty times as fast."""
    with commission_rigs.running(monkeypatch, demo_site_path, tmp_path, "cdu-1") as running:
        yield running.options


def site_of(options):
    """The site at the rig's addresses."""
    found = json.loads(options.endpoints.read_text())
    return load_site(options.site_path, {k: tuple(v) for k, v in found.items()})


async def test_a_sound_device_is_commissioned_and_let_go(rig, capsys):
    """Checkout, step and failsafe pass; the signed record allows confirm for exactly this device, and no more."""
    assert await commission(rig, lambda _question: True), capsys.readouterr().out
    site, state = site_of(rig), StateDir(rig.state)
    known = read_commissioning(state)
    assert highest_modes(site, known) == {"cdu-1": Mode.CONFIRM}
    checks = known.records[0]["checks"]
    failsafe = next(c for c in checks if c["kind"] == "failsafe")
    assert failsafe["figures"]["took_s"] <= 60 * 1.6
    assert [c["kind"] for c in checks][-1] == "release"
    intent = Intent(kind=IntentKind.SET_MODE, actor="ann", reason="r", at_s=0.0, loop="tcs-1", mode=Mode.AUTO)
    assert "confirm at most" in too_high(site, intent, dict.fromkeys(site.drives, Mode.CONFIRM))
    assert not too_high(site, replace(intent, mode=Mode.CONFIRM), dict.fromkeys(site.drives, Mode.CONFIRM))


async def test_a_no_signs_nothing_and_the_device_is_free(rig, capsys):
    """Without a person's yes nothing is moved and nothing is signed."""
    assert not await commission(rig, lambda _question: False)
    assert read_commissioning(StateDir(rig.state)).records == ()
    assert "not commissioned" in capsys.readouterr().out


async def test_it_refuses_while_an_edge_runs(rig):
    """Two writers never meet: a running edge holds the state directory."""
    other = StateDir(rig.state)
    other.acquire()
    with pytest.raises(RefusedError, match="already runs"):
        await commission(rig, lambda _question: True)
    other.release()


def record_of(options, days_ago, highest="confirm"):
    """Signed records of the loop's devices, some days old."""
    site, state = site_of(options), StateDir(options.state)
    at_s = options.clock.now() - days_ago * 86400
    for name in ("cdu-1", "dry-coolers", "air-unit"):
        address, about = address_and_identity(site, site.drives[name])
        append_record(
            state, {"identity": about, "equipment": name, "address": address, "highest": highest, "at_s": at_s}
        )
    return state


def test_the_ladder_is_climbed_one_rung_at_a_time(rig):
    """Too early, without history, or after a fault it is refused; after a clean week it is one rung and no more."""
    state = record_of(rig, 8)
    with pytest.raises(RefusedError, match="nothing was written"):
        raise_loop(rig, "tcs-1", "why")
    audit = AuditLog(state.path / "audit", "edge", rig.clock)
    for name in (
        "cdu-1/supply_temperature_setpoint",
        "dry-coolers/leaving_temperature_setpoint",
        "air-unit/air_temperature_setpoint",
    ):
        audit.append(rig.clock.now() - 7.5 * 86400, "controller", "written", name, {})
    assert raise_loop(rig, "tcs-1", "a clean week") is Mode.LIMITED
    with pytest.raises(RefusedError, match="days"):
        raise_loop(rig, "tcs-1", "again")
    audit.close()


@pytest.mark.parametrize(
    ("told", "days"),
    [
        ([(8, "written"), (1, "written")], 8),  # held all the time
        ([(8, "written"), (7.5, "relinquish all"), (1, "written")], 1.5),  # given back in between
        ([(8, "written"), (7, "written"), (1, "write"), (1, "written")], 2),  # killed, and taken anew
        ([(8, "relinquish air-unit, cdu-1"), (1, "written"), (0.5, "relinquish cdu-2")], 1),
    ],
)
def test_days_count_while_it_was_driven(rig, told, days):
    """One write a week ago is no week of driving."""
    state, now_s = record_of(rig, 9), rig.clock.now()
    audit = AuditLog(state.path / "audit", "edge", rig.clock)
    for name in ("cdu-1", "dry-coolers", "air-unit"):
        for ago, what in told if name == "cdu-1" else [(8, "written")]:
            action, _, subject = what.partition(" ")
            audit.append(now_s - ago * 86400, "controller", action, subject or f"{name}/x", {"takes": True})
    audit.close()
    if days >= 7:
        assert raise_loop(rig, "tcs-1", "a clean week") is Mode.LIMITED
    else:
        with pytest.raises(RefusedError, match=f"cdu-1: was driven for {days:.1f} days"):
            raise_loop(rig, "tcs-1", "why")


def test_a_fault_since_the_record_keeps_the_rung(rig):
    """A foreign write in the audit is named, and the loop stays where it is."""
    state = record_of(rig, 8)
    audit = AuditLog(state.path / "audit", "edge", rig.clock)
    audit.append(rig.clock.now() - 7200, "controller", "written", "cdu-1/supply_temperature_setpoint", {})
    audit.append(rig.clock.now() - 3600, "actuator", "relinquish", "cdu-1", {"reason": "foreign_write: 31 was written"})
    audit.close()
    with pytest.raises(RefusedError, match="foreign_write"):
        raise_loop(rig, "tcs-1", "why")


def test_a_forged_record_allows_nothing(rig):
    """A changed mode, a foreign key or an unsigned file for a real address: nothing may be written."""
    state, site = record_of(rig, 8), site_of(rig)
    path = state.path / "commissioning.json"
    whole = path.read_text()
    assert highest_modes(site, read_commissioning(state))
    path.write_text(whole.replace('"confirm"', '"auto"'))
    assert "record 1 was changed" in read_commissioning(state).fault
    assert highest_modes(site, read_commissioning(state)) == {}
    path.write_text(whole)
    (state.path / "commissioning.key").write_text("00" * 32)
    assert highest_modes(site, read_commissioning(state)) == {}
    path.write_text('{"endpoints": ["10.0.0.5:502"], "start_mode": "auto"}')
    found = read_commissioning(state)
    assert found.loopback == frozenset()
    assert "not signed" in found.fault
