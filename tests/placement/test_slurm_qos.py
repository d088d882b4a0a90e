"""A budget held by a QOS: real slurmctld, slurmdbd and MariaDB."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from benchmarks.slurm_accounting import Accounting
from benchmarks.slurm_lab import Lab
from cli.main import app

pytestmark = pytest.mark.real


def sync(lab, api, folder, *words: str) -> tuple[int, str]:
    """One cycle; status and what it said."""
    given = ["--api", api.url, "--conf", str(lab.conf), "--state", str(folder), "--once", "--write", "--budget", "qos"]
    done = CliRunner().invoke(app, ["slurm", "sync", *given, *words], env={"COLDPLATE_TOKEN": "secret"})
    return done.exit_code, done.output


def test_a_budget_by_qos(real_program, make_api, budget, tmp_path):
    """Jobs above it wait; raised, the next one starts; ended, the limit is gone. A QOS that is not there is told."""
    for program in ("slurmctld", "slurmdbd", "mariadbd", "mariadb-install-db"):
        real_program(program)
    folder, api = tmp_path / "lab", make_api({"n1": 50, "n2": 50})
    with (
        Accounting(folder) as accounting,
        Lab(
            folder, real=2, extra=["Licenses=power_kw:100", *accounting.lines], before=accounting.start_slurmdbd
        ) as lab,
    ):
        lab.run("sacctmgr", "-i", "add", "account", "a")
        lab.run("sacctmgr", "-i", "add", "user", lab.user, "account=a")
        api.budgets = [budget(30.0)]
        assert "budget: QOS normal None -> 30 kW" in sync(lab, api, tmp_path)[1]
        assert not [line for line in sync(lab, api, tmp_path)[1].splitlines() if "QOS" in line]
        first, second = (lab.submit("sleep 90", "-L", "power_kw:20") for _ in range(2))
        lab.until(lambda: lab.job(second)["Reason"] == "QOSGrpLicense", 60, "its reason")
        assert lab.job(first)["JobState"] == "RUNNING"
        api.budgets = [budget(60.0)]
        assert sync(lab, api, tmp_path)[0] == 0
        lab.until(lambda: lab.job(second)["JobState"] == "RUNNING", 60, "a start")
        api.budgets = []
        assert "budget: QOS normal 60 -> None kW" in sync(lab, api, tmp_path)[1]
        status, said = sync(lab, api, tmp_path, "--qos", "elsewhere")
        assert status == 1
        assert "no QOS elsewhere" in said
