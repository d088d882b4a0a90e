"""The register image of one simulated unit, laid out by its device profile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from devices.decode import decode_words
from devices.encode import encode_words, no_value_words
from devices.profiles import Profile, ProfilePoint
from plant.errors import PermanentError, RefusedError
from plant.points import PointId

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
ALL_ONES = 0xFFFF


class ModbusFault(PermanentError):  # noqa: N818 - the field's own word is "exception"
    """An exception code for the answer."""

    def __init__(self, code: int, why: str) -> None:
        self.code = code
        super().__init__(why)


class RegisterImage:
    """One unit's tables, filled from the plant when they are read.

    show: gives the equipment's readings [SI] by point id; take: takes a write [SI] or raises RefusedError;
    all_ones: points whose words are 0xFFFF by a fault.
    """

    def __init__(
        self,
        equipment: str,
        profile: Profile,
        show: Callable[[], Mapping[PointId, float]],
        take: Callable[[PointId, float], None],
        all_ones: set[PointId],
    ) -> None:
        self.equipment, self.profile = equipment, profile
        self._show, self._take, self._all_ones = show, take, all_ones
        self._readable: dict[str, set[int]] = {}
        for block in profile.readable:
            self._readable.setdefault(block.table, set()).update(range(block.first, block.last + 1))
        for point in profile.points:
            self._readable.setdefault(point.table or "", set()).update(_addresses(point))
        self._by_address = {p.address: p for p in profile.points if p.table == "holding"}

    def read(self, table: str, address: int, count: int) -> list[int]:
        """Words of a table.

        Raises:
            ModbusFault: an address that the device does not have.
        """
        wanted = range(address, address + count)
        if not self._readable.get(table, set()).issuperset(wanted):
            raise ModbusFault(ILLEGAL_ADDRESS, f"no {table} {address}..{address + count - 1}")
        values = self._show()
        words = dict.fromkeys(wanted, 0)
        for point in self.profile.points:
            if point.table == table and not words.keys().isdisjoint(_addresses(point)):
                words.update(zip(_addresses(point), self._words(point, values), strict=True))
        return [words[a] for a in wanted]

    def write(self, address: int, words: Sequence[int]) -> None:
        """Holding registers, whole points only.

        Raises:
            ModbusFault: not writable (2), or refused by the device (3).
        """
        at, rest = address, list(words)
        while rest:
            point = self._by_address.get(at)
            if point is None or not point.writable or len(rest) < point.words:
                raise ModbusFault(ILLEGAL_ADDRESS, f"holding {at} is not writable")
            own, rest = rest[: point.words], rest[point.words :]
            try:
                self._take(f"{self.equipment}/{point.name}", decode_words(point, own))
            except RefusedError as error:
                raise ModbusFault(ILLEGAL_VALUE, str(error)) from error
            at += point.words

    def _words(self, point: ProfilePoint, values: Mapping[PointId, float]) -> list[int]:
        name = f"{self.equipment}/{point.name}"
        if name in self._all_ones:
            return [ALL_ONES] * point.words
        try:
            return encode_words(point, values[name])
        except RefusedError:
            return no_value_words(point)


def _addresses(point: ProfilePoint) -> range:
    first = point.address or 0
    return range(first, first + point.words)
