"""What was identified outlives a restart."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from cli.model_memory import BILLING, FILE, SWINGS, keep_model, recall_model
from cli.warm import past_peak
from controller.billing import Billing
from controller.identification.estimates import Estimate
from controller.identification.known import Baseline, Known
from controller.power_swings import Jump
from controller.state import ControlState
from controller.worker import StepWorker
from plant.clock import ScaledClock
from plant.samples import SampleBatch
from sites import load_site
from store.embedded import EmbeddedStore
from store.state import StateDir


async def test_the_model_outlives_a_restart(tmp_path, demo_site_path):
    """Estimates and baselines of one run are the next one's; parameters unknown to it and spoilt files are dropped."""
    site, state = load_site(demo_site_path), StateDir(tmp_path / "state")
    seen = Estimate(log=-0.2, variance=1e-4, bias=1e-3, count=80, since_s=1.0, at_s=9e4)
    known = Known(
        estimates={"cdu-1/ua": seen, "cdu-1/of_another_version": seen},
        baselines={"cdu-1/ua": Baseline(log=-0.1, variance=1e-4, at_s=8.7e4)},
    )
    jumps = {"rack-01": Jump(60e3, 45e3, 1.0, 9e4)}
    billing = Billing(month=24300, peak_w=1.1e6, last_peak_w=1.2e6, quarters=500, quarter=7, sum_w=3e6, count=3)
    first = StepWorker(site, state=ControlState(known={"tcs-1": known}, jumps=jumps, billing=billing))
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
    assert second.state.jumps == jumps
    assert second.state.billing == billing
    for name in (FILE, SWINGS, BILLING):
        state.write_json(name, {"tcs-1": {"estimates": "nonsense"}})
    third = StepWorker(site)
    recall_model(third, state)
    assert (third.state.known, third.state.jumps, third.state.billing) == ({}, {}, Billing())


async def test_the_months_peak_is_read_from_the_store(tmp_path, demo_site_path):
    """This month's and last month's highest quarter at the feed, bad samples and older months aside; no tariff, no peak."""
    site = load_site(demo_site_path)
    store = EmbeddedStore.open(tmp_path / "history.sqlite", site.retention)
    now_s = datetime(2026, 7, 20, 10, 7, tzinfo=ZoneInfo(site.timezone)).timestamp()
    power_w = {
        (6, 30, 1): 1.5e6,
        (6, 29, 1): 1.4e6,
        (5, 31, 1): 9e6,
        (7, 2, 0): 1.0e6,
        (7, 3, 0): 1.2e6,
        (7, 4, 0): 1.1e6,
    }
    rows = []
    for (month, day, _), mean_w in power_w.items():
        begin_s = datetime(2026, month, day, 12, tzinfo=ZoneInfo(site.timezone)).timestamp()
        rows += [
            ("meter-utility/active_power", begin_s + 60 * n, begin_s + 60 * n, mean_w + 1e3 * (n - 7), 0)
            for n in range(15)
        ]
    rows.append(("meter-utility/active_power", now_s - 50, now_s - 50, 7e6, 0))  # the quarter under way
    await store.write(SampleBatch.of(rows))
    found = await past_peak(site, store, now_s)
    assert (found.month, found.quarters) == (2026 * 12 + 7, 3)
    assert found.peak_w == pytest.approx(1.2e6)
    assert found.last_peak_w == pytest.approx(1.5e6)
    worker = StepWorker(site, state=ControlState(billing=Billing(month=found.month, peak_w=1.3e6, quarters=2)))
    worker.recall_billing(found)
    assert worker.state.billing.expected_w == pytest.approx(1.5e6)
    assert (worker.state.billing.peak_w, worker.state.billing.quarters) == (1.3e6, 3)
    assert await past_peak(replace(site, tariff=replace(site.tariff, demand_per_kw_month=0.0)), store, now_s) is None
    await store.close()
