"""A shed plan on real Redfish services over HTTP: capped, refused and tried again, given back step by step."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from devices.http import HttpEndpoint
from devices.redfish_power import PowerLimit
from placement.shed_act import Gpu, Shedder
from placement.shed_plan import ShedJob, ShedNeed, ramped, shed_plan
from simulator.http_server import serving
from simulator.redfish_power import SYSTEM, GpuNode

DRAW_W, IDLE_W = 1300.0, 200.0


class Rig:
    """Two jobs on a node of four GPUs each, behind Redfish."""

    def __init__(self) -> None:
        self.nodes = {"train": GpuNode(least_w=300.0), "serve": GpuNode(least_w=300.0)}
        self.endpoints: dict[str, HttpEndpoint] = {}
        self.requeued: list[str] = []

    def gpus(self, job: str) -> list[Gpu]:
        """With limits over HTTP."""
        path = f"{SYSTEM}/Processors/GPU_{{}}/EnvironmentMetrics"
        return [
            Gpu(
                name=f"{job}/{i}",
                limiter=PowerLimit(self.endpoints[job], path.format(i), 1350.0),
                draw_w=DRAW_W,
                idle_w=IDLE_W,
            )
            for i in range(4)
        ]

    async def requeue(self, job: str) -> None:
        """Of the scheduler."""
        self.requeued.append(job)

    def power_w(self) -> float:
        """Of all GPUs under their limits."""
        return sum(min(node.limit_w(i), DRAW_W) for node in self.nodes.values() for i in range(4))

    def jobs(self) -> list[ShedJob]:
        """As the plan sees them."""
        dynamic_w = 4 * (DRAW_W - IDLE_W)
        return [
            ShedJob(job=job, nodes={"r1": 1}, node_gpus=4, dynamic_w=dynamic_w, may_requeue=job == "train")
            for job in self.nodes
        ]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """Services on ports of their own."""
    made = Rig()
    async with AsyncExitStack() as stack:
        for job, node in made.nodes.items():
            port = await stack.enter_async_context(serving(node.app))
            made.endpoints[job] = HttpEndpoint("127.0.0.1", port)
            stack.push_async_callback(made.endpoints[job].close)
        yield made


def shares(rig: Rig, power_w: float) -> dict[str, float]:
    """What the plan wants."""
    plan = shed_plan(ShedNeed(loop="x", racks=frozenset({"r1"}), power_w=power_w), rig.jobs())
    return {step.job: step.share for step in plan.steps}


async def test_a_dry_run_says_all_and_does_nothing(rig):
    """The default."""
    before_w = rig.power_w()
    deeds = await Shedder(rig.gpus, rig.requeue).act(shares(rig, 2000.0))
    assert len(deeds) == 8
    assert rig.power_w() == before_w
    assert all(node.patches == [] for node in rig.nodes.values())


async def test_what_the_plan_asks_comes_off_and_is_given_back_in_steps(rig):
    """By real limits on real sockets."""
    shedder, before_w = Shedder(rig.gpus, rig.requeue, dry=False), rig.power_w()
    wanted = shares(rig, 2000.0)
    assert not [deed for deed in await shedder.act(wanted) if deed.error]
    assert before_w - rig.power_w() == pytest.approx(2000.0, abs=8.0)
    again = sum(len(node.patches) for node in rig.nodes.values())
    await shedder.act(wanted)
    assert sum(len(node.patches) for node in rig.nodes.values()) == again, "nothing is written twice"
    seen = [rig.power_w()]
    while shedder.held:
        assert not [deed for deed in await shedder.act(ramped(shedder.held, {})) if deed.error]
        seen.append(rig.power_w())
    assert seen == sorted(seen)
    assert len(seen) > 2
    assert seen[-1] == before_w


async def test_a_refused_limit_is_told_and_tried_again(rig):
    """Its job does not count as held; the others do."""
    shedder = Shedder(rig.gpus, rig.requeue, dry=False)
    rig.nodes["serve"].locked = True
    deeds = await shedder.act(shares(rig, 2000.0))
    assert {deed.job for deed in deeds if deed.error} == {"serve"}
    assert all("HTTP 400" in deed.error for deed in deeds if deed.error)
    assert set(shedder.held) == {"train"}
    rig.nodes["serve"].locked = False
    assert {deed.job for deed in await shedder.act(shares(rig, 2000.0))} == {"serve"}
    assert set(shedder.held) == {"train", "serve"}


async def test_a_job_is_requeued_once_and_released_later(rig):
    """Where caps are not enough; whoever gets its GPUs next finds no limit of its."""
    shedder = Shedder(rig.gpus, rig.requeue, dry=False)
    await shedder.act(shares(rig, 2000.0))
    wanted = shares(rig, 6000.0)
    assert wanted["train"] == 0.0
    await shedder.act(wanted)
    await shedder.act(wanted)
    assert rig.requeued == ["train"]
    assert [rig.nodes["train"].limit_w(i) for i in range(4)] == [1350.0] * 4
    while shedder.held:
        await shedder.act(ramped(shedder.held, {}))
    assert rig.requeued == ["train"]
