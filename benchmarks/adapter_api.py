"""coldplate's API on loopback as schedulers' adapters see it, in a thread: its own records, whatever they are to say.

The real one answers in tests/api; here it has to fall silent, lie about time, and change its mind to the millisecond.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import msgspec

from placement.api_client import Client
from placement.budgets import Budgets, BudgetShown
from placement.hint_list import NodeHints, NodeScore
from placement.scheduler_reports import Report, state_of
from placement.shed.plan import ShedPlan
from placement.shed.reports import ShedReport, ShedState
from plant.intents import Answer
from plant.job_knowledge import JobKnowledge
from plant.records import Headroom, ShedRequest
from plant.sheds import ShedKept
from store.codec import from_plain


@dataclass
class Api:
    """scores: by node; racks, cdus: of nodes; names: by scheduler; said: where the site file says so; silent: hangs up.

    ahead_s: the site's clock less this host's.
    """

    scores: dict[str, int]
    racks: dict[str, str] = field(default_factory=dict)
    cdus: dict[str, str] = field(default_factory=dict)
    names: dict[str, dict[str, str]] = field(default_factory=dict)
    said: JobKnowledge = field(default_factory=JobKnowledge)
    life_s: float = 60.0
    ahead_s: float = 0.0
    budgets: list[BudgetShown] = field(default_factory=list)
    powers: dict[str, float] = field(default_factory=dict)
    rooms_kw: dict[str, float] = field(default_factory=dict)
    silent: bool = False
    jobs: list[dict[str, Any]] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    asked: list[ShedRequest] = field(default_factory=list)
    plans: list[ShedPlan] = field(default_factory=list)
    sheds: list[ShedReport] = field(default_factory=list)
    books: list[ShedKept] = field(default_factory=list)
    edge_connected: bool = True
    version: int = 0
    _clients: list[Client] = field(default_factory=list)

    def __enter__(self) -> Self:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Nothing."""

            def do_GET(self) -> None:
                """Hints, budgets, powers."""
                path = self.path.partition("?")[0]
                answers = {
                    "/v1/hints/nodes": api.hints,
                    "/v1/budget": api.in_force,
                    "/v1/points": api.points,
                    "/v1/headroom": api.headroom,
                    "/v1/shed": api.shed,
                }
                books = [*api.books[-1:], ShedKept(owner="")]
                self._say(books[0] if path.endswith("/book") else answers[path]())

            def do_PUT(self) -> None:
                """Jobs and reports."""
                assert self.headers["Authorization"] == "Bearer secret"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path.startswith("/v1/jobs"):
                    api.jobs.append(json.loads(body))
                    self._say(Answer(accepted=True, text="taken"))
                elif self.path.endswith("/book"):
                    api.books.append(from_plain(ShedKept, json.loads(body)))
                    self._say(Answer(accepted=True, text="taken"))
                elif self.path.startswith("/v1/shed"):
                    api.sheds.append(msgspec.json.decode(body, type=ShedReport))
                    self._say(Answer(accepted=True, text="taken"))
                else:
                    report = msgspec.json.decode(body, type=Report)
                    api.reports.append(report)
                    self._say(state_of(self.path.rpartition("/")[2], report, 0.0, 0.0, api.said))

            def _say(self, record: object) -> None:
                if api.silent:
                    self.close_connection = True
                    return
                etag = f'"{record.id}"' if isinstance(record, NodeHints) else ""
                same = bool(etag) and etag == self.headers["If-None-Match"]
                body = b"" if same else msgspec.json.encode(record)
                self.send_response(304 if same else 200)
                self.send_header("ETag", etag)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("x-site-time", f"{time.time() + api.ahead_s:.3f}")
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def client(self, token: str = "") -> Client:
        """A client, closed with us."""
        self._clients.append(Client(self.url, token, timeout_s=2.0))
        return self._clients[-1]

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.close()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join(10)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def hints(self) -> NodeHints:
        """A score for every node."""
        now_s = time.time() + self.ahead_s
        nodes = [
            NodeScore(node=n, score=s, rack=self.racks.get(n, f"rack-{n}"), cdu=self.cdus.get(n, ""), reasons=())
            for n, s in self.scores.items()
        ]
        return NodeHints(
            id=f"hints-{hash((*self.scores.items(), self.life_s))}-{self.version}",
            generated_at=now_s,
            valid_until=now_s + self.life_s,
            model_version="m",
            confidence=1.0,
            inputs=(),
            nodes=tuple(nodes),
            names=self.names,
        )

    def in_force(self) -> Budgets:
        """Budgets."""
        return Budgets(now_s=time.time() + self.ahead_s, budgets=self.budgets)

    def headroom(self) -> dict[str, Any]:
        """Of each rack that a room_kw is given for."""
        now_s = time.time() + self.ahead_s
        rooms = self.rooms_kw.items()
        made = [
            Headroom(rack=r, at_s=now_s, power_w=1e3 * kw, cooling_w=1e3 * kw, marginal_w_per_w=0.1, known=True)
            for r, kw in rooms
        ]
        return {"headroom": made}

    def shed(self) -> ShedState:
        """Load to take off."""
        return ShedState(
            now_s=time.time() + self.ahead_s,
            edge_connected=self.edge_connected,
            shed=tuple(self.asked),
            plans=tuple(self.plans),
        )

    def points(self) -> dict[str, Any]:
        """Powers of racks."""
        return {"points": [{"id": f"{r}/power", "value": w, "quality": "good"} for r, w in self.powers.items()]}


def budget(
    kw: float, scope: str = "site", over_kw: float = 0.0, room_kw: float = 100.0, left_s: float = 60.0
) -> BudgetShown:
    """A budget that counts."""
    now_s = time.time()
    return BudgetShown(
        scope=scope,
        kw=kw,
        source="operator",
        actor="mei",
        reason="feed B is out",
        at=now_s,
        until=now_s + left_s,
        left_s=left_s,
        counts=True,
        running_kw=kw + over_kw,
        over_kw=over_kw,
        room_kw=room_kw,
        unknown_racks=(),
    )
