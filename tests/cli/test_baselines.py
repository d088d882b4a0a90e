"""Balances' baselines over a restart."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

from cli.baselines import FILE, keep_baselines, recalibrating
from collector.balance_watch import BalanceWatch
from collector.conditions import Ledger
from plant.clock import ScaledClock
from plant.intents import Answer, Intent, IntentKind
from plant.live import LiveTable
from sites import load_site
from store.audit import AuditLog
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


async def test_a_changed_sensor_is_learned_anew_at_once_and_for_good(tmp_path, demo_site_path):
    """Told which equipment, its balances forget what was normal, on the disk too; other wishes go where they went."""
    site, state = load_site(demo_site_path), StateDir(tmp_path / "state")
    watch, passed_on = _watch(site), []
    (learned,) = watch.state().values()
    learned["baseline"][:] = [0.03] * len(learned["baseline"])
    watch.restore(dict(zip(watch.state(), [learned], strict=True)))

    async def others(intent):
        passed_on.append(intent)
        return Answer(accepted=True, text="done")

    with contextlib.closing(AuditLog(state.path / "audit", "edge")) as audit:
        take = recalibrating(watch, state, audit, ScaledClock(), others)
        asked = Intent(kind=IntentKind.RECALIBRATED, actor="mei", reason="new meter", at_s=0.0, equipment="rack-01")
        assert (await take(asked)).accepted
        assert not (await take(replace(asked, equipment="hall"))).accepted
        await take(replace(asked, kind=IntentKind.ACKNOWLEDGE, loop="tcs-1"))
    (kept,) = state.read_json(FILE).values()
    assert kept == next(iter(watch.state().values()))
    assert kept["baseline"].count(0.0) >= 1
    assert 0.03 in kept["baseline"]
    assert [intent.kind for intent in passed_on] == [IntentKind.ACKNOWLEDGE]
    told = [e for f in (state.path / "audit").iterdir() for e in f.read_text().splitlines() if "recalibrated" in e]
    assert len(told) == 2
    assert "new meter" in told[0]
