"""A real Slurm, a real Kubernetes control plane and a mock API server for the tests of the adapters."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import pytest

from benchmarks import adapter_api, kubernetes_lab
from benchmarks.control_plane import PROGRAMS, ControlPlane, found_programs
from benchmarks.slurm_lab import Lab
from simulator.http_server import serving
from simulator.redfish_power import GpuNode

WAIT_S = 60.0
DRAW_W = 1300.0


class Bmcs:
    """The Redfish services of some nodes, in a thread of their own."""

    def __init__(self, names: list[str]) -> None:
        self.nodes = {n: GpuNode(gpus=1, least_w=300.0, draws={0: DRAW_W}) for n in names}
        self.ports: dict[str, int] = {}
        self._loop, self._ready = asyncio.new_event_loop(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(WAIT_S)

    def _run(self) -> None:
        async def work() -> None:
            self._stop = asyncio.Event()
            async with AsyncExitStack() as stack:
                for name, node in self.nodes.items():
                    self.ports[name] = await stack.enter_async_context(serving(node.app))
                self._ready.set()
                await self._stop.wait()

        self._loop.run_until_complete(work())
        self._loop.close()

    def close(self) -> None:
        """End them."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT_S)

    def limit_w(self, node: str) -> float:
        """Of its GPU."""
        return self.nodes[node].limit_w(0)


@pytest.fixture
def make_bmcs() -> Iterator[Callable[..., Any]]:
    """`make_bmcs(["n1"])`: a Redfish service with one GPU's limit for each node."""
    with ExitStack() as stack:

        def make(names: list[str]) -> Bmcs:
            made = Bmcs(names)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def make_lab(real_program: Callable[[str], str], tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """`make_lab(real=8, more=0, extra=[...])`: a running cluster, ended after the test."""
    for program in ("slurmctld", "slurmd", "munged", "scontrol"):
        real_program(program)
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Lab(tmp_path / "lab", **options))


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[tuple[Any, Path]]:
    """A running mock API server and its kubeconfig file."""
    mock = kubernetes_lab.Server()
    runner = await kubernetes_lab.started(mock, tmp_path)
    yield mock, tmp_path / "kubeconfig"
    await runner.cleanup()


@pytest.fixture
def server_apart(tmp_path: Path) -> Iterator[Any]:
    """The same in a thread, for tests of processes: `.mock` and `.kubeconfig`."""
    served = kubernetes_lab.ServedApart(kubernetes_lab.Server(), tmp_path)
    yield served
    served.close()


@pytest.fixture
def make_api() -> Iterator[Callable[..., Any]]:
    """`make_api({"n1": 80}, life_s=60)`: coldplate's API as adapters see it."""
    with ExitStack() as stack:
        yield lambda scores, **more: stack.enter_context(adapter_api.Api(scores, **more))


@pytest.fixture
def budget() -> Callable[..., Any]:
    """`budget(60.0, scope="site", over_kw=0.0)`: one that counts, as the API shows it."""
    return adapter_api.budget


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One real control plane for all tests that need one: it takes seconds to start."""
    missing = set(PROGRAMS) - found_programs().keys()
    if missing:
        pytest.skip(
            f"no {', '.join(sorted(missing))}: no real Kubernetes in this run; make kubernetes, or KUBE_BIN=DIR"
        )
    with ControlPlane(tmp_path_factory.mktemp("kube")) as plane:
        yield plane


@pytest.fixture
def plane(running: ControlPlane) -> Iterator[ControlPlane]:
    """It, without nodes, pods or a scheduler before and after each test."""
    yield running
    running.stop_controllers()
    running.stop_scheduler()
    running.remove_pods()
    running.each(lambda n: running.call("DELETE", f"/api/v1/nodes/{n}"), list(running.nodes()))
