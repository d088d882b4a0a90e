"""The same power budget as a limit of a QOS: for clusters with slurmdbd that count licences as TRES.

slurm.conf needs AccountingStorageTRES=license/power_kw and AccountingStorageEnforce=limits,qos, and jobs the QOS.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from placement.slurm.budget import LICENCE
from placement.slurm.commands import Slurm
from plant.errors import ConfigError

_TRES = f"license/{LICENCE}"


@dataclass(frozen=True, slots=True)
class QosBudget:
    """What the QOS allowed before and allows now [kW]; None: no limit."""

    before_kw: int | None
    now_kw: int | None


async def set_qos_budget(slurm: Slurm, qos: str, budget_kw: float | None, *, dry: bool = False) -> QosBudget:
    """Let jobs of a QOS take budget_kw [kW] together; None: no limit. Running jobs go on, whatever it is.

    Raises:
        ConfigError: no such QOS, no slurmdbd, or no sacctmgr.
        SilentError: no answer.
        RefusedError: it refused.
    """
    before_kw = await _limit_kw(slurm, qos)
    wanted_kw = None if budget_kw is None else int(max(budget_kw, 0.0))
    if wanted_kw != before_kw and not dry:
        limit = -1 if wanted_kw is None else wanted_kw
        await slurm.run("sacctmgr", "-i", "modify", "qos", qos, "set", f"GrpTRES={_TRES}={limit}")
    return QosBudget(before_kw, wanted_kw)


async def _limit_kw(slurm: Slurm, qos: str) -> int | None:
    text = await slurm.run("sacctmgr", "-nP", "show", "qos", qos, "format=Name,GrpTRES")
    if not text.strip():
        remedy = f"sacctmgr add qos {qos}, with slurmdbd; or use --budget licence"
        raise ConfigError(f"no QOS {qos}", where="--qos", remedy=remedy)
    found = re.search(rf"(?:^|[|,]){_TRES}=(\d+)", text.splitlines()[0])
    return int(found.group(1)) if found else None
