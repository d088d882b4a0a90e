"""Documents that cannot drift: what the code may say to a person is described where a person looks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from actuator.faults import FAULT_CODES
from benchmarks.registry import BENCHMARKS
from cli.main import app
from collector.conditions import TEXTS
from controller.reasons import TEMPLATES
from devices.profiles import load_profile, profile_names
from placement.budgets import TEXTS as BUDGETS
from placement.job_lists import TEXTS as JOBS
from placement.kubernetes.questions import TEXTS as QUESTIONS
from placement.loan_reports import TEXTS as LOANS
from placement.scheduler_reports import TEXTS as SCHEDULERS
from placement.shed.reports import TEXTS as SHEDS

ROOT = Path(__file__).parents[2]
OPERATING = (ROOT / "docs" / "operating.md").read_text("utf-8")
FIGURES = (ROOT / "docs" / "figures.md").read_text("utf-8")
CONTROLLER = {code.removesuffix("_remedy") for code in TEMPLATES if code.endswith("_remedy")}


@pytest.mark.parametrize(
    "code",
    sorted(
        {
            *TEXTS,
            *QUESTIONS,
            *JOBS,
            *BUDGETS,
            *SCHEDULERS,
            *LOANS,
            *SHEDS,
            *FAULT_CODES,
            *CONTROLLER,
            "edge_lost",
            "history_incident",
        }
    ),
)
def test_each_condition_is_in_the_operating_guide(code):
    """Every condition code stands in docs/operating.md, with what coldplate does meanwhile."""
    assert f"`{code}`" in OPERATING


@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_each_benchmark_has_its_figures(name):
    """Every benchmark is named where figures are quoted."""
    assert f"bench {name}" in FIGURES


@pytest.mark.parametrize("name", profile_names())
def test_each_profile_says_where_it_comes_from(name):
    """Every shipped profile names its source and its fallback, and bounds what is plausible."""
    profile = load_profile(name)
    assert len(profile.source) > 10
    assert profile.fallback.kind in {"native_heartbeat", "guardian", "none"}
    assert all(p.min is not None for p in profile.points if p.quantity in {"temperature", "power", "volume_flow"})


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "edge",
        "serve",
        "demo",
        "validate",
        "init",
        "schema",
        "report",
        "bench",
        "all-to-default",
        "state",
        "doctor",
        "probe",
        "devices",
        "simulate",
        "commission",
        "audit",
        "switchback",
        "pools",
        "slurm",
        "k8s",
        "shed",
        "grid",
    ],
)
def test_each_command_explains_itself(command):
    """Every command answers --help with a sentence."""
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert len(result.output) > 100


def test_help_tells_units():
    """A word in brackets is a unit, no markup that disappears."""
    said = CliRunner().invoke(app, ["slurm", "sync", "--help"]).output
    assert "[kW]" in said
    assert "[s]" in said


def test_the_schematic_unit_file_starts_what_exists():
    """The systemd unit runs a command and options that the command line has."""
    unit = (ROOT / "packaging" / "systemd" / "coldplate@.service").read_text("utf-8")
    assert "coldplate run /etc/coldplate/%i.yaml --state /var/lib/coldplate/%i" in unit


def _named_tests() -> list[tuple[str, str]]:
    """(file, test) of every test that docs/complaints.md names; `::name` alone is of the file before it."""
    file, named = "", []
    for before, name in re.findall(r"`([\w/.]*)::(\w+)`", (ROOT / "docs" / "complaints.md").read_text("utf-8")):
        file = before or file
        named.append((file, name))
    return named


def test_each_complaint_is_held_by_a_test_that_exists():
    """No row of docs/complaints.md rests on a test that was renamed or removed."""
    rows = [line for line in (ROOT / "docs" / "complaints.md").read_text("utf-8").splitlines() if line[:2] == "| "]
    assert len(_named_tests()) >= len(rows) - 1 > 15
    for file, name in _named_tests():
        assert f"def {name}(" in (ROOT / file).read_text("utf-8"), f"{file}::{name}"
