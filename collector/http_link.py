"""One HTTP host:port: polls each exporter page or Redfish unit on it, and backs off from what does not answer."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from operator import attrgetter

from collector.conditions import Ledger
from collector.http_readers import DcgmReader, Reader, RedfishReader
from collector.intake import Intake
from collector.link_health import MAX_BACKOFF_S, SILENT_AFTER, Health, LinkHealth, site_seconds, sleep
from collector.wiring import Wire
from devices.http import REFUSED_PAUSE_S, HttpEndpoint
from devices.http_options import read_options
from plant.clock import Clock
from plant.errors import ConfigError, RefusedError, SilentError
from plant.records import Params
from plant.running import LinkState
from plant.samples import SampleBatch
from plant.topology import Link, Site

FIRST_BACKOFF_S = 0.5
FORGIVEN_AFTER_S = 600.0
"""Site seconds without another unreadable line until the condition goes."""
_SHOWN = 4
_WHOLE = "all of it"


class _Target:
    """One reader and how it is doing."""

    def __init__(self, reader: Reader, link: LinkHealth, intake: Intake) -> None:
        self.reader = reader
        self.health = Health(link, reader.wires, reader.points, intake)

    @property
    def excused(self) -> bool:
        """Whether a condition says already why its points are missing."""
        return self.health.silent or bool(self.health.refused) or not self.reader.reads


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
        self._health = LinkHealth(link.id, self.endpoint.name, clock, ledger, attrgetter("object"))
        self._targets = [_Target(reader, self._health, intake) for reader in readers]
        self._bad_lines, self._bad_since_s = 0, -math.inf
        self._unmapped, self._unmapped_s = 0, -math.inf

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
        return self._health.state(sum(target.reader.reads for target in self._targets))

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
            self._judge_unmapped(page)
            self._judge_lines(page)

    def _judge_unmapped(self, page: DcgmReader) -> None:
        now_s = self._clock.now()
        if page.join.unmapped > self._unmapped:
            self._unmapped, self._unmapped_s = page.join.unmapped, now_s
        if abs(now_s - self._unmapped_s) <= FORGIVEN_AFTER_S:
            params: Params = {"count": page.join.unmapped, "topic": page.join.last_unmapped, "link": self.link}
            self._ledger.raise_("unmapped_messages", self.link, now_s, params)
        else:
            self._ledger.clear("unmapped_messages", self.link)

    def _judge_lines(self, page: DcgmReader) -> None:
        now_s = self._clock.now()
        if page.bad_lines > self._bad_lines:
            self._bad_lines, self._bad_since_s = page.bad_lines, now_s
        if abs(now_s - self._bad_since_s) <= FORGIVEN_AFTER_S:  # far ahead: from before the clock was set back
            params: Params = {"count": page.bad_lines, "topic": self.endpoint.options.metrics_path, "link": self.link}
            self._ledger.raise_("unparsable_messages", self.link, now_s, params | {"error": repr(page.last_bad)})
        else:
            self._ledger.clear("unparsable_messages", self.link)

    async def _keep_polling(self, target: _Target, share: float) -> None:
        await sleep(self._clock, share * target.reader.period_s)
        due_s = self._clock.monotonic()
        while True:
            due_s = await self._poll(target, due_s)
            self._update_state()
            await sleep(self._clock, due_s - self._clock.monotonic())

    async def _poll(self, target: _Target, due_s: float) -> float:
        """Read one target; returns when to come back [site monotonic s]."""
        health = target.health
        try:
            rows = await target.reader.read()
        except SilentError as error:
            health.unanswered(str(error))
            return self._after(min(FIRST_BACKOFF_S * 2.0 ** max(health.missed - SILENT_AFTER, 0), MAX_BACKOFF_S))
        except RefusedError as error:
            if health.refused_by(_WHOLE, str(error)):
                health.mark_silent()
            return self._after(REFUSED_PAUSE_S)
        health.answered(_WHOLE)
        health.lacks(_listed(target.reader.missing))
        received_s = self._clock.now()
        self._intake.take(SampleBatch.of([(p, t, received_s, value, code) for p, t, value, code in rows]))
        planned_s, now_s = due_s + target.reader.period_s, self._clock.monotonic()
        self._health.served(late=planned_s < now_s)
        return max(planned_s, now_s)  # turns that were missed are not made up for

    def _after(self, real_s: float) -> float:
        return self._clock.monotonic() + site_seconds(self._clock, real_s)

    def _update_state(self) -> None:
        self._health.update(all_silent=all(target.excused for target in self._targets))


def _listed(missing: Mapping[str, str]) -> str:
    """What a device lacks, the first few with the reason."""
    shown = [f"{name} ({why})" for name, why in list(missing.items())[:_SHOWN]]
    more = len(missing) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")
