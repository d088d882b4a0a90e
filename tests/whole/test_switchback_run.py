"""A switchback through the real processes: registered by `coldplate run`, its turns seen over HTTP, driven to the devices."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from coldplate_test_stack import wait_for

from reports.switchback import OURS, RULE, Block, SwitchbackPlan

BLOCK_S, LEAD_S = 480.0, 900.0
"""At 60 × real time: long enough to start on a busy machine, and to see several cycles of each turn."""


@pytest.mark.real
def test_the_running_edge_takes_turns(make_stack, demo_site_path):
    """The panel's record, the audit and the plans agree on whose turn it is; afterwards the API says that it is over."""
    stack = make_stack(demo_site_path, speed=60.0)
    stack.kill("run")
    first_s = stack.clock.now() + LEAD_S
    blocks = tuple(
        Block(start_s=first_s + n * BLOCK_S, end_s=first_s + (n + 1) * BLOCK_S, arm=arm, pair=0)
        for n, arm in enumerate((RULE, OURS))
    )
    plan = SwitchbackPlan(
        site="demo-pod", made_s=first_s - LEAD_S, seed=1, block_s=BLOCK_S, washout_s=60.0, blocks=blocks
    )
    plan = replace(plan, digest=plan.sealed())
    path = stack.folder / "plan.json"
    path.write_text(json.dumps(asdict(plan)))
    stack.start_run("--switchback", str(path))

    def turn():
        return stack.get("/v1/switchback")["switchback"]

    wait_for(lambda: turn()["arm"] == RULE, 60, "the rule's turn")
    assert turn()["digest"] == plan.digest
    wait_for(lambda: {p["reason"]["code"] for p in stack.get("/v1/plans")["plans"]} == {"plan_rule"}, 60, "its plan")
    wait_for(lambda: turn()["arm"] == OURS, 60, "our turn")
    wait_for(lambda: turn()["arm"] == "", 60, "the end")
    told = stack.get("/v1/audit", limit=500)["entries"]
    actions = [(e["action"], e["detail"].get("arm")) for e in told if e["action"].startswith("switchback")]
    assert sorted(actions, key=str) == sorted(
        [
            ("switchback_registered", None),
            ("switchback_block", RULE),
            ("switchback_block_ended", RULE),
            ("switchback_block", OURS),
            ("switchback_block_ended", OURS),
        ],
        key=str,
    )
