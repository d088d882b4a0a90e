"""A chiller trips while a real Slurm is full: the wish, the plan, the caps over Redfish, and cases below their limit.

The controller drives the twin; what it wishes goes over the bus to `coldplate serve`, from there to `coldplate shed`,
from there to BMCs, and what their limits leave of the jobs heats the twin.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from benchmarks.fault_scenarios import air
from controller.state import StepResult
from controller.step import initial_state, step
from placement.job_power import JobPower
from placement.slurm.commands import Slurm
from placement.slurm.jobs import read_jobs
from placement.slurm.outlook import outlooks
from plant.clock import ScaledClock
from plant.intents import Answer
from plant.live import LiveTable
from plant.records import JobList
from simulator.load import IDLE
from simulator.memory import MemoryPlant
from simulator.plant import SimulatedPlant
from simulator.redfish_power import SYSTEM
from sites import load_site
from store.bus import BusServer
from store.state import StateDir

pytestmark = pytest.mark.real
ROOT = Path(__file__).parents[2]
WAIT_S = 60.0
HOT_C, LIMIT_C = 38.0, 72.0
RACK_W, LEVEL = 132e3, 0.95
FULL_W, IDLE_W, DRAW_W = 1350.0, 200.0, 1300.0
"""Of one limit, which stands for a whole node here."""
RACK_OF = {f"n{i}": f"rack-{i:02d}" for i in range(1, 9)}
NODE_OF = {rack: node for node, rack in RACK_OF.items()}
CALM, TRIPPED, MENDED = 30, 25, 80
"""Minutes before the fault, of it, and at most until all is given back."""


class Pod:
    """The demo pod's twin on a hot day, driven by the controller; limits leave jobs a share of what they draw."""

    def __init__(self, site, limit_w) -> None:
        self.limit_w = limit_w
        start_s = time.time()
        plant = SimulatedPlant(site, start_s, warm_up_s=600.0, sky=lambda _: air(HOT_C), work=self._work)
        self.memory = MemoryPlant(site, start_s, plant=plant)
        self.live, self.state, self.beat = LiveTable(site.points.values(), self.memory.clock), initial_state(), 0

    def _work(self, rack: str, _: float) -> float:
        share = (min(self.limit_w(NODE_OF[rack]), DRAW_W) - IDLE_W) / (DRAW_W - IDLE_W)
        return IDLE + (LEVEL - IDLE) * share

    def minute(self) -> StepResult:
        """One cycle, and a minute under what it plans."""
        self.live.update(self.memory.batch(gpus=True))
        result = step(self.state, self.live.snapshot(), (), self.memory.clock.now(), self.memory.site)
        self.state = result.state
        setpoints = {s.point: s.value for plan in result.plans for s in plan.setpoints}
        for _ in range(4):
            self._ask(setpoints)
            self.memory.advance(15.0)
        return result

    def strike(self, command: str) -> None:
        """A fault, or its end; the hottest case counts from here."""
        self.memory.plant.faults.command(command, {})
        self.memory.plant.ledger.highest_case_c = -273.15

    @property
    def hottest_c(self) -> float:
        """As the plant itself saw it."""
        return float(self.memory.plant.ledger.highest_case_c)

    def _ask(self, setpoints: dict[str, float]) -> None:
        self.beat += 1
        for device in {point.partition("/")[0] for point in setpoints}:
            self.memory.plant.command(f"{device}/remote_enable", 1.0)
            self.memory.plant.command(f"{device}/heartbeat", float(self.beat))
        for point, value in setpoints.items():
            self.memory.plant.command(point, value)


class Voice:
    """What the edge says over the bus, in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._server = BusServer(path, self._no_intent)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._do(self._server.start())

    async def _no_intent(self, _: object) -> Answer:
        return Answer(accepted=False, text="not here")

    def _do(self, what) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(WAIT_S)

    def say(self, pod: Pod, result: StepResult, jobs: JobList) -> None:
        """One cycle, at the twin's time."""
        clock = ScaledClock(speed=1.0001, origin_epoch_s=pod.memory.clock.now())  # the API's own time, not this host's
        said = {"clock": clock.spec(), "jobs": [jobs], "ride_through": result.ride_throughs, "shed": result.shed}
        for kind, body in said.items():
            self._do(self._server.publish(kind, list(body) if isinstance(body, tuple) else body))

    def close(self) -> None:
        """Be gone."""
        self._do(self._server.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()


class Chain:
    """`coldplate serve` and `coldplate shed` as processes."""

    def __init__(self, site: Path, folder: Path, lab, bmcs, port: int) -> None:
        state = folder / "state"
        token = StateDir(state).token()
        self.voice, self.port = Voice(state / "bus.sock"), port
        limits = "\n".join(
            f"""  - {{nodes: [{name}], bmc: 127.0.0.1, port: {port}, options: {{tls: false}}, full_w: {FULL_W}, idle_w: {IDLE_W},
     paths: ["{SYSTEM}/Processors/GPU_0/EnvironmentMetrics"]}}"""
            for name, port in bmcs.ports.items()
        )
        shed = folder / "shed.yaml"
        shed.write_text(f"schema: 1\nschedulers: [{{name: hpc, kind: slurm, conf: {lab.conf}}}]\nlimits:\n{limits}\n")
        env = {**os.environ, "PYTHONPATH": str(ROOT), "COLDPLATE_TOKEN": token}
        url = f"http://127.0.0.1:{self.port}"
        commands = (
            ("serve", str(site), "--state", str(state), "--port", str(self.port)),
            ("shed", "--config", str(shed), "--api", url, "--state", str(folder / "book"), "--act"),
        )
        options = {"shed": ("--every", "0.2", "--step", "1")}
        self.started = [
            subprocess.Popen([sys.executable, "-m", "cli.main", *words, *options.get(words[0], ())], env=env, cwd=ROOT)
            for words in commands
        ]

    def told(self) -> dict:
        """`GET /v1/shed`, once the process has reported there."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            try:
                found = httpx.get(f"http://127.0.0.1:{self.port}/v1/shed", timeout=10).json()
                if found["processes"]:
                    return found
            except httpx.HTTPError:
                assert all(p.poll() is None for p in self.started)
            time.sleep(0.1)
        raise AssertionError("coldplate shed has told nothing")

    def follows(self, result: StepResult) -> bool:
        """Whether what this cycle wished is held, within a while."""
        wished = [request.at_s for request in result.shed]
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            found = self.told()
            heard = [request["at_s"] for request in found["shed"]] == wished
            asked_w = sum(plan["relief_w"] for plan in found["plans"])
            if heard and found["processes"][0]["report"]["relief_w"].get("tcs-1", 0.0) >= 0.97 * asked_w:
                return True
            time.sleep(0.1)
        return False

    def close(self) -> None:
        """End them."""
        for process in self.started:
            process.terminate()
            process.wait(30)
        self.voice.close()


def test_nobody_sheds_and_a_case_is_too_hot(demo_site_path):
    """What the next test is for: the same fault without caps."""
    pod = Pod(load_site(demo_site_path), lambda _: FULL_W)
    for _ in range(CALM):
        pod.minute()
    pod.strike("stop chiller")
    for _ in range(TRIPPED):
        pod.minute()
    assert pod.hottest_c > LIMIT_C + 1.0


def test_caps_keep_every_case_below_its_limit_and_are_given_back(
    make_lab, make_bmcs, demo_site_path, tmp_path, unused_tcp_port
):
    """All eight nodes busy; the trip; less power at once and no more of it than is needed; then all of it again."""
    site, lab = load_site(demo_site_path), make_lab(real=8)
    bmcs = make_bmcs(lab.nodes)
    for node in lab.nodes:
        job = lab.submit("sleep 900", "-w", node, "--exclusive", "--time=300", "-J", f"train-{node}")
        lab.until(lambda job=job: lab.job(job)["JobState"] == "RUNNING", WAIT_S, "a start")
    running = asyncio.run(read_jobs(Slurm(conf=lab.conf)))
    pod, chain = Pod(site, bmcs.limit_w), Chain(demo_site_path, tmp_path, lab, bmcs, unused_tcp_port)
    known = outlooks(running, RACK_OF, JobPower(default_w=LEVEL * RACK_W), time.time(), 7200.0)
    now_s = pod.memory.clock.now()
    jobs = JobList(source="hpc", actor="test", at_s=now_s, valid_until_s=now_s + 86400.0, jobs=known)
    try:
        chain.told()
        for _ in range(CALM):
            chain.voice.say(pod, pod.minute(), jobs)
        assert all(bmcs.limit_w(node) == FULL_W for node in lab.nodes)
        pod.strike("stop chiller")
        shares = []
        for _ in range(TRIPPED):
            result = pod.minute()
            chain.voice.say(pod, result, jobs)
            assert chain.follows(result)
            shares.append(sum(min(bmcs.limit_w(n), DRAW_W) - IDLE_W for n in lab.nodes) / 8 / (DRAW_W - IDLE_W))
        assert pod.hottest_c < LIMIT_C
        assert min(shares) > 0.5, "no job is brought down further than the heat asks"
        assert shares[-1] < 0.95
        pod.strike("start chiller")
        for _ in range(MENDED):
            chain.voice.say(pod, pod.minute(), jobs)
            time.sleep(1.1)
            if all(bmcs.limit_w(node) == FULL_W for node in lab.nodes):
                break
        assert all(bmcs.limit_w(node) == FULL_W for node in lab.nodes)
        assert pod.hottest_c < LIMIT_C
    finally:
        chain.close()
