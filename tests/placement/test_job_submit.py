"""The job_submit plugin in a real slurmctld."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from placement.slurm.hint_file import SubmitHints, write_hints

pytestmark = pytest.mark.real
PLUGIN = Path(__file__).parents[2] / "packaging" / "slurm" / "job_submit.lua"


@pytest.fixture
def lab(make_lab, tmp_path, monkeypatch):
    """A cluster with the plugin and a place for its file: `lab.hints`."""
    monkeypatch.setenv("COLDPLATE_SLURM_HINTS", str(tmp_path / "hints"))
    folder = tmp_path / "lab"
    folder.mkdir()
    shutil.copy(PLUGIN, folder / "job_submit.lua")
    lab = make_lab(real=3, extra=["JobSubmitPlugins=lua", "Licenses=power_kw:100"])
    lab.hints = tmp_path / "hints"
    return lab


def hints(lab, **changes) -> None:
    """A file that is valid for a minute."""
    write_hints(lab.hints, SubmitHints(**({"valid_until_s": time.time() + 60} | changes)))


def test_licences_are_added_for_nodes(lab):
    """Rounded up; a job that names its own keeps it."""
    hints(lab, kw_per_node=5.6)
    assert lab.job(lab.submit("sleep 1", "-N2"))["Licenses"] == "power_kw:12"
    assert lab.job(lab.submit("sleep 1", "-N2", "-L", "power_kw:3"))["Licenses"] == "power_kw:3"


def test_excluded_nodes_get_no_new_job(lab):
    """Beside those that the user excludes."""
    hints(lab, exclude=["n1"])
    job = lab.submit("sleep 5", "-x", "n2")
    lab.until(lambda: lab.job(job)["JobState"] == "RUNNING", 10, "a start")
    assert lab.job(job)["NodeList"] == "n3"


def test_a_job_above_the_limit_is_told(lab):
    """The user reads why, and how much may start."""
    hints(lab, kw_per_node=30.0, refuse_above_kw=50.0, message="CDU 2 is being serviced until 14:00.")
    lab.submit("sleep 1", "-N1")
    words = lab.run("sbatch", "-N3", "--wrap=true", check=False)
    assert "would draw 90 kW, more than the 50 kW that may be started now. CDU 2 is being serviced" in words


@pytest.mark.parametrize(
    "content", [None, "", "garbage\n\x00\xff", "kw_per_node=50\nvalid_until=1\n", "kw_per_node=50\n"]
)
def test_without_a_valid_file_jobs_pass_unchanged(lab, content):
    """Missing, empty, broken or over."""
    if content is not None:
        lab.hints.write_bytes(os.fsencode(content))
    job = lab.job(lab.submit("sleep 1", "-N3"))
    assert job["Licenses"] == "(null)"
