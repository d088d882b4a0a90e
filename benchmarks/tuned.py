"""Tunings kept from a run of `coldplate bench tuning`, for quick runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML

from benchmarks.baselines import Tuning

FILE = Path(__file__).with_name("tuned.yaml")


def read_tuned(path: Path = FILE) -> Mapping[str, Mapping[str, dict[str, Tuning]]]:
    """Plant -> climate -> kind -> tuning; empty where the file is missing."""
    if not path.is_file():
        return {}
    document = YAML(typ="safe").load(path) or {}
    return {
        plant: {c: {k: Tuning(kind=k, **values) for k, values in kinds.items()} for c, kinds in climates.items()}
        for plant, climates in document.items()
    }
