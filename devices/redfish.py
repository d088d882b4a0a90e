"""Redfish cooling units by a profile's paths, laid out as in the Open Compute Project's ThermalEquipment profiles.

A point's path is `Resource/path#/json/pointer`, counted from the unit's own resource; `#/..` is that resource itself.
Each resource is fetched once a poll. What a vendor's HeatRemovedkW says is shown and never taken for truth: the
standard's own example breaks Q = m c dT.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from devices.http import BusyError, HttpEndpoint, Reply
from devices.profiles import Profile, ProfilePoint
from plant.errors import RefusedError, SilentError
from plant.quantities import SWITCHED, Quantity
from plant.samples import Quality, Reason, quality_code

CDUS = "/redfish/v1/ThermalEquipment/CDUs"
RETRY_MISSING_S = 300.0
"""A resource that was not there is asked for again after so long [s, site time]: firmware is updated, parts come."""
GOOD = quality_code(Quality.GOOD)
NO_COMM = quality_code(Quality.BAD, Reason.NO_COMM)
ABSENT = quality_code(Quality.BAD, Reason.DEVICE_FAULT)
FAULTY = quality_code(Quality.UNCERTAIN, Reason.DEVICE_FAULT)
_FORBIDDEN = 403
_NOT_THERE = frozenset({"absent", "disabled"})
_MISSING = object()

Row = tuple[ProfilePoint, float, int]
"""point, value [SI], quality code."""


def unit_path(name: str) -> str:
    """The resource of a unit: by its id under ThermalEquipment/CDUs, or by a whole path."""
    return name.rstrip("/") if name.startswith("/") else f"{CDUS}/{name}"


def split_path(path: str) -> tuple[str, tuple[str, ...]]:
    """Resource and JSON pointer (RFC 6901) of a point's path."""
    resource, _, pointer = path.partition("#")
    tokens = tuple(t.replace("~1", "/").replace("~0", "~") for t in pointer.split("/")[1:])
    return resource.strip("/"), tokens


@dataclass
class _Resource:
    """One resource and what is read from it. due_s: when to ask again [s, site's monotonic clock]."""

    path: str
    points: list[tuple[ProfilePoint, tuple[str, ...]]]
    period_s: float
    due_s: float = -math.inf
    failed: bool = False
    etag: str = ""
    document: Any = None
    missing: dict[str, str] = field(default_factory=dict)


class CoolingUnit:
    """Reads one unit. missing: point -> what was found in its place; such points are left out, the rest is read."""

    def __init__(self, endpoint: HttpEndpoint, profile: Profile, name: str) -> None:
        self.endpoint, self.profile, self.name = endpoint, profile, name
        self._base = unit_path(name)
        self._resources = _resources(profile, self._base)
        self.period_s = min(resource.period_s for resource in self._resources)
        self.reads = 0

    @property
    def missing(self) -> dict[str, str]:
        """Points that the unit does not have, with path and reason."""
        return {name: why for resource in self._resources for name, why in resource.missing.items()}

    async def read(self, now_s: float) -> list[Row]:
        """The points of every resource that is due at about `now_s` [s, site's monotonic clock].

        Raises:
            SilentError: nobody answers, or the server says `not now` to everything.
            RefusedError: the server does not accept us, or speaks no JSON.
        """
        # Polls do not come exactly in time: what is due before the middle of the next period is due now
        now_due = now_s + 0.5 * self.period_s
        due = sorted((r for r in self._resources if r.due_s <= now_due), key=lambda r: r.failed)
        if not due:
            return []
        # One alone: a host that is gone costs one timeout, not one for each resource
        first = await self._fetch(due[0])
        if isinstance(first, SilentError) and not isinstance(first, BusyError):
            due[0].failed = True
            raise first
        answers = [first, *await asyncio.gather(*map(self._fetch, due[1:]))]
        if all(isinstance(answer, SilentError) for answer in answers):
            raise SilentError(str(first))
        rest = [r for r in self._resources if r.due_s > now_due]
        if all(map(_forbids, answers)) and all(len(r.missing) == len(r.points) for r in rest):
            raise RefusedError(f"{self._base}: HTTP {_FORBIDDEN}; check the user's rights")
        self.reads += 1
        return [row for r, answer in zip(due, answers, strict=True) for row in self._taken(r, answer, now_s)]

    async def _fetch(self, resource: _Resource) -> Reply | SilentError:
        try:
            return await self.endpoint.get(resource.path, etag=resource.etag)
        except SilentError as error:
            return error

    def _taken(self, resource: _Resource, answer: Reply | SilentError, now_s: float) -> list[Row]:
        resource.failed = isinstance(answer, SilentError)
        rows = self._rows(resource, answer)
        resource.due_s = now_s + (resource.period_s if rows else RETRY_MISSING_S)
        return rows

    def _rows(self, resource: _Resource, answer: Reply | SilentError) -> list[Row]:
        if isinstance(answer, SilentError):
            return [(point, math.nan, NO_COMM) for point, _ in resource.points]
        if answer.status != 304:
            if not answer.found:
                resource.missing = {p.name: f"{resource.path}: {answer.why_not()}" for p, _ in resource.points}
                return []
            resource.document = _decode(answer, resource.path)
            resource.etag = answer.etag if self.endpoint.options.etag else ""
        return self._values(resource)

    def _values(self, resource: _Resource) -> list[Row]:
        rows: list[Row] = []
        resource.missing = {}
        for point, tokens in resource.points:
            found = value_at(resource.document, tokens)
            value = math.nan if found is _MISSING else number(point, found)
            if found is _MISSING or value is None:
                what = "is not there" if found is _MISSING else "is neither a number nor a text"
                resource.missing[point.name] = f"{resource.path}#/{'/'.join(tokens)} {what}"
            else:
                rows.append((point, value, fault_code(resource.document, tokens, point)))
        return rows


def _forbids(answer: Reply | SilentError) -> bool:
    return isinstance(answer, Reply) and answer.status == _FORBIDDEN


def _resources(profile: Profile, base: str) -> list[_Resource]:
    found: dict[str, _Resource] = {}
    for point in profile.points:
        name, tokens = split_path(point.path)
        resource = found.setdefault(name, _Resource(f"{base}/{name}".rstrip("/"), [], point.period_s))
        resource.points.append((point, tokens))
        resource.period_s = min(resource.period_s, point.period_s)
    return list(found.values())


def _decode(answer: Reply, path: str) -> Any:
    try:
        return msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RefusedError(
            f"{path}: does not answer in JSON ({error}); check that host and port are Redfish"
        ) from error


def value_at(document: Any, tokens: Iterable[str]) -> Any:
    """What a JSON pointer points at; `_MISSING` if nothing."""
    for token in tokens:
        document = _step(document, token)
    return document


def _step(document: Any, token: str) -> Any:
    if isinstance(document, Mapping):
        return document.get(token, _MISSING)
    if isinstance(document, list) and token.isdecimal() and int(token) < len(document):
        return document[int(token)]
    return _MISSING


def number(point: ProfilePoint, found: Any) -> float | None:
    """A JSON value in SI; None what can't be one.

    NaN: null, unknown words and what is beyond any float; words of `states` are their code. True and false are numbers
    of what can be on or off only.
    """
    if isinstance(found, bool) and point.quantity not in SWITCHED:
        return None
    if found is None:
        return math.nan
    if isinstance(found, str):
        return _word(point, found)
    if isinstance(found, bool | int | float):
        try:
            return float(found) * point.factor + point.offset
        except OverflowError:
            return math.nan
    return None


def _word(point: ProfilePoint, text: str) -> float:
    codes = {word.casefold(): code for code, word in point.states.items()}
    if point.states:
        return float(codes.get(text.casefold(), math.nan))
    try:
        return float(text) * point.factor + point.offset
    except ValueError:
        return math.nan


def fault_code(document: Any, tokens: Sequence[str], point: ProfilePoint) -> int:
    """GOOD, or DEVICE_FAULT where a Status on the way to the value says so.

    Absent or disabled: there is no value. Critical: the value is doubted; a state, such as a leak, is not, as it is
    what the device is critical about.
    """
    code = GOOD
    for depth in range(len(tokens)):
        status = _step(value_at(document, tokens[:depth]), "Status")
        if str(_step(status, "State")).casefold() in _NOT_THERE:
            return ABSENT
        if str(_step(status, "Health")).casefold() == "critical" and point.quantity is not Quantity.STATE:
            code = FAULTY
    return code
