"""The order in which waiting jobs start: first come first served with backfill (Slurm), or whatever fits (Kubernetes).

Backfill is EASY: a later job may start now if it ends, by what it asked for, before the first waiting job could start,
or leaves that one its nodes (Lifka, *The ANL/IBM SP scheduling system*, 1995).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np

from simulator.cluster_jobs import ClusterJobs, Floats, Ints

Start = Callable[[int], bool]
"""Starts a job if there is a place for it, and says whether it did."""
LOOK = 100
"""So many waiting jobs are looked at (Slurm's bf_max_job_test is 500; more changed nothing here)."""


class Discipline(Protocol):
    """Who may start."""

    def __call__(self, waiting: list[int], jobs: ClusterJobs, now_s: float, room: Room, start: Start) -> set[int]:
        """Start what may be started; which jobs did."""


class Room:
    """Free nodes, and when running jobs give theirs back: ends_s [s], nodes; both (k,)."""

    def __init__(self, free: int, ends_s: Floats, nodes: Ints) -> None:
        self.free, self._ends_s, self._nodes = free, ends_s.tolist(), nodes.tolist()

    def take(self, nodes: int, end_s: float) -> None:
        """One more job runs until end_s [s]."""
        self.free -= nodes
        self._ends_s.append(end_s)
        self._nodes.append(nodes)

    def shadow(self, wanted: int, now_s: float) -> tuple[float, int]:
        """When so many nodes will be free [s], and how many are then left over."""
        if self.free >= wanted:
            return now_s, self.free - wanted
        order = np.argsort(self._ends_s, kind="stable")
        free_then = self.free + np.cumsum(np.array(self._nodes, dtype=np.int64)[order])
        at = int(np.searchsorted(free_then, wanted))
        if at >= len(free_then):
            return np.inf, self.free
        return float(self._ends_s[order[at]]), int(free_then[at]) - wanted


def backfill(waiting: list[int], jobs: ClusterJobs, now_s: float, room: Room, start: Start) -> set[int]:
    """Slurm's way."""
    started, head = _in_order(waiting, jobs, now_s, room, start)
    if head is None:
        return started
    shadow_s, spare = room.shadow(int(jobs.nodes[head]), now_s)
    for job in waiting[len(started) + 1 : len(started) + 1 + LOOK]:
        wanted = int(jobs.nodes[job])
        ends_before = now_s + jobs.asked_s[job] <= shadow_s
        if wanted <= room.free and (ends_before or wanted <= spare) and start(job):
            room.take(wanted, now_s + jobs.asked_s[job])
            spare -= 0 if ends_before else wanted
            started.add(job)
        if room.free == 0:
            break
    return started


def _in_order(
    waiting: list[int], jobs: ClusterJobs, now_s: float, room: Room, start: Start
) -> tuple[set[int], int | None]:
    """Start from the front until one has to wait: what started, and that one."""
    started: set[int] = set()
    for job in waiting:
        wanted = int(jobs.nodes[job])
        if wanted > room.free or not start(job):
            return started, job
        room.take(wanted, now_s + jobs.asked_s[job])
        started.add(job)
    return started, None


def whatever_fits(waiting: list[int], jobs: ClusterJobs, now_s: float, room: Room, start: Start) -> set[int]:
    """Kubernetes' way: each on its own, the oldest first, none waits for another."""
    started: set[int] = set()
    for job in _fitting(waiting[:LOOK], jobs, room):
        if start(job):
            room.take(int(jobs.nodes[job]), now_s + jobs.asked_s[job])
            started.add(job)
    return started


def _fitting(waiting: Iterable[int], jobs: ClusterJobs, room: Room) -> Iterable[int]:
    return (job for job in waiting if jobs.nodes[job] <= room.free)
