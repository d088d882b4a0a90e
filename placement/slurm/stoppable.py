"""Which of Slurm's jobs may be stopped and started again: those that the site says so of, if Slurm may requeue them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from placement.slurm.commands import Slurm
from plant.errors import ConfigError

_FIELDS = {"qos": "QOS", "partition": "Partition", "comment": "Comment"}
_JOB = re.compile(r"^JobId=(\d+)")
_HEAD = re.compile(r"^JobId=\d+(?: ArrayJobId=\d+)?.* Requeue=1 Restarts=\d+ BatchFlag=1 ")
"""Slurm requeues batch jobs only, and none that was submitted with --no-requeue."""


@dataclass(frozen=True, slots=True)
class Stoppable:
    """One way of the site to say it: field (qos, partition, comment) and the word that stands there."""

    field: str
    word: str


def stoppable(text: str) -> Stoppable:
    """`qos=spot`, `partition=spot` or `comment=checkpoints`.

    Raises:
        ConfigError: none of them.
    """
    field, _, word = text.partition("=")
    if field not in _FIELDS or not re.fullmatch(r"\S+", word):
        raise ConfigError(f"{text!r} names no jobs", where="--interruptible", remedy="give e.g. qos=spot, comment=ckpt")
    return Stoppable(field, word)


async def stoppable_jobs(slurm: Slurm, ways: Sequence[Stoppable]) -> frozenset[str]:
    """Numbers of jobs (of each task of an array its own) that any of the ways names; nothing is asked without one.

    Raises:
        SilentError: no answer.
        RefusedError: Slurm refused.
    """
    if not ways:
        return frozenset()
    text = await slurm.run("scontrol", "-a", "-o", "show", "jobs")
    return frozenset(stoppable_among(text.splitlines(), ways))


def stoppable_among(lines: Iterable[str], ways: Sequence[Stoppable]) -> set[str]:
    """Of jobs in scontrol's form of one line each; where a job's name forges lines of another, all have to say it."""
    said: dict[str, bool] = {}
    for line in lines:
        if job := _JOB.match(line):
            says = _HEAD.match(line) is not None and any(_says(line, way) for way in ways)
            said[job[1]] = said.get(job[1], True) and says
    return {job for job, all_say in said.items() if all_say}


def _says(line: str, way: Stoppable) -> bool:
    """A comment may have more words around ours."""
    if way.field == "comment":
        comment = re.search(r" Comment=(.*?)(?= \w+=|$)", line)
        return comment is not None and way.word in re.split(r"[\s,;]+", comment[1])
    return f" {_FIELDS[way.field]}={way.word} " in f"{line} "
