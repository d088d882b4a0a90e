"""`coldplate slurm sync`: its options checked, its parts put together, and what it tells the API of jobs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path

from cli.sync_loop import SyncLoop
from placement.api_client import Client
from placement.job_body import LEAST_PERIOD_S, PERIODS_VALID, job_body
from placement.slurm.commands import Slurm
from placement.slurm.cycle import Blocks, BudgetBy, SlurmCycle, SlurmOptions
from placement.slurm.jobs import read_jobs
from placement.slurm.memory import Memory
from placement.slurm.outlook import learn, node_powers, outlooks
from placement.slurm.stoppable import Stoppable
from placement.sync_cycle import Cycle, Reporter
from placement.wishes import Ear, Wishes
from plant.errors import ConfigError

HORIZON_S = 7200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncForm:
    """What the command line gave, not yet checked; as `placement.slurm.cycle.SlurmOptions` has it."""

    budget: str
    qos: str
    share: float
    blocks: str
    hint_file: Path | None
    node_kw: float
    gpu_kw: float | None
    notes: bool


def options_of(form: SyncForm, *, write: bool) -> SlurmOptions:
    """The options of a cycle.

    Raises:
        ConfigError: a word that is no choice.
    """
    for option, value, kinds in (("--budget", form.budget, list(BudgetBy)), ("--blocks", form.blocks, list(Blocks))):
        if value not in kinds:
            raise ConfigError(f"{value!r} is no choice", where=option, remedy=f"choose {', '.join(kinds)}")
    return SlurmOptions(
        write=write,
        budget=BudgetBy(form.budget),
        qos=form.qos,
        share=form.share,
        blocks=Blocks(form.blocks),
        hint_file=form.hint_file,
        node_kw=form.node_kw,
        gpu_kw=form.gpu_kw,
        notes=form.notes,
    )


def work(
    cluster: tuple[str, Path | None, float, Path],
    options: SlurmOptions,
    stop: tuple[Stoppable, ...],
    api: str,
    secret: str,
    every_s: float,
    *,
    once: bool,
) -> bool:
    """Keep one cluster until stopped, or for one cycle; whether the last one went well.

    cluster: its name, slurm.conf (None: the host's own), seconds of one command, and the folder of its memory.
    """
    name, conf, timeout_s, folder = cluster
    slurm, memory = Slurm(conf=conf, timeout_s=timeout_s), Memory(folder / f"{name}.json")
    with contextlib.closing(Client(api, secret)) as client:
        cycle = SlurmCycle(slurm, memory.writer(slurm), options)
        synced = SlurmSync(name, client, slurm, cycle, memory, every_s, bool(secret), stop)
        reporter = Reporter("slurm", every_s, dry=not options.write)
        report = (lambda told: client.report(name, told)) if secret else None
        return asyncio.run(
            SyncLoop(Ear(client, scheduler=name), reporter, cycle.run, synced.jobs, report).work(once=once)
        )


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
