"""Tunings kept from a run of `coldplate bench tuning`, for quick runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from benchmarks.baselines import Tuning
from plant.errors import ConfigError

HEAD = """\
# Baselines for `coldplate bench control --quick`, so that it need not tune.
# Written by `coldplate bench tuning --write FILE`: do not edit.
"""
FILE, TWELVE = Path(__file__).with_name("tuned.yaml"), Path(__file__).with_name("tuned_twelve.yaml")
"""Tuned to the warmest day, which a quick run judges; and to the twelve weighted days of a climate."""


def read_tuned(path: Path = FILE) -> Mapping[str, Mapping[str, dict[str, Tuning]]]:
    """Plant -> climate -> kind -> tuning; empty where the file is missing."""
    if not path.is_file():
        return {}
    document = YAML(typ="safe").load(path) or {}
    return {
        plant: {c: {name: _tuning(name, values) for name, values in names.items()} for c, names in climates.items()}
        for plant, climates in document.items()
    }


def check_kept(path: Path) -> None:
    """Whether tunings can be kept there, before hours are spent on them.

    Raises:
        ConfigError: no such folder, or a file that holds something else.
    """
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"there is no folder {path.parent}", where="--write", remedy="make it, or name another")
    try:
        read_tuned(path)
    except (OSError, ValueError, TypeError, AttributeError, YAMLError) as error:
        remedy = "name a new file, or one that was written here"
        raise ConfigError(f"{path} holds no tunings", where="--write", remedy=remedy) from error


def _tuning(name: str, values: Mapping[str, float]) -> Tuning:
    return Tuning(kind=name.removesuffix("-no-reserve"), **values)


def write_tuned(path: Path, plant: str, climate: str, found: Mapping[str, Tuning]) -> None:
    """Keep a plant's tunings for a climate, by name; all others stay as they are."""
    kept = {p: {c: _plain(tunings) for c, tunings in climates.items()} for p, climates in read_tuned(path).items()}
    kept.setdefault(plant, {}).setdefault(climate, {}).update(_plain(found))
    yaml = YAML(typ="safe")
    yaml.width = 1000
    with path.open("w", encoding="utf-8") as file:
        file.write(HEAD)
        yaml.dump(kept, file)


def _plain(tunings: Mapping[str, Tuning]) -> dict[str, dict[str, float]]:
    return {name: tuning.values for name, tuning in tunings.items()}
