"""Slurm's own commands, run as children: the one interface that every version has.

slurmrestd can't update nodes before 24.05, and its update is not atomic afterwards; see docs/decisions/015.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plant.errors import ConfigError, RefusedError, SilentError

TIMEOUT_S = 15.0
_PATHS = "/usr/local/sbin:/usr/sbin:/sbin:/opt/slurm/bin"
_UNREACHABLE = ("Unable to contact slurm controller", "Connection refused", "timed out", "Socket timed out")
_UNCONFIGURED = ("failed to fetch config", "Could not establish a configuration source")
_OWN_NAME = re.compile(r"^\w+: (?:error: |fatal: )?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slurm:
    """One cluster: its configuration file (None: the host's own) and how long a command may take [s]."""

    conf: Path | None = None
    timeout_s: float = TIMEOUT_S

    async def run(self, *argv: str, text: str = "") -> str:
        """Standard output of one command; `text` goes to its standard input.

        Raises:
            ConfigError: the program is not installed, or there is no such configuration file.
            SilentError: the controller did not answer in time.
            RefusedError: Slurm said no; its own words.
        """
        if self.conf is not None and not self.conf.is_file():  # Slurm itself would wait a minute for it
            raise ConfigError("no such slurm.conf", where=str(self.conf), remedy="give the path of the cluster's own")
        try:
            child = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self._env(),
            )
        except (FileNotFoundError, PermissionError):  # the latter where PATH names a folder that is closed to us
            raise ConfigError(f"no program {argv[0]}", remedy="install slurm-client on this host") from None
        try:
            out, err = await asyncio.wait_for(child.communicate(text.encode()), self.timeout_s)
        except TimeoutError:
            child.kill()
            await child.wait()
            raise SilentError(f"{argv[0]}: no answer of the controller within {self.timeout_s:g} s") from None
        if child.returncode:
            _raise(argv[0], err.decode(errors="replace").strip() or out.decode(errors="replace").strip())
        return out.decode(errors="replace")

    async def update_all(self, lines: Sequence[str]) -> None:
        """Several `scontrol` commands in one process, in their order; all are tried even if one is refused.

        Raises:
            SilentError: the controller did not answer.
            RefusedError: at least one was refused.
        """
        if lines:
            await self.run("scontrol", "-Q", text="\n".join([*lines, ""]))

    def _env(self) -> dict[str, str]:
        env = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{_PATHS}", "SLURM_TIME_FORMAT": "%s", "LC_ALL": "C"}
        return env if self.conf is None else {**env, "SLURM_CONF": str(self.conf)}


def _raise(program: str, words: str) -> None:
    if any(sign in words for sign in _UNCONFIGURED):
        raise SilentError(
            "no slurm.conf on this host, and no controller that hands one out; give --conf, or run it on a host of the "
            "cluster"
        )
    lines = [line for line in words.splitlines() if not line.startswith(("scontrol: ", "Hint"))] or words.splitlines()
    text = f"{program}: {'; '.join(_OWN_NAME.sub('', line) for line in lines[:3])}"
    if any(sign in words for sign in _UNREACHABLE):
        raise SilentError(text)
    raise RefusedError(text)
