"""What the child process promises."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

from controller.worker import HANG_FILE, StepWorker


async def test_a_hang_costs_one_cycle_and_no_memory(pod, pod_snapshot, now_s, tmp_path, monkeypatch):
    """A step that hangs is killed at its deadline and said so; the next one works with the state kept."""
    hang = tmp_path / "hang"
    monkeypatch.setenv(HANG_FILE, str(hang))
    worker = StepWorker(pod, deadline_s=20.0)
    try:
        first = await worker.run(pod_snapshot, (), now_s)
        assert first is not None
        assert first.plans
        hang.touch()
        worker.deadline_s = 0.5
        began = time.monotonic()
        assert await worker.run(pod_snapshot, (), now_s + 60) is None
        assert time.monotonic() - began < 10
        (late,) = worker.conditions()
        assert late.code == "optimiser_late"
        hang.unlink()
        worker.deadline_s = 20.0
        second = await worker.run(pod_snapshot, (), now_s + 120)
        assert second is not None
        assert second.state.memory.minutes("tcs-1") == 2
        assert worker.conditions() == []
        assert worker.kills == 1
    finally:
        await worker.close()


def test_every_sentence_has_its_words():
    """Every condition has a remedy of its own, and every binding constraint has words."""
    from controller.reasons import BINDINGS, TEMPLATES, message

    causes = (
        "heat_unknown",
        "heat_substituted",
        "inputs_missing",
        "design_incomplete",
        "reserve_gone",
        "optimiser_late",
    )
    assert all(f"{code}_remedy" in TEMPLATES for code in causes)
    assert all(BINDINGS.values())
    with pytest.raises(KeyError):
        message("no_such_code")


async def test_a_child_that_takes_nothing_costs_one_cycle_too(pod, pod_snapshot, now_s):
    """Stopped before it has read the request, which no pipe holds: killed at the deadline, and the next one works."""
    worker = StepWorker(pod, deadline_s=20.0)
    try:
        assert await worker.run(pod_snapshot, (), now_s) is not None
        worker.deadline_s = 0.5
        os.kill(worker._child.pid, signal.SIGSTOP)
        async with asyncio.timeout(15):
            assert await worker.run(pod_snapshot, (), now_s + 60) is None
        (late,) = worker.conditions()
        assert late.code == "optimiser_late"
        worker.deadline_s = 20.0
        assert await worker.run(pod_snapshot, (), now_s + 120) is not None
    finally:
        if worker._child is not None:
            worker._child.kill()
        await worker.close()
