"""Hints and the scheduler extender for ten thousand nodes, over real HTTP, beside a plain FastAPI and pydantic server.

The real server runs as a process of its own, pinned to one core, the client on the other. Limits: extender 20 ms and
hints 10 ms at p99, 500 requests/s. Every workload asks for another power: nothing is kept from before. The extender
is measured once more under budgets, with a new pod on every call, so that what was promised changes each time.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.hints_budget import new_pod, tell_budgets, telling
from benchmarks.hints_rig import (
    EdgeBeside,
    RawClient,
    cores,
    cpu_s,
    free_port,
    node_name,
    request,
    serve_command,
    server,
    write_site,
)
from plant.errors import SilentError

NODES = 10_000
ROUNDS, QUICK_ROUNDS = 1000, 200
AT_ONCE = 4
EXTENDER_LIMIT_MS, HINT_LIMIT_MS, RATE_LIMIT = 20.0, 10.0, 500.0
POD_GPUS = tuple(range(1, 9))
OK, NOT_MODIFIED = 200, 304
VERBS = ("filter", "prioritize")


def run(quick: bool, data: Path | None, nodes: int = NODES, rounds: int = 0) -> dict[str, float]:  # noqa: ARG001
    """Times [ms], rates [1/s], their share of the limits, and the same of the peer."""
    rounds = rounds or (QUICK_ROUNDS if quick else ROUNDS)
    server_core, client_core = cores()
    before = os.sched_getaffinity(0)
    try:
        if client_core is not None:
            os.sched_setaffinity(0, {client_core})
        ours, theirs = _ours(nodes, rounds, server_core), _peer(nodes, rounds, server_core)
    finally:
        os.sched_setaffinity(0, before)
    return {
        "nodes": float(nodes),
        **ours,
        **theirs,
        "hint_p99_share_of_limit": ours["hint_p99_ms"] / HINT_LIMIT_MS,
        "extender_p99_share_of_limit": ours["extender_p99_ms"] / EXTENDER_LIMIT_MS,
        "extender_budget_p99_share_of_limit": ours["extender_budget_p99_ms"] / EXTENDER_LIMIT_MS,
        "requests_per_s_times_limit": ours["requests_per_s"] / RATE_LIMIT,
        "extender_cpu_ms_by_peer": ours["extender_cpu_ms"] / theirs["peer_extender_cpu_ms"],
        "extender_p99_ms_by_peer": ours["extender_p99_ms"] / theirs["peer_extender_p99_ms"],
        "pinned": float(server_core is not None),
    }


def _ours(nodes: int, rounds: int, core: int | None) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        site, state, port = Path(folder) / "site.yaml", Path(folder) / "state", free_port()
        racks = write_site(site, nodes)
        loops = sorted({f"tcs-{rack.split('-')[1]}" for rack in racks})
        command = serve_command(site, state, port)
        with EdgeBeside(state / "bus.sock", racks, loops) as edge, server(command, port, core) as pid:
            _informed(port)
            extender = _extender(port, pid, nodes, rounds, "extender")
            found = {
                **_hints(port, pid, rounds),
                **extender,
                **_lists(port, rounds),
                "full_nodes_ms": _full(port, nodes // 2),
            }
            return found | _budgeted(edge, racks, port, pid, nodes, rounds)


def _peer(nodes: int, rounds: int, core: int | None) -> dict[str, float]:
    port = free_port()
    with server(["benchmarks.hints_peer", str(port), str(nodes)], port, core) as pid:
        return _extender(port, pid, nodes, max(rounds // 4, 1), "peer_extender")


def _informed(port: int) -> None:
    """Wait until the server has heard of headroom."""
    ends_s = time.monotonic() + 60.0
    with RawClient.to(port) as client:
        while json.loads(client.ask(request("GET", "/v1/hints/nodes"))[1])["confidence"] == 0.0:
            if time.monotonic() > ends_s:
                raise SilentError("the server hears no headroom from the edge")
            time.sleep(0.1)


def _hints(port: int, pid: int, rounds: int) -> dict[str, float]:
    """One workload after the other, then a few at once."""
    asked = [_workload(i) for i in range(rounds)]
    with RawClient.to(port) as client:
        took_s = _timed([_asking(client, body) for body in asked])
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient.to(port)) for _ in range(AT_ONCE)]
        used_s, began = cpu_s(pid), time.perf_counter()
        for start in range(0, rounds, AT_ONCE):
            some = list(zip(clients, asked[start : start + AT_ONCE], strict=False))
            for one, body in some:
                one.connection.sendall(body)
            for one, _ in some:
                _checked(one.answer())
        elapsed_s, used_s = time.perf_counter() - began, cpu_s(pid) - used_s
    return {
        "hint_p50_ms": _ms(took_s, 50),
        "hint_p99_ms": _ms(took_s, 99),
        "requests_per_s": rounds / elapsed_s,
        "requests_per_cpu_s": rounds / max(used_s, 1e-2),
    }


def _workload(number: int) -> bytes:
    """Every one with another power, some for several nodes that want to stay together."""
    body: dict[str, float | str] = {"power_kw": 1.0 + 0.013 * number}
    if number % 4 == 0:
        body |= {"nodes": 8, "locality": "cdu"}
    return request("POST", "/v1/hints", json.dumps(body).encode())


def _extender(port: int, pid: int, nodes: int, rounds: int, name: str) -> dict[str, float]:
    """Both verbs in turn with the names of all nodes, pods of one to eight GPUs."""
    names = [node_name(i) for i in range(nodes)]
    bodies = [json.dumps({"Pod": _pod(gpus), "Nodes": None, "NodeNames": names}).encode() for gpus in POD_GPUS]
    asked = [request("POST", f"/k8s/extender/{verb}", body) for body in bodies for verb in VERBS]
    with RawClient.to(port) as client:
        used_s = cpu_s(pid)
        took_s = _timed([_asking(client, asked[i % len(asked)]) for i in range(2 * rounds)])
        used_s = cpu_s(pid) - used_s
    made = {f"{name}_p50_ms": _ms(took_s, 50), f"{name}_p99_ms": _ms(took_s, 99)}
    return made | {f"{name}_cpu_ms": 1e3 * used_s / len(took_s)}


def _budgeted(edge: EdgeBeside, racks: Sequence[str], port: int, pid: int, nodes: int, rounds: int) -> dict[str, float]:
    """Both verbs in turn for pods that are new each time, under budgets of the site, of CDUs and of racks."""
    tail = json.dumps([node_name(i) for i in range(nodes)]).encode()
    tell_budgets(edge, racks)

    def calls(client: RawClient) -> Iterator[Callable[[], None]]:
        for number in telling(edge, racks, rounds):
            body = b'{"Pod":%b,"Nodes":null,"NodeNames":%b}' % (json.dumps(new_pod(number)).encode(), tail)
            for verb in VERBS:
                yield _asking(client, request("POST", f"/k8s/extender/{verb}", body))

    with RawClient.to(port) as client:
        used_s = cpu_s(pid)
        took_s = _timed(calls(client))
        used_s = cpu_s(pid) - used_s
    made = {"extender_budget_p50_ms": _ms(took_s, 50), "extender_budget_p99_ms": _ms(took_s, 99)}
    return made | {"extender_budget_cpu_ms": 1e3 * used_s / len(took_s)}


def _lists(port: int, rounds: int) -> dict[str, float]:
    """The list of all nodes whole, and asked for with the ETag that is known already."""
    with RawClient.to(port) as client:
        status, body = client.ask(request("GET", "/v1/hints/nodes"))
        etag = f'If-None-Match: "{json.loads(body)["id"]}"\r\n'
        whole = _timed([_asking(client, request("GET", "/v1/hints/nodes"))] * max(rounds // 4, 1))
        known = request("GET", "/v1/hints/nodes", headers=etag)
        again = _timed([_asking(client, known, NOT_MODIFIED)] * rounds)
    return {
        "list_megabytes": len(body) / 1e6 if status == OK else 0.0,
        "list_p99_ms": _ms(whole, 99),
        "list_unchanged_p99_ms": _ms(again, 99),
    }


def _full(port: int, nodes: int) -> float:
    """A filter with whole node objects of 3 kB each, half as many as there are: the longest of three [ms]."""
    filler = {f"example.com/label-{i}": "x" * 50 for i in range(36)}
    items = [{"metadata": {"name": node_name(i), "labels": filler}} for i in range(nodes)]
    body = json.dumps({"Pod": _pod(8), "Nodes": {"items": items}, "NodeNames": None}).encode()
    with RawClient.to(port) as client:
        return _ms(_timed([_asking(client, request("POST", "/k8s/extender/filter", body))] * 3), 100)


def _pod(gpus: int) -> dict[str, object]:
    limits = {"nvidia.com/gpu": str(gpus)}
    resources = {"limits": limits, "requests": {"cpu": "8", **limits}}
    containers = [{"name": "main", "image": "train:1", "resources": resources}]
    return {"metadata": {"name": f"train-{gpus}", "namespace": "default"}, "spec": {"containers": containers}}


def _asking(client: RawClient, asked: bytes, expected: int = OK) -> Callable[[], None]:
    return lambda: _checked(client.ask(asked), expected)


def _checked(answer: tuple[int, bytes], expected: int = OK) -> None:
    if answer[0] != expected:
        raise SilentError(f"status {answer[0]}: {answer[1][:200]!r}")


def _timed(calls: Iterable[Callable[[], None]]) -> list[float]:
    """Seconds of each call."""
    took_s = []
    for call in calls:
        began = time.perf_counter()
        call()
        took_s.append(time.perf_counter() - began)
    return took_s


def _ms(took_s: Sequence[float], percent: float) -> float:
    return float(np.percentile(took_s, percent)) * 1e3
