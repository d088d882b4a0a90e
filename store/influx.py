"""InfluxDB: version 1 by its own /write, version 2 (and 3) by influxdb-client; all are read by InfluxQL on /query.

Samples only; records stay in the embedded file (store.open). A row written again replaces what it replaces field by
field: a sample that loses its number keeps the old one in the server, but is read as without, by its code.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException

from plant.errors import RefusedError, StoreError
from plant.points import PointId
from plant.ports import DURABLE_ON_ACK, UPSERT, RangeQuery, Series, WriteResult
from plant.samples import SampleBatch
from store import influxql
from store.answers import Span, answer_from, bucketed, in_groups, nothing, samples_from, written
from store.line_protocol import LineWriter
from store.server import TIMEOUT_S, Reply, Server, basic_or, no_answer, refusal

_DROPPED = re.compile(r"dropped=(\d+)")
_UNPARSABLE = "unable to parse"
_MILLISECONDS: Any = WritePrecision.MS  # a string, though the client's types say otherwise


class InfluxStore(ABC):
    """What the versions share: reading, splitting, and what a reply to a write means."""

    capabilities = frozenset({DURABLE_ON_ACK, UPSERT})
    missing: str
    lines_at_once: int

    def __init__(self, server: Server, database: str, source: influxql.Source) -> None:
        self._server, self._database, self._source = server, database, source
        self._writer = LineWriter(source.measurement, {"site": source.site} if source.site else {})

    @abstractmethod
    async def _send(self, body: bytes) -> Reply:
        """Send lines; the reply, whatever it says."""

    async def started_s(self) -> float | None:
        """Not asked: what is acknowledged is on the disk."""
        return None

    async def write(self, batch: SampleBatch) -> WriteResult:
        """Take a batch; rows that the server dropped of an otherwise accepted one are named in its words."""
        made = self._writer.lines(batch)
        rejected = made.rejected
        for i in range(0, len(made.lines), self.lines_at_once):
            part = slice(i, i + self.lines_at_once)
            rejected |= await self._put(made.lines[part], made.places[part])
        return written(batch, rejected)

    async def range(self, query: RangeQuery) -> list[Series]:
        """History; a stepped query is widened to whole buckets, which are named by their start."""
        span = Span.of(query)
        found: dict[PointId, Series] = {}
        for points in in_groups(query.points) if span.end_ms > span.start_ms else ():
            found |= await self._history(points, span, query.aggregate)
        return [found.get(p) or nothing(p) for p in query.points]

    async def last(self, points: Sequence[PointId]) -> Mapping[PointId, tuple[float, float, int]]:
        """Newest (time_s, value, code) of each point that has any."""
        newest: dict[PointId, tuple[float, float, int]] = {}
        for group in in_groups(points):
            for point, columns in (await self._query(influxql.newest(self._source, group))).items():
                s = samples_from(*columns)
                newest[point] = (float(s.time_ms[0]) / 1000, float(s.value[0]), int(s.code[0]))
        return newest

    async def close(self) -> None:
        """Let go of everything."""
        await self._server.close()

    async def _history(self, points: Sequence[PointId], span: Span, aggregate: str) -> dict[PointId, Series]:
        if span.step_ms is not None and aggregate in influxql.FUNCTIONS:
            text = influxql.stepped(self._source, points, span.start_ms, span.end_ms, span.step_ms, aggregate)
            return {p: bucketed(p, c[0], c[1], c[2], aggregate) for p, c in (await self._query(text)).items()}
        columns = await self._query(influxql.raw(self._source, points, span.start_ms, span.end_ms))
        return {p: answer_from(p, samples_from(*c), span, aggregate) for p, c in columns.items()}

    async def _query(self, text: str) -> dict[PointId, list[Any]]:
        form = [("db", self._database), ("epoch", "ms"), ("q", text)]
        reply = await self._server.post("/query", {}, form)
        if not reply.ok:
            raise _as_retry(refusal(self._server.url, reply, self.missing))
        return influxql.columns(reply.body, self._server.url)

    async def _put(self, lines: list[str], places: list[int]) -> dict[int, str]:
        """Send lines; by place those that the server dropped. Which they are it does not say: halves are sent again."""
        reply = await self._send("\n".join(lines).encode())
        if reply.ok:
            return {}
        dropped = _dropped(reply)
        if not dropped and reply.status != 413:
            raise refusal(self._server.url, reply, self.missing)
        if dropped >= len(lines) or len(lines) == 1:
            return dict.fromkeys(places, f"{self._server.url}: {reply.status} {reply.text}")
        half = len(lines) // 2
        return await self._put(lines[:half], places[:half]) | await self._put(lines[half:], places[half:])


def _dropped(reply: Reply) -> int:
    """At least how many lines were not taken, though others may have been; 0 where the reply says something else."""
    said = reply.body.decode("utf-8", "replace")
    if reply.status not in {400, 422} or not ("partial write" in said or _UNPARSABLE in said):
        return 0
    counted = _DROPPED.search(said)
    lines = max(said.count(_UNPARSABLE), said.count('"line_number"'))
    return max(int(counted.group(1)) if counted else 0, lines, 1)


def _as_retry(error: Exception) -> StoreError:
    return error if isinstance(error, StoreError) else StoreError(str(error))


class Influx1Store(InfluxStore):
    """InfluxDB 1.x; the database is made at the first write where it is missing."""

    missing = "create the database, or name another in the store's URL"
    lines_at_once = 20_000

    @classmethod
    def at(cls, url: str, database: str, token: str, source: influxql.Source) -> Influx1Store:
        """`token` is user:password, or empty."""
        return cls(Server(url, basic_or("Bearer", token)), database, source)

    async def _send(self, body: bytes) -> Reply:
        params = {"db": self._database, "precision": "ms"}
        reply = await self._server.post("/write", params, body)
        if reply.status == 404 and b"database not found" in reply.body:
            name = self._database.replace("\\", "\\\\").replace('"', '\\"')
            made = await self._server.post("/query", {}, [("q", f'CREATE DATABASE "{name}"')])
            if made.ok and b'"error"' not in made.body:
                return await self._server.post("/write", params, body)
        return reply


class Influx2Store(InfluxStore):
    """InfluxDB 2.x, and 3.x by the same endpoints; `bucket` must exist, and for InfluxQL be mapped as a database."""

    missing = "create the bucket (version 2: and map it for InfluxQL with `influx v1 dbrp create`), or name another"
    lines_at_once = 8_000  # the client warns of bodies over 1 MiB

    def __init__(self, url: str, org: str, bucket: str, token: str, source: influxql.Source) -> None:
        super().__init__(Server(url, f"Token {token}" if token else ""), bucket, source)
        self._org, self._token = org, token
        self._client: InfluxDBClientAsync | None = None

    async def close(self) -> None:
        """Let go of everything."""
        if self._client is not None:
            await self._client.close()  # type: ignore[no-untyped-call]
        await super().close()

    def _connected(self) -> InfluxDBClientAsync:
        """The client, made where an event loop runs."""
        if self._client is None:
            timeout_ms = int(TIMEOUT_S * 1000)
            self._client = InfluxDBClientAsync(
                url=self._server.url, token=self._token, org=self._org, timeout=timeout_ms, allow_redirects=False
            )
        return self._client

    async def _send(self, body: bytes) -> Reply:
        try:
            await (
                self._connected()
                .write_api()
                .write(bucket=self._database, org=self._org, record=body, write_precision=_MILLISECONDS)
            )
        except ApiException as error:
            return _reply_of(error)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:  # a ValueError: no host name
            raise no_answer(self._server.url, error) from error
        return Reply(status=204, headers={}, body=b"")


def _reply_of(error: ApiException) -> Reply:
    said = error.body if isinstance(error.body, bytes) else str(error.body or error.reason or "").encode()
    if not error.status:
        raise RefusedError(str(error))
    return Reply(status=int(error.status), headers=dict(error.headers or {}), body=said)
