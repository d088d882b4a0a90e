"""Balances' baselines over a restart."""

from __future__ import annotations

import asyncio
import contextlib

from cli.baselines import FILE, keep_baselines
from collector.balance_watch import BalanceWatch
from collector.conditions import Ledger
from plant.clock import ScaledClock
from plant.live import LiveTable
from sites import load_site
from store.state import StateDir


def _watch(site):
    clock = ScaledClock()
    return BalanceWatch(site, LiveTable(site.points.values(), clock), clock, Ledger())


async def _for_a_moment(watch, state):
    task = asyncio.create_task(keep_baselines(watch, state, ScaledClock()))
    await asyncio.sleep(0.05)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_baselines_outlive_a_restart(tmp_path, demo_site_path):
    """What one run has learned the next one starts with; a spoilt file is learned anew instead."""
    site, state = load_site(demo_site_path), StateDir(tmp_path / "state")
    first = _watch(site)
    learned = first.state()
    (key,) = learned
    for numbers in learned[key].values():
        numbers[:] = [float(i + 1) for i in range(len(numbers))]
    state.write_json(FILE, learned)
    await _for_a_moment(first, state)
    assert first.state() == learned
    second = _watch(site)
    await _for_a_moment(second, state)
    assert second.state() == learned
    state.write_json(FILE, {key: {"nonsense": [1.0]}})
    third = _watch(site)
    before = third.state()
    await _for_a_moment(third, state)
    assert third.state() == before
