"""What jobs draw, learned from those that ran: the future load that a scheduler's queue tells the forecaster."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

WEIGHT = 0.3
"""Of a new run against all before it: users change their code."""
LEAST_RUNS = 3
UNKNOWN_SPREAD = 0.35
"""Relative spread of a kind that never ran: between an idle node and a full one."""
LEAST_SPREAD = 0.10
"""Nobody predicts a job better than a tenth (Fugaku: 12 %, Perlmutter: 3-8 % within one code)."""
MOST_KINDS = 20_000
"""Names of jobs come and go for years; what has not run for longest is forgotten first."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Power of a node in a job of this kind [W], and its standard deviation [W]."""

    power_w: float
    sd_w: float


@dataclass(slots=True)
class JobPower:
    """Mean and spread of watts per node by kind of job; default_w: of a kind that never ran."""

    default_w: float
    mean_w: dict[str, float] = field(default_factory=dict)
    variance: dict[str, float] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)

    def learn(self, kind: str, node_w: float) -> None:
        """One job more that ran at node_w [W] a node. A reading that is no power is left out."""
        if not (math.isfinite(node_w) and node_w > 0):
            return
        runs = self.runs.pop(kind, 0)  # and in again at the end: the order is that of the last runs
        share = max(WEIGHT, 1.0 / (runs + 1))
        before = self.mean_w.get(kind, node_w)
        self.mean_w[kind] = before + share * (node_w - before)
        spread = self.variance.get(kind, 0.0)
        self.variance[kind] = (1.0 - share) * (spread + share * (node_w - before) ** 2)
        self.runs[kind] = runs + 1
        while len(self.runs) > MOST_KINDS:
            self._forget(next(iter(self.runs)))

    def _forget(self, kind: str) -> None:
        for learnt in (self.mean_w, self.variance, self.runs):
            learnt.pop(kind, None)

    def estimate(self, kind: str) -> Estimate:
        """What a node of such a job will draw."""
        runs = self.runs.get(kind, 0)
        if runs == 0:
            return Estimate(self.default_w, UNKNOWN_SPREAD * self.default_w)
        mean_w = self.mean_w[kind]
        floor = LEAST_SPREAD if runs >= LEAST_RUNS else UNKNOWN_SPREAD / 2
        return Estimate(mean_w, max(math.sqrt(self.variance[kind]), floor * mean_w))
