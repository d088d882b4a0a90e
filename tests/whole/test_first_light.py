"""A newcomer's first minute: the real processes, real protocols, and clients that are not ours."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import httpx
import pytest
from coldplate_test_stack import ROOT, Stack, free_port, wait_for


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """The demo pod at 30 times real time, over the embedded broker; one for the tests of this file, in their order."""
    stack = Stack(tmp_path_factory.mktemp("pod"), ROOT / "site-configs" / "demo-pod.yaml", speed=30.0)
    try:
        stack.start()
        yield stack
    finally:
        stack.close()


def test_a_pod_breathes_within_a_minute(stack, real_program):
    """Live values of every source, a forecast, an accepted command with its reason, and a foreign client agrees."""
    began = time.monotonic()
    stack.wait_command()
    wait_for(lambda: stack.get("/v1/status")["live_points"] > 2900, 40, "GPU and rack points over MQTT")
    forecast = stack.get("/v1/forecast")["forecast"]
    wait_for(lambda: any("forecast" in reason for reason in _reasons(stack)), 40, "a move with its reason")
    status = stack.get("/v1/status")
    assert time.monotonic() - began < 60
    assert status["accepted_commands"] >= 1
    assert status["forecast_at"]
    assert 1.0 < status["instantaneous_pue"]["value"] < 1.5
    assert forecast["heats"][0]["cold_start"] is True
    _mbpoll_agrees(stack, real_program("mbpoll"))


def _reasons(stack) -> list[str]:
    return [plan["reason"]["text"] for plan in stack.get("/v1/plans")["plans"]]


def _mbpoll_agrees(stack, mbpoll: str) -> None:
    """A client not ours (mbpoll) reads the CDU's temperatures (input registers 0 and 1, 0.01 K) as the API shows them.

    Asked again while they disagree: half a minute of the plant passes in a second, and its setpoint may be moving.
    """
    host, port = stack.endpoints()["cdu-1"]
    argv = [mbpoll, "-m", "tcp", "-p", str(port), "-a", "1", "-t", "3:hex", "-0", "-r", "0", "-c", "2", "-1", host]
    names = ("cdu-1/tcs_supply_temperature", "cdu-1/tcs_return_temperature")

    def agree() -> bool:
        out = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True).stdout
        raw = [int(word, 16) / 100 for word in re.findall(r"\[\d+\]:\s+0x([0-9A-Fa-f]+)", out)]
        points = {p["id"]: p["value"] for p in stack.get("/v1/points", equipment="cdu-1")["points"]}
        return raw == [pytest.approx(points[name], abs=bound) for name, bound in zip(names, (0.5, 1.0), strict=True)]

    wait_for(agree, 30, "two clients that agree")


def test_history_is_readable_while_it_runs(stack):
    """Another process reads the store's history of a point while the edge writes it."""
    now_s = stack.clock.now()
    query = {"point": "cdu-1/tcs_supply_temperature", "start_s": now_s - 3600, "end_s": now_s + 3600, "step_s": 60}

    def values():
        return stack.get("/v1/history", **query)["series"][0]["values"]

    found = wait_for(values, 30, "history")
    assert all(15 < value < 50 for value in found)


def test_small_lab_runs_without_a_code_change(make_stack, lab_site_path):
    """The second site: its CDU is driven, its sidecar has no heartbeat and so is advisory."""
    stack = make_stack(lab_site_path)
    stack.wait_command()
    groups = {g["id"]: g for g in stack.get("/v1/site")["groups"]}
    assert {g["drivable"] for g in groups.values()} == {True, False}
    modes = {m["loop"]: m["mode"] for m in stack.get("/v1/modes")["modes"]}
    advisory = next(g for g, row in groups.items() if not row["drivable"])
    assert modes[advisory] == "advisory"
    answer = stack.post("/v1/intents", {"kind": "set_mode", "loop": advisory, "mode": "auto", "reason": "try"})
    assert answer.status_code == 409
    assert "advisory" in answer.text or "fallback" in answer.text


def test_a_person_outranks_the_optimiser(stack):
    """A manual hold reaches the device within its steps, with reason and end; outside the limits it is refused."""
    stack.wait_command()
    hold = {"kind": "hold", "loop": "tcs-1", "reason": "drill", "actor": "mei", "expires_in_s": 7200}
    point = "cdu-1/supply_temperature_setpoint"
    refused = stack.post("/v1/intents", hold | {"values": {point: 60.0}})
    assert refused.status_code == 409
    assert "60" in refused.text
    assert stack.post("/v1/intents", hold | {"values": {point: 32.5}}).status_code == 200

    def followed():
        points = {p["id"]: p["value"] for p in stack.get("/v1/points", equipment="cdu-1")["points"]}
        return abs(points["cdu-1/effective_supply_temperature_setpoint"] - 32.5) < 0.02

    wait_for(followed, 60, "the device follows the hold")
    mode = stack.get("/v1/modes")["modes"][0]
    assert (mode["mode"], mode["actor"], mode["reason"]) == ("hold", "mei", "drill")

    def leases():
        return {(lease["point"], lease["holder"]) for lease in stack.get("/v1/leases")["actuator"]["leases"]}

    def frozen():
        held = leases()
        return len(held) == 4 and {holder for _, holder in held} == {"operator:mei"}

    wait_for(frozen, 60, "the optimiser's leases ran out, and what the hold does not name is frozen by it")
    assert stack.post("/v1/intents", {"kind": "set_mode", "loop": "tcs-1", "mode": "off", "reason": "end"}).is_success
    wait_for(lambda: not stack.get("/v1/leases")["actuator"]["leases"], 20, "no leases after off")


def test_commands_need_the_token(stack):
    """Without the token nothing is commanded; a foreign Host header is refused."""
    assert stack.post("/v1/all-to-default", {"reason": "x"}, token=False).status_code == 401
    foreign = httpx.get(f"http://127.0.0.1:{stack.port}/v1/status", headers={"Host": "evil.example"}, timeout=10)
    assert foreign.status_code in {400, 403, 421}


def test_a_port_in_use_is_one_line():
    """`coldplate demo` on a taken port says so in one line, with what to do, and ends with status 2."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        argv = [sys.executable, "-m", "cli.main", "demo", "--port", str(port)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert f"port {port} on 127.0.0.1" in done.stderr
    assert "--port" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_demo_command_end_to_end(tmp_path):
    """`coldplate demo` prints the address, serves the page, and Ctrl-C, which a terminal sends to all of them, ends each without a word."""
    port = free_port()
    argv = [
        sys.executable,
        "-m",
        "cli.main",
        "demo",
        "--port",
        str(port),
        "--speed",
        "4",  # beside the suite's other work a faster clock leaves too little time to read devices
        "--state",
        str(tmp_path / "s"),
    ]
    with (tmp_path / "demo.log").open("wb") as log:
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(argv, stdout=log, stderr=log, cwd=ROOT, env=environment, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}/v1/status"
        wait_for(lambda: httpx.get(url, timeout=5).json()["accepted_commands"] > 0, 300, "an accepted command")
        assert f"http://127.0.0.1:{port}/" in (tmp_path / "demo.log").read_text()
        run_pid = int((tmp_path / "s" / "run.pid").read_text())
    finally:
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(40) == 0
    assert "Traceback" not in (tmp_path / "demo.log").read_text()
    with pytest.raises(ProcessLookupError):
        os.kill(run_pid, 0)
    with pytest.raises(httpx.TransportError):
        httpx.get(url, timeout=2)
