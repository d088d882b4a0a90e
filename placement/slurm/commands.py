"""Slurm's own commands, run as children: the one interface that every version has.

slurmrestd can't update nodes before 24.05, and its update is not atomic afterwards; see docs/decisions/015.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plant.errors import ConfigError, RefusedError, SilentError

TIMEOUT_S = 15.0
_PATHS = "/usr/local/sbin:/usr/sbin:/sbin:/opt/slurm/bin"
_UNREACHABLE = ("Unable to contact slurm controller", "Connection refused", "timed out", "Socket timed out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slurm:
    """One cluster: its configuration file (None: the host's own) and how long a command may take [s]."""

    conf: Path | None = None
    timeout_s: float = TIMEOUT_S

    async def run(self, *argv: str, text: str = "") -> str:
        """Standard output of one command; `text` goes to its standard input.

        Raises:
            ConfigError: the program is not installed.
            SilentError: the controller did not answer in time.
            RefusedError: Slurm said no; its own words.
        """
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
    lines = [line for line in words.splitlines() if not line.startswith(("scontrol: ", "Hint"))] or [words]
    text = f"{program}: {'; '.join(lines[:3])}"
    if any(sign in words for sign in _UNREACHABLE):
        raise SilentError(text)
    raise RefusedError(text)
