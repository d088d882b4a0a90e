"""Pages of NVIDIA's dcgm-exporter: one GPU a row, its metrics by name. Pure.

What is not on the page is unknown, never 0. A GPU that is cut into MIG instances is read as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from devices.exposition import Page, Series

POWER = "DCGM_FI_DEV_POWER_USAGE"
ENERGY = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"
UTILISATION = "DCGM_FI_DEV_GPU_UTIL"
PROFILING = "DCGM_FI_PROF_"
ALWAYS_READ = frozenset({POWER, ENERGY, UTILISATION})

FROZEN_AFTER_S = 75.0
"""An exporter collects each 30 s by default; two of its rounds and a half without a joule [s, site time]."""
WORKING = 20.0
"""Utilisation above which profiling counters of 0 contradict it [%]."""
# DCGM's `no value`: blank, not found, not supported, not permitted, as int32, int64 and double (dcgm_structs.h)
_BLANKS = frozenset(
    float(base + kind) for base in (0x7FFFFFF0, 0x7FFFFFFFFFFFFFF0, 140737488355328) for kind in range(4)
)


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU at one scrape: values by metric name, in DCGM's units; NaN where DCGM says that there is none."""

    host: str
    index: int
    uuid: str
    values: dict[str, float] = field(default_factory=dict)
    time_s: float | None = None


def gpus(page: Page) -> list[Gpu]:
    """The GPUs of a page, each once: containers that share one repeat its rows."""
    found: dict[tuple[str, str, str], Gpu] = {}
    for series in page.series:
        labels = series.labels
        if labels.get("GPU_I_ID"):
            continue
        key = (labels.get("Hostname", ""), labels.get("gpu", ""), labels.get("UUID", ""))
        gpu = found.get(key)
        if gpu is None:
            gpu = found[key] = Gpu(key[0], _index(series), key[2], {}, series.time_s)
        gpu.values.setdefault(series.name, math.nan if series.value in _BLANKS else series.value)
    return list(found.values())


def _index(series: Series) -> int:
    text = series.labels.get("gpu", "") or series.labels.get("device", "").removeprefix("nvidia")
    return int(text) if text.isdecimal() else -1


def missing_metrics(found: Iterable[Gpu], wanted: Iterable[str]) -> list[str]:
    """Wanted metrics that no GPU has."""
    seen = {name for gpu in found for name in gpu.values}
    return [name for name in wanted if name not in seen]


def profiling_lost(gpu: Gpu) -> bool:
    """Whether all profiling counters read 0 while the GPU works: known to happen after some XIDs."""
    counters = [value for name, value in gpu.values.items() if name.startswith(PROFILING)]
    return bool(counters) and not any(counters) and gpu.values.get(UTILISATION, 0.0) > WORKING


@dataclass(slots=True)
class _Seen:
    uuid: str
    energy: float
    power: float
    since_s: float


class FreezeWatch:
    """Tells a GPU whose numbers stopped: it draws power, and its energy counter stands still."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], _Seen] = {}

    def frozen(self, gpu: Gpu, now_s: float) -> bool:
        """Whether the exporter repeats itself about this GPU at `now_s` [s, site's monotonic clock]."""
        energy, power = gpu.values.get(ENERGY, math.nan), gpu.values.get(POWER, math.nan)
        if not (power > 0 and energy >= 0):
            return False
        seen = self._seen.get((gpu.host, gpu.index))
        if seen is None or (seen.uuid, seen.energy, seen.power) != (gpu.uuid, energy, power):
            self._seen[gpu.host, gpu.index] = _Seen(gpu.uuid, energy, power, now_s)
            return False
        return now_s - seen.since_s >= FROZEN_AFTER_S
