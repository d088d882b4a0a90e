"""A real Slurm for the tests of its adapter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from benchmarks.slurm_lab import Lab


@pytest.fixture
def make_lab(real_program: Callable[[str], str], tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """`make_lab(real=8, more=0, extra=[...])`: a running cluster, ended after the test."""
    for program in ("slurmctld", "slurmd", "munged", "scontrol"):
        real_program(program)
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Lab(tmp_path / "lab", **options))
