"""Scores in words at each node (Comment) and for job constraints (Extra, JSON); what others wrote there stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from placement.slurm.commands import Slurm
from placement.slurm.nodes import PREFIX
from placement.slurm.weights import level

_WIDTH = 200
_OURS = '{"coldplate_'


@dataclass(frozen=True, slots=True)
class Note:
    """Comment and Extra of a node as they are."""

    comment: str
    extra: str


async def read_notes(slurm: Slurm) -> dict[str, Note]:
    """By node; empty where there is none.

    Raises:
        SilentError: no answer.
        RefusedError: Slurm refused.
    """
    wanted = f"NodeList:{_WIDTH},Comment:{_WIDTH},Extra:{_WIDTH}"
    text = await slurm.run("sinfo", "-a", "-h", "-N", "-O", wanted)
    rows = (line for line in text.splitlines() if line.strip())
    return {row[:_WIDTH].strip(): Note(*(_word(row[i * _WIDTH : (i + 1) * _WIDTH]) for i in (1, 2))) for row in rows}


async def write_notes(slurm: Slurm, scores: Mapping[str, int], *, dry: bool = False) -> tuple[tuple[str, ...], int]:
    """One cycle: nodes whose note was not as it should be, and how many were left to others.

    Notes tell the level of a score (sixteen of them), so that a thousand nodes need no more than sixteen commands.

    Raises:
        SilentError: no answer.
        RefusedError: Slurm refused.
    """
    now = await read_notes(slurm)
    free = {name: note for name, note in now.items() if _ours(note)}
    wanted = {name: _note(scores.get(name)) for name in free}
    groups: dict[Note, list[str]] = {}
    for name, note in wanted.items():
        if note != free[name]:
            groups.setdefault(note, []).append(name)
    if not dry:
        await slurm.update_all([_command(names, note) for note, names in groups.items()])
    return tuple(sorted(name for names in groups.values() for name in names)), len(now) - len(free)


def _note(score: int | None) -> Note:
    """Empty without a score. Extra has to be JSON, or `--extra` of jobs can't be judged (24.05 and later)."""
    if score is None:
        return Note("", "")
    least = 100 - round((level(score) + 1) * 100 / 16)
    return Note(f"{PREFIX}score>={least}", f'{_OURS}score":{least}}}')


def _command(names: list[str], note: Note) -> str:
    """Without blanks or quotes around: scontrol keeps those that it reads from its standard input."""
    return f"update nodename={','.join(sorted(names))} comment={note.comment} extra={note.extra}"


def _ours(note: Note) -> bool:
    comment = not note.comment or note.comment.startswith(PREFIX)
    return comment and (not note.extra or note.extra.startswith(_OURS))


def _word(text: str) -> str:
    word = text.strip()
    return "" if word in ("(null)", "N/A", "none") else word
