"""The small file that coldplate's job_submit plugin reads; see packaging/slurm/job_submit.lua."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from store.files import replace_file


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitHints:
    """What new jobs get. Kilowatts; valid_until_s [s since 1970]."""

    valid_until_s: float
    kw_per_node: float | None = None
    kw_per_gpu: float | None = None
    exclude: Sequence[str] = ()
    refuse_above_kw: float | None = None
    message: str = ""


def write_hints(path: Path, hints: SubmitHints) -> None:
    """Replace the file in one step: the controller never reads half of it.

    Raises:
        StoreError: it can't be written.
    """
    values = {
        "valid_until": f"{hints.valid_until_s:.0f}",
        "kw_per_node": _number(hints.kw_per_node),
        "kw_per_gpu": _number(hints.kw_per_gpu),
        "exclude": ",".join(hints.exclude),
        "refuse_above_kw": _number(hints.refuse_above_kw),
        "message": " ".join(hints.message.split()),
    }
    text = "".join(f"{key}={value}\n" for key, value in values.items() if value)
    replace_file(path, text.encode(), 0o644)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
