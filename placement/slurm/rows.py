"""Rows of Slurm's tables whose last field is what people wrote: several lines, or words that look like another row."""

from __future__ import annotations

import secrets


def row_begin() -> str:
    """What a row is to begin with: of one question only, so that nobody can have written it into a name."""
    return f"{secrets.token_hex(8)}|"


def rows_of(text: str, begin: str) -> list[str]:
    """The rows of an answer without their beginning and end of line."""
    return [row.removesuffix("\n") for row in text.split(begin)[1:]]
