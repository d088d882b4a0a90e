"""The server's own figures for Prometheus, in a registry of its own."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.live import live_count
from api.service import Service
from plant.records import Severity

LINK_STATES = ("up", "slow", "mismatch", "silent")
_EDGE_GAUGES = {
    "spool_bytes": "Bytes in the spool",
    "spool_pending_samples": "Samples that wait in the spool for the store",
}
_EDGE_COUNTERS = {
    "bad_samples": "Samples that were judged BAD",
    "spool_lost_samples": "Samples that could not be spooled",
    "spool_dropped_samples": "Oldest samples dropped from a full spool",
    "forwarded_samples": "Samples that the store took",
    "rejected_samples": "Samples that the store refused",
    "store_failures": "Writes that the store did not take at the time",
}


class ServerFigures(Collector):
    """Made anew from the mirror at each scrape."""

    def __init__(self, service: Service, requests: Counter[tuple[str, int]]) -> None:
        self._service, self._requests = service, requests

    def collect(self) -> Iterator[Metric]:
        """Every figure."""
        yield from self._gauges()
        yield from self._counters()
        yield from self._links()
        yield from self._edge()

    def _gauges(self) -> Iterator[Metric]:
        service, mirror = self._service, self._service.mirror
        yield _gauge("live_points", "Points with a value that is not stale", live_count(mirror, service.site))
        yield _gauge("points", "Points declared by the site", len(service.site.points))
        yield _gauge("edge_connected", "1 when the edge process is heard", mirror.edge_connected)
        yield _gauge("store_ok", "1 when history can be read", mirror.store_ok)
        yield _gauge("streams", "Pages that listen to the live stream", service.streams)
        if mirror.forecast is not None:
            age_s = max(0.0, mirror.now_s - mirror.forecast.made_s)
            yield _gauge("forecast_age_seconds", "Age of the newest forecast, in site time", age_s)
        yield self._conditions()
        yield self._powers()
        yield from self._cooling_failure()
        yield from self._jobs()
        yield from self._placement()

    def _conditions(self) -> Metric:
        found = Counter(c.severity for c in self._service.conditions())
        family = GaugeMetricFamily("coldplate_conditions", "Conditions by severity", labels=["severity"])
        for severity in Severity:
            family.add_metric([severity.value], found[severity])
        return family

    def _powers(self) -> Metric:
        power = self._service.powers()
        family = GaugeMetricFamily("coldplate_power_watts", "Metered powers of this moment", labels=["what"])
        for what, value in (("site", power.site_w), ("it", power.it_w), ("cooling", power.cooling_w)):
            if value is not None:
                family.add_metric([what], value)
        return family

    def _cooling_failure(self) -> Iterator[Metric]:
        """Ride-through is +Inf where the rest of the loop carries the heat for good, and absent where not known."""
        mirror = self._service.mirror
        left = GaugeMetricFamily(
            "coldplate_ride_through_seconds", "Seconds to the first case limit if this pump stops now", labels=["cdu"]
        )
        for figure in mirror.ride_through:
            if figure.known:
                left.add_metric([figure.cdu], math.inf if figure.seconds is None else figure.seconds)
        shed = GaugeMetricFamily("coldplate_shed_watts", "Load that a loop asks to have taken off", labels=["loop"])
        for request in mirror.shed:
            shed.add_metric([request.loop], request.power_w)
        yield from (left, shed)

    def _jobs(self) -> Iterator[Metric]:
        mirror = self._service.mirror
        known = GaugeMetricFamily("coldplate_jobs", "Jobs on the newest list of a source", labels=["source"])
        age = GaugeMetricFamily("coldplate_job_list_age_seconds", "Since a source told its jobs", labels=["source"])
        valid = GaugeMetricFamily("coldplate_job_list_valid", "1 while the list is believed", labels=["source"])
        for told in mirror.jobs:
            known.add_metric([told.source], len(told.jobs))
            age.add_metric([told.source], max(0.0, mirror.now_s - told.at_s))
            valid.add_metric([told.source], float(told.valid_until_s > mirror.now_s))
        yield from (known, age, valid)

    def _placement(self) -> Iterator[Metric]:
        """Budgets in force [W], and what schedulers' adapters report."""
        labels = ["scope", "source"]
        limit = GaugeMetricFamily("coldplate_budget_watts", "IT power allowed by a budget", labels=labels)
        over = GaugeMetricFamily("coldplate_budget_exceeded_watts", "IT power beyond a budget", labels=labels)
        for found in self._service.hints.budgets():
            limit.add_metric([found.budget.scope, str(found.budget.source)], found.budget.power_w)
            over.add_metric([found.budget.scope, str(found.budget.source)], found.over_w)
        yield from (limit, over)
        yield from self._schedulers()

    def _schedulers(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("coldplate_scheduler_up", "1 while it reports and its cycles succeed", labels=["name"])
        age = GaugeMetricFamily("coldplate_scheduler_report_age_seconds", "Since it last reported", labels=["name"])
        repaired = CounterMetricFamily("coldplate_scheduler_repaired", "Nodes set right again", labels=["name"])
        unknown = GaugeMetricFamily(
            "coldplate_scheduler_unknown_nodes", "Nodes that one side does not know", labels=["name", "side"]
        )
        for found in self._service.schedulers.states():
            up.add_metric([found.name], float(found.state in {"ok", "dry-run"}))
            age.add_metric([found.name], found.age_s)
            repaired.add_metric([found.name], found.report.repaired)
            unknown.add_metric([found.name, "scheduler"], len(found.report.only_here))
            unknown.add_metric([found.name, "coldplate"], len(found.report.only_there))
        yield from (up, age, repaired, unknown)

    def _counters(self) -> Iterator[Metric]:
        mirror = self._service.mirror
        if mirror.actuator is not None:
            yield _counter("accepted_commands", "Commands that devices took", mirror.actuator.accepted_commands)
            yield _counter(
                "refused_commands", "Commands that guard or device refused", mirror.actuator.refused_commands
            )
        yield _counter("samples", "Samples that the edge accepted", mirror.counters.get("samples", 0))
        yield _counter("malformed_records", "Records of the edge set aside as malformed", mirror.malformed)
        edge = GaugeMetricFamily("coldplate_edge_figure", "Figures of the edge by name", labels=["name"])
        for name, value in sorted(mirror.counters.items()):
            edge.add_metric([name], value)
        yield edge
        requests = CounterMetricFamily("coldplate_http_requests", "Requests answered", labels=["route", "status"])
        for (route, status), number in sorted(self._requests.items()):
            requests.add_metric([route, str(status)], number)
        yield requests

    def _links(self) -> Iterator[Metric]:
        """Of an edge that is not heard nothing is known, so nothing is said."""
        mirror = self._service.mirror
        links = mirror.links if mirror.edge_connected else []
        up = GaugeMetricFamily(
            "coldplate_link_up", "1 when the link gives values, also slowly or in part", labels=["link", "endpoint"]
        )
        state = GaugeMetricFamily("coldplate_link_state", "1 for the state that it is in", labels=["link", "state"])
        reads = CounterMetricFamily("coldplate_link_reads", "Polls answered, or messages", labels=["link"])
        failures = CounterMetricFamily("coldplate_link_failures", "Polls or messages that failed", labels=["link"])
        for link in links:
            up.add_metric([link.link, link.endpoint], float(link.state != "silent"))
            reads.add_metric([link.link], link.reads)
            failures.add_metric([link.link], link.failures)
            for name in LINK_STATES:
                state.add_metric([link.link, name], float(link.state == name))
        yield from (up, state, reads, failures)

    def _edge(self) -> Iterator[Metric]:
        """The edge's figures that an alert is made of, under names of their own."""
        counters = self._service.mirror.counters
        yield from (_gauge(n, text, counters[n]) for n, text in _EDGE_GAUGES.items() if n in counters)
        yield from (_counter(n, text, counters[n]) for n, text in _EDGE_COUNTERS.items() if n in counters)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"coldplate_{name}", text, value=float(value))


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"coldplate_{name}", text, value=float(value))


def registry_of(service: Service, requests: Counter[tuple[str, int]]) -> CollectorRegistry:
    """A registry with this server's figures only."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ServerFigures(service, requests))
    return registry


def page_of(registry: CollectorRegistry) -> bytes:
    """The text that Prometheus reads."""
    return generate_latest(registry)
