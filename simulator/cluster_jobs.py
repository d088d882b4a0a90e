"""Jobs of two simulated clusters: batch jobs as a Slurm has them, services as a Kubernetes has them; by one seed.

A job's power is drawn with its kind: node power of GPU servers in Acme's published telemetry is 38 % of the highest at
the median, 77 % at the 95th percentile and 83 % at the 99th (Hu et al., *Characterization of large language model
development in the datacenter*, NSDI 2024; CC-BY-4.0 data). Sizes and run times are long-tailed: most jobs are small,
most node hours belong to large ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

HOUR_S, DAY_S = 3600.0, 86400.0
IDLE_SHARE = 0.15
"""What a node without work draws, of its full power; as in `simulator.load`."""
KINDS = 60
"""Kinds of batch jobs: a user and a program. A scheduler knows what earlier runs of a kind drew."""
WITHIN_KIND = 0.06
"""Relative spread of power between runs of one kind (3-12 % on Perlmutter and Fugaku)."""
SERVICE_KINDS = 20
SERVICE_LOAD = 0.9
"""Of the service nodes; the rest takes a service that starts before another has ended."""
BUSIEST_HOUR = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterJobs:
    """Jobs in arrays (j,), by time of submission.

    submit_s, work_s, asked_s [s]: submission after the start, run time at full speed, run time asked for; nodes:
    count; level: mean power of its nodes as a share of full; swing: how far it follows the day, as a share of level;
    ripple_s: period of its own ups and downs [s]; kind: what it is known by; interruptible: may be capped and requeued.
    """

    submit_s: Floats
    work_s: Floats
    asked_s: Floats
    nodes: Ints
    level: Floats
    swing: Floats
    ripple_s: Floats
    kind: Ints
    interruptible: Bools

    def __len__(self) -> int:
        return len(self.submit_s)

    def share(self, job: Ints, since_s: Floats, now_s: float) -> Floats:
        """Power of the jobs' nodes as a share of full, uncapped; since_s: time since each began [s]; now_s: of the run.

        The day has its top in the afternoon; a ripple of 4 % stands for phases within a job.
        """
        day = np.cos(2 * np.pi * (now_s / HOUR_S % 24.0 - BUSIEST_HOUR) / 24.0)
        ripple = 0.04 * np.sin(2 * np.pi * since_s / self.ripple_s[job])
        level: Floats = self.level[job] * (1.0 + self.swing[job] * day + ripple)
        return np.clip(level, IDLE_SHARE, 1.0)


def batch_jobs(nodes: int, span_s: float, load: float, seed: int, week: int = 0) -> ClusterJobs:
    """Jobs that ask for `load` of so many nodes over span_s [s]; more come by day than by night.

    week: other jobs of the same kinds, such as those of the week before.
    """
    kind_level, kind_interruptible = _kinds(np.random.default_rng((seed, 1)))
    rng = np.random.default_rng((seed, 3, abs(week), int(week < 0)))
    size, work = _sizes(rng, nodes, load * nodes * span_s)
    count = len(size)
    kind = _kind_of(rng, size, kind_level)
    level = np.clip(kind_level[kind] * rng.normal(1.0, WITHIN_KIND, count), IDLE_SHARE, 0.97)
    submit = np.sort(_arrivals(rng, count, span_s))
    return ClusterJobs(
        submit_s=submit,
        work_s=work,
        asked_s=work * rng.uniform(1.2, 3.0, count),
        nodes=size,
        level=level,
        swing=np.zeros(count),
        ripple_s=rng.uniform(1200.0, 5400.0, count),
        kind=kind,
        interruptible=kind_interruptible[kind],
    )


def service_jobs(nodes: int, span_s: float, seed: int, week: int = 0) -> ClusterJobs:
    """Inference services: long, a few nodes each, following the day; replaced by others as they end. week: as above."""
    rng = np.random.default_rng((seed, 4, abs(week), int(week < 0)))
    biggest = max(nodes // 12, 1)
    count, used, size = 0, 0.0, []
    while used < SERVICE_LOAD * nodes:
        size.append(min(int(rng.choice([1, 2, 4, 8], p=[0.4, 0.3, 0.2, 0.1])), biggest))
        used += size[-1]
        count += 1
    lives = rng.uniform(2.0, 6.0, count) * DAY_S
    rows = [(0.0, size[i], lives[i]) for i in range(count)]
    for submit, nodes_each, life in rows[:count]:
        begin = submit + life
        while begin < span_s:
            again = float(rng.uniform(2.0, 6.0) * DAY_S)
            rows.append((begin, nodes_each, again))
            begin += again
    rows.sort()
    total, kinds = len(rows), SERVICE_KINDS
    kind = rng.integers(kinds, size=total)
    kind_level = np.random.default_rng((seed, 2)).normal(0.5, 0.1, kinds)
    level = np.clip(kind_level[kind] * rng.normal(1.0, WITHIN_KIND, total), 0.25, 0.7)
    return ClusterJobs(
        submit_s=np.array([r[0] for r in rows]),
        work_s=np.array([r[2] for r in rows]),
        asked_s=np.array([r[2] for r in rows]),
        nodes=np.array([r[1] for r in rows], dtype=np.int64),
        level=level,
        swing=rng.uniform(0.15, 0.4, total),
        ripple_s=rng.uniform(300.0, 1800.0, total),
        kind=KINDS + kind,
        interruptible=np.zeros(total, dtype=bool),
    )


def _kinds(rng: np.random.Generator) -> tuple[Floats, Bools]:
    """Mean power of each kind, ascending, and whether it keeps checkpoints: what runs hot trains, and does."""
    level = np.sort(np.clip(rng.beta(2.2, 2.4, KINDS), 0.2, 0.95))
    return level, rng.random(KINDS) < np.linspace(0.5, 0.9, KINDS)


def _sizes(rng: np.random.Generator, nodes: int, node_s: float) -> tuple[Ints, Floats]:
    """Nodes and run times of jobs that together take node_s [node seconds]; the largest a sixteenth of all nodes."""
    largest = max(nodes // 16, 8)
    choices = 2 ** np.arange(int(np.log2(largest)) + 1)
    weight = choices**-0.45
    count = 1 + int(1.3 * node_s / (float((choices * weight).sum() / weight.sum()) * 4.0 * HOUR_S))
    size = rng.choice(choices, size=4 * count, p=weight / weight.sum())
    work = np.clip(rng.lognormal(np.log(2.5 * HOUR_S), 1.0, 4 * count), 600.0, DAY_S)
    enough = int(np.searchsorted(np.cumsum(size * work), node_s)) + 1
    return size[:enough].astype(np.int64), work[:enough]


def _kind_of(rng: np.random.Generator, size: Ints, kind_level: Floats) -> Ints:
    """Large jobs train and run hot; small ones are anything."""
    rank = np.clip(rng.beta(1.2, 1.2, len(size)) + 0.06 * np.log2(size) - 0.15, 0.0, 0.999)
    return (rank * len(kind_level)).astype(np.int64)


def _arrivals(rng: np.random.Generator, count: int, span_s: float) -> Floats:
    """Times of submission [s]: twice as many an hour in the afternoon as before dawn."""
    draws = rng.uniform(0.0, span_s, 3 * count + 50)
    day = np.cos(2 * np.pi * (draws / HOUR_S % 24.0 - BUSIEST_HOUR) / 24.0)
    kept = draws[rng.random(len(draws)) < (1.0 + day / 3.0) / (4.0 / 3.0)]
    return kept[:count] if len(kept) >= count else np.resize(kept, count)
