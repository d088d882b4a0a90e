"""Where job lists come in: from the API over the bus, and from a file that is read again when it changes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

from alarms.board import ConditionBoard
from placement.job_list import job_list, parsed_list
from placement.job_lists import believed, list_conditions, same_jobs
from plant.clock import Clock
from plant.errors import ColdplateError, ConfigError
from plant.intents import Answer
from plant.records import JobList, JobOutlook
from plant.topology import Site
from store.audit import AuditLog
from store.bus import BusServer
from store.codec import from_plain, to_plain
from store.state import StateDir

log = logging.getLogger("coldplate.jobs")

KEPT = "jobs.json"
FILE_SOURCE = "file"
LOOK_REAL_S = 1.0
MOST_SOURCES = 20
MOST_FILE_BYTES = 16_000_000


class JobDesk:
    """The newest job list of every source; remembered over restarts, told on the bus, changes of jobs audited."""

    def __init__(
        self, site: Site, clock: Clock, state: StateDir, audit: AuditLog, board: ConditionBoard, file: Path | None
    ) -> None:
        self._site, self._clock, self._state, self._audit, self._board = site, clock, state, audit, board
        self._file = file or (Path(site.jobs.file) if site.jobs.file else None)
        self._seen: tuple[int, int, int] | None = None
        self._faults: dict[str, tuple[str, float]] = {}
        self._bus: BusServer | None = None
        self._lists = self._remembered()

    def _remembered(self) -> dict[str, JobList]:
        try:
            kept = self._state.read_json(KEPT)
            return {row.source: row for row in from_plain(list[JobList], kept or [])}
        except ColdplateError as error:
            log.warning("job lists of the last run are not used: %s", error)
            return {}

    def outlook(self) -> tuple[JobOutlook, ...]:
        """What may be believed now."""
        return believed(self._lists.values(), self._clock.now())

    async def take(self, told: JobList) -> Answer:
        """Put a list in the place of its source's last one."""
        now_s = self._clock.now()
        if told.valid_until_s <= now_s:
            late_s = now_s - told.valid_until_s
            return Answer(accepted=False, text=f"valid_until_s lies {late_s:.0f} s in the past of the site's clock")
        if told.source not in self._lists and len(self._lists) >= MOST_SOURCES:
            return Answer(accepted=False, text=f"{MOST_SOURCES} sources tell of jobs already; use one of their names")
        self._note(told, now_s)
        self._lists[told.source] = told
        self._keep()
        await self._tell()
        return Answer(accepted=True, text=f"{len(told.jobs)} jobs of {told.source} known")

    def _note(self, told: JobList, now_s: float) -> None:
        if same_jobs(self._lists.get(told.source), told):
            return
        # A full disk must not keep job knowledge from the forecast: nothing is driven by it alone
        with contextlib.suppress(OSError, ColdplateError):
            power_kw = round(sum(j.power_w for j in told.jobs) / 1e3, 1)
            self._audit.append(now_s, told.actor, "jobs", told.source, {"jobs": len(told.jobs), "power_kw": power_kw})

    def _keep(self) -> None:
        try:
            self._state.write_json(KEPT, to_plain(list(self._lists.values())))
        except (OSError, ColdplateError) as error:
            log.warning("job lists not kept: %s", error)

    async def run(self, bus: BusServer) -> None:
        """Tell what is known, watch the file and the validity of every list; runs until cancelled."""
        self._bus = bus
        await self._tell()
        while True:
            await self._look()
            conditions = list_conditions(self._lists.values(), self._faults, self._clock.now())
            self._board.publish("jobs", conditions)
            await asyncio.sleep(LOOK_REAL_S)

    async def _look(self) -> None:
        """Read the file if it is another than last time; a list in it that is out of date is kept as such."""
        if self._file is None:
            return
        try:
            state = self._file.stat()
            signature = (state.st_mtime_ns, state.st_size, state.st_ino)
            if signature == self._seen:
                return
            self._seen = signature
            await self._take_file(self._file, state.st_size)
        except FileNotFoundError:  # nobody has written it yet, or it was taken away; an old list runs out by itself
            self._seen = None
            self._faults.pop(FILE_SOURCE, None)
        except (OSError, ConfigError) as error:
            text = error.strerror or "unreadable" if isinstance(error, OSError) else str(error)
            self._fault(f"{self._file.name}: {text}")

    async def _take_file(self, path: Path, size: int) -> None:
        if size > MOST_FILE_BYTES:
            raise ConfigError(f"larger than {MOST_FILE_BYTES} bytes", remedy="list running and queued jobs only")
        form = parsed_list(await asyncio.to_thread(path.read_bytes), FILE_SOURCE)
        told = job_list(form, self._site, path.name, self._clock.now())
        answer = await self.take(told)
        if answer.accepted:
            self._faults.pop(FILE_SOURCE, None)
        else:
            self._fault(f"{path.name}: {answer.text}")

    def _fault(self, text: str) -> None:
        _, since_s = self._faults.get(FILE_SOURCE, (text, self._clock.now()))
        self._faults[FILE_SOURCE] = (text, since_s)

    async def _tell(self) -> None:
        if self._bus is not None:
            await self._bus.publish("jobs", list(self._lists.values()))
