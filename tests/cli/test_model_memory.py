"""What was identified outlives a restart."""

from __future__ import annotations

import asyncio
import contextlib

from cli.model_memory import FILE, keep_model, recall_model
from controller.identification.estimates import Estimate
from controller.identification.known import Baseline, Known
from controller.state import ControlState
from controller.worker import StepWorker
from plant.clock import ScaledClock
from sites import load_site
from store.state import StateDir


async def test_the_model_outlives_a_restart(tmp_path, demo_site_path):
    """Estimates and baselines of one run are the next one's; parameters unknown to it and spoilt files are dropped."""
    site, state = load_site(demo_site_path), StateDir(tmp_path / "state")
    seen = Estimate(log=-0.2, variance=1e-4, bias=1e-3, count=80, since_s=1.0, at_s=9e4)
    known = Known(
        estimates={"cdu-1/ua": seen, "cdu-1/of_another_version": seen},
        baselines={"cdu-1/ua": Baseline(log=-0.1, variance=1e-4, at_s=8.7e4)},
    )
    first = StepWorker(site, state=ControlState(known={"tcs-1": known}))
    task = asyncio.create_task(keep_model(first, state, ScaledClock()))
    await asyncio.sleep(0.05)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    second = StepWorker(site)
    recall_model(second, state)
    found = second.state.known["tcs-1"]
    assert found.estimates == {"cdu-1/ua": seen}
    assert found.baselines == known.baselines
    state.write_json(FILE, {"tcs-1": {"estimates": "nonsense"}})
    third = StepWorker(site)
    recall_model(third, state)
    assert not third.state.known
