"""A switchback's report from what coldplate recorded: registers, audit, weather; and what is refused."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.main import app
from plant.clock import ManualClock
from plant.errors import ConfigError
from plant.samples import Quality, Reason, SampleBatch, quality_code
from reports.pue import ReportError
from reports.switchback import OURS, make_plan
from reports.switchback_blocks import BEGAN, ENDED, REGISTERED, rows_of
from sites import load_site
from store.audit import AuditLog
from store.embedded import EmbeddedStore
from store.state import StateDir

SITE = Path(__file__).parents[2] / "site-configs" / "demo-pod.yaml"
MADE_S = 1_790_000_000.0
SAVING = 0.2
METERS_W = {"meter-cdu-1": 8e3, "meter-cdu-2": 8e3, "meter-fws-pumps": 9e3, "meter-chiller": 5e3, "meter-air-unit": 9e3}


@pytest.fixture(scope="module")
def plan():
    """Six pairs of two-hour blocks."""
    return make_plan("demo-pod", made_s=MADE_S, start_s=MADE_S + 600, days=1.0, block_s=7200.0, seed=4)


async def record(plan, site, path, silent=None, missed=0):
    """A day of registers and weather: cooling follows the weather, and is cheaper in coldplate's blocks."""
    store = EmbeddedStore.open(path, site.retention)
    chance = np.random.default_rng(7)
    time_s = np.arange(plan.blocks[0].start_s - 900, plan.blocks[-1].end_s + 900, 60.0)
    dry_c = 14 + 5 * np.sin(2 * np.pi * (time_s - time_s[0]) / 86400) + chance.normal(0, 0.2, len(time_s))
    ours = np.array([getattr(plan.turn(t)[1], "arm", None) == OURS for t in time_s])
    factor = np.where(ours, 1 - SAVING, 1.0) * (1 + 0.02 * (dry_c - 14)) * (1 + chance.normal(0, 0.02, len(time_s)))
    it_w = 0.9e6 * (1 + 0.05 * np.sin(2 * np.pi * time_s / 30000))
    cooling = {meter: power_w * factor for meter, power_w in METERS_W.items()}
    cooling["meter-dry-coolers"] = 20e3 * factor
    total = it_w / 0.97 + sum(cooling.values())
    for meter, power_w in {"meter-utility": total, "meter-ups": it_w, **cooling}.items():
        energy_j = 5e12 + np.concatenate([[0.0], np.cumsum(power_w[:-1] * 60.0)])
        from_s, to_s = (silent or {}).get(meter, (0.0, 0.0))
        rows = [
            (f"{meter}/energy_import", t, t, e, 0)
            for t, e in zip(time_s, energy_j, strict=True)
            if not from_s <= t < to_s
        ]
        await store.write(SampleBatch.of(rows))
    rows = [("dry-coolers/outdoor_dry_bulb", t, t, c, 0) for t, c in zip(time_s, dry_c, strict=True)]
    silent_code = quality_code(Quality.BAD, Reason.NO_COMM)
    rows = [
        (p, t, t, np.nan, silent_code) if missed and n % missed == 0 else (p, t, t, c, 0)
        for n, (p, t, _, c, _) in enumerate(rows)
    ]
    await store.write(SampleBatch.of(rows))
    await store.close()


@pytest.fixture(scope="module")
def recorded(plan, tmp_path_factory):
    """A state directory with history, and the plan's file."""
    folder = tmp_path_factory.mktemp("switchback")
    state = StateDir(folder / "state")
    asyncio.run(record(plan, load_site(SITE), state.history))
    path = folder / "plan.json"
    path.write_text(json.dumps(asdict(plan)))
    return state, path


def audit(state, plan, *, registered_s=MADE_S + 60, invalid=(), missing=()):
    """The chain as a run leaves it."""
    for old in state.audit.glob("*.jsonl"):
        old.unlink()
    log = AuditLog(state.audit, "edge", ManualClock(MADE_S))
    log.append(registered_s, "coldplate", REGISTERED, "demo-pod", {"digest": plan.digest})
    for number, block in enumerate(plan.blocks, 1):
        if number not in missing:
            told = {"digest": plan.digest, "block": number, "arm": block.arm}
            log.append(block.start_s, "coldplate", BEGAN, "demo-pod", told)
            told |= {"valid": number not in invalid, "why": "900 s not as planned: leak" if number in invalid else ""}
            log.append(block.end_s, "coldplate", ENDED, "demo-pod", told)
    log.close()


def run(recorded, *more):
    """The command."""
    state, path = recorded
    return CliRunner().invoke(
        app, ["switchback", "report", str(path), "--site", str(SITE), "--state", str(state.path), *more]
    )


def test_the_saving_is_found_from_registers(recorded, plan, tmp_path):
    """Interval, test, what was adjusted for, and each block's energy; the site's cooling, not its IT."""
    audit(recorded[0], plan)
    out = tmp_path / "o.json"
    done = run(recorded, "--json", str(out))
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    assert found["low"] <= SAVING <= found["high"]
    assert found["conclusive"]
    assert found["p_value"] < 0.05, "six pairs can show 2 in 64 at best"
    assert found["adjusted"][0] == "outdoor dry bulb"
    assert "IT energy" in found["adjusted"]
    assert "adjusted for outdoor dry bulb" in done.output
    assert len(found["blocks"]) == len(plan.blocks) == 12
    first = found["blocks"][0]
    rule_w = sum(METERS_W.values()) + 20e3
    assert first["hours"] == 1.5
    assert first["cooling_kwh"] == pytest.approx(rule_w * (1 - SAVING * (first["arm"] == OURS)) * 1.5e-3, rel=0.1)


def test_blocks_that_were_not_as_planned_are_left_out_with_their_pair(recorded, plan):
    """One block that the audit calls invalid costs its pair, by name; three pairs are too many."""
    audit(recorded[0], plan, invalid={3})
    done = run(recorded)
    assert done.exit_code == 0, done.output
    assert "from 5 of 6 pairs" in done.output
    assert "left out: 900 s not as planned: leak" in done.output
    audit(recorded[0], plan, invalid={3}, missing={5, 8})
    done = run(recorded)
    assert isinstance(done.exception, ReportError)
    assert "only 3 of 6 pairs" in str(done.exception)


def test_nothing_is_reported_on_what_was_not_registered_or_was_changed(recorded, plan):
    """Registered too late, never, an edited chain, an edited plan: refused in words."""
    state, path = recorded
    audit(state, plan, registered_s=plan.blocks[0].start_s + 1)
    assert "does not have this plan before its first block" in str(run(recorded).exception)
    chain = next(state.audit.glob("*.jsonl"))
    audit(state, plan, invalid={3})
    chain.write_bytes(chain.read_bytes().replace(b'"valid":false', b'"valid":true '))
    assert "audit does not hold" in str(run(recorded).exception)
    audit(state, plan)
    sealed = path.read_text()
    path.write_text(sealed.replace('"washout_s": 1800.0', '"washout_s": 1900.0'))
    done = run(recorded)
    assert isinstance(done.exception, ConfigError)
    assert "changed after it was sealed" in str(done.exception)
    path.write_text(sealed)


def test_a_report_needs_something_to_report_on(recorded):
    """Neither trends nor a site: one line with what to give."""
    done = CliRunner().invoke(app, ["switchback", "report", str(recorded[1])])
    assert isinstance(done.exception, ConfigError)
    assert "--site and --state" in str(done.exception.remedy)


async def test_a_block_of_which_a_cooling_meter_tells_only_a_part_is_left_out(plan, tmp_path):
    """A meter that falls silent in the middle of a block would make it look cheap: it is named, and does not count."""
    site, path, block = load_site(SITE), tmp_path / "part.db", plan.blocks[4]
    silent_s = 0.5 * (block.start_s + block.end_s), block.end_s + 3 * 3600
    await record(plan, site, path, silent={"meter-dry-coolers": silent_s})
    store = EmbeddedStore.open(path, site.retention)
    rows = await rows_of(plan, site, store, {})
    await store.close()
    faults = {number: row.fault for number, row in enumerate(rows, 1) if row.fault}
    assert set(faults) == {5, 6, 7}
    assert all("meter-dry-coolers" in fault for fault in faults.values())


async def test_a_missed_answer_now_and_then_costs_no_block(plan, tmp_path):
    """One outdoor sample in five minutes that did not come: its neighbours tell the weather, and every block counts."""
    site, path = load_site(SITE), tmp_path / "missed.db"
    await record(plan, site, path, missed=5)
    store = EmbeddedStore.open(path, site.retention)
    rows = await rows_of(plan, site, store, {})
    await store.close()
    assert [row.fault for row in rows] == [""] * len(plan.blocks)
