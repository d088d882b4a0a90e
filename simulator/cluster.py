"""One simulated cluster for fast studies: nodes by rack, a queue, jobs that draw power, caps, drains, requeue, budget.

Where a job goes is not decided here: `place` is asked, as a scheduler asks its selector. Nodes of a rack are alike, so
only their number counts; a week of 2,000 racks is a minute of CPU time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from simulator.cluster_jobs import IDLE_SHARE, Bools, ClusterJobs, Floats, Ints
from simulator.cluster_queue import Discipline, Room

CHECKPOINT_S = 1800.0
"""A job that is put back loses what it did since its last checkpoint: half of this on average [s]."""
RESTART_S = 300.0
"""And the time that it takes to load it again [s]."""
POWER_EXPONENT = 2.5
"""Dynamic power ~ speed^2.5: a limit that slows by 5 % saves 7-12 % energy (Zeus' traces of P100 and A40 [NSDI'23]);
2.5 is the cautious end."""

Gone = Callable[[int, tuple[Ints, Ints], bool], None]
Place = Callable[[int, Ints], Ints | None]
"""place(job, free nodes by rack (r,)) -> nodes of the job by rack (r,), or None: it has to wait."""


@dataclass(slots=True)
class Tally:
    """What a cluster did. lost_node_s: work lost to caps and requeues [node s at full speed]; requeues: how often."""

    lost_node_s: float = 0.0
    capped_node_s: float = 0.0
    requeues: int = 0
    wait_s: list[float] = field(default_factory=list)
    last_end_s: float = 0.0


class SimCluster:
    """Nodes of one scheduler.

    Attributes:
        nodes: its nodes by rack (r,); drained: how many of them take no new work (r,).
        running: jobs that run, in the order in which they began.
        cap: highest power of each job's nodes, as a share of full (j,).
        budget_w: expected power above which nothing starts [W].
    """

    def __init__(self, jobs: ClusterJobs, nodes: Ints, node_w: float, discipline: Discipline, place: Place) -> None:
        """node_w: full power of a node [W]."""
        self.jobs, self.nodes, self.node_w = jobs, nodes, node_w
        self._discipline, self._place = discipline, place
        self.drained: Ints = np.zeros_like(nodes)
        self.running: list[int] = []
        self._places: dict[int, tuple[Ints, Ints]] = {}
        self.used: Ints = np.zeros_like(nodes)
        self.waiting: list[int] = []
        self._next = 0
        self.begun_s: Floats = np.full(len(jobs), np.nan)
        self.left_s: Floats = jobs.work_s.copy()
        self.cap: Floats = np.ones(len(jobs))
        self.speed: Floats = np.ones(len(jobs))
        self._queued_s: Floats = jobs.submit_s.copy()
        self.budget_w = np.inf
        self.tally = Tally()
        self.now_s = 0.0
        self.on_gone: Gone | None = None
        self._flat: tuple[Ints, Ints, Ints] | None = None

    @property
    def free(self) -> Ints:
        """Nodes that take new work, by rack (r,)."""
        free: Ints = np.maximum(self.nodes - self.used - self.drained, 0)
        return free

    @property
    def done(self) -> bool:
        """Whether nothing is left to run."""
        return not self.running and not self.waiting and self._next >= len(self.jobs)

    @property
    def parts(self) -> tuple[Ints, Ints, Ints]:
        """Where everything runs: place in `running`, rack, and nodes of that job there; each (p,)."""
        if self._flat is None:
            places = [self._places[job] for job in self.running]
            lengths = np.array([len(racks) for racks, _ in places], dtype=np.int64)
            nothing = np.zeros(0, dtype=np.int64)
            racks, counts = (np.concatenate([nothing, *(p[i] for p in places)]) for i in (0, 1))
            self._flat = np.repeat(np.arange(len(places)), lengths), racks, counts
        return self._flat

    def where(self, job: int) -> tuple[Ints, Ints]:
        """Racks of a running job, and its nodes on each."""
        return self._places[job]

    def by_rack(self, node_value: Floats) -> Floats:
        """Sum over running jobs' nodes by rack (r,) of a value per node (k,)."""
        which, racks, counts = self.parts
        return np.asarray(np.bincount(racks, node_value[which] * counts, len(self.nodes)), dtype=np.float64)

    def step(self, now_s: float, dt_s: float) -> list[int]:
        """Work for dt_s [s] up to now_s, end what is done, start what may start; the jobs that ended.

        `on_gone(job, (racks, nodes there), True if it ended)` is called for each that leaves its place.
        """
        self.now_s = now_s
        ended = self._work(dt_s)
        self._submit()
        if self.waiting and self.free.any():
            self._start()
        return ended

    def shares(self) -> Floats:
        """Power of the running jobs' nodes as a share of full, after caps (k,); sets their speed."""
        job = np.array(self.running, dtype=np.int64)
        wanted = self.jobs.share(job, self.now_s - self.begun_s[job], self.now_s)
        drawn = np.minimum(wanted, np.maximum(self.cap[job], IDLE_SHARE))
        dynamic = (drawn - IDLE_SHARE + 1e-9) / (wanted - IDLE_SHARE + 1e-9)
        self.speed[job] = np.clip(dynamic, 1e-3, 1.0) ** (1.0 / POWER_EXPONENT)
        return drawn

    def rack_w(self) -> Floats:
        """Power by rack [W] (r,), idle nodes too."""
        return self.node_w * (IDLE_SHARE * self.nodes + self.by_rack(self.shares() - IDLE_SHARE))

    def requeue(self, chosen: Sequence[int]) -> None:
        """Put interruptible jobs back to the front of the queue; what they did since their checkpoint is lost."""
        for job in chosen:
            since_s = float((self.now_s - self.begun_s[job]) % CHECKPOINT_S)
            lost_s = min(since_s, float(self.jobs.work_s[job] - self.left_s[job])) + RESTART_S
            self.left_s[job] += lost_s
            self.tally.lost_node_s += lost_s * float(self.jobs.nodes[job])
            self.tally.requeues += 1
            self._release(job, ended=False)
            self._queued_s[job] = self.now_s
            self.cap[job] = 1.0
        self.waiting = [*chosen, *self.waiting]

    def _work(self, dt_s: float) -> list[int]:
        if not self.running:
            return []
        job = np.array(self.running, dtype=np.int64)
        self.left_s[job] -= dt_s * self.speed[job]
        slow: Bools = self.speed[job] < 0.999
        self.tally.lost_node_s += float(((1.0 - self.speed[job]) * self.jobs.nodes[job]).sum()) * dt_s
        self.tally.capped_node_s += float(self.jobs.nodes[job[slow]].sum()) * dt_s
        ended = [int(j) for j in job[self.left_s[job] <= 0.0]]
        for one in ended:
            self._release(one, ended=True)
            self.tally.last_end_s = self.now_s
        return ended

    def _release(self, job: int, *, ended: bool) -> None:
        self.running.remove(job)
        racks, counts = self._places.pop(job)
        self.used[racks] -= counts
        self._flat = None
        if self.on_gone is not None:
            self.on_gone(job, (racks, counts), ended)

    def _submit(self) -> None:
        while self._next < len(self.jobs) and self.jobs.submit_s[self._next] <= self.now_s:
            self.waiting.append(self._next)
            self._next += 1

    def _start(self) -> None:
        job = np.array(self.running, dtype=np.int64)
        ends_s = np.maximum(self.begun_s[job] + self.jobs.asked_s[job], self.now_s)
        room = Room(int(self.free.sum()), ends_s, self.jobs.nodes[job])
        started = self._discipline(self.waiting, self.jobs, self.now_s, room, self._try)
        if started:
            self.waiting = [w for w in self.waiting if w not in started]

    def _try(self, job: int) -> bool:
        if self.committed_w + self.jobs.nodes[job] * self.node_w * self.jobs.level[job] > self.budget_w:
            return False
        place = self._place(job, self.free)
        if place is None:
            return False
        racks = np.nonzero(place)[0]
        self._places[job] = racks, place[racks]
        self.used[racks] += place[racks]
        self.running.append(job)
        self._flat = None
        self.begun_s[job], self.speed[job] = self.now_s, 1.0
        self.tally.wait_s.append(float(self.now_s - self._queued_s[job]))
        return True

    @property
    def committed_w(self) -> float:
        """What the running jobs are expected to draw on average [W]; only reckoned where there is a budget."""
        if not np.isfinite(self.budget_w):
            return 0.0
        job = np.array(self.running, dtype=np.int64)
        return float((self.jobs.nodes[job] * self.jobs.level[job]).sum()) * self.node_w
