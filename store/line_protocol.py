"""Samples as InfluxDB line protocol, a string a row: fields `value` and `code` beside one another, milliseconds.

A row without a number has no `value` field (InfluxDB refuses NaN, VictoriaMetrics drops it) but keeps its code. The
value of a point that is out of service stands in the field `unused`, so that no aggregate of `value` counts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plant.points import PointId
from plant.samples import Quality, Reason, SampleBatch, quality_code

EARLIEST_S = 0.0
LATEST_S = 4.0e9
FIELDS = ("value", "code", "unused")
_REASON_BITS = 20
_NOT_A_NUMBER = quality_code(Quality.BAD, Reason.NOT_A_NUMBER)
ESCAPES: Mapping[str, str] = {",": "\\,", "=": "\\=", " ": "\\ "}
Ints = npt.NDArray[np.int64]


def stored_code(code: npt.NDArray[np.int32]) -> Ints:
    """`plant.samples.quality_code` with the quality above the reasons: then max() over a bucket is its worst."""
    wide = code.astype(np.int64)
    return (wide & 3) << _REASON_BITS | wide >> 2


def code_of(stored: npt.NDArray[np.float64] | Ints) -> npt.NDArray[np.int32]:
    """The inverse of `stored_code`; missing (NaN) is GOOD."""
    whole = np.nan_to_num(stored).astype(np.int64)
    return (whole >> _REASON_BITS | (whole & ((1 << _REASON_BITS) - 1)) << 2).astype(np.int32)


def with_not_a_number(batch: SampleBatch) -> npt.NDArray[np.int32]:
    """The codes, with the reason of every row whose value is no number and that was not called BAD."""
    bad = (batch.code & 3) == Quality.BAD
    return np.where(np.isfinite(batch.value) | bad, batch.code, (batch.code & ~3) | _NOT_A_NUMBER).astype(np.int32)


@dataclass(frozen=True, slots=True)
class Lines:
    """Rows ready to send with their places in the batch, and by place the rows that can't be said, with the reason."""

    lines: list[str]
    places: list[int]
    rejected: dict[int, str]


class LineWriter:
    """Makes lines of one measurement; what stands before a point's fields is made once.

    escapes: what the reader undoes in names. InfluxDB leaves a backslash before anything else as it is.
    """

    def __init__(self, measurement: str, tags: Mapping[str, str], escapes: Mapping[str, str] = ESCAPES) -> None:
        self._escapes = str.maketrans(dict(escapes))
        self._before = measurement.translate(self._escapes)
        self._after = "".join(f",{key}={text.translate(self._escapes)}" for key, text in sorted(tags.items()))
        self._heads: dict[PointId, str] = {}
        self._names: tuple[PointId, ...] = ()
        self._heads_of_names: list[str] = []

    def lines(self, batch: SampleBatch) -> Lines:
        """A line a row."""
        heads = self._heads_of(batch.names)
        unsayable = np.array([not head for head in heads], dtype=bool)
        wrong = ~((batch.time_s >= EARLIEST_S) & (batch.time_s < LATEST_S)) | unsayable[batch.index]
        rejected = {
            i: _why_not(batch.names[batch.index[i]], float(batch.time_s[i])) for i in np.flatnonzero(wrong).tolist()
        }
        kept = batch.take(~wrong) if rejected else batch
        return Lines(_rows(heads, kept), np.flatnonzero(~wrong).tolist(), rejected)

    def _heads_of(self, names: tuple[PointId, ...]) -> list[str]:
        if names is not self._names:
            self._heads_of_names = [self._heads.get(name) or self._head(name) for name in names]
            self._names = names
        return self._heads_of_names

    def _head(self, name: PointId) -> str:
        """Measurement and tags; empty where no line can hold the name."""
        sayable = bool(name) and name.isprintable() and not name.endswith("\\")
        head = f"{self._before},point={name.translate(self._escapes)}{self._after} " if sayable else ""
        self._heads[name] = head
        return head


def _rows(heads: list[str], batch: SampleBatch) -> list[str]:
    time_ms = np.rint(batch.time_s * 1000).astype(np.int64).tolist()
    code = stored_code(with_not_a_number(batch)).tolist()
    rows = zip([heads[i] for i in batch.index.tolist()], batch.value.tolist(), code, time_ms, strict=True)
    unused = (batch.code >> 2) & int(Reason.OUT_OF_SERVICE) != 0
    if np.isfinite(batch.value).all() and not unused.any():
        return [f"{head}value={v!r},code={c}i {t}" for head, v, c, t in rows]
    fields = np.where(~np.isfinite(batch.value), "", np.where(unused, "unused=", "value=")).tolist()
    pairs = zip(rows, fields, strict=True)
    return [f"{head}{f}{v!r},code={c}i {t}" if f else f"{head}code={c}i {t}" for (head, v, c, t), f in pairs]


def _why_not(point: PointId, time_s: float) -> str:
    if not EARLIEST_S <= time_s < LATEST_S:
        return f"{point}: time {time_s} is not a time that can be kept; check the device's clock"
    return f"{point!r}: a name with control characters, or a backslash at its end, can't be stored; rename the point"
