"""What may be switched stands in the site file, and every fault of it is found at its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from devices.profiles import OWN_PROFILES
from sites import load_site
from sites.check import problems

BASE = Path(__file__).with_name("base-site.yaml").read_text(encoding="utf-8")
PROFILE = """\
profile: switched-{kind}
title: Something with a switch
kind: {kind}
transport: modbus-tcp
revision: "1"
source: test
fallback: {{kind: native_heartbeat, heartbeat: heartbeat, timeout_s: 60, enable: remote_enable, owner: owner_epoch}}
readable: [{{table: input, first: 0, last: 1}}, {{table: holding, first: 100, last: 104}}]
points:
  - {{name: running, quantity: state, unit: code, table: input, address: 0, type: u16, period_s: 5, states: {{0: stands, 1: runs}}}}
  - {{name: heartbeat, quantity: count, unit: "1", table: holding, address: 100, type: u16, period_s: 10, writable: true}}
  - {{name: remote_enable, quantity: state, unit: code, table: holding, address: 101, type: u16, period_s: 10, writable: true}}
  - {{name: owner_epoch, quantity: count, unit: "1", table: holding, address: 102, type: u16, period_s: 10, writable: true}}
  - {{name: enable_command, quantity: state, unit: code, table: holding, address: 103, type: u16, period_s: 10, writable: true, states: {{0: stop, 1: run}}}}
"""
STAGES = """\
    stages:
      - {unit: pump, min_on_s: 600, min_off_s: 300, source: test}
      - {unit: pump-2, min_on_s: 600, min_off_s: 300, start_s: 60, source: test}
    least_running: {pump: 1}
"""
PUMPS = """\
  - {id: pump, kind: pump, sources: [{profile: switched-pump, link: facility, unit: 7}], feeds: [cdu-1]}
  - {id: pump-2, kind: pump, sources: [{profile: switched-pump, link: facility, unit: 8}], feeds: [cdu-1]}
"""
FEEDS = "  - {id: cooler, kind: dry-cooler, sources: [{profile: generic-dry-cooler, link: facility}], feeds: [pump]}\n"


@pytest.fixture
def site_of(tmp_path, monkeypatch):
    """The base site with two pumps that may be switched, with one text replaced by another."""
    folder = tmp_path / "profiles"
    folder.mkdir()
    (folder / "switched-pump.yaml").write_text(PROFILE.format(kind="pump"), encoding="utf-8")
    plain = PROFILE.format(kind="pump").replace("switched-pump", "plain-pump").replace("name: running", "name: status")
    (folder / "plain-pump.yaml").write_text(plain, encoding="utf-8")
    monkeypatch.setenv(OWN_PROFILES, str(folder))

    def write(old="", new=""):
        text = BASE.replace("  - {id: pump, kind: pump, feeds: [cdu-1]}\n", PUMPS)
        text = text.replace(FEEDS, FEEDS.replace("[pump]", "[pump, pump-2]")).replace(
            "    design:\n", f"{STAGES}    design:\n"
        )
        assert old in text
        path = tmp_path / "site.yaml"
        path.write_text(text.replace(old, new, 1) if old else text, encoding="utf-8")
        return path

    return write


def test_stages_become_commands_and_envelopes(site_of):
    """Each unit has a role, a design of 1, a switch for an envelope, and a drive that lets it go."""
    site = load_site(site_of())
    group = site.groups["tcs"]
    assert group.commands["enable:pump-2"] == "pump-2/enable_command"
    assert group.design["enable:pump"] == 1.0
    assert {s.unit: (s.kind, s.start_s) for s in group.stages} == {"pump": ("pump", 300.0), "pump-2": ("pump", 60.0)}
    assert group.least_running["pump"] == 1
    envelope = site.envelopes["pump/enable_command"]
    assert (envelope.minimum, envelope.maximum, envelope.max_step) == (0.0, 1.0, 1.0)
    assert (envelope.min_dwell_s, envelope.min_off_s) == (600.0, 300.0)
    assert site.drives["pump"].heartbeat == "pump/heartbeat"
    assert group.drivable


FAULTS = {
    "unknown unit": ("unit: pump-2", "unit: pump-3", 38, "stage 'pump-3' is no cooling-tower", "did you mean 'pump"),
    "no plant": ("unit: pump-2", "unit: rack-01", 38, "that feeds its members", "use one of"),
    "no switch": (
        "profile: switched-pump, link: facility, unit: 8",
        "profile: plain-pump, link: facility, unit: 8",
        38,
        "pump-2 does not tell whether it runs",
        "state `running`",
    ),
    "twice": ("unit: pump-2", "unit: pump", 38, "already under the `stages`", "name each unit once"),
    "too many": ("{pump: 1}", "{pump: 3}", 39, "3 of kind pump are to run at least", "give 2 or less"),
    "kind": ("{pump: 1}", "{cdu: 1}", 39, "least_running.cdu", "should be"),
    "time": ("min_on_s: 600", "min_on_s: -1", 37, "min_on_s", "greater than or equal to 0"),
    "no source": (", source: test}\n    least", "}\n    least", 38, "key 'source' is missing", "add `source: `"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults(site_of, name):
    """Found at its line, with what to do."""
    old, new, line, message, remedy = FAULTS[name]
    found = problems(site_of(old, new))
    hits = [p for p in found if message in p.message and remedy in f"{p.message} {p.remedy}"]
    assert hits, [str(p) for p in found]
    assert {int(p.where.rpartition(":")[2]) for p in hits} & {line}


def test_unlike_units_are_welcome(site_of):
    """Each is weighed by its own figures."""
    path = site_of("unit: 8}], feeds: [cdu-1]", "unit: 8}], feeds: [cdu-1], design: {flow_m3_s: 1}")
    assert not [p for p in problems(path) if "flow_m3_s" in p.message]
    assert load_site(path).groups["tcs"].stages


def test_stages_belong_to_the_group_that_sets_the_water(site_of):
    """Without its command nobody could judge what the plant needs."""
    path = site_of("      facility_supply_temperature: cooler/leaving_temperature_setpoint\n", "")
    assert any("does not command the facility water" in p.message for p in problems(path))


def test_one_group_sets_shared_water(site_of, tmp_path):
    """Two groups that command the same plant's water are a fault; one alone may."""
    text = site_of().read_text(encoding="utf-8")
    text = text.replace("feeds: [cdu-1]", "feeds: [cdu-1, cdu-2]").replace(
        "utility, feeds: [ups, cdu-1]", "utility, feeds: [ups, cdu-1, cdu-2]"
    )
    text = text.replace(
        "  - {id: manifold",
        "  - {id: cdu-2, kind: cdu, sources: [{profile: generic-cdu, link: cdu, unit: 2}], feeds: [manifold]}\n  - {id: manifold",
    )
    text = text.replace(
        "feeds: [pump, pump-2]}\n",
        "feeds: [pump, pump-2]}\n  - {id: cooler-2, kind: dry-cooler, sources: [{profile: generic-dry-cooler, link: facility, unit: 5}], feeds: [pump]}\n",
        1,
    )
    second = """\
  - id: other
    members: [cdu-2]
    master: cdu-2
    commands: {facility_supply_temperature: cooler-2/leaving_temperature_setpoint}
    design: {facility_supply_temperature_c: 27}
    writable:
      facility_supply_temperature: {min: 14, max: 38, max_step: 1.5, min_dwell_s: 300, source: test}
"""
    path = tmp_path / "two.yaml"
    path.write_text(text.replace("limits:\n", f"{second}limits:\n", 1), encoding="utf-8")
    assert any("both command facility water" in p.message for p in problems(path))
