"""What `coldplate slurm sync` tells the API of a cluster's jobs."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from placement.api_client import Client
from placement.job_body import LEAST_PERIOD_S, PERIODS_VALID, job_body
from placement.slurm.commands import Slurm
from placement.slurm.cycle import SlurmCycle
from placement.slurm.jobs import read_jobs
from placement.slurm.memory import Memory
from placement.slurm.outlook import learn, node_powers, outlooks
from placement.slurm.stoppable import Stoppable
from placement.sync_cycle import Cycle
from placement.wishes import Wishes

HORIZON_S = 7200.0


@dataclass(slots=True)
class SlurmSync:
    """One cluster. told: whether the API takes our word (a token is known); interruptible: jobs that may be stopped."""

    name: str
    client: Client
    slurm: Slurm
    cycle: SlurmCycle
    memory: Memory
    period_s: float
    told: bool
    interruptible: tuple[Stoppable, ...] = ()
    _learned: set[str] = field(default_factory=set)

    async def jobs(self, wishes: Wishes, cycle: Cycle) -> None:
        """Tell the API what runs and waits, with powers as learned."""
        if not wishes.places or not self.told:
            return
        jobs = await read_jobs(self.slurm, self.interruptible)
        now_s = time.time() + (cycle.skew_s or 0.0)
        power = self.memory.power(1e3 * self.cycle.options.node_kw)
        rack_w = await asyncio.to_thread(self.client.powers)
        self._learned &= {job.id for job in jobs}
        learn(jobs, node_powers(jobs, wishes.rack_of, rack_w, now_s), power, self._learned)
        self.memory.keep_power(power)
        found = outlooks(jobs, wishes.rack_of, power, now_s, HORIZON_S)
        shift_s = wishes.site_ahead_s - (cycle.skew_s or 0.0)
        body = job_body(found, self.name, now_s, PERIODS_VALID * max(self.period_s, LEAST_PERIOD_S), shift_s)
        await asyncio.to_thread(lambda: self.client.put_jobs(body, actor=self.name))
