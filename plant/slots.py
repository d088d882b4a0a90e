"""Where named points lie in a table of columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from plant.points import PointId

UNKNOWN = -1
_MOST_REMEMBERED = 200_000


class Slots:
    """Looks up a whole tuple of names at once, and remembers the answer for the very same tuple.

    Blocks of registers bring the same tuple with every reading, so that no name is looked up twice. `of` is -1 where a
    name is in no slot.
    """

    def __init__(self, slot: Mapping[PointId, int]) -> None:
        self._slot = slot
        self._known: dict[int, tuple[tuple[PointId, ...], npt.NDArray[np.intp]]] = {}
        self._remembered = 0

    def of(self, names: tuple[PointId, ...]) -> npt.NDArray[np.intp]:
        """The slot of each name, shape (n,); not to be written to."""
        known = self._known.get(id(names))
        if known is not None:  # the tuple is held, so that its id can't be another's
            return known[1]
        found = np.array([self._find(name) for name in names], dtype=np.intp)
        if self._remembered > _MOST_REMEMBERED + 2 * len(self._slot):  # room for a large table and its blocks
            self._known.clear()
            self._remembered = 0
        self._known[id(names)] = names, found
        self._remembered += len(names)
        return found

    def _find(self, name: PointId) -> int:
        return self._slot.get(name, UNKNOWN)


class GrowingSlots(Slots):
    """Slots that give a place to every name that is new; `names` are all, by slot."""

    def __init__(self, names: Iterable[PointId]) -> None:
        self._places: dict[PointId, int] = {name: i for i, name in enumerate(names)}
        self._names = tuple(self._places)
        self._own = np.arange(len(self._names))
        super().__init__(self._places)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def names(self) -> tuple[PointId, ...]:
        """Every name, in the order of the slots; the same tuple until a name is new."""
        if len(self._names) != len(self._places):
            self._names = tuple(self._places)
            self._own = np.arange(len(self._names))
        return self._names

    def of(self, names: tuple[PointId, ...]) -> npt.NDArray[np.intp]:
        """As any slots; its own `names` are never forgotten."""
        return self._own if names is self._names else super().of(names)

    def _find(self, name: PointId) -> int:
        return self._places.setdefault(name, len(self._places))
