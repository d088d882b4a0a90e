"""A store from its URL: the embedded file, or a server for the samples with the embedded file for the records."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, parse_qs, urlsplit

from plant.clock import Clock, ScaledClock
from plant.errors import ConfigError, RefusedError
from plant.points import PointId
from plant.ports import RECORDS, RangeQuery, Series, Store, WriteResult
from plant.samples import SampleBatch
from store.embedded import EmbeddedStore

EMBEDDED = "embedded"
URL_VARIABLE = "COLDPLATE_STORE"
TOKEN_VARIABLE = "COLDPLATE_STORE_TOKEN"  # noqa: S105 - the name of a variable
HISTORY = "history.sqlite"
FORMS = (
    "embedded",
    "influx1+http://HOST:8086/DATABASE",
    "influx2+http://HOST:8086?org=ORG&bucket=BUCKET",
    "vm+http://HOST:8428",
    "vm-cluster+http://VMINSERT:8480,http://VMSELECT:8481?tenant=0",
)
_WHERE = f"--store or ${URL_VARIABLE}"
_REMEDY = "write one of " + "  ".join(FORMS)
_OPTIONS = {
    "influx1": frozenset({"measurement", "site", "token_file"}),
    "influx2": frozenset({"org", "bucket", "measurement", "site", "token_file"}),
    "vm": frozenset({"measurement", "site", "token_file"}),
    "vm-cluster": frozenset({"tenant", "storage", "measurement", "site", "token_file"}),
}


class Samples(Protocol):
    """The part of plant.ports.Store that a server for samples gives."""

    @property
    def capabilities(self) -> frozenset[str]: ...  # noqa: D102 - see plant.ports.Store
    async def started_s(self) -> float | None: ...  # noqa: D102
    async def write(self, batch: SampleBatch) -> WriteResult: ...  # noqa: D102
    async def range(self, query: RangeQuery) -> list[Series]: ...  # noqa: D102
    async def last(self, points: Sequence[PointId]) -> Mapping[PointId, tuple[float, float, int]]: ...  # noqa: D102
    async def close(self) -> None: ...  # noqa: D102


class SiteStore(Store, Protocol):
    """A store as a site's processes use it."""

    @property
    def incidents(self) -> tuple[str, ...]:
        """What befell the history file since it was opened, in words."""
        ...

    async def maintain(self, now_s: float) -> int:
        """Pack and forget what is kept here; returns the rows packed."""
        ...


class ComposedStore:
    """Samples in a server, records in the embedded file beside it."""

    def __init__(self, samples: Samples, records: EmbeddedStore, *, read_only: bool) -> None:
        self.samples, self._records, self._read_only = samples, records, read_only

    @property
    def capabilities(self) -> frozenset[str]:
        """The server's, and records."""
        return self.samples.capabilities | {RECORDS}

    @property
    def incidents(self) -> tuple[str, ...]:
        """The record file's."""
        return self._records.incidents

    async def started_s(self) -> float | None:
        """The server's."""
        return await self.samples.started_s()

    async def write(self, batch: SampleBatch) -> WriteResult:
        """Take a batch into the server."""
        if self._read_only:
            raise RefusedError("this store was opened read-only; only the edge process writes history")
        return await self.samples.write(batch)

    async def range(self, query: RangeQuery) -> list[Series]:
        """History from the server."""
        return await self.samples.range(query)

    async def last(self, points: Sequence[PointId]) -> Mapping[PointId, tuple[float, float, int]]:
        """Newest samples from the server."""
        return await self.samples.last(points)

    async def append(self, kind: str, key: str, at_s: float, body: Mapping[str, object]) -> None:
        """Keep a record in the file."""
        await self._records.append(kind, key, at_s, body)

    async def latest(self, kind: str, key: str | None = None) -> Mapping[str, object] | None:
        """The newest record of a kind (and key)."""
        return await self._records.latest(kind, key)

    async def since(self, kind: str, at_s: float, limit: int = 1000) -> list[Mapping[str, object]]:
        """Records of a kind from a time on, oldest first."""
        return await self._records.since(kind, at_s, limit)

    async def maintain(self, now_s: float) -> int:
        """Forget old records; what becomes of samples is up to the server."""
        return await self._records.maintain(now_s)

    async def close(self) -> None:
        """Let go of both."""
        await self.samples.close()
        await self._records.close()


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """A checked store URL: kind (embedded, influx1, influx2, vm, vm-cluster), base addresses, path, options."""

    kind: str
    addresses: tuple[str, ...] = ()
    path: str = ""
    options: Mapping[str, str] | None = None

    def option(self, name: str, default: str = "") -> str:
        """One option of the URL's query."""
        return (self.options or {}).get(name, default)


def store_url(given: str | None, environment: Mapping[str, str] = os.environ) -> StoreUrl:
    """The store that was asked for: as given, else $COLDPLATE_STORE, else embedded.

    Raises:
        ConfigError: it is none of FORMS.
    """
    text = given or environment.get(URL_VARIABLE) or EMBEDDED
    if text == EMBEDDED:
        return StoreUrl(EMBEDDED)
    kind, plus, rest = text.partition("+")
    if not plus or kind not in _OPTIONS:
        raise _wrong(f"{_shown(text)!r} is no store")
    first, *more = rest.partition("?")[0].split(",")
    query = rest.partition("?")[2]
    parts = [_address(part) for part in (first, *more)]
    options = {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}
    checked = StoreUrl(kind, tuple(f"{p.scheme}://{p.netloc}" for p in parts), parts[0].path.strip("/"), options)
    _check(checked, [p.path.strip("/") for p in parts])
    return checked


def _shown(text: str) -> str:
    return re.sub(r"//[^/@]*@", "//…@", text)


def _address(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        raise _wrong(f"{_shown(text)!r} is no http address")
    if "@" in parts.netloc:
        remedy = f"take user and password out of it; set {TOKEN_VARIABLE}, or token_file=PATH in the URL"
        raise ConfigError("a URL is seen by every user of the machine", where=_WHERE, remedy=remedy)
    return parts


def _check(url: StoreUrl, paths: list[str]) -> None:
    unknown = sorted(set(url.options or {}) - _OPTIONS[url.kind])
    if unknown:
        raise _wrong(f"{url.kind} has no option {unknown[0]!r}; it has {', '.join(sorted(_OPTIONS[url.kind]))}")
    if len(url.addresses) != (2 if url.kind == "vm-cluster" else 1):
        raise _wrong(f"{url.kind} takes {'two addresses' if url.kind == 'vm-cluster' else 'one address'}")
    if url.kind == "influx1" and not paths[0]:
        raise _wrong("influx1 needs the database after the address")
    if url.kind == "influx2" and not url.option("bucket"):
        raise _wrong("influx2 needs bucket=")
    if url.kind != "influx1" and any(paths):
        raise _wrong(f"{url.kind} takes no path, found {next(filter(None, paths))!r}")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", url.option("measurement", "coldplate")):
        raise _wrong(f"measurement {url.option('measurement')!r} must be letters, digits and _")
    if not re.fullmatch(r"\d+(:\d+)?", url.option("tenant", "0")):
        raise _wrong(f"tenant {url.option('tenant')!r} must be a number, or two with a colon")


def _wrong(message: str) -> ConfigError:
    return ConfigError(message, where=_WHERE, remedy=_REMEDY)


def _token(url: StoreUrl, environment: Mapping[str, str]) -> str:
    named = url.option("token_file") or environment.get(f"{TOKEN_VARIABLE}_FILE", "")
    if not named:
        return environment.get(TOKEN_VARIABLE, "").strip()
    try:
        return Path(named).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the token can't be read: {error}", where=named) from error


def open_store(
    url: StoreUrl,
    state: Path,
    retention: Mapping[str, float],
    *,
    read_only: bool = False,
    clock: Clock | None = None,
    environment: Mapping[str, str] = os.environ,
) -> SiteStore:
    """The store of a site; records (and by default samples) in `state`.

    Raises:
        ConfigError: the token file can't be read, or the history file was made by a newer coldplate.
        StoreError: the history file can't be made.
    """
    token = _token(url, environment)
    embedded = EmbeddedStore.open(state / HISTORY, retention, read_only=read_only, clock=clock)
    if url.kind == EMBEDDED:
        return embedded
    return ComposedStore(open_samples(url, token, clock or ScaledClock()), embedded, read_only=read_only)


def open_samples(url: StoreUrl, token: str, clock: Clock) -> Samples:
    """The server alone; each client is imported only where it is used."""
    from store.influxql import Source  # noqa: PLC0415 - a client takes half a second to load

    source = Source(url.option("measurement", "coldplate"), url.option("site"))
    if url.kind.startswith("influx"):
        from store.influx import Influx1Store, Influx2Store  # noqa: PLC0415

        if url.kind == "influx1":
            return Influx1Store.at(url.addresses[0], url.path, token, source)
        return Influx2Store(url.addresses[0], url.option("org"), url.option("bucket"), token, source)
    from store.victoria import VictoriaStore, cluster, single  # noqa: PLC0415

    if url.kind == "vm":
        return VictoriaStore(single(url.addresses[0]), token, source, clock)
    storage = tuple(filter(None, url.option("storage").split(",")))
    insert, select = url.addresses
    return VictoriaStore(cluster(insert, select, url.option("tenant", "0"), storage), token, source, clock)
