"""Starting sites, from nothing and from a point list, and the commands around them."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli.site_commands import register
from sites import load_site
from sites.check import problems
from sites.starter import site_from_csv, starting_site

POINTS = """\
equipment,kind,profile,link,host,port,unit,object,feeds,meters
utility,utility,,,,,,,ups;cdu-1;pump;cooler,
ups,ups,,,,,,,rack-01 rack-02,
cooler,dry-cooler,generic-dry-cooler,,10.0.0.3,,1,,pump,
pump,pump,generic-facility-pump,,10.0.0.3,,2,,cdu-1,
cdu-1,cdu,generic-cdu,,10.0.0.1,503,0x01,,rack-01;rack-02,
rack-01,rack,dsx-rack,bms,10.0.0.9,,,R01,,
rack-01,rack,gpu-node,bms,,,,,,
# spare lines and comments are passed over
,,,,,,,,,
rack-02,rack,dsx-rack,bms,,,,R02,,
m1,meter,generic-power-meter,meters,10.0.0.5,,1,,,utility
m2,meter,generic-power-meter,meters,,,2,,,ups
"""


@pytest.fixture
def app() -> typer.Typer:
    """An app with the site commands."""
    made = typer.Typer()
    register(made)
    return made


def _csv(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "points.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_starting_site_is_sound(tmp_path: Path) -> None:
    """What init writes validates without a word."""
    path = tmp_path / "new.yaml"
    path.write_text(starting_site("new"), encoding="utf-8")
    assert problems(path) == []
    assert load_site(path).id == "new"


def test_a_point_list_becomes_a_sound_site(tmp_path: Path) -> None:
    """Rows of one equipment join, endpoints become links, and the result loads."""
    text, found = site_from_csv(_csv(tmp_path, POINTS), "listed")
    assert found == []
    path = tmp_path / "site.yaml"
    path.write_text(text, encoding="utf-8")
    assert problems(path) == []
    site = load_site(path)
    assert [e.id for e in site.of_kind("rack")] == ["rack-01", "rack-02"]
    assert {link.id: (link.transport, link.port) for link in site.links.values()} == {
        "cooler": ("modbus-tcp", 502),
        "cdu-1": ("modbus-tcp", 503),
        "bms": ("mqtt", 1883),
        "meters": ("modbus-tcp", 502),
    }
    assert len(site.equipment["rack-01"].sources) == 2
    assert site.equipment["pump"].sources[0].link == "cooler"


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_point_list_may_be_a_spreadsheets_of_another_country(tmp_path: Path, mark: str) -> None:
    """Semicolons or tabs part the cells, and quotes keep lists of feeds together."""
    rows = [line.split(",") for line in POINTS.splitlines()]
    text = "\n".join(mark.join(f'"{cell}"' if ";" in cell else cell for cell in row) for row in rows)
    assert site_from_csv(_csv(tmp_path, text), "listed") == site_from_csv(_csv(tmp_path, POINTS), "listed")


def test_ports_are_those_of_custom(tmp_path: Path) -> None:
    """Where a point list names none: exporters and Redfish units are no brokers, and Redfish speaks TLS."""
    more = "rack-02,rack,dcgm-gpu,gpus,10.0.0.7,,,,,\ncdu-1,cdu,redfish-cdu,unit,10.0.0.8,,,1,,\n"
    text, found = site_from_csv(_csv(tmp_path, POINTS + more), "listed")
    assert found == []
    path = tmp_path / "site.yaml"
    path.write_text(text, encoding="utf-8")
    links = load_site(path).links
    assert (links["gpus"].transport, links["gpus"].port, links["gpus"].options) == ("http", 9400, {})
    assert (links["unit"].transport, links["unit"].port, links["unit"].options) == ("http", 443, {"tls": True})


FAULTS: dict[str, tuple[str, str, int, str, str]] = {
    "no column": ("equipment,kind,", "equipment,sort,", 1, "column 'kind' is missing", "equipment,kind,name"),
    "unknown column": (",meters\n", ",meter\n", 1, "unknown column 'meter'", "'meters'"),
    "too many cells": ("ups;cdu-1;pump;cooler,", "ups,cdu-1,pump,cooler,", 2, "13 cells, but 10 columns", "by `;`"),
    "unknown kind": ("pump,pump,", "pump,pumpe,", 5, "equipment[3].kind", "what it is"),
    "unknown profile": ("generic-cdu", "generic-cdo", 6, "unknown profile 'generic-cdo'", "'generic-cdu'"),
    "port": (",503,", ",many,", 6, "port 'many' is no whole number", "column `port`"),
    "unit": (",503,0x01", ",503,999", 6, "less than or equal to 247", "unit id on Modbus"),
    "two kinds": ("rack-01,rack,gpu-node", "rack-01,cdu,gpu-node", 8, "kind 'cdu', but 'rack' before", "one kind"),
    "link of two addresses": ("meters,,,2", "meters,10.0.0.6,,2", 13, "10.0.0.5:502 in a line before", "one address"),
    "no link": ("meters,,,2", ",,,2", 13, "neither link nor host", "fill in `host`"),
    "no profile": ("generic-power-meter,meters,,", ",meters,,", 13, "a link, but no profile", "use one of"),
    "unknown feed": (",pump,\npump", ",pumpp,\npump", 4, "feeds unknown equipment 'pumpp'", "'pump'"),
    "rack without power": ("rack-01 rack-02", "rack-01", 11, "fed by no power", "UPS"),
    "unit twice": ("meters,,,2", "meters,,,1", 13, "unit 1 at link 'meters' is already used by m1", "own unit"),
    "no id": ("pump,pump,", ",pump,", 5, "has no id", "column `equipment`"),
    "open quote": ("rack-01 rack-02", '"rack-01 rack-02', 13, "not CSV", "quote"),
    "empty": (POINTS, "", 1, "column 'equipment' is missing", "first line"),
    "header only": (POINTS, "equipment,kind\n", 1, "no line with an equipment", "one line for each"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_a_point_list_is_named_with_its_line(name: str, tmp_path: Path) -> None:
    """Faults carry the list's own line numbers and a remedy, and no site file comes out."""
    old, new, line, message, remedy = FAULTS[name]
    assert old in POINTS
    path = _csv(tmp_path, POINTS.replace(old, new, 1))
    text, found = site_from_csv(path, "listed")
    assert not text
    fit = [p for p in found if message in p.message and remedy in p.remedy]
    assert fit, [str(p) for p in found]
    assert fit[0].where == f"{path}:{line}"


@given(text=st.text(max_size=200) | st.text(max_size=60).map(lambda t: POINTS.replace("cdu-1", t)))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_point_list_gives_a_sound_site_or_faults(text: str, tmp_path: Path) -> None:
    """No list, however odd, raises anything or makes a site file that does not load."""
    (tmp_path / "points.csv").write_text(text, encoding="utf-8", errors="replace", newline="")
    made, found = site_from_csv(tmp_path / "points.csv", "listed")
    if made:
        (tmp_path / "site.yaml").write_text(made, encoding="utf-8")
        load_site(tmp_path / "site.yaml")
    else:
        assert found


def test_validate_prints_one_line_a_fault_and_fails(app: typer.Typer, tmp_path: Path) -> None:
    """`validate` ends with 1 when any file has a fault, and counts what a sound file has."""
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(starting_site("good"), encoding="utf-8")
    bad.write_text(starting_site("bad").replace("feeds: [rack-01]", "feeds: [rack-02]"), encoding="utf-8")
    result = CliRunner().invoke(app, ["validate", str(good), str(bad)])
    assert result.exit_code == 1
    first, *faults = result.stdout.splitlines()
    assert first.startswith(f"{good}: ok, 8 equipment, 1 racks")
    assert len(faults) == 4
    assert all(line.startswith(f"{bad}:") and "; " in line for line in faults)
    assert CliRunner().invoke(app, ["validate", str(good)]).exit_code == 0


def test_validate_passes_a_site_with_a_warning_and_prints_it(app: typer.Typer, tmp_path: Path) -> None:
    """A warning is marked as such and does not fail."""
    path = tmp_path / "site.yaml"
    path.write_text(starting_site("lab").replace("meters: ups", "meters: rack-01"), encoding="utf-8")
    assert CliRunner().invoke(app, ["validate", str(path)]).exit_code == 0
    path.write_text(starting_site("lab").replace("meters: utility", "meters: pump"), encoding="utf-8")
    result = CliRunner().invoke(app, ["validate", str(path)])
    assert result.exit_code == 0
    assert ": warning: no energy meter at a utility feed" in result.stdout


def test_init_never_overwrites(app: typer.Typer, tmp_path: Path) -> None:
    """`init` writes a file that validates, once."""
    out = tmp_path / "our lab.yaml"
    assert CliRunner().invoke(app, ["init", str(out)]).exit_code == 0
    assert load_site(out).id == "our-lab"
    out.write_text("mine", encoding="utf-8")
    again = CliRunner().invoke(app, ["init", str(out)])
    assert again.exit_code == 1
    assert "exists" in again.output
    assert out.read_text(encoding="utf-8") == "mine"


def test_init_from_a_point_list_writes_only_a_sound_site(app: typer.Typer, tmp_path: Path) -> None:
    """A list with a fault leaves no file behind."""
    good = _csv(tmp_path, POINTS)
    out = tmp_path / "out.yaml"
    assert CliRunner().invoke(app, ["init", "--from-csv", str(good), str(out)]).exit_code == 0
    assert load_site(out).id == "out"
    bad = _csv(tmp_path, POINTS.replace("generic-cdu", "x"))
    result = CliRunner().invoke(app, ["init", "--from-csv", str(bad), str(tmp_path / "no.yaml")])
    assert result.exit_code == 1
    assert f"{bad}:6: " in result.stdout
    assert not (tmp_path / "no.yaml").exists()


def test_schema_prints_the_schema(app: typer.Typer) -> None:
    """`schema` prints what editors need."""
    result = CliRunner().invoke(app, ["schema"])
    assert result.exit_code == 0
    assert '"title": "coldplate site file"' in result.stdout
