"""Network leaves as Slurm knows them, so that hints never tear one apart."""

from __future__ import annotations

import re

from placement.slurm.commands import Slurm
from placement.slurm.jobs import expand
from plant.errors import RefusedError


async def read_leaves(slurm: Slurm) -> list[list[str]]:
    """Nodes of each leaf switch; empty without a topology plugin.

    Raises:
        SilentError: no answer.
    """
    try:
        text = await slurm.run("scontrol", "-o", "show", "topology")
    except RefusedError:  # its way to say that there is none
        return []
    leaves = re.findall(r"\bLevel=0\b.*?\bNodes=(\S+)", text)
    names = await expand(slurm, leaves)
    return [list(names[leaf]) for leaf in leaves]


async def read_clock(slurm: Slurm) -> float:
    """The controller's clock [s since 1970].

    Raises:
        SilentError: no answer.
        RefusedError: it tells none.
    """
    first = (await slurm.run("scontrol", "show", "config")).partition("\n")[0]
    found = re.search(r" as of (\d{9,11})$", first)
    if found is None:
        raise RefusedError(f"no time in {first!r}")
    return float(found.group(1))
