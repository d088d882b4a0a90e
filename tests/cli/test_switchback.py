"""A switchback as the control room drives it: registered first, block by block, honest about what was not as planned."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from coldplate_test_control_rig import DP, LOOP, NOON_S, Room

from cli.switchback import load_plan
from controller.inputs import own_setpoints
from plant.errors import ConfigError, RefusedError
from plant.intents import IntentKind
from reports.switchback import OURS, RULE, Block, SwitchbackPlan
from sites import load_site

SITE = Path(__file__).parents[2] / "site-configs" / "demo-pod.yaml"
BLOCK_S, WASHOUT_S = 900.0, 120.0


@pytest.fixture(scope="module")
def site():
    """The demo pod, with its own rule."""
    return load_site(SITE)


def plan_of(*arms, first_s=NOON_S + 120.0, site="demo-pod"):
    """A sealed plan of short blocks; real ones last hours."""
    blocks = [
        Block(start_s=first_s + n * BLOCK_S, end_s=first_s + (n + 1) * BLOCK_S, arm=arm, pair=n // 2)
        for n, arm in enumerate(arms)
    ]
    plan = SwitchbackPlan(
        site=site, made_s=NOON_S - 60, seed=1, block_s=BLOCK_S, washout_s=WASHOUT_S, blocks=tuple(blocks)
    )
    return replace(plan, digest=plan.sealed())


async def test_rule_and_coldplate_take_turns(site, tmp_path):
    """The digest is audited first; the rule's block has the rule's setpoints, through the same leases; both count."""
    room = Room(site, tmp_path, plan=plan_of(RULE, OURS))
    assert [d["digest"] for d in room.told("switchback_registered")] == [room.plan.digest]
    assert room.switchback.state().arm == ""
    await room.cycles(2)
    assert room.planned() not in {"", "plan_rule"}
    await room.cycles(13)
    now = room.switchback.state()
    assert (now.arm, now.block, now.blocks, now.washing_out, now.paused) == (RULE, 1, 2, False, "")
    assert room.planned() == "plan_rule"
    leased = {lease.point for lease in room.actuator.state().leases}
    assert leased == set(own_setpoints(site.groups[LOOP]).values()), "no lease lapsed between two turns"
    reset = site.groups[LOOP].rule.resets["differential_pressure"]
    assert reset.minimum <= room.shown()[DP] < reset.start, "trimmed: no rack asks for flow at this load"
    await room.cycles(4)
    now = room.switchback.state()
    assert (now.arm, now.block, now.valid, now.invalid) == (OURS, 2, 1, 0)
    assert room.planned() != "plan_rule"
    await room.cycles(15)
    assert [(d["block"], d["arm"], d["valid"]) for d in room.told("switchback_block_ended")] == [
        (1, RULE, True),
        (2, OURS, True),
    ]
    assert room.switchback.state().arm == ""


async def test_what_is_not_as_planned_makes_a_block_invalid(site, tmp_path):
    """A person's hold outranks the plan: said at once, and the block is told to be invalid with the reason."""
    room = Room(site, tmp_path, plan=plan_of(RULE, OURS))
    await room.cycles(6)
    values = {"cdu-1/supply_temperature_setpoint": 31.5}
    held = await room.ask(IntentKind.HOLD, values=values, expires_s=room.clock.now() + 600)
    assert held.accepted
    await room.cycles(2)
    assert room.switchback.state().paused == f"{LOOP} in mode hold by mei"
    assert "switchback_paused" in room.codes()
    assert {lease.holder for lease in room.actuator.state().leases if lease.holder != "controller"} == {"operator:mei"}
    await room.cycles(11)
    (ended,) = room.told("switchback_block_ended")
    assert not ended["valid"]
    assert ended["why"].endswith("not as planned: tcs-1 in mode hold by mei")
    assert "switchback_paused" not in room.codes()


async def test_a_fault_outranks_the_rule(site, tmp_path):
    """A leak in the rule's block: everything stays as it is, whoever has the turn."""
    room = Room(site, tmp_path, plan=plan_of(RULE, OURS))
    await room.cycles(4)
    assert room.planned() == "plan_rule"
    room.plant.plant.faults.leaking.add("cdu-1")
    await room.cycles(2)
    assert room.planned() == "plan_hold"
    assert room.switchback.state().paused.startswith(f"{LOOP}: leak at cdu-1")


async def test_a_restart_goes_on_and_a_long_one_costs_the_block(site, tmp_path):
    """A new process takes the same plan up; half a block without coldplate does not count."""
    room = Room(site, tmp_path, plan=plan_of(RULE, OURS))
    await room.cycles(6)
    room.open()
    await room.cycles(2)
    assert room.switchback.state().paused == ""
    assert len(room.told("switchback_registered")) == 1
    room.plant.advance(480.0)
    room.open()
    await room.cycles(3)
    (ended,) = room.told("switchback_block_ended")
    assert not ended["valid"]
    assert ended["why"].endswith("coldplate did not run")


def test_only_a_plan_registered_in_time_is_driven(site, tmp_path):
    """Begun, about another site, or changed: refused with the reason."""
    with pytest.raises(RefusedError, match="not registered before"):
        Room(site, tmp_path / "late", plan=plan_of(RULE, OURS, first_s=NOON_S - 60))
    with pytest.raises(RefusedError, match="about site 'other'"):
        Room(site, tmp_path / "other", plan=plan_of(RULE, OURS, site="other"))
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(asdict(plan_of(RULE, OURS))))
    assert load_plan(path) == plan_of(RULE, OURS)
    data = json.loads(path.read_text())
    data["blocks"][0]["arm"] = OURS
    path.write_text(json.dumps(data))
    with pytest.raises(ConfigError, match="changed after it was sealed"):
        load_plan(path)
    path.write_text("{")
    with pytest.raises(ConfigError, match="can't be read"):
        load_plan(path)
