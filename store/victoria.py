"""VictoriaMetrics, one server or a cluster: written by the InfluxDB line protocol, read by export and MetricsQL.

Samples only; records stay in the embedded file (store.open). An acknowledged sample is in memory for some seconds:
`durable_on_ack` is not among the capabilities, and `started_s` tells a forwarder when to send the last minutes again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import numpy as np

from plant.clock import Clock
from plant.errors import StoreError
from plant.points import PointId
from plant.ports import RangeQuery, Series, WriteResult
from plant.samples import SampleBatch
from store.answers import Span, answer_from, bucketed, nothing, samples_from, written
from store.columns import Floats
from store.influxql import Source
from store.line_protocol import ESCAPES, FIELDS, LineWriter
from store.rollups import Samples
from store.server import Server, basic_or, refusal
from store.victoria_facts import FUTURE_S, MISSING, Facts, ask_facts, checked, out_of_reach

T = TypeVar("T")
LINES_AT_ONCE = 50_000
BUCKETS_AT_ONCE = 10_000
"""VictoriaMetrics refuses more than 30,000 a series."""
SMALLEST_STEP_MS = 60_000
"""Below it VictoriaMetrics replaces the newest 30 s of a query by older values, so smaller steps are made here."""
LONGEST_QUERY = 14_000
"""VictoriaMetrics refuses more than 16,384 bytes; some are for the functions."""
LOOK_BACK_S = (3600.0, 86_400.0, 32 * 86_400.0, 3650 * 86_400.0)
FUNCTIONS = {
    "mean": "avg_over_time",
    "min": "min_over_time",
    "max": "max_over_time",
    "last": "last_over_time",
    "sum": "sum_over_time",
    "count": "count_over_time",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where to write, to read and to look for the flags and start times of the processes that hold samples."""

    write: str
    read: str
    storage: tuple[str, ...]


def single(url: str) -> Endpoints:
    """One victoria-metrics process."""
    return Endpoints(write=url, read=url, storage=(url,))


def cluster(insert: str, select: str, tenant: str, storage: tuple[str, ...] = ()) -> Endpoints:
    """A cluster's vminsert and vmselect; without the vmstorage addresses their restarts go unseen."""
    read = f"{select.rstrip('/')}/select/{tenant}/prometheus"
    return Endpoints(write=f"{insert.rstrip('/')}/insert/{tenant}/influx", read=read, storage=storage)


class _Exported(msgspec.Struct):
    metric: dict[str, str]
    values: list[float | None]
    timestamps: list[int]


class _Matrix(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]] = []
    value: tuple[float, str] | None = None


class _Data(msgspec.Struct):
    result: list[_Matrix] = []


class _Answer(msgspec.Struct):
    data: _Data = field(default_factory=_Data)


class VictoriaStore:
    """plant.ports.Store over HTTP; the clock is the site's, and says where `last` begins to look."""

    capabilities: frozenset[str] = frozenset()

    def __init__(self, endpoints: Endpoints, token: str, source: Source, clock: Clock) -> None:
        secret = basic_or("Bearer", token)
        self._write, self._read = Server(endpoints.write, secret), Server(endpoints.read, secret)
        self._storage = [Server(url, secret) for url in endpoints.storage]
        self._source, self._clock = source, clock
        tags = {"site": source.site} if source.site else {}
        self._lines = LineWriter(source.measurement, tags, {**ESCAPES, "\\": "\\\\"})
        self._facts: Facts | None = None

    async def started_s(self) -> float | None:
        """The latest start of a process that holds samples [s since 1970]; None where none says.

        Raises:
            StoreError: one does not answer.
        """
        self._facts = await ask_facts(self._storage)
        return self._facts.started_s

    async def write(self, batch: SampleBatch) -> WriteResult:
        """Take a batch; rows that the server would silently drop are refused here, by name."""
        rejected = out_of_reach(batch, await self._known_facts())
        there = np.setdiff1d(np.arange(len(batch)), list(rejected)) if rejected else np.arange(len(batch))
        made = self._lines.lines(batch.take(there) if rejected else batch)
        for i in range(0, len(made.lines), LINES_AT_ONCE):
            await self._put(made.lines[i : i + LINES_AT_ONCE])
        return written(batch, rejected | {int(there[i]): why for i, why in made.rejected.items()})

    async def range(self, query: RangeQuery) -> list[Series]:
        """History; a stepped query is widened to whole buckets, which are named by their start."""
        span = Span.of(query)
        found: dict[PointId, Series] = {}
        for points in _groups(query.points, selectors=2) if span.end_ms > span.start_ms else ():
            found |= await self._history(points, span, query.aggregate)
        return [found.get(p) or nothing(p) for p in query.points]

    async def last(self, points: Sequence[PointId]) -> Mapping[PointId, tuple[float, float, int]]:
        """Newest (time_s, value, code) of each point that has any; looks back further only for those not found."""
        found: dict[PointId, tuple[float, float, int]] = {}
        for back_s in LOOK_BACK_S:
            wanted = [p for p in points if p not in found]
            for group in _groups(wanted, selectors=2 * len(FIELDS)):
                found |= await self._newest(group, back_s)
        return found

    async def close(self) -> None:
        """Let go of everything."""
        for server in (self._write, self._read, *self._storage):
            await server.close()

    async def _put(self, lines: list[str]) -> None:
        reply = await self._write.post("/write", {"precision": "ms"}, ("\n".join(lines) + "\n").encode())
        if reply.status == 413 and len(lines) > 1:
            half = len(lines) // 2
            await self._put(lines[:half])
            await self._put(lines[half:])
        elif not reply.ok:
            raise refusal(self._write.url, reply, MISSING)

    async def _history(self, points: Sequence[PointId], span: Span, aggregate: str) -> dict[PointId, Series]:
        step_ms = span.step_ms
        if step_ms is None or step_ms < SMALLEST_STEP_MS or aggregate not in FUNCTIONS:
            return await self._exported(points, span, aggregate)
        if not (await self._known_facts()).deduplicates:  # a sample sent twice would count twice
            return await self._exported(points, span, aggregate)
        return await self._stepped(points, span, step_ms, aggregate)

    async def _exported(self, points: Sequence[PointId], span: Span, aggregate: str) -> dict[PointId, Series]:
        match = self._selector("|".join(FIELDS), points)
        form = [("match[]", match), ("start", _seconds(span.start_ms)), ("end", _seconds(span.end_ms - 1))]
        reply = checked(self._read, await self._read.post("/api/v1/export", {}, form))
        fields: dict[PointId, dict[str, list[_Exported]]] = {}
        for line in reply.body.splitlines():
            row = _decoded(line, _Exported, self._read.url)
            name = row.metric["__name__"].rpartition("_")[2]
            fields.setdefault(row.metric.get("point", ""), {}).setdefault(name, []).append(row)
        return {p: answer_from(p, _joined_fields(f), span, aggregate) for p, f in fields.items()}

    async def _stepped(
        self, points: Sequence[PointId], span: Span, step_ms: int, aggregate: str
    ) -> dict[PointId, Series]:
        """A window of MetricsQL is (t - step, t]: evaluated 1 ms before a bucket's end it is that bucket."""
        over = {"value": FUNCTIONS[aggregate], "code": "max_over_time"}
        parts = (
            f'label_set({how}({self._selector(name, points)}[{step_ms}ms]), "field", "{name}")'
            for name, how in over.items()
        )
        text = f"union({', '.join(parts)})"
        rows: dict[tuple[PointId, str], dict[int, float]] = {}
        for start_ms in range(span.start_ms, span.end_ms, step_ms * BUCKETS_AT_ONCE):
            end_ms = min(start_ms + step_ms * BUCKETS_AT_ONCE, span.end_ms)
            for found in await self._matrix(text, start_ms + step_ms - 1, end_ms - 1, step_ms):
                own = rows.setdefault((found.metric.get("point", ""), found.metric.get("field", "")), {})
                own |= {round(at * 1000) + 1 - step_ms: float(number) for at, number in found.values}
        return {p: self._buckets(p, rows, aggregate) for p in points if (p, "code") in rows}

    def _buckets(self, point: PointId, rows: dict[tuple[PointId, str], dict[int, float]], aggregate: str) -> Series:
        code, value = rows[point, "code"], rows.get((point, "value"), {})
        times = sorted(code)
        numbers = np.array([value.get(t, np.nan) for t in times])
        return bucketed(point, np.array(times), numbers, np.array([code[t] for t in times]), aggregate)

    async def _matrix(self, text: str, start_ms: int, end_ms: int, step_ms: int) -> list[_Matrix]:
        form = [("query", text), ("start", _seconds(start_ms)), ("end", _seconds(end_ms)), ("step", f"{step_ms}ms")]
        reply = await self._read.post("/api/v1/query_range", {}, [*form, ("nocache", "1")])
        return _decoded(checked(self._read, reply).body, _Answer, self._read.url).data.result

    async def _newest(self, points: Sequence[PointId], back_s: float) -> dict[PointId, tuple[float, float, int]]:
        """The newest code says when and how good; a value of the same time goes with it."""
        functions = [("last_over_time", name) for name in FIELDS] + [("tlast_over_time", name) for name in FIELDS]
        parts = (
            f'label_set({how}({self._selector(name, points)}[{back_s:.0f}s]), "what", "{how}_{name}")'
            for how, name in functions
        )
        at_s = self._clock.now() + (FUTURE_S if back_s > FUTURE_S else 60.0)
        form = [("query", f"union({', '.join(parts)})"), ("time", f"{at_s:.3f}"), ("nocache", "1")]
        reply = checked(self._read, await self._read.post("/api/v1/query", {}, form))
        found: dict[PointId, dict[str, float]] = {}
        for row in _decoded(reply.body, _Answer, self._read.url).data.result:
            if row.value is not None:
                found.setdefault(row.metric.get("point", ""), {})[row.metric.get("what", "")] = float(row.value[1])
        return {p: _newest_of(fields) for p, fields in found.items() if "tlast_over_time_code" in fields}

    def _selector(self, names: str, points: Sequence[PointId]) -> str:
        these = "|".join(re.escape(p) for p in points)
        site = f", site={_text(self._source.site)}" if self._source.site else ""
        return f"{{__name__=~{_text(f'{self._source.measurement}_({names})')}, point=~{_text(these)}{site}}}"

    async def _known_facts(self) -> Facts:
        if self._facts is None:
            self._facts = await ask_facts(self._storage)
        return self._facts


def _groups(points: Sequence[PointId], selectors: int) -> Iterator[Sequence[PointId]]:
    """As many points at a time as a query has room for that names them in so many selectors."""
    taken, group = 0, list[PointId]()
    for point in points:
        size = len(_text(re.escape(point)).encode())
        if group and taken + size > LONGEST_QUERY // selectors:
            yield group
            taken, group = 0, []
        taken += size
        group.append(point)
    if group:
        yield group


def _seconds(ms: int) -> str:
    return f"{ms // 1000}.{ms % 1000:03d}"


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _decoded(body: bytes, kind: type[T], url: str) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"{url}: the answer is not VictoriaMetrics': {error}") from error


def _joined_fields(fields: Mapping[str, list[_Exported]]) -> Samples:
    """Each field on the times of `code`, which every row has; a time that is there twice counts once."""
    columns = {name: _column(rows) for name, rows in fields.items()}
    if "code" not in columns:
        return Samples.empty()
    time_ms, code = columns.pop("code")
    aligned: dict[str, Any] = {}
    for name in ("value", "unused"):
        own, numbers = columns.get(name, (np.empty(0, np.int64), np.empty(0)))
        aligned[name] = np.full(len(time_ms), np.nan)
        _, there, mine = np.intersect1d(time_ms, own, assume_unique=True, return_indices=True)
        aligned[name][there] = numbers[mine]
    return samples_from(time_ms, aligned["value"], code, aligned["unused"])


def _column(rows: list[_Exported]) -> tuple[Any, Floats]:
    times = np.concatenate([np.array(row.timestamps, np.int64) for row in rows])
    numbers = np.concatenate([np.array(row.values, np.float64) for row in rows])
    once, index = np.unique(times, return_index=True)
    return once, numbers[index]


def _newest_of(fields: Mapping[str, float]) -> tuple[float, float, int]:
    at_s = fields["tlast_over_time_code"]
    numbers = [
        fields[f"last_over_time_{n}"] if fields.get(f"tlast_over_time_{n}") == at_s else float("nan")
        for n in ("value", "unused")
    ]
    columns = [np.array([x]) for x in (at_s * 1000, numbers[0], fields["last_over_time_code"], numbers[1])]
    newest = samples_from(np.rint(columns[0]), *columns[1:])
    return float(newest.time_ms[0]) / 1000, float(newest.value[0]), int(newest.code[0])
