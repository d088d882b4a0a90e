"""The commands that our files tell people, as they stand there, by a real kubectl on a real kube-apiserver.

Skipped without their programs: `make kubernetes` builds or takes them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.adapter_api import Api
from benchmarks.control_plane import ControlPlane
from placement.kubernetes.marks import HOT

FILES = Path(__file__).parents[2] / "packaging" / "kubernetes"
COMMAND = re.compile(r"^#   (kubectl .*)$", re.MULTILINE)


@pytest.fixture
def kubectl() -> str:
    """Its folder."""
    found = shutil.which("kubectl", path=os.pathsep.join([os.environ.get("KUBE_BIN", ""), os.environ["PATH"]]))
    if found is None:
        pytest.skip("no kubectl: make kubernetes, or KUBE_BIN=DIR")
    return str(Path(found).parent)


@pytest.fixture
def fresh(running, tmp_path) -> Iterator[ControlPlane]:
    """A cluster that has seen nothing of ours: `running` tells whether there can be one."""
    del running
    with ControlPlane(tmp_path / "fresh") as plane:
        yield plane


def test_what_the_files_say_gives_all_rights_that_are_needed(fresh, kubectl, tmp_path):
    """Namespace, secret, roles and bindings; a kubeconfig of that account; then every command by this account alone."""
    (tmp_path / "token").write_text("secret")
    ours = {"PATH": os.pathsep.join([kubectl, os.environ["PATH"]]), "HOME": str(tmp_path), "COLDPLATE_TOKEN": "secret"}
    admin = os.environ | ours | {"KUBECONFIG": str(fresh.kubeconfig())}

    def told(command: str, env: dict[str, str]) -> str:
        done = subprocess.run(["sh", "-ec", command], cwd=FILES, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    for name in ("adapter.yaml", "verify-role.yaml", "shed-role.yaml"):
        for command in COMMAND.findall((FILES / name).read_text("utf-8")):
            told(command.replace("STATE_DIRECTORY", str(tmp_path)), admin)
    file = tmp_path / "kubeconfig"
    told(f"./kubeconfig.sh {file} 1h", admin)
    assert [p.stat().st_mode & 0o077 for p in (file, tmp_path / "kubeconfig.token")] == [0, 0]

    fresh.start_scheduler()
    fresh.add_nodes(["gpu-1", "gpu-2"])
    account = os.environ | ours | {"KUBECONFIG": str(file), "PYTHONPATH": str(FILES.parents[1])}
    coldplate = f"{sys.executable} -m cli.main"
    shed = tmp_path / "shed.yaml"
    shed.write_text(f"schema: 1\nschedulers: [{{name: serve, kind: kubernetes, kubeconfig: {file}}}]\n")
    with Api({"gpu-1": 80, "gpu-2": 5}) as api:
        told(f"{coldplate} k8s verify --node gpu-1", account)
        assert "4 of 4 pods on the 2 nodes" in told(f"{coldplate} k8s verify --throwaway --pods 4", account)
        told(f"{coldplate} k8s sync --api {api.url} --once --write", account)
        assert fresh.taints("gpu-2") == {HOT: "PreferNoSchedule"}
        told(f"{coldplate} k8s take-back --write", account)
        assert fresh.taints("gpu-2") == {}
        told(f"{coldplate} shed --config {shed} --api {api.url} --state {tmp_path / 'shed'} --act --once", account)
        assert api.sheds[-1].last_error == ""
