"""What the API shows of a running edge."""

from __future__ import annotations

import math

import numpy as np

from plant.clock import ScaledClock
from plant.running import LinkState
from plant.samples import Quality, Reason, SampleBatch, quality_code
from store.audit import AuditLog
from store.embedded import EmbeddedStore

METERS = {
    "meter-utility/active_power": 1_000_000.0,
    "meter-ups/active_power": 800_000.0,
    "meter-cdu-1/active_power": 5_000.0,
    "meter-cdu-2/active_power": 5_000.0,
    "meter-fws-pumps/active_power": 10_000.0,
    "meter-dry-coolers/active_power": 20_000.0,
    "meter-chiller/active_power": 30_000.0,
    "meter-air-unit/active_power": 7_000.0,
}


async def test_status_tells_the_pue_of_the_moment_from_good_meters(edge, client, app, until):
    """Instantaneous PUE is site meter over UPS meter, labelled with its category, and cooling is the sum of its meters."""
    await edge.say_live(METERS)
    await until(lambda: len(app.state.service.mirror.rows) == len(METERS))
    status = (await client.get("/v1/status")).json()
    assert status["instantaneous_pue"]["value"] == 1.25
    assert status["instantaneous_pue"]["label"] == "instantaneous"
    assert status["instantaneous_pue"]["category"] == 1
    assert status["cooling_w"] == 77_000.0
    assert status["live_points"] == len(METERS)
    assert status["total_points"] > 3000


async def test_pue_is_left_out_when_a_meter_is_not_good(edge, client, app, until):
    """A ratio that rests on a doubtful meter is not shown at all."""
    await edge.say_live(METERS)
    await edge.say_live({"meter-ups/active_power": 800_000.0}, code=quality_code(Quality.UNCERTAIN, Reason.STUCK))
    rows = app.state.service.mirror.rows
    await until(lambda: len(rows) == len(METERS) and rows["meter-ups/active_power"].code)
    status = (await client.get("/v1/status")).json()
    assert status["instantaneous_pue"] is None
    assert status["it_w"] is None
    assert status["site_w"] == 1_000_000.0


async def test_the_site_clock_is_the_edges(edge, client, app, until):
    """The speed and time shown are those that the edge tells."""
    await until(lambda: "clock" in app.state.service.mirror.versions)
    status = (await client.get("/v1/status")).json()
    assert status["speed"] == edge.clock.speed
    assert abs(status["now_s"] - edge.clock.now()) < 5 * edge.clock.speed
    assert status["edge_connected"] is True


async def test_every_record_is_shown_under_its_endpoint(informed):
    """Forecast, plans, modes, conditions, headroom, links and leases arrive whole."""
    got = {
        name: (await informed.get(f"/v1/{name}")).json() for name in ("forecast", "plans", "modes", "headroom", "links")
    }
    assert got["forecast"]["forecast"]["heats"][0]["heat_w"][2] == [5.0, 6.0]
    assert got["plans"]["plans"][0]["setpoints"][0]["target"] == 38.0
    assert got["plans"]["plans"][0]["reason"]["text"] == "warmer water saves fan power"
    assert got["modes"]["modes"][0]["mode"] == "advisory"
    assert len(got["headroom"]["headroom"]) == 8
    assert got["links"]["links"][0]["state"] == "up"
    assert (await informed.get("/v1/leases")).json()["actuator"]["epoch"] == 3
    codes = [c["code"] for c in (await informed.get("/v1/conditions")).json()["conditions"]]
    assert "device_silent" in codes
    assert "edge_lost" not in codes


async def test_without_an_edge_everything_answers_and_says_so(client):
    """With no edge there is no error 500, only empty records, a condition with a remedy, and not ready."""
    assert (await client.get("/v1/forecast")).json() == {"forecast": None}
    assert (await client.get("/v1/leases")).json() == {"actuator": None}
    status = (await client.get("/v1/status")).json()
    assert status["edge_connected"] is False
    lost = next(c for c in status["conditions"] if c["code"] == "edge_lost")
    assert lost["severity"] == "critical"
    assert "coldplate run" in lost["remedy"]["text"]
    ready = await client.get("/health/ready")
    assert ready.status_code == 503
    assert "edge" in ready.json()["error"]
    assert (await client.get("/health/live")).status_code == 200


async def test_a_lost_edge_is_noticed_and_a_new_one_found(edge, client, app, until):
    """When the edge restarts, the server connects to the new one without help."""
    mirror = app.state.service.mirror
    await until(lambda: mirror.edge_connected)
    await edge.stop()
    await until(lambda: not mirror.edge_connected)
    await edge.start()
    await until(lambda: mirror.edge_connected)
    assert (await client.get("/health/ready")).json() == {"ready": True}


async def test_points_carry_age_quality_and_reasons(edge, client, app, until):
    """A value goes nowhere without its age and quality; one never heard of is there, and bad."""
    await edge.say_live({"cdu-1/tcs_flow": None}, code=quality_code(Quality.BAD, Reason.RANGE | Reason.NOT_A_NUMBER))
    await edge.say_live({"cdu-1/pump_speed": 0.7})
    await until(lambda: len(app.state.service.mirror.rows) == 2)
    body = (await client.get("/v1/points", params={"equipment": "cdu-1"})).json()
    points = {p["id"]: p for p in body["points"]}
    flow, speed = points["cdu-1/tcs_flow"], points["cdu-1/pump_speed"]
    assert flow["value"] is None
    assert set(flow["reasons"]) == {"range", "not_a_number"}
    assert speed["value"] == 0.7
    assert speed["quality"] == "good"
    assert 0 <= speed["age_s"] < 6
    assert points["cdu-1/status"] | {"quality": "bad", "reasons": ["no_comm"]} == points["cdu-1/status"]
    assert {p["id"].split("/")[0] for p in body["points"]} == {"cdu-1"}


async def test_a_value_that_is_not_renewed_becomes_stale(edge, client, app, until):
    """Staleness is judged when shown, also when the edge says nothing more."""
    await edge.say_live({"cdu-1/pump_speed": 0.7}, age_s=3600)
    await until(lambda: app.state.service.mirror.rows)
    point = (await client.get("/v1/points", params={"prefix": "cdu-1/pump_speed"})).json()["points"][0]
    assert point["quality"] == "bad"
    assert point["reasons"] == ["stale"]
    assert point["age_s"] >= 3600 - 1
    assert (await client.get("/v1/status")).json()["live_points"] == 0


async def test_points_per_gpu_come_only_when_asked_for(client):
    """Thousands of GPU points stay out of a plain listing."""
    plain = (await client.get("/v1/points")).json()["points"]
    assert not [p for p in plain if "/gpu-" in p["id"]]
    one = (await client.get("/v1/points", params={"prefix": "rack-01/gpu-07/"})).json()["points"]
    assert {p["id"] for p in one} >= {"rack-01/gpu-07/temperature", "rack-01/gpu-07/power"}


async def test_gpus_are_summed_up_by_rack(edge, client, app, until):
    """Hottest, mean, total power and XID reports come from the GPUs that are heard."""
    gpus = {f"rack-02/gpu-{i:02d}": 50.0 + i for i in range(4)}
    await edge.say_live({f"{g}/temperature": t for g, t in gpus.items()})
    await edge.say_live({f"{g}/power": 1000.0 for g in gpus})
    await edge.say_live({"rack-02/gpu-01/xid": 79.0, "rack-02/gpu-02/xid": 0.0})
    await until(lambda: len(app.state.service.mirror.rows) == 10)
    rack = (await client.get("/v1/gpus", params={"rack": "rack-02"})).json()["racks"][0]
    assert (rack["gpus"], rack["live"]) == (72, 4)
    assert rack["hottest"] == "gpu-03"
    assert rack["max_temperature_c"] == 53.0
    assert rack["mean_temperature_c"] == 51.5
    assert rack["power_w"] == 4000.0
    assert rack["xid_gpus"] == ["gpu-01"]


async def test_the_site_says_what_stands_where(client):
    """Equipment, envelopes, limits and sources are those of the site file."""
    site = (await client.get("/v1/site")).json()
    cdu = next(e for e in site["equipment"] if e["id"] == "cdu-1")
    assert "fws-pumps" in cdu["fed_by"]
    status = next(p for p in cdu["points"] if p["name"] == "status")
    assert status["states"]["1"] == "running"
    group = site["groups"][0]
    assert group["envelopes"]["supply_temperature"]["maximum"] == 42.0
    assert group["design"]["supply_temperature"] == 32.0
    case = next(v for v in site["limits"] if v["id"] == "case")
    assert case["maximum"] == 72
    assert case["source"]
    assert len(site["tariff"]["energy_per_kwh"]) == 24


async def test_history_comes_and_goes_with_its_file(client, app, history_path, site, until):
    """Absent, written, deleted, made anew: 503 with a sentence when it is not there, and values when it is."""
    point, ask = "cdu-1/tcs_flow", {"point": "cdu-1/tcs_flow", "start_s": 1000, "end_s": 1010, "step_s": 0}
    lost = await client.get("/v1/history", params=ask)
    assert lost.status_code == 503
    assert "history" in lost.json()["error"]
    mirror = app.state.service.mirror
    for round_number in (1.0, 2.0):
        writer = EmbeddedStore.open(history_path, site.retention)
        await writer.write(
            SampleBatch.of([(point, 1001.0, 1001.0, round_number, 0), (point, 1002.0, 1002.0, math.nan, 2)])
        )
        got = await client.get("/v1/history", params=ask)
        series = got.json()["series"][0]
        assert series["times_s"] == [1001.0, 1002.0]
        assert series["values"] == [round_number, None]
        assert series["quality"] == ["good", "bad"]
        await writer.close()
        await until(lambda: mirror.store_ok)
        for path in history_path.parent.glob("history.sqlite*"):
            path.unlink()
        assert (await client.get("/v1/history", params=ask)).status_code == 503
        await until(lambda: not mirror.store_ok)
    codes = [c["code"] for c in (await client.get("/v1/conditions")).json()["conditions"]]
    assert "store_lost" in codes


async def test_history_refuses_what_would_be_too_much_and_says_what_fits(client):
    """An answer has a bound, and the refusal names a step that keeps it, which then passes."""
    ask = {"point": "cdu-1/tcs_flow", "start_s": 0, "end_s": 86400 * 400, "step_s": 0}
    refused = await client.get("/v1/history", params=ask)
    assert refused.status_code == 422
    step_s = refused.json()["remedy"].partition("step_s=")[2]
    again = await client.get("/v1/history", params=ask | {"step_s": step_s})
    assert again.status_code == 503  # understood: only the store is not there


async def test_history_in_steps_is_an_average(client, history_path, site):
    """Buckets hold the aggregate asked for."""
    writer = EmbeddedStore.open(history_path, site.retention)
    times = np.arange(600.0, 720.0, 10.0)
    await writer.write(SampleBatch.of([("cdu-1/tcs_flow", t, t, float(i), 0) for i, t in enumerate(times)]))
    ask = {"point": "cdu-1/tcs_flow", "start_s": 600, "end_s": 720, "step_s": 60, "aggregate": "max"}
    got = (await client.get("/v1/history", params=ask)).json()
    assert got["series"][0]["values"] == [5.0, 11.0]
    assert (got["step_s"], got["aggregate"]) == (60.0, "max")
    await writer.close()


async def test_audit_shows_the_newest_first_and_passes_over_a_torn_line(client, tmp_path):
    """Entries of all writers, newest first, up to the limit."""
    log = AuditLog(tmp_path / "audit", "actuator")
    for second in range(5):
        log.append(float(second), "controller", "write", "cdu-1/x", {"value": 1.0 * second})
    log.close()
    with (tmp_path / "audit" / "actuator.jsonl").open("a") as file:
        file.write('{"seq": 6, "at')
    entries = (await client.get("/v1/audit", params={"limit": 2})).json()["entries"]
    assert [e["at_s"] for e in entries] == [4.0, 3.0]


async def test_metrics_count_what_the_status_shows(informed):
    """Prometheus sees conditions, commands, the edge and its counters under the project's names."""
    await informed.get("/v1/status")
    text = (await informed.get("/metrics")).text
    assert "coldplate_edge_connected 1.0" in text
    assert "coldplate_accepted_commands_total 4.0" in text
    assert 'coldplate_conditions{severity="warning"}' in text
    assert 'coldplate_edge_figure{name="samples"} 12.0' in text
    assert 'coldplate_http_requests_total{route="/v1/status",status="200"} 1.0' in text
    assert "coldplate_forecast_age_seconds" in text


async def test_metrics_tell_each_link_and_the_spool(edge, informed, app, until):
    """Each link's state, reads and failures, the spool's bytes and the store's failures; nothing of an unheard edge."""
    now_s = edge.clock.now()
    states = {"a": "up", "b": "slow", "c": "silent", "d": "mismatch"}
    links = [LinkState(link=k, endpoint="h:1", state=v, since_s=now_s, reads=9, failures=2) for k, v in states.items()]
    await edge.say("links", links)
    await until(lambda: len(app.state.service.mirror.links) == 4)
    text = (await informed.get("/metrics")).text
    for link, up in {"a": 1.0, "b": 1.0, "c": 0.0, "d": 1.0}.items():
        assert f'coldplate_link_up{{endpoint="h:1",link="{link}"}} {up}' in text
        assert f'coldplate_link_state{{link="{link}",state="{states[link]}"}} 1.0' in text
    assert text.count("coldplate_link_state{") == 16
    assert 'coldplate_link_reads_total{link="a"} 9.0' in text
    assert 'coldplate_link_failures_total{link="c"} 2.0' in text
    assert "coldplate_spool_bytes 7.0" in text
    assert "coldplate_store_failures_total 7.0" in text
    await edge.stop()
    await until(lambda: not app.state.service.mirror.edge_connected)
    assert "coldplate_link_up{" not in (await informed.get("/metrics")).text


async def test_a_malformed_record_is_set_aside(edge, client, app, until):
    """A record of another shape is counted, and the last good one stays."""
    mirror = app.state.service.mirror
    await edge.say_everything()
    await until(lambda: mirror.plans)
    await edge.say("plans", [{"id": 3}])
    await until(lambda: mirror.malformed == 1)
    assert (await client.get("/v1/plans")).json()["plans"][0]["id"] == "plan-1"
    assert "coldplate_malformed_records_total 1.0" in (await client.get("/metrics")).text


def test_scaled_clocks_of_two_processes_agree():
    """The clock that travels as text is the same clock."""
    clock = ScaledClock(speed=20.0)
    assert abs(ScaledClock.parse(clock.spec()).now() - clock.now()) < 1.0


async def test_cooling_failure_is_told(informed):
    """Seconds left by CDU, null where for good or not known; load to shed with its reason; both for Prometheus."""
    left = {r["cdu"]: r for r in (await informed.get("/v1/ride-through")).json()["ride_through"]}
    assert left["cdu-1"]["seconds"] == 74.0
    assert left["cdu-2"]["seconds"] is None
    assert left["cdu-2"]["known"]
    assert not left["cdu-3"]["known"]
    told = (await informed.get("/v1/shed")).json()
    (wish,), (plan,) = told["shed"], told["plans"]
    assert (plan["loop"], plan["steps"], plan["short_w"]) == ("tcs-1", [], 47e3), "nobody told of a job"
    assert (plan["in_time"], plan["covered_in_s"]) == (False, None)
    assert wish["power_w"] == 47e3
    assert wish["reason"]["code"] == "shed_load"
    page = (await informed.get("/metrics")).text
    assert 'coldplate_ride_through_seconds{cdu="cdu-1"} 74.0' in page
    assert 'coldplate_ride_through_seconds{cdu="cdu-2"} +Inf' in page
    assert "cdu-3" not in page
    assert 'coldplate_shed_watts{loop="tcs-1"} 47000.0' in page


async def test_the_identified_model_is_told(informed, app, until):
    """Each parameter with its interval, what plans reckon with, and no baseline before the first fitted day."""
    await until(lambda: "model" in app.state.service.mirror.versions)
    (found,) = (await informed.get("/v1/model")).json()["model"]
    assert found["equipment"] == "cdu-1"
    assert found["low"] < found["value"] == found["used"] < found["high"] < found["prior"]
    assert found["baseline"] is None
