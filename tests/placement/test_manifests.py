"""What is shipped for clusters: it parses, starts what exists, and asks for no more rights than are used."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

import placement.kubernetes.verify as verify_module
from cli.main import app
from placement.kubernetes.cluster import connect
from placement.kubernetes.extender import MOST
from placement.kubernetes.marks import SCORE
from placement.kubernetes.pool import KubernetesPool

PACKAGING = Path(__file__).parents[2] / "packaging"
MANIFESTS = sorted((PACKAGING / "kubernetes").glob("*.yaml"))


def documents(name: str) -> list[dict]:
    """Of one file."""
    return list(yaml.safe_load_all((PACKAGING / "kubernetes" / name).read_text("utf-8")))


def granted(documents_: list[dict]) -> set[tuple[str, str]]:
    """(verb, resource) of all roles."""
    rules = [rule for d in documents_ if d["kind"] in ("Role", "ClusterRole") for rule in d["rules"]]
    return {(verb, resource) for rule in rules for verb in rule["verbs"] for resource in rule["resources"]}


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda p: p.name)
def test_each_is_a_kubernetes_object(path):
    """Kind and version; names where objects have them."""
    for document in yaml.safe_load_all(path.read_text("utf-8")):
        assert document["apiVersion"]
        assert document["kind"] == "KubeSchedulerConfiguration" or document["metadata"]["name"]


def test_the_adapter_may_do_what_it_does_and_no_more(server_apart, make_api):
    """The verbs of its role are those that the API server was asked for: by sync, take-back and pools."""
    mock = server_apart.mock
    mock.add("n1")
    api = make_api({"n1": 5})
    where = ["--kubeconfig", str(server_apart.kubeconfig), "--write"]
    token = {"COLDPLATE_TOKEN": "secret"}
    assert CliRunner().invoke(app, ["k8s", "sync", "--api", api.url, "--once", *where], env=token).exit_code == 0
    assert CliRunner().invoke(app, ["k8s", "take-back", *where]).exit_code == 0
    asyncio.run(_lent(server_apart.kubeconfig))
    assert mock.asked == granted(documents("adapter.yaml"))


async def _lent(kubeconfig: Path) -> None:
    async with connect(kubeconfig) as cluster:
        pool = KubernetesPool("k", cluster)
        await pool.drain("n1", "loan")
        assert await pool.idle("n1")
        await pool.release("n1")
        await pool.admit("n1")
        assert await pool.usable("n1")
        await pool.demand()


def test_verify_may_do_what_it_does(server_apart, monkeypatch):
    """Beside the adapter's, its own role and no more."""
    monkeypatch.setattr(verify_module, "WAIT_S", 0.2)
    argv = ["k8s", "verify", "--kubeconfig", str(server_apart.kubeconfig), "--throwaway", "--pods", "1"]
    CliRunner().invoke(app, argv)
    rights = granted(documents("adapter.yaml")) | granted(documents("verify-role.yaml"))
    assert server_apart.mock.asked == rights


def test_the_deployment_starts_what_exists():
    """Command and options; one replica, no rights of root; a dry run until somebody says otherwise."""
    deployment = next(d for d in documents("adapter.yaml") if d["kind"] == "Deployment")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    check_command(container["command"])
    assert "--write" not in container["command"]
    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]["type"]) == (1, "Recreate")
    assert container["securityContext"]["readOnlyRootFilesystem"]


def test_schedulers_go_on_without_us():
    """The traps of an extender: it may be ignored, gets names, counts among all nodes, and is not waited for long."""
    config = documents("kube-scheduler.yaml")[0]
    assert config["percentageOfNodesToScore"] == 100
    (extender,) = config["extenders"]
    assert (extender["ignorable"], extender["nodeCacheCapable"], extender["httpTimeout"]) == (True, True, "1s")
    assert not {"bindVerb", "preemptVerb"} & extender.keys()
    assert extender["weight"] * MOST <= 100


@pytest.mark.parametrize("name", ["kube-scheduler.yaml", "node-metadata.yaml"])
def test_a_scheduler_with_our_file_still_finds_its_cluster(name):
    """Beside --config kube-scheduler ignores --kubeconfig (its own help says so, v1.34.2): the file has to name it."""
    assert documents(name)[0]["clientConnection"]["kubeconfig"].startswith("/etc/kubernetes/")


def test_the_score_plugin_reads_our_key():
    """As kubernetes-sigs/scheduler-plugins names its arguments (KEP 942)."""
    (entry,) = documents("node-metadata.yaml")[0]["profiles"][0]["pluginConfig"]
    assert entry["args"] == {
        "metadataKey": SCORE,
        "metadataSource": "Annotation",
        "metadataType": "Number",
        "scoringStrategy": "Highest",
    }


@pytest.mark.parametrize("path", sorted((PACKAGING / "systemd").glob("*.service")), ids=lambda p: p.name)
def test_units_start_what_exists(path):
    """Command and options of every unit; one that speaks to the API may tell it what it does: it has the token."""
    text = path.read_text("utf-8")
    line = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    words = shlex.split(line.removeprefix("ExecStart="))
    check_command(words)
    assert ("--api" in words) == ("--token-file" in words)
    least = {"NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectHome=yes", "LockPersonality=yes"}
    assert least | {"CapabilityBoundingSet=", "RestrictSUIDSGID=yes", "PrivateDevices=yes"} <= set(text.splitlines())
    assert not re.search(r"^User=root|^Environment=.*(TOKEN|PASSWORD)", text, re.MULTILINE)


def check_command(words: list[str]) -> None:
    """That the command line knows this command and these options."""
    command = typer.main.get_command(app)
    rest = words[1:]
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= known
