"""A week of jobs on a site's two clusters, under one policy: powers by rack, row and loop, and what became of the jobs.

Racks of a row belong to both clusters, as every policy finds it. The row guard slows jobs (`placement.power_caps`)
where a row or rack would draw more than its budget; a cooling-blind site has at most the feed's own power brake, which
slows everything in the row alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from benchmarks.cluster_policies import BLIND, Ours, Select
from benchmarks.loop_cooling import LoopCooling, Weathered
from placement.balance import Layout
from placement.power_caps import LEAST_SPEED, drawn, least_loss
from simulator.cluster import SimCluster
from simulator.cluster_jobs import HOUR_S, IDLE_SHARE, Bools, ClusterJobs, Floats, Ints, batch_jobs, service_jobs
from simulator.cluster_queue import backfill, whatever_fits

RACK_NODES = 18
NODE_GPUS = 4
"""An NVL72 rack: eighteen trays of four GPUs."""
COUNTED_FROM_S = 6 * HOUR_S
"""An empty site fills up before peaks count."""
CONTROLS = ("design", "coldplate")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySite:
    """Racks in blocks (a CDU's, or a leaf's), rows (a feed) and loops; services: racks of the Kubernetes cluster."""

    name: str
    layout: Layout
    loop: Ints
    services: Bools
    cooling: LoopCooling
    air_c: Callable[[float], float]
    feed_w: float = np.inf

    @property
    def racks(self) -> int:
        """How many."""
        return len(self.layout.block)

    @property
    def node_w(self) -> float:
        """Full power of a node [W]."""
        return float(self.layout.full_w[0]) / RACK_NODES


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """What rows and racks may draw [W]; guarded: by caps on jobs that allow it; else the feed's power brake acts."""

    row_w: float = np.inf
    rack_w: float = np.inf
    guarded: bool = False


@dataclass(slots=True)
class Week:
    """What came of it. Peaks: powers [W], the hottest rack's temperatures [°C] and rises [K], by control."""

    row_w: float = 0.0
    rack_w: float = 0.0
    site_w: float = 0.0
    over_feed_s: float = 0.0
    return_c: dict[str, float] = field(default_factory=dict)
    rise_k: dict[str, float] = field(default_factory=dict)
    case_c: dict[str, float] = field(default_factory=dict)
    cooling_j: dict[str, float] = field(default_factory=dict)
    over_limit_s: dict[str, float] = field(default_factory=dict)
    it_j: float = 0.0


class Run:
    """One policy on one site through one week. clusters: batch, services."""

    def __init__(
        self, site: StudySite, policy: str, seed: int, span_s: float, load: float, budgets: Budgets | None = None
    ) -> None:
        self.site, self.budgets, self.span_s = site, budgets or Budgets(), span_s
        nodes = np.where(site.services, 0, RACK_NODES), np.where(site.services, RACK_NODES, 0)
        batch = batch_jobs(int(nodes[0].sum()), span_s, load, seed)
        service = service_jobs(int(nodes[1].sum()), span_s, seed)
        self.ours: Ours | None = None
        self.torn: list[bool] = []
        """Of each job that started: whether it lies in more blocks than it needs."""
        select = self._selector(policy, seed, load)
        self.clusters = [
            self._cluster(batch, nodes[0], backfill, select),
            self._cluster(service, nodes[1], whatever_fits, select),
        ]
        self.week = Week()

    def step(self, now_s: float, dt_s: float) -> Floats:
        """One step; power by rack [W]."""
        for cluster in self.clusters:
            cluster.step(now_s, dt_s)
        rack_w = self._powers()
        if now_s > COUNTED_FROM_S and now_s <= self.span_s:
            self._count(rack_w, now_s, dt_s)
        return rack_w

    def finish(self, dt_s: float) -> None:
        """The whole week, and on until every batch job has ended."""
        now_s = 0.0
        while now_s < self.span_s or not self.clusters[0].done:
            now_s += dt_s
            self.step(now_s, dt_s)

    def _selector(self, policy: str, seed: int, load: float) -> Select:
        if policy in BLIND:
            return BLIND[policy](self.site.layout, np.random.default_rng((seed, 9)))
        site = self.site
        most = (
            np.full(site.racks, self.budgets.rack_w),
            np.full(int(site.layout.row.max()) + 1, self.budgets.row_w),
        )
        self.ours = Ours(site.layout, np.full(site.racks, RACK_NODES), site.node_w, most)
        batch_nodes = int((~site.services).sum()) * RACK_NODES
        for before in (
            batch_jobs(batch_nodes, self.span_s, load, seed, week=-1),
            service_jobs(site.racks * RACK_NODES - batch_nodes, self.span_s, seed, week=-1),
        ):
            for kind, peak in zip(before.kind, before.level * (1.0 + before.swing), strict=True):
                self.ours.power.learn(str(int(kind)), site.node_w * float(peak))
        return self.ours.select

    def _cluster(
        self, jobs: ClusterJobs, nodes: Ints, discipline: Callable[..., set[int]], select: Select
    ) -> SimCluster:
        known: list[SimCluster] = []
        block_nodes = int(np.bincount(self.site.layout.block, nodes).max())

        def place(job: int, free: Ints) -> Ints | None:
            found = select(known[0], job, free)
            if found is not None:
                blocks = np.count_nonzero(np.bincount(self.site.layout.block, found))
                self.torn.append(bool(blocks > -(-int(jobs.nodes[job]) // block_nodes)))
            return found

        cluster = SimCluster(jobs, nodes, self.site.node_w, discipline, place)
        known.append(cluster)
        if self.ours is not None:
            cluster.on_gone = self._gone(cluster, self.ours)
        return cluster

    def _gone(self, cluster: SimCluster, ours: Ours) -> Callable[[int, tuple[Ints, Ints], bool], None]:
        def gone(job: int, place: tuple[Ints, Ints], ended: bool) -> None:
            peak = float(cluster.jobs.level[job] * (1.0 + cluster.jobs.swing[job]))
            ours.gone(cluster, job, place, peak * self.site.node_w if ended else None)

        return gone

    def _powers(self) -> Floats:
        """By rack [W], with caps where a budget asks for them."""
        for cluster in self.clusters:
            cluster.cap[cluster.running] = 1.0
        rack_w = self._uncapped()
        budgets, layout = self.budgets, self.site.layout
        row_over = np.bincount(layout.row, rack_w) - budgets.row_w
        rack_over = rack_w - budgets.rack_w
        if (row_over <= 0).all() and (rack_over <= 0).all():
            return rack_w
        if not budgets.guarded:
            self._brake(row_over > 0, rack_w)
        else:
            self._guard(layout.row, np.maximum(row_over, 0.0))
            still = self._uncapped() - budgets.rack_w
            self._guard(np.arange(self.site.racks), np.maximum(still, 0.0))
        return self._uncapped()

    def _uncapped(self) -> Floats:
        return np.asarray(sum(cluster.rack_w() for cluster in self.clusters), dtype=np.float64)

    def _guard(self, group_of: Ints, over_w: Floats) -> None:
        """Slow jobs that allow it where a group draws too much; a job is as slow as its slowest part."""
        if not over_w.any():
            return
        cluster = self.clusters[0]
        jobs, shares = np.array(cluster.running, dtype=np.int64), cluster.shares()
        which, racks, counts = cluster.parts
        touched = cluster.jobs.interruptible[jobs[which]] & (over_w[group_of[racks]] > 0)
        which, racks, counts = which[touched], racks[touched], counts[touched]
        dynamic_w = (shares[which] - IDLE_SHARE) * self.site.node_w
        floor = np.minimum(LEAST_SPEED / cluster.speed[jobs[which]], 1.0)
        speed = least_loss(group_of[racks], counts.astype(np.float64), dynamic_w, over_w, floor)
        slowest = np.ones(len(jobs))
        np.minimum.at(slowest, which, speed)
        slow = slowest < 1.0 - 1e-9
        cluster.cap[jobs[slow]] = (IDLE_SHARE + (shares - IDLE_SHARE) * drawn(slowest))[slow]

    def _brake(self, rows: Bools, rack_w: Floats) -> None:
        """The feed's own brake: every job with a node in the row is slowed until the row fits."""
        row, idle_w = self.site.layout.row, np.full(self.site.racks, RACK_NODES * IDLE_SHARE * self.site.node_w)
        row_w, row_idle_w = np.bincount(row, rack_w), np.bincount(row, idle_w)
        share = (self.budgets.row_w - row_idle_w) / np.maximum(row_w - row_idle_w, 1e-9)
        keep = np.where(rows, share, 1.0).clip(0.05, 1.0)
        for cluster in self.clusters:
            jobs = np.array(cluster.running, dtype=np.int64)
            shares = cluster.shares()
            which, racks, _ = cluster.parts
            least = np.ones(len(jobs))
            np.minimum.at(least, which, keep[row[racks]])
            slow = least < 1.0
            cluster.cap[jobs[slow]] = (IDLE_SHARE + (shares - IDLE_SHARE) * least)[slow]

    def _count(self, rack_w: Floats, now_s: float, dt_s: float) -> None:
        week, site = self.week, self.site
        row_w = np.bincount(site.layout.row, rack_w)
        week.row_w, week.rack_w = max(week.row_w, float(row_w.max())), max(week.rack_w, float(rack_w.max()))
        week.site_w = max(week.site_w, float(rack_w.sum()))
        week.it_j += float(rack_w.sum()) * dt_s
        week.over_feed_s += float((row_w > site.feed_w * 1.001).sum()) * dt_s
        air_c = site.air_c(now_s)
        for control in CONTROLS:
            self._heat(control, site.cooling.at(control, rack_w, site.loop, air_c), dt_s)

    def _heat(self, control: str, found: Weathered, dt_s: float) -> None:
        week = self.week
        week.return_c[control] = max(week.return_c.get(control, -99.0), float(found.return_c.max()))
        week.rise_k[control] = max(week.rise_k.get(control, 0.0), float(found.rise_k.max()))
        week.case_c[control] = max(week.case_c.get(control, -99.0), float(found.case_c.max()))
        week.cooling_j[control] = week.cooling_j.get(control, 0.0) + float(found.cooling_w.sum()) * dt_s
        over = (found.case_c > self.site.cooling.case_limit_c) | (found.return_c > self.site.cooling.return_limit_c)
        week.over_limit_s[control] = week.over_limit_s.get(control, 0.0) + float(over.sum()) * dt_s
