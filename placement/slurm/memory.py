"""What one `slurm sync` has to remember over its own restarts: the administrator's weights, and powers of jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from placement.job_power import JobPower
from placement.slurm.commands import Slurm
from placement.slurm.weights import WeightWriter
from plant.errors import ConfigError, StoreError
from store import codec
from store.files import replace_file


@dataclass(slots=True)
class _Kept:
    base: dict[str, int] = field(default_factory=dict)
    wrote: dict[str, list[int]] = field(default_factory=dict)
    mean_w: dict[str, float] = field(default_factory=dict)
    variance: dict[str, float] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)


def _kept(file: Path) -> _Kept:
    """What another run knows; nothing where the file is something else, or damaged."""
    try:
        return codec.from_plain(_Kept, codec.decode(file.read_bytes()))
    except (ConfigError, OSError):
        return _Kept()


class Memory:
    """One small file, replaced in one step."""

    def __init__(self, path: Path) -> None:
        """Read it, or begin anew.

        Raises:
            ConfigError: it is damaged: which weights are the administrator's is not known.
            StoreError: it can't be read, or its folder can't be made.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            self._kept = codec.from_plain(_Kept, codec.decode(path.read_bytes()))
        except FileNotFoundError:
            self._kept = _Kept()
        except ConfigError as error:
            remedy = "remove it after a `scontrol reconfigure`, when all weights are those of slurm.conf"
            raise ConfigError(error.message, where=str(path), remedy=remedy) from error
        except OSError as error:
            raise StoreError(f"{path}: can't be used: {error.strerror}") from error

    def writer(self, slurm: Slurm) -> WeightWriter:
        """A writer that remembers before it changes anything."""
        wrote = {node: tuple(weights) for node, weights in self._kept.wrote.items()}
        return WeightWriter(slurm, base=dict(self._kept.base), wrote=wrote, remember=self._remember, meet=self._meet)

    def power(self, default_w: float) -> JobPower:
        """What kinds of jobs draw, as learned so far."""
        kept = self._kept
        return JobPower(default_w, dict(kept.mean_w), dict(kept.variance), dict(kept.runs))

    def keep_power(self, power: JobPower) -> None:
        """Write it down.

        Raises:
            StoreError: it can't be written.
        """
        kept = self._kept
        if power.runs != kept.runs:
            kept.mean_w, kept.variance, kept.runs = dict(power.mean_w), dict(power.variance), dict(power.runs)
            self._write()

    def _remember(self, writer: WeightWriter) -> None:
        self._kept.base = dict(writer.base)
        self._kept.wrote = {node: list(weights) for node, weights in writer.wrote.items()}
        self._write()

    def _meet(self, weights: Mapping[str, int]) -> None:
        """A run under another name wrote some of these weights, and still counts on giving them back.

        Raises:
            ConfigError: so it is; they would else be taken for the administrator's, and ours added to them.
        """
        for file in sorted(self._path.parent.glob("*.json")):
            other = _kept(file) if file != self._path else _Kept()
            ours = [n for n, w in weights.items() if w in other.wrote.get(n, ()) and w != other.base.get(n)]
            if ours:
                known = f"stop that one, then go on from what it knows (mv {file} {self._path})"
                back = f"coldplate slurm take-back --name {file.stem} --state {file.parent} --write"
                raise ConfigError(
                    f"the weights of {len(ours)} nodes ({ours[0]} first) are those that `--name {file.stem}` wrote",
                    where=str(self._path),
                    remedy=f"{known}, or let it give them back ({back})",
                )

    def _write(self) -> None:
        replace_file(self._path, codec.encode(codec.to_plain(self._kept)) + b"\n")
