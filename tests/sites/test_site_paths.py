"""Each command names its way: by Modbus register, or by request to the BMS."""

from __future__ import annotations

from pathlib import Path

import pytest

from sites import load_site
from sites.check import problems

ROOT = Path(__file__).parents[2]
DEMO = (ROOT / "site-configs" / "demo-pod.yaml").read_text(encoding="utf-8")
OWN = "{profile: generic-cdu, link: cdu-1}, {profile: dsx-cdu, link: bms, object: CDU-1}"


@pytest.fixture
def write(tmp_path):
    """A function that writes the demo pod with other sources of its first CDU and other commands."""

    def make(sources, **commands):
        text = DEMO.replace(OWN, sources)
        for role, point in commands.items():
            text = text.replace(f"{role}: cdu-1/{role}_setpoint", f"{role}: {point}")
        path = tmp_path / "site.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return make


BOTH = "{profile: generic-cdu-pressure, link: cdu-1}, {profile: dsx-cdu-driven, link: bms, object: CDU-1}"
BMS = "cdu-1/bms_supply_temperature_setpoint"


def test_one_device_commanded_two_ways_has_a_drive_for_each(write):
    """The point that a command names decides its link, heartbeat and timeout; the file needs nothing else."""
    path = write(BOTH, supply_temperature=BMS)
    assert problems(path) == []
    site = load_site(path)
    own, bms = site.drives["cdu-1"], site.drives["cdu-1@bms"]
    assert (own.link, own.heartbeat, own.timeout_s) == ("cdu-1", "cdu-1/heartbeat", 60)
    assert (bms.link, bms.heartbeat, bms.timeout_s) == ("bms", "cdu-1/bms_heartbeat", 75)
    assert site.groups["tcs-1"].drivable
    assert site.envelopes[BMS].dew_point_margin_k == 3


def test_a_way_that_nobody_commands_is_no_drive(write):
    """Beside a register that is commanded, the BMS's offer is only a source."""
    site = load_site(write(OWN.replace("dsx-cdu,", "dsx-cdu-driven,")))
    assert [name for name in site.drives if name.startswith("cdu-1")] == ["cdu-1"]
    assert site.drives["cdu-1"].link == "cdu-1"


def test_two_ways_behind_one_remote_switch_are_refused(write):
    """Remote on Modbus would put a supply setpoint in force that was commanded over the BMS."""
    path = write(OWN.replace("dsx-cdu,", "dsx-cdu-driven,"), supply_temperature=BMS)
    (problem,) = problems(path)
    assert "cdu-1/supply_temperature_setpoint comes into force" in problem.message
    assert "generic-cdu-pressure" in problem.remedy


def test_what_the_bms_does_not_take_is_no_command(write):
    """The confirmation is read only, and the plain DSX profile takes nothing."""
    (first, *_) = problems(write(BOTH, supply_temperature="cdu-1/effective_bms_supply_temperature_setpoint"))
    assert "can't be written" in first.message
    (first, *_) = problems(write(OWN, supply_temperature=BMS))
    assert "unknown point" in first.message
