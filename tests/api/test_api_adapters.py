"""The adapters' own process against the real API: what it hears, marks, tells and reports."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
import uvicorn

from api.advise import EXAMPLES
from benchmarks import kubernetes_lab
from benchmarks.slurm_lab import Lab
from cli.extender_question import Extender, extender_answers
from placement.api_client import Client
from placement.kubernetes.cluster import connect
from placement.loan_book import LoanBook
from placement.loan_plan import places
from placement.slurm.commands import Slurm
from placement.slurm.nodes import read_nodes
from placement.slurm.weights import level
from placement.wishes import Ear
from plant.errors import RefusedError, SilentError
from plant.loans import Loan, LoanState

LAB_WEIGHT = 10
"""Of every node of the lab's slurm.conf."""
ROOT = Path(__file__).parents[2]


@pytest.fixture
async def url(app, edge, until):
    """The address of the app, which has heard every kind of record."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="on"))
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    await edge.say_everything()
    await edge.say_live({"rack-01/power": 61e3})
    await until(lambda: app.state.service.mirror.headroom and "live" in app.state.service.mirror.versions)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving


async def test_a_cycle_of_kubernetes_against_the_real_api(url, edge, app, bearer, tmp_path):
    """Every rack of the demo is a node with its score; pods come to the edge as jobs; the report is shown."""
    mock = kubernetes_lab.Server()
    racks = [rack.id for rack in edge.site.of_kind("rack")]
    for rack in racks:
        mock.add(rack)
    gpus = {"resources": {"requests": {"nvidia.com/gpu": "8"}}}
    owners = [{"kind": "Job", "name": "p", "controller": True}]
    metadata = {"namespace": "ml", "ownerReferences": owners, "annotations": {"coldplate.io/interruptible": "true"}}
    mock.pods = [{"metadata": metadata, "spec": {"nodeName": "rack-01", "containers": [gpus]}}]
    runner = await kubernetes_lab.started(mock, tmp_path)
    argv = ["-m", "cli.main", "k8s", "sync", "--api", url, "--kubeconfig", str(tmp_path / "kubeconfig")]
    token = bearer["Authorization"].removeprefix("Bearer ")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "COLDPLATE_TOKEN": token}
    process = await asyncio.create_subprocess_exec(sys.executable, *argv, "--once", "--write", env=env)
    assert await process.wait() == 0
    await runner.cleanup()
    scores = {name: int(node["metadata"]["annotations"]["coldplate.io/score"]) for name, node in mock.nodes.items()}
    assert scores == {node.node: node.score for node in app.state.service.hints.now().hints.nodes}
    (told,) = edge.told
    assert (told.source, told.jobs[0].job, told.jobs[0].racks) == ("kubernetes", "ml/Job/p", ("rack-01",))
    assert told.jobs[0].interruptible
    assert told.jobs[0].power_w == 8000.0
    (state,) = app.state.service.schedulers.states()
    assert (state.name, state.state, state.report.nodes) == ("kubernetes", "ok", len(racks))


@pytest.mark.real
async def test_slurm_cycle(url, edge, app, bearer, real_program, tmp_path):
    """Against the real API, two racks as nodes of a real slurmctld: weights by score, the job to the edge, the report."""
    real_program("slurmctld")
    # The app answers in this thread's loop, so nothing here may block it
    lab = await asyncio.to_thread(Lab(tmp_path / "l", names=["rack-01", "rack-02"]).__enter__)
    try:
        options = ("-w", "rack-01", "--exclusive", "--time=10", "--comment=ckpt")
        job = await asyncio.to_thread(lab.submit, "sleep 60", *options)
        await asyncio.to_thread(lab.until, lambda: lab.job(job)["JobState"] == "RUNNING", 60.0, "a start")
        words = ["--conf", str(lab.conf), "--state", str(tmp_path), "--budget", "none", "--node-kw", "5.6"]
        argv = ["-m", "cli.main", "slurm", "sync", "--api", url, *words, "--interruptible", "comment=ckpt"]
        env = lab.env | {"PYTHONPATH": str(ROOT), "COLDPLATE_TOKEN": bearer["Authorization"].removeprefix("Bearer ")}
        process = await asyncio.create_subprocess_exec(sys.executable, *argv, "--once", "--write", env=env)
        assert await process.wait() == 0
        nodes = await read_nodes(Slurm(conf=lab.conf))
    finally:
        await asyncio.to_thread(lab.close)
    scores = {node.node: node.score for node in app.state.service.hints.now().hints.nodes}
    assert {n: nodes[n].weight for n in lab.nodes} == {n: LAB_WEIGHT + level(scores[n]) for n in lab.nodes}
    assert level(min(scores[n] for n in lab.nodes)) > 0, "else nothing had to be written"
    (told,) = edge.told
    (known,) = told.jobs
    assert (told.source, known.job, known.racks, known.interruptible) == ("slurm", job, ("rack-01",), True)
    assert known.power_w == 5600.0
    (state,) = app.state.service.schedulers.states()
    assert (state.name, state.state, state.report.nodes, state.report.only_there) == ("slurm", "ok", 2, ())
    assert "rack-03" in state.report.only_here


async def test_loans_come_to_the_real_api(url, app, bearer, tmp_path):
    """The process that lends nodes tells its book; with a wrong token it says so and goes on."""
    mock = kubernetes_lab.Server()
    mock.add("rack-01")
    runner = await kubernetes_lab.started(mock, tmp_path)
    pool = f"kind: kubernetes, kubeconfig: {tmp_path / 'kubeconfig'}"
    pools = f"  - {{name: train, {pool}, nodes: [rack-01]}}\n  - {{name: serve, {pool}}}\n"
    (tmp_path / "pools.yaml").write_text(f"schema: 1\nallow: operator\npools:\n{pools}")
    who = {"id": "1", "node": "rack-01", "lender": "train", "borrower": "serve", "owner": "ops"}
    loan = Loan(**who, due_s=4e9, state=LoanState.LENT, since_s=1.0)
    await LoanBook(tmp_path / "book").keep(loan)
    argv = ["-m", "cli.main", "pools", "run", "--once", "--api", url, "--config", str(tmp_path / "pools.yaml")]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = []
    for token in ("wrong", bearer["Authorization"].removeprefix("Bearer ")):
        process = await asyncio.create_subprocess_exec(
            sys.executable, *argv, "--state", str(tmp_path / "book"), env=env | {"COLDPLATE_TOKEN": token}, stdout=PIPE
        )
        said.append((await process.communicate())[0].decode())
        assert process.returncode == 0
    await runner.cleanup()
    assert "loans are not shown there meanwhile" in said[0]
    assert "loans are not shown" not in said[1]
    (lender,) = app.state.service.loans.states()
    assert (lender.name, lender.state, lender.loans) == ("pools", "plans-only", (loan,))


async def test_what_the_planner_and_the_learner_hear(url):
    """Powers of racks and their headroom, also where the forecast knows nothing yet."""
    with Client(url) as client:
        assert (await asyncio.to_thread(client.powers))["rack-01"] == 61e3
        found = await asyncio.to_thread(lambda: places(Ear(client).hear(), client.headroom()))
    assert found["rack-02"].room_w > found["rack-01"].room_w


async def test_the_client_asks_where_pods_should_go(url):
    """By guesses at once; learnt, for which it waits longer than for other answers; a field that is wrong is named."""
    (example,) = (e["value"] for e in EXAMPLES.values())
    with Client(url, timeout_s=0.05) as client:
        for learn, policy in ((False, "guessed"), (True, "learnt")):
            advice = await asyncio.to_thread(client.packing, example | {"learn": learn})
            assert advice.policy == policy
            (place,) = advice.places
            assert (place.pod, place.node, place.gpus) == ("b", "gpu002", (1,))
            assert advice.free_gpus == pytest.approx(3.0)
        with pytest.raises(RefusedError, match="pods"):
            await asyncio.to_thread(client.packing, example | {"pods": [{"name": "b", "gpus": -1}]})


async def test_verify_asks_the_real_extender(url, edge, tmp_path):
    """Filter and prioritize about every node of the cluster, as kube-scheduler asks; a wrong address is told."""
    mock = kubernetes_lab.Server()
    for name in [rack.id for rack in edge.site.of_kind("rack")] + ["stranger"]:
        mock.add(name)
    runner = await kubernetes_lab.started(mock, tmp_path)
    async with connect(tmp_path / "kubeconfig") as cluster:
        count = len(mock.nodes)
        assert (
            await extender_answers(cluster, Extender(url=url)) == f"{count} of {count} nodes pass, {count} have a score"
        )
        with pytest.raises(RefusedError, match="HTTP 405"):
            await extender_answers(cluster, Extender(url=f"{url}/elsewhere"))
        with pytest.raises(SilentError):
            await extender_answers(cluster, Extender(url="http://127.0.0.1:9"))
    await runner.cleanup()
