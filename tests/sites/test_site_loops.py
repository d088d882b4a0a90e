"""What a loop lacks before anybody can plan it is told when the file is checked."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from sites.check import problems
from sites.check_loops import CDU_FIGURES, RACK_FIGURES

ROOT = Path(__file__).parents[2]
POD = ROOT / "site-configs" / "demo-pod.yaml"


@pytest.fixture
def told(tmp_path):
    """The warnings of the pod's file after an edit."""

    def made(edit):
        document = YAML(typ="safe").load(POD)
        edit(document)
        file = tmp_path / "site.yaml"
        YAML(typ="safe").dump(document, file)
        return [p for p in problems(file) if p.severity == "warning"]

    return made


@pytest.mark.parametrize(("kind", "keys"), [("cdu", CDU_FIGURES), ("rack", RACK_FIGURES)], ids=["CDU", "rack"])
def test_a_missing_figure_is_told_with_its_equipment(told, kind, keys):
    """One by one, of the first CDU and the first rack."""
    for key in keys:

        def edit(document, key=key):
            unit = next(e for e in document["equipment"] if e["kind"] == kind)
            unit["design"] = {k: v for k, v in unit["design"].items() if k != key}

        (problem,) = told(edit)
        assert f"-1: its loop can't be planned without {key}" in problem.message.replace("-01", "-1")


def test_a_loop_without_supply_or_case_limit_is_told(told):
    """Nothing of it could be planned; a CDU's flow is no setpoint that plans know."""

    def edit(document):
        group = document["cooling_groups"][0]
        for table, key in (("commands", ""), ("writable", ""), ("design", "_c")):
            del group[table]["supply_temperature" + key]
        document["limits"] = [limit for limit in document["limits"] if limit["quantity"] != "case_temperature"]

    found = " ".join(p.message for p in told(edit))
    assert "no supply_temperature is commanded" in found
    assert "no limit of case_temperature" in found


def test_towers_beside_dry_coolers_are_told(told):
    """The model knows one kind of heat rejection for a loop."""

    def edit(document):
        source = {"profile": "generic-cooling-tower", "link": "facility", "unit": 9}
        design = {"heat_w": 5e5, "flow_m3_s": 0.02, "approach_k": 4, "fan_power_w": 9e3}
        tower = {"id": "tower", "kind": "cooling-tower", "sources": [source], "feeds": ["chiller"], "design": design}
        document["equipment"].append(tower)

    assert "of dry coolers and towers on one loop only the dry coolers" in " ".join(p.message for p in told(edit))


def test_the_shipped_files_lack_nothing():
    """Nor does the one that `coldplate init` writes."""
    files = [*sorted((ROOT / "site-configs").glob("*.yaml")), ROOT / "sites" / "starting-site.yaml"]
    assert not [p for file in files for p in problems(file) if "planned" in p.message]
