"""What an HTTP link polls: an exporter's page, or a Redfish unit. Each gives rows, and says what it did not find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from collector.dcgm_join import DcgmJoin
from collector.rows import Row
from collector.wiring import Wire
from devices import dcgm, exposition
from devices.http import HttpEndpoint
from devices.redfish import CoolingUnit
from plant.clock import Clock
from plant.errors import RefusedError
from plant.points import PointId
from plant.topology import Site

_TEXT = "text/plain;version=0.0.4"


class Reader(Protocol):
    """One thing that is polled as a whole; `wires` are the equipment that depends on it."""

    wires: Sequence[Wire]
    period_s: float

    @property
    def reads(self) -> int:
        """Polls that were answered."""
        ...

    @property
    def missing(self) -> dict[str, str]:
        """What the profile names and the device has not, and what was found in its place."""
        ...

    async def read(self) -> list[Row]:
        """One poll.

        Raises:
            SilentError: no answer in time.
            RefusedError: the answer is of no use.
        """
        ...

    def points(self, wire: Wire) -> list[PointId]:
        """Everything that it owes."""
        ...


class RedfishReader:
    """One cooling unit."""

    def __init__(self, endpoint: HttpEndpoint, wire: Wire, clock: Clock) -> None:
        self.wires: Sequence[Wire] = [wire]
        self._unit = CoolingUnit(endpoint, wire.profile, wire.object)
        self._clock = clock
        self.period_s = self._unit.period_s

    @property
    def reads(self) -> int:
        """Polls that were answered."""
        return self._unit.reads

    @property
    def missing(self) -> dict[str, str]:
        """Points that the unit does not have."""
        return self._unit.missing

    async def read(self) -> list[Row]:
        """Every resource that is due."""
        (wire,) = self.wires
        rows = await self._unit.read(self._clock.monotonic())
        now_s = self._clock.now()
        return [(f"{wire.equipment}/{point.name}", now_s, value, code) for point, value, code in rows]

    def points(self, wire: Wire) -> list[PointId]:
        """All points of the profile."""
        return [f"{wire.equipment}/{point.name}" for point in wire.profile.points]


class DcgmReader:
    """One exporter's page, of one host or many."""

    def __init__(self, site: Site, endpoint: HttpEndpoint, wires: Sequence[Wire], clock: Clock) -> None:
        self.wires = wires
        self.join = DcgmJoin(site, wires)
        self._endpoint, self._clock = endpoint, clock
        self._fields = list(dict.fromkeys(point.field for wire in wires for point in wire.profile.points))
        self._wanted = dcgm.ALWAYS_READ | set(self._fields)
        self.period_s = min(point.period_s for wire in wires for point in wire.profile.points)
        self.missing: dict[str, str] = {}
        self.reads = 0
        self.bad_lines = 0
        self.last_bad = ""

    async def read(self) -> list[Row]:
        """The page."""
        path = self._endpoint.options.metrics_path
        reply = await self._endpoint.get(path, accept=_TEXT)
        if not reply.found:
            raise RefusedError(f"{path}: {reply.why_not()}; check the link's metrics_path and credentials")
        page = exposition.parse(reply.body, self._wanted)
        found = dcgm.gpus(page)
        self._note(page)
        if not found and page.bad:
            raise RefusedError(f"{path}: is not a page of metrics ({page.bad_lines[0]!r})")
        self.reads += 1
        self.missing = dict.fromkeys(dcgm.missing_metrics(found, self._fields), "not on the page") if found else {}
        return self.join.rows(found, self._clock.now(), self._clock.monotonic())

    def points(self, wire: Wire) -> list[PointId]:
        """The points of the GPUs that it speaks of."""
        return self.join.points(wire)

    def _note(self, page: exposition.Page) -> None:
        self.bad_lines += page.bad
        if page.bad_lines:
            self.last_bad = page.bad_lines[-1]
