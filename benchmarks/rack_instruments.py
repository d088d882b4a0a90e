"""What racks of the quasi-steady plants show: water, power, and the GPUs that tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from plant.points import PointId

Array = npt.NDArray[np.float64]


CASE_STEP_K = 1.0
"""GPUs tell whole degrees, as DCGM does."""


def told(case_c: float) -> float:
    """What a GPU tells of its case [°C]."""
    return CASE_STEP_K * round(case_c / CASE_STEP_K)


def shares_of(count: int, hottest: float) -> tuple[float, ...]:
    """Rises over supply against the mean one [1] of `count` GPUs of a rack, the hottest first and spread evenly."""
    return tuple(np.linspace(hottest, 2.0 - hottest, count).tolist())


def shown_by_racks(
    racks: Sequence[str],
    values: Mapping[str, Array],
    supply_c: float,
    rises_k: Array,
    gpu_w: Array,
    shares: Sequence[float],
) -> dict[PointId, float]:
    """Points of all racks [SI]; arrays have one figure a rack.

    values: the racks' own, by point name; supply_c: at their inlets [°C]; rises_k: of the mean GPU's case over it [K];
    gpu_w: what lies on one GPU's plate [W], the power of its module; shares: see `shares_of`, one for each GPU that
    tells.
    """
    columns = {"liquid_supply_temperature": np.full(len(racks), supply_c), **values}
    for gpu, share in enumerate(shares):
        columns[f"gpu-{gpu:02d}/temperature"] = CASE_STEP_K * np.round((supply_c + share * rises_k) / CASE_STEP_K)
        columns[f"gpu-{gpu:02d}/power"] = gpu_w
    return {
        f"{rack}/{name}": value
        for name, column in columns.items()
        for rack, value in zip(racks, column.tolist(), strict=True)
    }
