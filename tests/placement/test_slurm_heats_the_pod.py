"""A real Slurm drives the simulated pod: jobs heat the racks of their nodes, and the controller hears of them before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from controller.state import ControlState, StepResult
from controller.step import initial_state, step
from placement.job_power import JobPower
from placement.slurm.commands import Slurm
from placement.slurm.jobs import Job, read_jobs
from placement.slurm.outlook import RUNS, outlooks
from plant.live import LiveTable
from plant.records import JobOutlook
from simulator.load import IDLE
from simulator.memory import MemoryPlant
from simulator.plant import SimulatedPlant
from sites import load_site

pytestmark = pytest.mark.real
WAIT_S = 60.0
RACK_W = 132e3
RACK_OF = {f"n{i}": f"rack-{i:02d}" for i in range(1, 9)}
DRAWS = {"light": 0.3, "train": 0.95}
"""Share of a rack's full power that a kind of job takes; known to the twin alone, but for what history tells."""


class Pod:
    """The demo pod's twin under the jobs that Slurm says are running."""

    def __init__(self, site) -> None:
        self.shares: dict[str, float] = {}
        start_s = time.time()
        plant = SimulatedPlant(site, start_s, warm_up_s=600.0, work=lambda rack, _: self.shares.get(rack, IDLE))
        self.memory = MemoryPlant(site, start_s, plant=plant)
        self.live, self.state = LiveTable(site.points.values(), self.memory.clock), initial_state()

    def run(self, jobs: Sequence[Job]) -> None:
        """From now on the racks draw what these jobs make them."""
        self.shares = {
            RACK_OF[node]: DRAWS[job.name.split("-")[0]] for job in jobs if job.state in RUNS for node in job.nodes
        }

    def cycles(self, count: int, known: Sequence[JobOutlook] = ()) -> StepResult:
        """So many minutes of control."""
        result: StepResult | None = None
        for _ in range(count):
            self.memory.advance(60.0)
            result = self._step(self.state, known)
            self.state = result.state
        assert result is not None
        return result

    def look(self, known: Sequence[JobOutlook] = ()) -> StepResult:
        """What the controller would make of this moment, were that known."""
        return self._step(self.state, known)

    def _step(self, state: ControlState, known: Sequence[JobOutlook]) -> StepResult:
        self.live.update(self.memory.batch())
        return step(state, self.live.snapshot(), tuple(known), self.memory.clock.now(), self.memory.site)

    def shown(self, quantity: str) -> dict[str, float]:
        """By rack."""
        values = self.memory.plant.measured()
        return {rack: values[f"{rack}/{quantity}"] for rack in RACK_OF.values()}


def expected_w(result: StepResult, rack: str, ahead_s: float) -> float:
    """The median forecast of a rack's heat at about ahead_s [s] from now."""
    heat = next(heat for heat in result.forecast.racks if heat.subject == rack)
    nearest = min(range(len(heat.times_s)), key=lambda i: abs(heat.times_s[i] - result.forecast.made_s - ahead_s))
    return heat.at(0.5)[nearest]


def test_a_job_is_foreseen_on_the_rack_that_it_then_heats(make_lab, demo_site_path):
    """From the queue of a real slurmctld to the forecast; then from its start to a hotter rack with less headroom."""
    lab = make_lab(real=8)
    slurm, history = Slurm(conf=lab.conf), JobPower(default_w=0.75 * RACK_W)
    light = lab.submit("sleep 600", "-w", "n3", "--exclusive", "--time=10", "-J", "light-1")
    lab.until(lambda: lab.job(light)["JobState"] == "RUNNING", WAIT_S, "a start")
    train = lab.submit("sleep 600", "-w", "n3", "--exclusive", "--time=300", "-J", "train-1")
    lab.until(lambda: lab.job(train).get("SchedNodeList", "(null)") == "n3", WAIT_S, "a plan for the queued job")
    jobs = asyncio.run(read_jobs(slurm))
    for job in jobs:
        for _ in range(3):
            history.learn(job.kind, DRAWS[job.name.split("-")[0]] * RACK_W)

    pod = Pod(load_site(demo_site_path))
    pod.run(jobs)
    pod.cycles(5)
    known = outlooks(jobs, RACK_OF, history, pod.memory.clock.now(), 7200.0)
    assert {o.racks for o in known} == {("rack-03",)}
    blind, told = pod.look(), pod.look(known)
    rise_w = expected_w(told, "rack-03", 3600.0) - expected_w(blind, "rack-03", 3600.0)
    assert rise_w > 0.4 * (DRAWS["train"] - DRAWS["light"]) * 0.87 * RACK_W, "the queue says what is coming"
    assert expected_w(told, "rack-05", 3600.0) == pytest.approx(expected_w(blind, "rack-05", 3600.0), rel=0.05)

    before, return_c = pod.shown("power"), pod.shown("liquid_return_temperature")
    room = {h.rack: h.power_w for h in pod.look().headrooms}
    lab.run("scancel", light)
    lab.until(lambda: lab.job(train)["JobState"] == "RUNNING", WAIT_S, "the queued job's start")
    assert lab.job(train)["NodeList"] == "n3"
    pod.run(asyncio.run(read_jobs(slurm)))
    after = pod.cycles(5)
    hotter = {rack: power - before[rack] for rack, power in pod.shown("power").items()}
    assert 0.45 * RACK_W < hotter["rack-03"] < 0.65 * RACK_W, "65 % more work; an idle GPU draws something, too"
    assert max(abs(watts) for rack, watts in hotter.items() if rack != "rack-03") < 0.03 * RACK_W
    warmer = {rack: c - return_c[rack] for rack, c in pod.shown("liquid_return_temperature").items()}
    assert max(warmer, key=lambda rack: warmer[rack]) == "rack-03"
    assert warmer["rack-03"] > 3.0
    assert {h.rack: h.power_w for h in after.headrooms}["rack-03"] < room["rack-03"] - 0.45 * RACK_W
