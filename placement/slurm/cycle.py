"""One cycle of `slurm sync`: everything read anew, what differs set right, in an order that fails on the safe side."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from placement.slurm.budget import set_budget
from placement.slurm.commands import Slurm
from placement.slurm.drains import reconcile_drains
from placement.slurm.hint_file import SubmitHints, write_hints
from placement.slurm.notes import write_notes
from placement.slurm.qos import set_qos_budget
from placement.slurm.topology import read_clock, read_leaves
from placement.slurm.weights import WeightWriter
from placement.sync_cycle import Cycle
from placement.wishes import Wishes
from plant.errors import StoreError


class BudgetBy(StrEnum):
    """What holds the site's power budget in Slurm."""

    LICENCE = "licence"
    QOS = "qos"
    NONE = "none"


class Blocks(StrEnum):
    """Which nodes get one weight together."""

    LEAF = "leaf"
    CDU = "cdu"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmOptions:
    """write: False is a dry run. node_kw, gpu_kw: what a full node and a GPU draw [kW]; share: of the site's budget."""

    write: bool = False
    budget: BudgetBy = BudgetBy.LICENCE
    qos: str = "normal"
    share: float = 1.0
    blocks: Blocks = Blocks.LEAF
    hint_file: Path | None = None
    node_kw: float = 10.0
    gpu_kw: float | None = None
    notes: bool = False


@dataclass(slots=True)
class SlurmCycle:
    """writer: of weights; wall_s: this host's clock [s since 1970]; shut: scopes whose nodes are drained.

    here: nodes of the site file that Slurm knows, as last seen.
    """

    slurm: Slurm
    writer: WeightWriter
    options: SlurmOptions
    wall_s: Callable[[], float] = time.time
    shut: frozenset[str] = field(default_factory=frozenset)
    here: frozenset[str] = field(default_factory=frozenset)

    async def run(self, wishes: Wishes) -> Cycle:
        """Budget and drains first: what limits goes before what steers."""
        cycle = Cycle()
        await cycle.part(self._clock(cycle))
        if wishes.budgets_known:
            await cycle.part(self._budget(wishes, cycle))
            if wishes.places:
                await cycle.part(self._drains(wishes, cycle))
        await cycle.part(self._weights(wishes, cycle))
        if self.options.notes:
            await cycle.part(self._notes(wishes, cycle))
        if self.options.hint_file is not None:
            self._hints(wishes, self.options.hint_file, cycle)
        return cycle

    async def _clock(self, cycle: Cycle) -> None:
        cycle.skew_s = await read_clock(self.slurm) - self.wall_s()

    async def _budget(self, wishes: Wishes, cycle: Cycle) -> None:
        budget, dry = wishes.site_budget, not self.options.write
        kw = None if budget is None else self.options.share * budget.kw
        if self.options.budget is BudgetBy.LICENCE:
            before, after = await set_budget(self.slurm, kw, dry=dry)
            if before.held_kw != after.held_kw:
                cycle.lines.append(
                    f"budget: {after.held_kw} of {after.total_kw} kW held back (before {before.held_kw})"
                )
            if after.over_kw:
                cycle.lines.append(f"budget: running jobs are {after.over_kw} kW above it; nothing new starts")
        elif self.options.budget is BudgetBy.QOS:
            limit = await set_qos_budget(self.slurm, self.options.qos, kw, dry=dry)
            if limit.before_kw != limit.now_kw:
                cycle.lines.append(f"budget: QOS {self.options.qos} {limit.before_kw} -> {limit.now_kw} kW")

    async def _drains(self, wishes: Wishes, cycle: Cycle) -> None:
        wanted = wishes.shut(self.options.node_kw, self.shut)
        done = await reconcile_drains(self.slurm, wanted, dry=not self.options.write)
        self.shut = frozenset(wishes.shut_scopes(self.options.node_kw, self.shut))
        cycle.say("drained", done.drained)
        cycle.say("resumed", done.resumed)
        cycle.foreign = done.foreign
        cycle.say("left to others, who drained them", done.foreign)

    async def _weights(self, wishes: Wishes, cycle: Cycle) -> None:
        dry = not self.options.write
        if not wishes.nodes:
            cycle.say("no valid hints: weights given back", await self.writer.restore(dry=dry))
            return
        self.writer.blocks = await self._blocks(wishes)
        done = await self.writer.sync(wishes.scores, dry=dry)
        cycle.say("weights", done.changed)
        self.here = frozenset(wishes.nodes) - set(done.unknown)
        cycle.repaired = len(done.repaired)
        cycle.compare(len(wishes.nodes) - len(done.unknown), done.unknown, done.unscored, wishes.strangers)

    async def _blocks(self, wishes: Wishes) -> list[list[str]]:
        if self.options.blocks is Blocks.LEAF:
            return await read_leaves(self.slurm)
        return wishes.blocks if self.options.blocks is Blocks.CDU else []

    async def _notes(self, wishes: Wishes, cycle: Cycle) -> None:
        done, foreign = await write_notes(self.slurm, wishes.scores, dry=not self.options.write)
        cycle.say("notes", done)
        if foreign:
            cycle.lines.append(f"notes: {foreign} nodes have others' comments, which stay")

    def _hints(self, wishes: Wishes, path: Path, cycle: Cycle) -> None:
        """Also while Slurm is away: it ends by itself, with the hints or the budget that it rests on."""
        hints = submit_hints(wishes, self.options, self.wall_s(), self.here)
        if not self.options.write:
            return
        try:
            write_hints(path, hints)
        except StoreError as error:
            cycle.errors.append(str(error))


def submit_hints(wishes: Wishes, options: SlurmOptions, now_s: float, here: frozenset[str]) -> SubmitHints:
    """What job_submit.lua gives new jobs; now_s [s since 1970]. A job larger than the whole budget is refused.

    here: nodes that Slurm knows; it refuses every job that excludes another one.
    """
    budget = wishes.site_budget
    kw = None if budget is None else options.share * budget.kw
    words = "" if budget is None else f"The power budget is {kw:.0f} kW: {budget.reason}"
    return SubmitHints(
        valid_until_s=now_s + max([wishes.left_s, *(b.left_s for b in wishes.budgets)]),
        kw_per_node=options.node_kw,
        kw_per_gpu=options.gpu_kw,
        exclude=sorted(here & wishes.shut(options.node_kw).keys()),
        refuse_above_kw=kw,
        message=words,
    )
