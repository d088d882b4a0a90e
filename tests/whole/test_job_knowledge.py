"""What a scheduler tells a running service shows in its forecast before any heat does."""

from __future__ import annotations

import signal

import httpx
from coldplate_test_stack import ROOT, wait_for

POWER_KW = 60.0


def put(stack, body):
    """PUT /v1/jobs, with the token of the state directory."""
    headers = {"Authorization": f"Bearer {(stack.state / 'token').read_text().strip()}"}
    return httpx.put(f"http://127.0.0.1:{stack.port}/v1/jobs", json=body, headers=headers, timeout=20)


def rise_w(stack, subject="tcs-1"):
    """The newest forecast's time, and how much its median at 15 minutes lies above that at 5 [W]."""
    ahead = stack.get("/v1/forecast")["forecast"]
    if ahead is None:
        raise ValueError("no forecast yet")
    (heat,) = (h for h in ahead["heats"] if h["subject"] == subject)
    median = heat["heat_w"][heat["quantiles"].index(0.5)]
    return ahead["made_s"], median[14] - median[4]


def test_a_job_put_now_raises_the_forecast_from_its_start_on(make_stack):
    """60 kW that start in ten minutes: at 15 minutes the median is up by about that, at 5 minutes by nothing yet."""
    stack = make_stack(ROOT / "site-configs" / "demo-pod.yaml")
    wait_for(lambda: rise_w(stack), 60, "a forecast")
    _, before_w = rise_w(stack)
    now_s = stack.clock.now()
    job = {"id": "big", "racks": ["rack-07", "rack-08"], "start_s": now_s + 600, "end_s": now_s + 9e4}
    body = {"source": "test", "valid_until_s": now_s + 1800, "jobs": [job | {"power_kw": POWER_KW}]}
    answer = put(stack, body)
    assert answer.status_code == 200, answer.text
    wait_for(lambda: rise_w(stack)[1] - before_w > 0.5e3 * POWER_KW, 60, "a forecast that knows the job")
    assert rise_w(stack)[1] - before_w < 1.3e3 * POWER_KW
    (known,) = stack.get("/v1/jobs")["lists"]
    assert (known["source"], known["stale"], known["jobs"][0]["job"]) == ("test", False, "big")
    assert any(e["action"] == "jobs" and e["subject"] == "test" for e in stack.audit())


def test_the_simulated_scheduler_is_heard_through_its_file(make_stack):
    """As in the demo: the plant's scheduler writes its list, the edge reads it and reads it again, nothing is stale."""
    stack = make_stack(ROOT / "site-configs" / "demo-pod.yaml")
    stack.kill("run", signal.SIGTERM)
    stack.start_run("--jobs", str(stack.state / "job-list.json"))
    (first,) = wait_for(lambda: stack.get("/v1/jobs")["lists"], 60, "jobs known")
    assert first["source"] == "simulated-scheduler"
    assert first["jobs"]
    (later,) = wait_for(lambda: [r for r in stack.get("/v1/jobs")["lists"] if r["at_s"] > first["at_s"]], 30, "news")
    assert later["stale"] is False
    assert not stack.conditions() & {"outlook_stale", "outlook_unreadable"}
