"""Heat that nothing of the plant that may run carries: the load that has to come off, told before the water is warm."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from controller import inputs
from controller.constraints import Problem
from controller.loop_problems import LoopProblems
from controller.optimise import glance
from controller.shedding import request
from controller.stage_choice import Plant, everything, is_plant, missing
from controller.stage_reserve import alarmed, may_run
from plant.records import ShedRequest

SHARES: tuple[float, ...] = tuple(np.linspace(1.0, 0.05, 20).tolist())


def shed_by_plant(problems: LoopProblems, plant: Plant) -> ShedRequest | None:
    """What of the measured load has to come off until more may run; None where there is a setpoint that carries it.

    None, too, where neither less load nor the units that are locked would help: then a limit can't be met at all.

    Raises:
        StaleError: a rack's power is not known.
    """
    problem = problems.asked(missing(plant, may_run(plant)), 1, 1)
    share = next((share for share in SHARES if _carried(problem, share * problems.now_w)), 0.0)
    if share == 1.0 or (share == 0.0 and not _locked_would(problems, plant)):
        return None
    it_w = sum(inputs.rack_power(problems.site, problems.snapshot, rack) for rack in problems.group.racks)
    return request(problems.group, (1.0 - share) * it_w, it_w, share * it_w, problems.now_s)


def _locked_would(problems: LoopProblems, plant: Plant) -> bool:
    """Whether everything that has not failed would carry it, if no shortest time off held it."""
    most = everything(plant)
    off = frozenset(u.id for u in plant.units) - most
    return is_plant(plant, most) and _carried(problems.asked(off, 1, 1), problems.now_w)


def _carried(problem: Problem, heat_w: float) -> bool:
    """Whether some setpoints hold every limit but the reserve for a lost CDU."""
    bare = replace(problem, bounds=replace(problem.bounds, reserve=False))
    return math.isfinite(glance(alarmed(bare, heat_w)))
