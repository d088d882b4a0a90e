"""One HTTP host:port: polls each exporter page or Redfish unit on it, and backs off from what does not answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from collector.conditions import Ledger
from collector.http_readers import DcgmReader, Reader, RedfishReader
from collector.intake import Intake
from collector.wiring import Wire
from devices.http import HttpEndpoint
from devices.http_options import read_options
from plant.clock import Clock
from plant.errors import ConfigError, RefusedError, SilentError
from plant.records import LinkState, Params
from plant.samples import SampleBatch
from plant.topology import Link, Site

SILENT_AFTER = 2
"""Missed answers in a row until a device counts as silent: one lost packet alarms nobody."""
FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 8.0
REFUSED_PAUSE_S = 60.0
"""Real seconds until a server that refused us is asked again: controllers lock accounts out after a few failures."""
FORGIVEN_AFTER_S = 600.0
"""Site seconds without another unreadable line until the condition goes."""
_SHOWN = 4


class _Target:
    """One reader and how it is doing."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.missed = 0
        self.failures = 0
        self.refused = False
        self.told: dict[str, str] = {}

    @property
    def silent(self) -> bool:
        return self.missed >= SILENT_AFTER

    @property
    def excused(self) -> bool:
        """Whether a condition says already why its points are missing."""
        return self.silent or self.refused or not self.reader.reads


class HttpLink:
    """The task of one link."""

    def __init__(
        self, site: Site, link: Link, wires: Sequence[Wire], intake: Intake, clock: Clock, ledger: Ledger
    ) -> None:
        self.link = link.id
        try:
            options = read_options(link.options)
        except ConfigError as error:
            raise ConfigError(error.message, where=f"link {link.id}", remedy=error.remedy) from error
        self.endpoint = HttpEndpoint(link.host, link.port, options)
        self._intake, self._clock, self._ledger = intake, clock, ledger
        dcgm = [wire for wire in wires if wire.profile.format == "dcgm"]
        self._pages = [DcgmReader(site, self.endpoint, dcgm, clock)] if dcgm else []
        units = [RedfishReader(self.endpoint, w, clock) for w in wires if w.profile.format == "redfish"]
        readers: list[Reader] = [*self._pages, *units]
        self._targets = [_Target(reader) for reader in readers]
        self._late: deque[bool] = deque(maxlen=20)
        self._state, self._since_s, self._error = "silent", clock.now(), "not read yet"
        self._bad_lines, self._bad_since_s = 0, 0.0

    async def run(self) -> None:
        """Poll until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for number, target in enumerate(self._targets):
                    # Staggered: what hangs on one controller does not ask it at the same moment
                    tasks.create_task(self._keep_polling(target, number / len(self._targets)))
        finally:
            await asyncio.shield(self.endpoint.close())

    def state(self) -> LinkState:
        """How the link is doing."""
        return LinkState(
            link=self.link,
            endpoint=self.endpoint.name,
            state=self._state,
            since_s=self._since_s,
            last_error=self._error,
            reads=sum(target.reader.reads for target in self._targets),
            failures=sum(target.failures for target in self._targets),
        )

    def excuses(self, equipment: str) -> bool:
        """Whether an equipment's points here are missing for a reason that a condition tells already."""
        return any(t.excused and any(w.equipment == equipment for w in t.reader.wires) for t in self._targets)

    def counters(self) -> dict[str, int]:
        """Running totals."""
        state = self.state()
        return {
            "http_reads": state.reads,
            "http_failures": state.failures,
            "http_requests": self.endpoint.requests,
            "unparsable_messages": sum(page.bad_lines for page in self._pages),
            "unmapped_values": sum(page.join.unmapped for page in self._pages),
            "frozen_gpus": sum(len(page.join.frozen) for page in self._pages),
        }

    def judge(self) -> None:
        """Bring the conditions on what could not be read or joined up to date."""
        for page in self._pages:
            if page.join.unmapped:
                params: Params = {"count": page.join.unmapped, "topic": page.join.last_unmapped, "link": self.link}
                self._ledger.raise_("unmapped_messages", self.link, self._clock.now(), params)
            self._judge_lines(page)

    def _judge_lines(self, page: DcgmReader) -> None:
        now_s = self._clock.now()
        if page.bad_lines > self._bad_lines:
            self._bad_lines, self._bad_since_s = page.bad_lines, now_s
        if self._bad_lines and now_s - self._bad_since_s <= FORGIVEN_AFTER_S:
            params: Params = {"count": page.bad_lines, "topic": self.endpoint.options.metrics_path, "link": self.link}
            self._ledger.raise_("unparsable_messages", self.link, now_s, params | {"error": repr(page.last_bad)})
        else:
            self._ledger.clear("unparsable_messages", self.link)

    async def _keep_polling(self, target: _Target, share: float) -> None:
        await self._sleep(share * target.reader.period_s)
        due_s = self._clock.monotonic()
        while True:
            due_s = await self._poll(target, due_s)
            self._update_state()
            await self._sleep(due_s - self._clock.monotonic())

    async def _poll(self, target: _Target, due_s: float) -> float:
        """Read one target; returns when to come back [site monotonic s]."""
        try:
            rows = await target.reader.read()
        except SilentError as error:
            return self._unanswered(target, str(error))
        except RefusedError as error:
            return self._refused(target, str(error))
        self._answered(target)
        received_s = self._clock.now()
        self._intake.take(SampleBatch.of([(p, t, received_s, value, code) for p, t, value, code in rows]))
        planned_s, now_s = due_s + target.reader.period_s, self._clock.monotonic()
        self._late.append(planned_s < now_s)
        return max(planned_s, now_s)  # turns that were missed are not made up for

    def _answered(self, target: _Target) -> None:
        target.missed, target.refused, self._error = 0, False, ""
        for wire in target.reader.wires:
            for code in ("device_silent", "device_refused"):
                self._ledger.clear(code, wire.equipment)
        if target.reader.missing != target.told:
            target.told = dict(target.reader.missing)
            for wire in target.reader.wires:
                self._tell_missing(target, wire)

    def _tell_missing(self, target: _Target, wire: Wire) -> None:
        if not target.told:
            self._ledger.clear("profile_mismatch", wire.equipment)
            return
        shown = [f"{name} ({why})" for name, why in list(target.told.items())[:_SHOWN]]
        more = len(target.told) - len(shown)
        points = "; ".join(shown) + (f"; and {more} more" if more else "")
        params = self._params(wire) | {"points": points, "profile": wire.profile.profile}
        self._ledger.raise_("profile_mismatch", wire.equipment, self._clock.now(), params)

    def _unanswered(self, target: _Target, error: str) -> float:
        was_silent = target.silent
        target.missed += 1
        target.failures += 1
        self._error = error
        if target.silent:
            self._tell(target, "device_silent", error)
        if target.silent and not was_silent:
            self._take_silence(target)
        backoff_s = min(FIRST_BACKOFF_S * 2.0 ** max(target.missed - SILENT_AFTER, 0), MAX_BACKOFF_S)
        return self._after_real(backoff_s)

    def _refused(self, target: _Target, error: str) -> float:
        target.failures += 1
        self._error = error
        self._tell(target, "device_refused", error)
        if not target.refused:
            target.refused = True
            self._take_silence(target)
        return self._after_real(REFUSED_PAUSE_S)

    def _tell(self, target: _Target, code: str, error: str) -> None:
        for wire in target.reader.wires:
            self._ledger.raise_(code, wire.equipment, self._clock.now(), self._params(wire) | {"error": error})

    def _take_silence(self, target: _Target) -> None:
        for wire in target.reader.wires:
            self._intake.take_silence(target.reader.points(wire))

    def _after_real(self, seconds: float) -> float:
        # Waits for a wire are real; site time may run faster
        return self._clock.monotonic() + seconds / (self._clock.real(1.0) or 1.0)

    async def _sleep(self, site_s: float) -> None:
        await asyncio.sleep(max(self._clock.real(site_s), 0.0))

    def _params(self, wire: Wire) -> Params:
        return {"equipment": wire.equipment, "endpoint": self.endpoint.name, "unit": wire.object}

    def _update_state(self) -> None:
        targets = self._targets
        if all(t.silent or t.refused or not t.reader.reads for t in targets):
            state = "silent"
        elif any(t.refused or t.reader.missing for t in targets):
            state = "mismatch"
            self._error = self._error or "the device lacks points of its profile"
        else:
            state = "slow" if sum(self._late) > len(self._late) // 2 else "up"
        if state != self._state:
            self._state, self._since_s = state, self._clock.now()
