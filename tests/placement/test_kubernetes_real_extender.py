"""A real kube-scheduler that asks the extender of a real `coldplate serve`, with the configuration that is handed out.

Skipped without their programs: `make kubernetes` builds or takes them.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from benchmarks.hints_rig import EdgeBeside, free_port, serve_command, server
from cli.main import app
from placement.kubernetes.marks import SCORE
from plant.budgets import Budget, BudgetSource
from plant.records import Headroom

CONFIG = Path(__file__).parents[2] / "packaging" / "kubernetes" / "kube-scheduler.yaml"
RACKS = [f"rack-{i:02d}" for i in range(1, 9)]
WAIT_S = 60.0
BEYOND = "127.0.0.2"
"""Another address than loopback's own, as coldplate counts them, that no other host reaches all the same."""


class Site:
    """A real `coldplate serve` of the demo pod, whose racks are the cluster's nodes; its edge says what it is told."""

    def __init__(self, edge: EdgeBeside, port: int) -> None:
        self.edge, self.port, self._end = edge, port, threading.Event()
        self._meters = threading.Thread(target=self._measure, daemon=True)
        self._meters.start()

    def _measure(self) -> None:
        """Each rack draws 10 kW, read twice a second."""
        while not self._end.wait(0.5):
            now_s = self.edge.clock.now()
            self.edge.say("live", [[f"{rack}/power", 10e3, now_s, 0] for rack in RACKS])

    def close(self) -> None:
        """Read no more."""
        self._end.set()
        self._meters.join()

    def rooms(self, **kw: float) -> None:
        """Headroom of racks, `rack_01=90.0` [kW]; the others have none. What has most is cheap to cool, too."""
        now_s = self.edge.clock.now()
        given = [(rack, 1e3 * kw.get(rack.replace("-", "_"), 0.0)) for rack in RACKS]
        most_w = max(watts for _, watts in given)
        rooms = [
            Headroom(
                rack=r, at_s=now_s, power_w=w, cooling_w=w, marginal_w_per_w=0.05 if w == most_w else 0.2, known=True
            )
            for r, w in given
        ]
        self.edge.say("headroom", rooms)

    def budget(self, scope: str, kw: float) -> None:
        """For an hour."""
        now_s = self.edge.clock.now()
        made = Budget(scope=scope, power_w=1e3 * kw, source=BudgetSource.OPERATOR, actor="mei", reason="feed B",
                      at_s=now_s, until_s=now_s + 3600.0)  # fmt: skip
        self.edge.say("budgets", [made])


@pytest.fixture
def site(plane, tmp_path, demo_site_path) -> Iterator[Site]:
    """Nodes rack-01 to rack-08, and kube-scheduler as shipped, but for the address of its extender."""
    plane.add_nodes(RACKS)
    state, port = tmp_path / "state", free_port()
    command = serve_command(demo_site_path, state, port)
    with EdgeBeside(state / "bus.sock", RACKS, ["tcs-1"]) as edge, server(command, port, None):
        plane.start_scheduler(with_extender(port))
        site = Site(edge, port)
        yield site
        site.close()


def with_extender(port: int) -> dict:
    """The shipped configuration, for a coldplate on loopback: by http and without a password."""
    config = yaml.safe_load(CONFIG.read_text("utf-8"))
    (extender,) = config["extenders"]
    extender["urlPrefix"] = f"http://127.0.0.1:{port}/k8s/extender"
    del extender["enableHTTPS"], extender["tlsConfig"]
    return config


def power(kw: float) -> dict[str, str]:
    """A pod's annotation."""
    return {"coldplate.io/power-w": f"{1e3 * kw:.0f}"}


def test_pods_land_on_the_hinted_node_and_never_where_no_room_is(plane, site):
    """Eight times another rack is the only cheap one; the reason of a pod that waits stands in its events."""
    for number, rack in enumerate(RACKS[:4]):
        others = {r.replace("-", "_"): 20.0 for r in RACKS}
        site.rooms(**(others | {rack.replace("-", "_"): 130.0}))
        time.sleep(0.5)
        plane.add_pod(f"p{number}", annotations=power(4.0))
        plane.until(lambda n=number: f"p{n}" in plane.placed(), WAIT_S, "a place")
        assert plane.placed()[f"p{number}"] == rack
    site.rooms(rack_02=3.0)
    time.sleep(0.5)
    plane.add_pod("waits", annotations=power(40.0))
    plane.until(lambda: "rack-02 has" in plane.why("waits"), WAIT_S, "the reason")
    site.rooms(rack_02=90.0)
    plane.call("PATCH", "/api/v1/nodes/rack-02", {"metadata": {"annotations": {SCORE: "80"}}})
    plane.until(lambda: plane.placed().get("waits") == "rack-02", WAIT_S, "a place after a mark has changed")


def test_a_burst_does_not_break_a_budget(plane, site):
    """Twelve pods of 4 kW at once under a site's budget that leaves 20 kW: five start."""
    site.rooms(**{r.replace("-", "_"): 100.0 for r in RACKS})
    site.budget("site", 100.0)
    time.sleep(3.0)
    plane.each(lambda i: plane.add_pod(f"p{i}", annotations=power(4.0)), range(12))
    waiting = "the budget of site has 0.0 kW left of 4.0 kW wanted"
    plane.until(lambda: sum(waiting in plane.why(f"p{i}") for i in range(12)) == 7, WAIT_S, "seven that wait")
    assert len(plane.placed()) == 5


def test_no_pod_is_preempted_for_want_of_power(plane, site):
    """A pod of high priority waits for power; those of low priority stay, also where one would fit for two."""
    site.rooms(rack_01=50.0)
    time.sleep(0.5)
    plane.apply(
        [{"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1000}]
    )
    for i in range(3):
        plane.add_pod(f"low-{i}", annotations=power(1.0))
    plane.until(lambda: len(plane.placed()) == 3, WAIT_S, "starts")
    plane.add_pod("high", annotations=power(60.0), priorityClassName="high")
    plane.until(lambda: "kW left of 60.0 kW wanted" in plane.why("high"), WAIT_S, "a reason")
    time.sleep(2.0)
    assert sorted(plane.placed()) == ["low-0", "low-1", "low-2"]
    assert "victim" not in plane.why("high")


def test_a_pod_of_unreadable_power_starts_nowhere(plane, site):
    """Though the extender is ignorable; its events say what to write."""
    site.rooms(rack_01=50.0)
    plane.add_pod("odd", annotations={"coldplate.io/power-w": "5 kW"})
    plane.until(lambda: "give watts" in plane.why("odd"), WAIT_S, "what to write")
    assert not plane.placed()


def test_pods_start_while_coldplate_is_away(plane):
    """`ignorable`: nobody listens there."""
    plane.add_nodes(["n1"])
    plane.start_scheduler(with_extender(free_port()))
    plane.add_pod("p", annotations=power(4.0))
    plane.until(lambda: plane.placed() == {"p": "n1"}, WAIT_S, "a start")


def test_whole_nodes_are_as_good_as_names(plane, site):
    """Without nodeCacheCapable the same rack is found."""
    config = with_extender(site.port)
    config["extenders"][0]["nodeCacheCapable"] = False
    plane.stop_scheduler()
    plane.start_scheduler(config)
    site.rooms(rack_06=50.0)
    time.sleep(0.5)
    plane.add_pod("p", annotations=power(4.0))
    plane.until(lambda: plane.placed() == {"p": "rack-06"}, WAIT_S, "a place")


class Secured:
    """coldplate beyond loopback, over https and with its password; what the configuration handed out says of it."""

    def __init__(self, site: Site, port: int, password: str, cert: Path) -> None:
        self.site, self.url, self.password, self.cert = site, f"https://{BEYOND}:{port}", password, cert

    def config(self, password: str, authority: Path) -> dict:
        """With address, password and authority filled in as its comments say; nothing else is touched."""
        text = CONFIG.read_text("utf-8")
        for blank, word in (
            ("https://scheduler:PASSWORD@coldplate.example:8443", self.url.replace("://", f"://scheduler:{password}@")),
            ("/etc/kubernetes/pki/coldplate-ca.crt", str(authority)),
        ):
            assert text.count(blank) == 1
            text = text.replace(blank, word)
        return yaml.safe_load(text)

    def verify(self, plane, tmp_path, password: str, authority: Path) -> tuple[int, str]:
        """`coldplate k8s verify` with the same two."""
        secret = tmp_path / "password"
        secret.write_text(password)
        argv = ["k8s", "verify", "--node", "rack-01", "--kubeconfig", str(plane.kubeconfig()), "--api", self.url]
        argv += ["--extender-token-file", str(secret), "--extender-ca-file", str(authority)]
        done = CliRunner().invoke(app, argv)
        return done.exit_code, done.output


@pytest.fixture
def secured(plane, tmp_path, demo_site_path, certificate) -> Iterator[Secured]:
    """It, without a scheduler yet."""
    plane.add_nodes(RACKS)
    state, port, (cert, key) = tmp_path / "state", free_port(), certificate(f"IP:{BEYOND}")
    command = [*serve_command(demo_site_path, state, port), "--host", BEYOND, "--tls-cert", str(cert), "--tls-key"]
    with (
        EdgeBeside(state / "bus.sock", RACKS, ["tcs-1"]) as edge,
        server([*command, str(key)], port, None, BEYOND),
    ):
        site = Site(edge, port)
        yield Secured(site, port, (state / "extender-token").read_text().strip(), cert)
        site.close()


def test_over_https_with_its_password_hints_and_rooms_count(plane, secured, tmp_path):
    """As by http: verify holds, the pod lands on the one rack with room, the reason of the next stands in its events."""
    status, said = secured.verify(plane, tmp_path, secured.password, secured.cert)
    assert status == 0, said
    assert "8 of 8 nodes pass, 8 have a score" in said
    plane.start_scheduler(secured.config(secured.password, secured.cert))
    for rack in ("rack-07", "rack-04"):
        secured.site.rooms(**{rack.replace("-", "_"): 30.0})
        time.sleep(0.5)
        plane.add_pod(f"p-{rack}", annotations=power(20.0))
        plane.until(lambda r=rack: plane.placed().get(f"p-{r}") == r, WAIT_S, "the rack with room")
    plane.add_pod("waits", annotations=power(40.0))
    plane.until(lambda: "rack-04 has" in plane.why("waits"), WAIT_S, "the reason")


@pytest.mark.parametrize(
    ("wrong", "told", "logged"),
    [
        ("password", r"HTTP 401 \(its password is missing or wrong: --extender-token-file", "code 401"),
        ("authority", "certificate is not believed: self-signed certificate; name its authority", "x509: certificate"),
    ],
)
def test_what_is_wrong_is_told_and_stops_no_pod(plane, secured, tmp_path, certificate, wrong, told, logged):
    """Verify names it with its cure; kube-scheduler logs it and goes on without the extender, which is ignorable."""
    password = "another" if wrong == "password" else secured.password
    authority = certificate(f"IP:{BEYOND}")[0] if wrong == "authority" else secured.cert
    status, said = secured.verify(plane, tmp_path, password, authority)
    assert status == 1
    assert re.search(f"FAILED.*the extender answers: .*{told}", said), said
    assert said.count("FAILED") == 1
    secured.site.rooms()
    time.sleep(0.5)
    plane.start_scheduler(secured.config(password, authority))
    plane.add_pod("p", annotations=power(40.0))
    plane.until(lambda: "p" in plane.placed(), WAIT_S, "a start though no rack has room")
    assert logged in plane.log("kube-scheduler")
    logs_it = f"scheduler:{password}@" in plane.log("kube-scheduler")
    assert logs_it is (wrong == "password"), "docs/schedulers.md says when"
    everywhere = [
        plane.call("GET", path) for path in ("/api/v1/pods", "/api/v1/events", "/apis/events.k8s.io/v1/events")
    ]
    assert password not in json.dumps(everywhere)
