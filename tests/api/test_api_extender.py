"""The scheduler extender as kube-scheduler meets it: bytes over a real connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket

import pytest

from cli.extender_question import Extender, extender_answers
from cli.listening import Listening
from cli.serve import PageServer
from plant.budgets import Budget, BudgetSource
from plant.errors import ConfigError, RefusedError, SilentError
from plant.records import Headroom

# kube-scheduler 1.20.2, nodeCacheCapable: true; a pod of 8 GPUs, shortened
CAPTURED = (
    b'{"Pod":{"metadata":{"name":"train-7","namespace":"default","uid":"0bb7b7b0-66d0-4f0c-9f3e-1c4e2b8c6f11",'
    b'"creationTimestamp":"2026-11-20T10:11:12Z"},"spec":{"containers":[{"name":"main","image":"train:1","resources":'
    b'{"limits":{"nvidia.com/gpu":"8"},"requests":{"cpu":"64","nvidia.com/gpu":"8"}}}],"restartPolicy":"Always"},'
    b'"status":{"phase":"Pending"}},"Nodes":null,"NodeNames":["rack-01","rack-02","stranger"]}'
)


@pytest.fixture
async def roomy(edge, informed, app, until):
    """rack-01 has 90 kW of room, rack-02 has 5 kW; eight GPUs draw 14.7 kW."""
    given = {"at_s": edge.clock.now(), "marginal_w_per_w": 0.0, "known": True}
    rooms = [Headroom(rack=r, power_w=w, cooling_w=w, **given) for r, w in (("rack-01", 90e3), ("rack-02", 5e3))]
    await edge.say("headroom", rooms)
    await until(lambda: len(app.state.service.mirror.headroom) == 2)
    return informed


async def test_filter_byte_for_byte(roomy):
    """Capitalised keys, names for names, the reason of what failed; who is not known passes."""
    got = await roomy.post("/k8s/extender/filter", content=CAPTURED)
    assert got.status_code == 200
    assert got.headers["content-type"] == "application/json"
    assert got.content == (
        b'{"Nodes":null,"NodeNames":["rack-01","stranger"],'
        b'"FailedNodes":{"rack-02":"rack-02 has 5.0 kW left of 14.7 kW wanted"},'
        b'"FailedAndUnresolvableNodes":{"rack-02":"rack-02 has 5.0 kW left of 14.7 kW wanted"},"Error":""}'
    )


async def test_prioritize_byte_for_byte(roomy):
    """A row for each node of the question, whole numbers up to ten, nothing better than what is known."""
    got = await roomy.post("/k8s/extender/prioritize", content=CAPTURED)
    assert got.content == b'[{"Host":"rack-01","Score":6},{"Host":"rack-02","Score":0},{"Host":"stranger","Score":5}]'


async def test_a_budget_without_room_filters(roomy, edge, app, until):
    """Of rack, CDU, loop and site alike, and also where headroom is ample."""
    now_s = edge.clock.now()
    given = {"source": BudgetSource.OPERATOR, "actor": "mei", "reason": "test", "at_s": now_s, "until_s": now_s + 9e4}
    await edge.say_live({"rack-01/power": 40e3})
    for scope, kw, failed in (("rack-01", 50, True), ("rack-01", 60, False), ("tcs-1", 5, True), ("site", 5, True)):
        budget = Budget(scope=scope, power_w=kw * 1e3, **given)
        await edge.say("budgets", [budget])
        await until(lambda budget=budget: app.state.service.mirror.budgets == [budget])
        answer = (await roomy.post("/k8s/extender/filter", content=CAPTURED)).json()
        assert ("rack-01" in answer["FailedNodes"]) is failed, (scope, kw)
        assert not failed or answer["FailedNodes"]["rack-01"].startswith(f"the budget of {scope} has ")


async def test_a_pod_whose_power_is_none_passes_nowhere(roomy):
    """Each node says why, as an ignorable extender's `Error` is skipped; prioritize 422; so does what is no question."""
    request = json.loads(CAPTURED)
    request["Pod"]["metadata"]["annotations"] = {"coldplate.io/power-w": "5 kW"}
    answer = (await roomy.post("/k8s/extender/filter", json=request)).json()
    assert (answer["NodeNames"], answer["Error"]) == ([], "")
    assert list(answer["FailedAndUnresolvableNodes"]) == ["rack-01", "rack-02", "stranger"]
    assert "pod default/train-7: coldplate.io/power-w: '5 kW'; give watts" in answer["FailedNodes"]["stranger"]
    assert (await roomy.post("/k8s/extender/prioritize", json=request)).status_code == 422
    got = await roomy.post("/k8s/extender/filter", content=b"[]")
    assert (got.status_code, "ExtenderArgs" in got.json()["remedy"]) == (422, True)


async def test_devices_that_only_a_claim_names(roomy, app):
    """A pod whose GPUs stand in a resource claim passes as one without power, and people are told, until it says one."""
    steady = [1000.0]
    app.state.service.hints.questions.steady_s = lambda: steady[0]
    request = json.loads(CAPTURED)
    request["Pod"]["spec"] = {
        "containers": [{"name": "main", "resources": {"claims": [{"name": "gpus"}], "requests": {"cpu": "64"}}}],
        "resourceClaims": [{"name": "gpus", "resourceClaimTemplateName": "eight-gpus"}],
    }
    told = {c["code"]: c for c in (await roomy.get("/v1/conditions")).json()["conditions"]}
    assert "extender_claimed_devices" not in told
    assert (await roomy.post("/k8s/extender/filter", json=request)).json()["FailedNodes"] == {}
    told = {c["code"]: c for c in (await roomy.get("/v1/conditions")).json()["conditions"]}["extender_claimed_devices"]
    assert told["cause"]["text"].startswith("1 pods have devices by resource claims alone (default/train-7)")
    assert (told["severity"], "coldplate.io/power-w" in told["remedy"]["text"]) == ("warning", True)
    steady[0] = 2000.0
    request["Pod"]["metadata"]["annotations"] = {"coldplate.io/power-w": "14700"}
    assert list((await roomy.post("/k8s/extender/filter", json=request)).json()["FailedNodes"]) == ["rack-02"]
    assert "extender_claimed_devices" not in (await roomy.get("/v1/conditions")).text


@pytest.mark.parametrize("claims", [None, []])
async def test_no_claims(roomy, claims):
    """Written out as nothing they are nothing."""
    request = json.loads(CAPTURED)
    request["Pod"]["spec"]["resourceClaims"] = claims
    assert list((await roomy.post("/k8s/extender/filter", json=request)).json()["FailedNodes"]) == ["rack-02"]
    assert "extender_claimed_devices" not in (await roomy.get("/v1/conditions")).text


async def test_five_thousand_whole_nodes_and_too_many_bytes(roomy, app):
    """Without nodeCacheCapable: 8 MB of nodes come back untouched; beyond 64 MiB the answer says what to set; people are told."""
    app.state.service.hints.questions.steady_s = lambda: 1000.0
    filler = {f"label-{i}": "x" * 40 for i in range(30)}
    nodes = [{"metadata": {"name": f"n-{i}", "labels": filler}} for i in range(4999)] + [
        {"metadata": {"name": "rack-02"}}
    ]
    request = json.loads(CAPTURED) | {"Nodes": {"metadata": {}, "items": nodes}, "NodeNames": None}
    got = await roomy.post("/k8s/extender/filter", json=request)
    answer = got.json()
    assert answer["NodeNames"] is None
    assert answer["Nodes"]["items"] == nodes[:4999]
    assert list(answer["FailedNodes"]) == ["rack-02"]
    told = {c["code"]: c for c in (await roomy.get("/v1/conditions")).json()["conditions"]}["extender_whole_nodes"]
    assert told["cause"]["text"].startswith("kube-scheduler sends the extender 5000 whole nodes for a pod")
    assert (told["severity"], "nodeCacheCapable: true" in told["remedy"]["text"]) == ("info", True)
    app.state.service.hints.questions.steady_s = lambda: 2000.0
    assert "extender_whole_nodes" not in (await roomy.get("/v1/conditions")).text
    got = await roomy.post("/k8s/extender/filter", content=b"", headers={"content-length": "67108865"})
    assert (got.status_code, "nodeCacheCapable: true" in got.json()["remedy"]) == (413, True)


async def test_where_strangers_may_come_it_wants_its_own_password(roomy, app):
    """As kube-scheduler sends that of its urlPrefix; neither none, nor another, nor the site's token will do."""
    app.state.service.extender_token = "s3cret"
    sent = {"ok": ("scheduler", "s3cret"), "other": ("scheduler", "secret"), "none": None, "colon": ("s3cret", "")}
    codes = {
        name: (await roomy.post("/k8s/extender/filter", content=CAPTURED, auth=auth)).status_code
        for name, auth in sent.items()
    }
    assert codes == {"ok": 200, "other": 401, "none": 401, "colon": 401}
    for header in ("Basic", "Basic %%%", "Bearer s3cret"):
        got = await roomy.post("/k8s/extender/filter", content=CAPTURED, headers={"Authorization": header})
        assert (got.status_code, "extender-token" in got.json()["remedy"]) == (401, True)


class Cluster:
    """Of two nodes."""

    async def nodes(self) -> dict[str, dict[str, str]]:
        """By name."""
        return {"rack-01": {}, "elsewhere": {}}


@contextlib.asynccontextmanager
async def served(app, until, **tls):
    """The real server; its port."""
    server = PageServer(app, Listening(port=0, **tls))
    serving = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started, within_s=60.0)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.stop()
        await serving


async def test_the_check_of_a_cluster_sends_the_password(app, until):
    """`coldplate k8s verify --api` asks as kube-scheduler does; without it the remedy names the option."""
    app.state.service.extender_token = "s3cret"
    async with served(app, until) as port:
        url = f"http://127.0.0.1:{port}"
        assert "2 have a score" in await extender_answers(Cluster(), Extender(url=url, password="s3cret"))
        with pytest.raises(RefusedError, match=r"HTTP 401 .*--extender-token-file"):
            await extender_answers(Cluster(), Extender(url=url))


async def test_the_check_says_what_is_wrong_with_certificate_or_name(app, until, certificate):
    """Another's authority, another name, plain http, a name that is not served: each with what to do."""
    cert, key = certificate("DNS:localhost")
    strangers = certificate("DNS:localhost")[0]
    async with served(app, until, tls_cert=cert, tls_key=key) as port:
        here = f"https://localhost:{port}"
        assert "2 have a score" in await extender_answers(Cluster(), Extender(url=here, ca_file=cert))
        for url, ca, kind, said in (
            (here, strangers, SilentError, "not believed: self-signed certificate; name its authority"),
            (here, None, SilentError, "--extender-ca-file"),
            (f"https://127.0.0.1:{port}", cert, SilentError, "not believed: .*IP address mismatch.*subjectAltName"),
            (f"http://localhost:{port}", None, SilentError, "no answer in http .*https"),
            (here, key, ConfigError, "key.pem: .*authority that signed"),
        ):
            with pytest.raises(kind, match=said):
                await extender_answers(Cluster(), Extender(url=url, ca_file=ca))
    async with served(app, until) as port:
        with pytest.raises(SilentError, match="no TLS there"):
            await extender_answers(Cluster(), Extender(url=f"https://localhost:{port}", ca_file=cert))
    async with served(app, until, host="127.0.0.2") as port:
        with pytest.raises(RefusedError, match=r"HTTP 421 .*--name"):
            await extender_answers(Cluster(), Extender(url=f"http://127.0.0.2:{port}"))


async def test_an_idle_connection_is_kept_longer_than_kube_scheduler_keeps_it(app, until):
    """It ends them after 90 s; if we did first, the pod that comes at that moment would be placed without us."""
    server = PageServer(app, Listening(port=0))
    assert server.config.timeout_keep_alive > 90
    async with served(app, until) as port:
        _, writer = connection = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await connection[0].readuntil(b"}")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connection[0].read(1), 6.0)  # uvicorn's own default is 5 s
        writer.close()


async def test_the_running_server_never_waits_for_acknowledgements(app, until):
    """TCP_NODELAY on a connection that the real server has accepted (Nagle cost kube-scheduler 80 ms a pod)."""
    server = PageServer(app, Listening(port=0))
    serving = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started, within_s=60.0)
        port = server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST /k8s/extender/filter HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(CAPTURED)}\r\n\r\n"
        writer.write(head.encode() + CAPTURED)
        assert b"200 OK" in await reader.readline()
        (connection,) = server.server_state.connections
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        writer.close()
    finally:
        server.stop()
        await serving


async def test_under_a_budget_what_stays_is_made_once(roomy, app, edge, until):
    """What runs is looked at every two seconds; names of nodes, ten thousand of them, are not put into words anew."""
    hints, now_s = app.state.service.hints, edge.clock.now()
    made = Budget(scope="site", power_w=9e5, source=BudgetSource.OPERATOR, actor="mei", reason="feed B",
                  at_s=now_s, until_s=now_s + 3600.0)  # fmt: skip
    await edge.say("budgets", [made])
    await until(lambda: hints.now().budgets)
    first = hints.now()
    await until(lambda: hints.now() is not first)
    assert hints.now().called is first.called
    assert hints.now().table is not first.table
