"""The problems of one loop at one moment: with some units of its plant standing, and over so many minutes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from controller.billing import Billing, prices_now, site_power_w
from controller.constraints import Problem
from controller.design import LoopDesign, without
from controller.explaining import COST_MINUTES
from controller.learning import Learnt, corrected, with_shown_flow
from controller.model import Setpoints, evaluate
from controller.objective import Prices
from controller.problems import build_problem
from controller.shared_plant import Beside
from plant.live import Snapshot
from plant.records import HeatForecast
from plant.topology import CoolingGroup, Site


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopProblems:
    """What every problem of a loop has in common.

    running: its design with the units that run; target: where it went last; hot_c: the hottest case [°C]; hot_w, gpu_w:
    what the hottest GPU draws or stands for (`controller.hottest`), and may come to draw [W]; now_w: measured heat [W];
    strays_k: how far its supply goes below and above its setpoint [K], unheld_k: above it now, where not held [K]
    (`straying`); waiting: see `Plant.waiting`; standing: units of no stage that stand, resting: which of them would
    under the heat at which limits hold (`controller.own_sequence`).
    """

    site: Site
    snapshot: Snapshot
    group: CoolingGroup
    heat: HeatForecast
    running: LoopDesign
    learnt: Learnt
    target: tuple[float, ...]
    billing: Billing
    hot_c: float
    hot_w: float
    gpu_w: float
    beside: Beside
    now_s: float
    now_w: float
    strays_k: tuple[float, float] = (0.0, 0.0)
    unheld_k: float = 0.0
    waiting: frozenset[str] | None = None
    standing: frozenset[str] = frozenset()
    resting: frozenset[str] = frozenset()

    def designed(self, off: frozenset[str]) -> LoopDesign:
        """The loop without some units, with all that was learned of it."""
        now = self._left(off | self.standing)
        return now if self.resting == self.standing else replace(now, grown=self._left(off | self.resting))

    def _left(self, off: frozenset[str]) -> LoopDesign:
        left = corrected(without(self.running, self.site, self.group, off, self.waiting), self.learnt)
        return with_shown_flow(left, self.snapshot, self.group)

    def asked(self, off: frozenset[str], cost_minutes: int, worst_minutes: int) -> Problem:
        """The problem without some units; minutes: over which cost and limits are judged.

        Raises:
            StaleError: an input is missing.
        """
        problem = build_problem(
            self.site,
            self.snapshot,
            self.group,
            self.heat,
            self.target,
            self.designed(off),
            self.hot_w,
            self.gpu_w,
            self.beside,
            cost_minutes,
            worst_minutes,
            self.now_w,
            self.strays_k,
        )
        return replace(problem, prices=self._prices(problem))

    def _prices(self, problem: Problem) -> Prices:
        """What counts now; without a demand charge nobody need know what the rest of the site draws."""
        site, rest_w = self.site, np.nan
        if site.tariff.demand_per_kw_month > 0.0 and np.isfinite(self.billing.expected_w):
            here = evaluate(problem.design, problem.median, Setpoints.of(np.array([problem.current])))
            rest_w = site_power_w(site, self.snapshot) - float(here.cooling_w[0])
        return prices_now(site, self.billing, self.now_s, COST_MINUTES, rest_w)
