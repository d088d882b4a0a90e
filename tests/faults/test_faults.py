"""Campaigns: kill it, starve it, cut it off. The real processes, a real broker, and the plant's own log as witness."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import subprocess
import time
from pathlib import Path

import pytest
from coldplate_test_stack import wait_for
from paho.mqtt.client import CallbackAPIVersion, Client

from plant.ports import RangeQuery
from store.embedded import EmbeddedStore

DEVICE_TIMEOUT_S = 60.0
TICK_S = 15.0
LARGEST_STEP_K = 1.02
RAMPED_SINCE_POLL_K = 0.01 * TICK_S
"""What a device that is on its way to its default ramps on between its poll and our write; for no other device."""
RAMP_PER_S = {
    "effective_supply_temperature_setpoint": 0.01,
    "effective_leaving_temperature_setpoint": 0.01,
    "effective_differential_pressure_setpoint": 500.0,
}


@pytest.fixture
def stack(make_stack, demo_site_path):
    """The demo pod over a real mosquitto."""
    return make_stack(demo_site_path, speed=30.0, mosquitto=True)


def _gpu_times(stack) -> list[int]:
    """Every stored time of one GPU's temperature, raw, as another process reads it from the file [s]."""

    async def read():
        store = EmbeddedStore.open(stack.state / "history.sqlite", {}, read_only=True)
        try:
            query = RangeQuery(points=("rack-01/gpu-00/temperature",), start_s=0, end_s=4e9)
            return (await store.range(query))[0].time_s
        finally:
            await store.close()

    return sorted(round(t) for t in asyncio.run(read()))


def _witness(stack) -> set[int]:
    """Times [s] of all that is published of the same GPU from now on, as a client that is never killed hears it."""
    heard: set[int] = set()

    def take(_client, _data, message) -> None:
        payload = json.loads(message.payload)
        if any(gpu["index"] == 0 for gpu in payload["gpus"]):
            heard.add(round(payload["timestamp"] / 1000))

    client = Client(CallbackAPIVersion.VERSION2)
    client.on_message = take
    client.connect("127.0.0.1", stack.broker_port)
    client.subscribe("coldplate/v1/demo-pod/gpu/rack-01/#", qos=1)
    client.loop_start()
    stack.on_close.append(client.loop_stop)
    stack.on_close.append(client.disconnect)
    return heard


@pytest.mark.real
def test_kill_nine_at_random_moments(stack, request):
    """After each kill -9: no accepted sample is missing, no lease outlives its expiry, control resumes without a jump."""
    kills = 20 if request.config.getoption("--campaign") else 2
    chance = random.Random(2026)
    stack.wait_command()
    published = _witness(stack)
    killed = []
    for _ in range(kills):
        time.sleep(chance.uniform(0.5, 4.0))
        ends = _promised(stack)
        stack.kill("run")
        killed.append((stack.clock.now(), ends))
        time.sleep(chance.choice([0.2, 3.0, 8.0]))
        stack.start_run()
        stack.wait_live()
        stack.wait_command()
    wait_for(lambda: len(_gpu_times(stack)) and _gpu_times(stack)[-1] > killed[-1][0] + 30, 60, "the backlog is stored")
    time.sleep(3)
    times = _gpu_times(stack)
    due = {t for t in published if t <= times[-1]}
    assert len(due) > 5 * kills
    assert due <= set(times), f"published with QoS 1 and not stored: {sorted(due - set(times))}"
    assert len(times) == len(set(times))
    _no_lease_outlives(stack, killed)
    _no_jump(stack)


def _promised(stack) -> dict[str, float]:
    """Device → the moment [s] by which it must be free: the earliest end of the leases that it follows now."""
    ends: dict[str, float] = {}
    for lease in stack.get("/v1/leases")["actuator"]["leases"]:
        device, end_s = lease["point"].partition("/")[0], lease["issued_s"] + lease["ttl_s"]
        ends[device] = min(ends.get(device, end_s), end_s)
    return ends


def _no_lease_outlives(stack, kills: list[tuple[float, dict[str, float]]]) -> None:
    """Every device that a kill left alone went back to its default before that lease's own end, and by its ramp."""
    released = 0
    for device in {device for _, ends in kills for device in ends}:
        events = [e for e in stack.device_events() if e["device"] == device]
        beats = [e["t"] for e in events if e["event"] == "write" and e["values"]["point"] == "heartbeat"]
        for event in (e for e in events if e["event"] == "control_source" and e["values"]["from"] == "remote"):
            earlier = [k for k in kills if k[0] < event["t"]]
            if not earlier:  # a busy machine let a lease lapse; no kill had to do with it
                continue
            killed_s, ends = max(earlier, key=lambda k: k[0])
            assert event["t"] <= max(t for t in beats if t < event["t"]) + DEVICE_TIMEOUT_S + TICK_S, event
            if device in ends and not any(killed_s < t < event["t"] for t in beats):  # else taken after we had asked
                assert event["t"] <= ends[device] + TICK_S, (event, killed_s, ends)
            released += 1
        _returns_by_its_ramp(events)
    assert released, "no device ever went back to its default: the kills tested nothing"


def _returns_by_its_ramp(events: list[dict]) -> None:
    """From release to default every setpoint moves no faster than the device's ramp, never as a jump."""
    moved_s, followed = 0.0, {}
    for event in events:
        values = event["values"]
        if event["event"] not in {"control_source", "ramp"}:
            continue
        if event["event"] == "ramp" or values["from"] == "returning":
            for point, per_s in RAMP_PER_S.items():
                if point in values and point in followed:
                    reach = per_s * (event["t"] - moved_s + TICK_S) * 1.001
                    assert abs(values[point] - followed[point]) <= reach, event
        moved_s, followed = event["t"], {p: v for p, v in values.items() if p in RAMP_PER_S}


def _no_jump(stack) -> None:
    """A supply setpoint is never written further than the guard's step from what the device then followed."""
    effective: dict[str, float] = {}
    returning: set[str] = set()
    for event in stack.device_events():
        values, device = event["values"], event["device"]
        if event["event"] == "write" and values["point"] == "supply_temperature_setpoint":
            if device in effective:
                ramped = RAMPED_SINCE_POLL_K if device in returning else 0.0
                assert abs(values["value"] - effective[device]) <= LARGEST_STEP_K + ramped, event
            effective[device] = values["value"]
        if event["event"] == "control_source":
            (returning.add if values["to"] == "returning" else returning.discard)(device)
        if event["event"] in {"ramp", "control_source"} and "effective_supply_temperature_setpoint" in values:
            effective[device] = values["effective_supply_temperature_setpoint"]


@pytest.mark.real
def test_broker_gone_and_back(stack):
    """Without its broker coldplate says so and controls on; when it is back, values flow again."""
    stack.wait_command()
    stack.kill("broker")
    wait_for(lambda: "broker_lost" in stack.conditions(), 30, "broker_lost")
    before = wait_for(lambda: stack.get("/v1/plans")["plans"], 30, "a plan")[0]["made_s"]
    wait_for(lambda: stack.get("/v1/plans")["plans"][0]["made_s"] > before, 30, "plans go on")
    stack.start_broker()
    wait_for(lambda: "broker_lost" not in stack.conditions(), 60, "the broker is back")


@pytest.mark.real
def test_store_deleted(stack):
    """The history file deleted under way: control and page go on, and history is written again."""
    stack.wait_command()
    for path in stack.state.glob("history.sqlite*"):
        path.unlink()
    before = wait_for(lambda: stack.get("/v1/plans")["plans"], 30, "a plan")[0]["made_s"]
    wait_for(lambda: stack.get("/v1/plans")["plans"][0]["made_s"] > before, 30, "plans go on")
    wait_for((stack.state / "history.sqlite").exists, 30, "a new history file")
    wait_for(lambda: _gpu_times(stack), 30, "history again")


@pytest.mark.real
def test_one_cdu_silent(stack):
    """A silent CDU is named with cause and remedy; the rest of the plant stays live; it is welcome when it is back."""
    stack.wait_command()
    stack.fault("silence cdu-2")
    found = wait_for(
        lambda: [
            c for c in stack.get("/v1/conditions")["conditions"] if c["code"] == "device_silent" and "cdu-2" in str(c)
        ],
        40,
        "device_silent",
    )
    assert found[0]["cause"]["text"]
    assert found[0]["remedy"]["text"]
    fresh = {p["id"]: p for p in stack.get("/v1/points", equipment="cdu-1")["points"]}
    assert fresh["cdu-1/tcs_supply_temperature"]["quality"].lower() == "good"
    stack.fault("resume cdu-2")
    wait_for(lambda: "device_silent" not in stack.conditions(), 60, "it is back")


@pytest.mark.real
def test_all_to_default_while_the_optimiser_hangs(make_stack, demo_site_path, tmp_path, monkeypatch):
    """With a hung optimiser, *all to default* takes every device back at once, and the page says what is wrong."""
    hang = tmp_path / "hang"
    monkeypatch.setenv("COLDPLATE_TEST_HANG_FILE", str(hang))
    stack = make_stack(demo_site_path, speed=30.0, mosquitto=True)
    stack.wait_command()
    hang.touch()
    wait_for(lambda: "optimiser_late" in stack.conditions(), 60, "optimiser_late")
    began = time.monotonic()
    assert stack.post("/v1/all-to-default", {"reason": "drill"}).status_code == 200
    assert time.monotonic() - began < 5
    wait_for(lambda: not stack.get("/v1/leases")["actuator"]["leases"], 10, "no leases")
    source = {p["id"]: p for p in stack.get("/v1/points", equipment="cdu-1")["points"]}
    wait_for(lambda: source, 1, "points")
    wait_for(
        lambda: (
            {p["id"]: p["value"] for p in stack.get("/v1/points", equipment="cdu-1")["points"]}["cdu-1/control_source"]
            != 1
        ),
        20,
        "the CDU is local again",
    )


@pytest.mark.real
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_disk_full(make_stack, demo_site_path, tmp_path):
    """On a full disk control and page go on and say what is wrong; with room again everything heals."""
    state = tmp_path / "state"
    state.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48M", "tmpfs", str(state)], check=False)
    if mounted.returncode:
        pytest.skip("this machine does not let us mount a tmpfs")
    try:
        stack = make_stack(demo_site_path, speed=30.0)
        stack.wait_command()
        _fill(state / "filler")
        wait_for(lambda: stack.conditions() & {"spool_failing", "store_lost"}, 40, "the full disk is told")
        before = wait_for(lambda: stack.get("/v1/plans")["plans"], 30, "a plan")[0]["made_s"]
        wait_for(lambda: stack.get("/v1/plans")["plans"][0]["made_s"] > before, 30, "plans go on")
        wait_for(lambda: stack.get("/v1/status")["live_points"] > 2000, 30, "MQTT goes on, into memory")
        (state / "filler").unlink()
        wait_for(lambda: not stack.conditions() & {"spool_failing", "store_lost"}, 90, "it heals")
        stack.close()
    finally:
        subprocess.run(["umount", "-l", str(state)], check=True)


def _fill(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(b"0" * 65536):
            pass
