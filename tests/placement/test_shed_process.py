"""`coldplate shed` as a process, on a real slurmctld and Redfish over HTTP: killed in the middle, it goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from placement.shed.plan import ShedJob, ShedNeed, shed_plan
from placement.slurm.commands import Slurm
from placement.slurm.shed import SlurmJobs
from placement.slurm.stoppable import stoppable
from plant.records import Message, ShedRequest
from plant.sheds import JobStopped
from simulator.redfish_power import SYSTEM

pytestmark = pytest.mark.real
ROOT = Path(__file__).parents[2]
WAIT_S = 60.0
DRAW_W, IDLE_W, FULL_W = 1300.0, 200.0, 1350.0
KEEPS = """
trap 'touch {folder}/kept-$SLURM_JOB_ID' USR1
trap 'exit 143' TERM
echo $SLURM_JOB_NODELIST >> {folder}/ran-$SLURM_JOB_ID
while true; do sleep 0.1; done
"""


class Shed:
    """Racks `hot` (n1, n2) and `cool` (n3) with a BMC each, coldplate's API, and the command."""

    def __init__(self, lab, bmcs, api, folder: Path) -> None:
        self.lab, self.bmcs, self.api, self.folder = lab, bmcs, api, folder
        limits = "\n".join(
            f"""  - {{nodes: [{name}], bmc: 127.0.0.1, port: {port}, options: {{tls: false}}, full_w: {FULL_W}, idle_w: {IDLE_W},
     paths: ["{SYSTEM}/Processors/GPU_0/EnvironmentMetrics"]}}"""
            for name, port in bmcs.ports.items()
        )
        self.file = folder / "shed.yaml"
        self.file.write_text(f"""schema: 1
schedulers:
  - {{name: hpc, kind: slurm, conf: {lab.conf}, interruptible: ["comment=ckpt"], checkpoint_s: 2}}
limits:
{limits}
""")
        self.env = {**os.environ, "PYTHONPATH": str(ROOT), "COLDPLATE_TOKEN": "secret"}
        self.started: list[subprocess.Popen[bytes]] = []

    def argv(self, *words: str) -> list[str]:
        """The command line; a second --state counts."""
        where = ["--config", str(self.file), "--api", self.api.url, "--state", str(self.folder / "book")]
        return [sys.executable, "-m", "cli.main", "shed", *where, *words]

    def start(self) -> subprocess.Popen[bytes]:
        """The loop."""
        words = ("--act", "--every", "0.2", "--step", "1")
        self.started.append(subprocess.Popen(self.argv(*words), env=self.env))
        return self.started[-1]

    def do(self, *words: str) -> str:
        """One run to its end, in this process."""
        done = CliRunner().invoke(app, self.argv(*words)[3:], env={"COLDPLATE_TOKEN": "secret"})
        return done.output + str("" if isinstance(done.exception, SystemExit | None) else done.exception)

    def book(self) -> dict:
        """As written down."""
        path = self.folder / "book" / "shed.json"
        return json.loads(path.read_text()) if path.exists() else {"stopped": [], "caps": [], "jobs": []}

    def nothing_held(self) -> bool:
        """Whether all has been given back."""
        found = self.book()
        return not (found["caps"] or found["stopped"] or found["jobs"])

    def ask(self, power_w: float, jobs: dict[str, bool]) -> None:
        """A wish for so much less in `hot`, with its plan; jobs: whether each may be requeued."""
        known = [
            ShedJob(job=job, nodes={"hot": 1}, node_gpus=1, dynamic_w=DRAW_W - IDLE_W, may_requeue=stop)
            for job, stop in jobs.items()
        ]
        plan = shed_plan(ShedNeed(loop="tcs-1", racks=frozenset({"hot"}), power_w=power_w), known)
        now_s = time.time()
        reason = Message(code="shed_load", text="less")
        self.api.plans = [plan]
        self.api.asked = [
            ShedRequest(
                loop="tcs-1",
                at_s=now_s,
                expires_s=now_s + 900.0,
                power_w=power_w,
                it_w=1e4,
                bearable_w=1e4 - power_w,
                racks=("hot",),
                reason=reason,
            )
        ]

    def no_more(self) -> None:
        """Cooling has reserve again."""
        self.api.plans, self.api.asked = [], []

    def close(self) -> None:
        """End every process, also after a failure."""
        for process in self.started:
            process.kill()
            process.wait(30)


@pytest.fixture
def rig(make_lab, make_api, make_bmcs, tmp_path):
    """A cluster of three nodes."""
    lab = make_lab(real=3)
    bmcs = make_bmcs(lab.nodes)
    made = Shed(
        lab, bmcs, make_api(dict.fromkeys(lab.nodes, 50), racks={"n1": "hot", "n2": "hot", "n3": "cool"}), tmp_path
    )
    yield made
    made.close()


def test_from_fault_to_full_power_through_a_kill(rig, tmp_path):
    """Capped, killed while a job saves itself, gone on: requeued once to a cool rack; then all is as it was before."""
    lab = rig.lab
    script = KEEPS.replace("{folder}", str(tmp_path))
    train = lab.submit(script, "--comment=ckpt", "--exclusive")
    lab.until(lambda: lab.job(train)["NodeList"] == "n1", WAIT_S, "the first node")
    serve = lab.submit(script, "-w", "n2", "--exclusive")
    lab.until(lambda: all(lab.job(j)["JobState"] == "RUNNING" for j in (train, serve)), WAIT_S, "two starts")
    rig.ask(400.0, {train: True, serve: False})
    assert f"would cap {train}" in rig.do("--once")
    assert rig.bmcs.limit_w("n1") == FULL_W
    first = rig.start()
    lab.until(lambda: rig.bmcs.limit_w("n1") < FULL_W and rig.bmcs.limit_w("n2") < FULL_W, WAIT_S, "caps")
    lab.until(lambda: rig.api.sheds and rig.api.sheds[-1].relief_w, WAIT_S, "a report")
    assert rig.api.sheds[-1].relief_w["tcs-1"] == pytest.approx(400.0, abs=10.0)
    assert "another coldplate shed acts" in rig.do("--once", "--act")
    rig.ask(1500.0, {train: True, serve: False})
    lab.until((tmp_path / f"kept-{train}").exists, WAIT_S, "a checkpoint")
    first.send_signal(signal.SIGKILL)
    first.wait(30)
    assert lab.job(train)["JobState"] == "RUNNING"
    assert not rig.book()["stopped"][0]["sure"]
    rig.start()
    ran = tmp_path / f"ran-{train}"
    lab.until(lambda: ran.read_text().split() == ["n1", "n3"], WAIT_S, "a run on the cool rack")
    assert lab.job(train)["Restarts"] == "1"
    lab.until(lambda: rig.bmcs.limit_w("n1") == FULL_W, WAIT_S, "no limit where it was")
    assert rig.bmcs.limit_w("n2") < FULL_W
    assert lab.job(serve)["Restarts"] == "0", "nothing is stopped that may not be"
    lab.until(lambda: rig.api.sheds[-1].stopped == (train,), WAIT_S, "it told")
    rig.no_more()
    lab.until(rig.nothing_held, WAIT_S, "all given back")
    assert rig.bmcs.limit_w("n2") == FULL_W
    assert not rig.api.sheds[-1].last_error
    assert ran.read_text().split() == ["n1", "n3"], "it runs on where it is"


async def test_a_job_without_another_place_waits_until_the_fault_is_over(make_lab, tmp_path):
    """It dies of USR1, which its script does not know, and is requeued all the same; its own exclusion comes back."""
    lab = make_lab(real=2)
    jobs = SlurmJobs(slurm=Slurm(conf=lab.conf), ways=(stoppable("comment=ckpt"),))
    began = tmp_path / "began"
    job = lab.submit(f"touch {began}; sleep 100", "--comment=ckpt", "--exclude=n2", "--exclusive")
    lab.until(began.exists, WAIT_S, "a start")  # a job is RUNNING before its script is, and no signal reaches it then
    run = (await jobs.runs())[job]
    assert (run.nodes, run.interruptible) == (("n1",), True)
    stop = JobStopped(job=job, source="hpc", started_s=run.start_s, before=await jobs.signal(job))
    assert stop.before == "n2"
    lab.until(lambda: lab.job(job)["JobState"] == "FAILED", WAIT_S, "its end")
    await jobs.requeue(stop, ["n1", "elsewhere"], still_runs=False)
    await jobs.requeue(stop, ["n1", "elsewhere"], still_runs=False)
    lab.until(lambda: lab.job(job)["Reason"] == "BadConstraints", WAIT_S, "no place for it")
    assert lab.job(job)["Restarts"] == "1"
    await jobs.release(stop)
    assert lab.job(job)["ExcNodeList"] == "n2"
    lab.until(lambda: lab.job(job)["JobState"] == "RUNNING", WAIT_S, "a second start")
    await jobs.release(stop)


def test_no_bmc_answers(rig, tmp_path):
    """Told with its address; what is left can be given back by hand, and a file that is no book is refused."""
    lab = rig.lab
    serve = lab.submit("sleep 60", "-w", "n2", "--exclusive")
    lab.until(lambda: lab.job(serve)["JobState"] == "RUNNING", WAIT_S, "a start")
    rig.ask(400.0, {serve: False})
    good = rig.file.read_text()
    rig.file.write_text(good.replace(f"port: {rig.bmcs.ports['n2']}", "port: 9"))
    assert "127.0.0.1:9" in rig.do("--once", "--act")
    assert rig.api.sheds[-1].uncapped == (serve,)
    assert "127.0.0.1:9" in rig.api.sheds[-1].last_error
    rig.file.write_text(good)
    assert f"cap {serve} 900 W" in rig.do("--once", "--act")
    assert rig.bmcs.limit_w("n2") == 900.0
    rig.no_more()
    rig.do("--give-back", "--act", "--every", "0.1")
    assert rig.bmcs.limit_w("n2") == FULL_W
    (rig.folder / "book" / "shed.json").write_text("{")
    assert "look at the limits of GPUs" in rig.do("--once", "--act")


def test_another_host_gives_back_what_a_dead_one_holds(rig, tmp_path):
    """By what was told of its book, from a folder that knows nothing; without a token nobody takes anything over."""
    lab = rig.lab
    serve = lab.submit("sleep 60", "-w", "n2", "--exclusive")
    lab.until(lambda: lab.job(serve)["JobState"] == "RUNNING", WAIT_S, "a start")
    rig.ask(400.0, {serve: False})
    first = rig.start()
    lab.until(lambda: rig.api.sheds and rig.api.sheds[-1].limits == 1, WAIT_S, "a report")
    first.kill()
    first.wait(30)
    assert rig.bmcs.limit_w("n2") == 900.0
    assert rig.api.books[-1].owner == rig.book()["owner"] == rig.api.sheds[-1].owner
    rig.no_more()
    elsewhere = ("--act", "--give-back", "--every", "0.1", "--state", str(tmp_path / "elsewhere"))
    assert rig.bmcs.limit_w("n2") == 900.0
    assert "1 limits, 1 jobs held" in rig.do("--take-over", *elsewhere)
    assert rig.bmcs.limit_w("n2") == FULL_W
    assert rig.api.books[-1].caps == ()
    assert "give --act" in rig.do("--stand-by", "--once")
