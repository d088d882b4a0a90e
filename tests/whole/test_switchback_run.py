"""A switchback through the real processes: registered by `coldplate run`, its turns seen over HTTP, driven to the devices."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from coldplate_test_stack import wait_for

from reports.switchback import OURS, RULE, Block, SwitchbackPlan

BLOCK_S, LEAD_S = 480.0, 900.0
"""At 60 × real time: long enough to start on a busy machine, and to see several cycles of each turn."""


def started(stack, lead_s):
    """`coldplate run` with a plan of two short blocks that begin so long from now [s]; until it serves, or has ended."""
    first_s = stack.clock.now() + lead_s
    blocks = tuple(
        Block(start_s=first_s + n * BLOCK_S, end_s=first_s + (n + 1) * BLOCK_S, arm=arm, pair=0)
        for n, arm in enumerate((RULE, OURS))
    )
    plan = SwitchbackPlan(
        site="demo-pod", made_s=first_s - lead_s, seed=1, block_s=BLOCK_S, washout_s=60.0, blocks=blocks
    )
    plan = replace(plan, digest=plan.sealed())
    path = stack.folder / "plan.json"
    path.write_text(json.dumps(asdict(plan)))
    stack.start_run("--switchback", str(path))
    run = stack.processes["run"]
    wait_for(lambda: run.poll() is not None or stack.get("/v1/switchback")["switchback"], 60, "registered or refused")
    return plan


@pytest.mark.real
def test_the_running_edge_takes_turns(make_stack, demo_site_path):
    """Registered before the first block, each turn in the audit, and the API says that it is over."""
    stack = make_stack(demo_site_path, speed=60.0)
    stack.kill("run")
    plan = started(stack, LEAD_S)
    if stack.processes["run"].poll() is not None:  # a busy machine registered too late, and was refused
        plan = started(stack, 5 * LEAD_S)

    def turn():
        return stack.get("/v1/switchback")["switchback"]

    assert turn()["digest"] == plan.digest
    over_s = plan.blocks[-1].end_s
    wait_for(
        lambda: turn()["arm"] == "" and stack.clock.now() > over_s, 90, "the end"
    )  # a turn may be too short to see
    told = [e for e in stack.get("/v1/audit", limit=500)["entries"] if e["detail"].get("digest") == plan.digest]
    by_action = {
        action: {e["detail"].get("block"): e["detail"].get("arm") for e in told if e["action"] == action}
        for action in ("switchback_registered", "switchback_block", "switchback_block_ended")
    }
    begun, ended = by_action["switchback_block"], by_action["switchback_block_ended"]
    assert by_action["switchback_registered"] == {None: None}
    assert begun == ended
    assert begun.items() <= {1: plan.blocks[0].arm, 2: plan.blocks[1].arm}.items()
    assert len(begun) == turn()["valid"] + turn()["invalid"] >= 1
