"""A real Slurm and a mock Kubernetes API server for the tests of the adapters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from benchmarks import adapter_api, kubernetes_lab
from benchmarks.slurm_lab import Lab


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
