"""A power budget that Slurm holds: kW as licences, of which a reservation takes away what may not be used now.

Jobs ask for `-L power_kw:N` (or the job_submit plugin adds it). There is no command that changes a licence's number
live; a reservation for nobody else does. Figures of both versions: docs/decisions/015.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from placement.slurm.commands import Slurm
from plant.errors import ConfigError

LICENCE, HOLD = "power_kw", "coldplate_budget"


@dataclass(frozen=True, slots=True)
class Licences:
    """Kilowatts that Slurm knows of: all, in use by jobs, and held back by us."""

    total_kw: int
    used_kw: int
    held_kw: int

    @property
    def over_kw(self) -> int:
        """By how much running jobs are above what is left: they go on, nothing new starts."""
        return max(self.used_kw + self.held_kw - self.total_kw, 0)


async def read_licences(slurm: Slurm) -> Licences:
    """The licences as they are.

    Raises:
        ConfigError: the cluster has no such licence.
        SilentError: no answer.
    """
    text = await slurm.run("scontrol", "-o", "show", "licenses")
    line = next((words for words in text.splitlines() if words.startswith(f"LicenseName={LICENCE} ")), None)
    if line is None:
        remedy = f"add Licenses={LICENCE}:KW (all that the site may use) to slurm.conf"
        raise ConfigError(f"no licence {LICENCE}", where="slurm.conf", remedy=remedy)
    fields = dict(word.partition("=")[::2] for word in line.split())
    return Licences(int(fields["Total"]), int(fields["Used"]), await _held_kw(slurm))


async def set_budget(slurm: Slurm, budget_kw: float | None, *, dry: bool = False) -> tuple[Licences, Licences]:
    """Hold back all above budget_kw [kW]; None: hold nothing. Licences before and after.

    Below what already runs, jobs go on and nothing starts until they have ended (`over_kw` of what is after).

    Raises:
        ConfigError: the cluster has no such licence.
        SilentError: no answer.
        RefusedError: Slurm refused.
    """
    before = await read_licences(slurm)
    hold_kw = 0 if budget_kw is None else max(before.total_kw - int(max(budget_kw, 0.0)), 0)
    if hold_kw != before.held_kw and not dry:
        await slurm.run("scontrol", *_command(hold_kw, exists=before.held_kw > 0))
    return before, Licences(before.total_kw, before.used_kw, hold_kw)


def _command(hold_kw: int, *, exists: bool) -> list[str]:
    if hold_kw == 0:
        return ["delete", f"reservationname={HOLD}"]
    if exists:
        return ["update", f"reservationname={HOLD}", f"licenses={LICENCE}:{hold_kw}"]
    when = ["starttime=now", "duration=infinite", "users=root", "flags=license_only,any_nodes,ignore_jobs"]
    return ["create", "reservation", f"reservationname={HOLD}", f"licenses={LICENCE}:{hold_kw}", *when]


async def _held_kw(slurm: Slurm) -> int:
    text = await slurm.run("scontrol", "-o", "show", "reservation")
    line = next((words for words in text.splitlines() if words.startswith(f"ReservationName={HOLD} ")), "")
    found = re.search(rf"\bLicenses={LICENCE}:(\d+)", line)
    return int(found.group(1)) if found else 0
