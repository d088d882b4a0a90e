"""Site files whose CDUs take a flow or a pump speed: what is wrong with them is told."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

import sites
from plant.pumping import WhenLost
from sites.check import problems

POD = Path(__file__).parents[2] / "site-configs" / "demo-pod.yaml"
RANGE = {"max_step": 0.002, "min_dwell_s": 300, "source": "test"}


@pytest.fixture
def made(tmp_path):
    """The pod's file with CDUs that take a flow, after an edit of its group and its whole."""

    def file(edit=lambda *_: None):
        document = YAML(typ="safe").load(POD)
        for cdu in document["equipment"]:
            if cdu["kind"] == "cdu":
                cdu["sources"][0]["profile"] = "generic-cdu-flow"
        group = document["cooling_groups"][0]
        del group["rule"], group["commands"]["differential_pressure"], group["writable"]["differential_pressure"]
        del group["design"]["differential_pressure_pa"]
        group["commands"]["flow"] = "cdu-1/flow_setpoint"
        group["design"]["flow_m3_s"] = 0.0232
        group["writable"]["flow"] = {"min": 0.0143, "max": 0.0274, **RANGE}
        edit(group, document)
        path = tmp_path / "site.yaml"
        YAML(typ="safe").dump(document, path)
        return path

    return file


def test_a_masters_flow_is_a_sound_site(made):
    """No fault and no word of a loop that can't be planned."""
    assert not [p for p in problems(made()) if p.severity == "fault" or "planned" in p.message]
    group = sites.load_site(made()).groups["tcs-1"]
    assert group.when_lost is WhenLost.MAKES_UP
    assert group.taken("flow") == ("cdu-1/flow_setpoint",)


def test_each_cdu_may_take_its_own(made):
    """The same range, design and dwell for every member's point; each is driven."""

    def edit(group, _):
        group["flow_by"] = "each"
        group["design"]["flow_m3_s"] = 0.0116
        group["writable"]["flow"] = {"min": 0.007, "max": 0.0137, **RANGE}

    site = sites.load_site(made(edit))
    group = site.groups["tcs-1"]
    assert group.taken("flow") == ("cdu-1/flow_setpoint", "cdu-2/flow_setpoint")
    assert group.commands["flow:cdu-2"] == "cdu-2/flow_setpoint"
    assert group.design["flow:cdu-2"] == 0.0116
    assert site.envelopes["cdu-2/flow_setpoint"].maximum == 0.0137
    assert group.when_lost is WhenLost.KEEPS_FLOW
    assert group.drivable
    assert site.drives["cdu-2"].heartbeat == "cdu-2/heartbeat"


def _without_profile(group, document):
    group["flow_by"] = "each"
    document["equipment"] = [
        e | {"sources": [{"profile": "generic-cdu", "link": "cdu-2"}]} if e["id"] == "cdu-2" else e
        for e in document["equipment"]
    ]


def _both(group, _):
    group["commands"]["pump_speed"] = "cdu-1/pump_speed_setpoint"


def _nothing_to_take(group, _):
    group["flow_by"] = "each"
    for table, key in (("commands", "flow"), ("writable", "flow"), ("design", "flow_m3_s")):
        del group[table][key]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (_without_profile, "`flow_by: each`, but cdu-2 takes no flow_setpoint"),
        (_both, "flow and pump_speed are commanded, but pumps can hold only one of them"),
        (_nothing_to_take, "`flow_by: each`, but neither flow nor pump_speed is commanded"),
    ],
)
def test_what_can_not_be_is_a_fault(made, edit, words):
    """With what is wrong in words."""
    assert any(words in p.message and p.severity == "fault" for p in problems(made(edit)))


def test_a_cdus_own_flow_taken_for_the_loops_is_told(made):
    """Half of what the racks take at design: as a master's it would be planned with a part of what flows."""

    def edit(group, _):
        group["design"]["flow_m3_s"] = 0.0116
        group["writable"]["flow"] = {"min": 0.007, "max": 0.0137, **RANGE}

    (found,) = [p for p in problems(made(edit)) if "flow_m3_s" in p.message]
    assert "0.50 of what its racks take at design, 0.0232" in found.message
    assert "flow_by: each" in found.remedy
    assert found.severity == "warning"
