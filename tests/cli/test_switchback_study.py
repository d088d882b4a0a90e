"""A whole switchback on the simulated pod: planned, registered, driven, recorded, reported. Minutes long: a campaign."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from coldplate_test_control_rig import NOON_S, Room
from typer.testing import CliRunner

from cli.main import app
from reports.switchback import OURS, RULE, Block, SwitchbackPlan
from sites import load_site

SITE = Path(__file__).parents[2] / "site-configs" / "demo-pod.yaml"
BLOCK_S, WASHOUT_S, PAIRS = 3600.0, 1200.0, 6
ORDER = (RULE, OURS, OURS, RULE, OURS, RULE, RULE, OURS, RULE, OURS, OURS, RULE)


@pytest.mark.campaign
async def test_coldplate_against_the_sites_own_rule(tmp_path):
    """Twelve hours of July on the demo pod: every block as planned, a saving with its interval, from registers and audit."""
    site, first_s = load_site(SITE), NOON_S + 1800.0
    blocks = tuple(
        Block(start_s=first_s + n * BLOCK_S, end_s=first_s + (n + 1) * BLOCK_S, arm=arm, pair=n // 2)
        for n, arm in enumerate(ORDER)
    )
    plan = SwitchbackPlan(site=site.id, made_s=NOON_S - 60, seed=1, block_s=BLOCK_S, washout_s=WASHOUT_S, blocks=blocks)
    plan = replace(plan, digest=plan.sealed())
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(asdict(plan)))
    room = Room(site, tmp_path, plan=plan)
    while room.clock.now() < blocks[-1].end_s + 300.0:
        await room.cycles(1)
        await room.store.write(room.plant.batch())
    await room.store.close()
    room.audit.close()
    out = tmp_path / "out.json"
    arguments = ["switchback", "report", str(path), "--site", str(SITE), "--state", str(room.state.path)]
    done = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--json", str(out)])
    assert done.exit_code == 0, done.output
    print(done.output)  # noqa: T201 - what the study is for
    found = json.loads(out.read_text())
    assert found["left_out"] == []
    assert found["pairs"] == PAIRS
    assert found["low"] < found["saving"] < found["high"]
