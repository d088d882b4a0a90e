"""The instruments of one equipment in columns: what they show of true values, with a little noise."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plant.points import Point, PointId
from plant.quantities import Quantity
from simulator.chance import hashed_all, seed_number
from simulator.racks import Floats

ABSOLUTE_NOISE = {Quantity.TEMPERATURE: 0.03, Quantity.HUMIDITY: 0.002, Quantity.FREQUENCY: 0.01}
RELATIVE_NOISE = {
    Quantity.VOLUME_FLOW: 0.003,
    Quantity.DIFFERENTIAL_PRESSURE: 0.003,
    Quantity.PRESSURE: 0.002,
    Quantity.POWER: 0.001,
    Quantity.APPARENT_POWER: 0.001,
    Quantity.VOLTAGE: 0.001,
}


@dataclass(frozen=True, slots=True)
class Dials:
    """points: ids; keys: their names at the equipment; absolute, relative: noise of each [SI, 1]; shape (n,) each."""

    points: tuple[PointId, ...]
    keys: tuple[str, ...]
    absolute: Floats
    relative: Floats
    seeds: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, site: str, equipment: str, points: Sequence[Point]) -> Dials:
        """Of all points of an equipment."""
        return cls(
            points=tuple(p.id for p in points),
            keys=tuple(p.id.removeprefix(f"{equipment}/") for p in points),
            absolute=np.array([ABSOLUTE_NOISE.get(p.quantity, 0.0) for p in points]),
            relative=np.array([RELATIVE_NOISE.get(p.quantity, 0.0) for p in points]),
            seeds=np.array([seed_number(site, p.id) for p in points], dtype=np.uint64),
        )

    def read(self, show: Mapping[str, float], exact: Container[str], tick: int) -> list[float]:
        """What they show of the true values; of `exact` ones without noise."""
        true = np.array([show[key] for key in self.keys], dtype=np.float64)
        noise = (self.absolute + self.relative * true) * hashed_all(self.seeds, tick)
        found: list[float] = (true + np.where([key in exact for key in self.keys], 0.0, noise)).tolist()
        return found
