"""`coldplate shed`: one process that acts on the shed plan; the next one goes on from its book, however it ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

from cli.processes import stamped, stop_on_signals
from devices.http import HttpEndpoint
from devices.http_options import read_options
from devices.redfish_power import PowerLimit
from placement.kubernetes.cluster import connect
from placement.kubernetes.shed import KubernetesJobs
from placement.shed.act import Shedder, ShedOptions
from placement.shed.book import ShedBook
from placement.shed.caps import Caps, Place
from placement.shed.file import SchedulerForm, ShedForm, places_of
from placement.shed.node_watch import NodeWatch
from placement.shed.reports import ShedReport
from placement.shed.stops import Scheduler
from placement.shed.wishes import ShedWish
from placement.slurm.commands import Slurm
from placement.slurm.shed import SlurmJobs
from plant.errors import ColdplateError
from plant.sheds import Deed


@asynccontextmanager
async def open_hands(form: ShedForm) -> AsyncIterator[tuple[dict[str, Place], dict[str, Scheduler]]]:
    """Every power limit by its name, and every scheduler by its own.

    Raises:
        ConfigError: the client of a cluster is not installed, or its configuration is missing.
    """
    async with AsyncExitStack() as stack:
        schedulers = {one.name: await _scheduler(one, stack) for one in form.schedulers}
        yield _places(form, stack), schedulers


async def _scheduler(form: SchedulerForm, stack: AsyncExitStack) -> Scheduler:
    if form.kind == "slurm":
        slurm = Slurm(conf=form.conf, timeout_s=form.timeout_s)
        return SlurmJobs(slurm=slurm, ways=form.ways, checkpoint_s=form.checkpoint_s)
    cluster = await stack.enter_async_context(connect(form.kubeconfig))
    return KubernetesJobs(cluster=cluster)


def _places(form: ShedForm, stack: AsyncExitStack) -> dict[str, Place]:
    endpoints: dict[tuple[str, int], HttpEndpoint] = {}
    found: dict[str, Place] = {}
    for limits in form.limits:
        options = read_options(limits.options)
        for place in places_of(limits):
            where = (place.host, place.port)
            if where not in endpoints:
                endpoints[where] = HttpEndpoint(*where, options)
                stack.push_async_callback(endpoints[where].close)
            limiter = PowerLimit(endpoints[where], place.path, place.full_w)
            found[place.name] = Place(
                name=place.name, node=place.node, limiter=limiter, full_w=place.full_w, idle_w=place.idle_w
            )
    return found


async def act_on(
    form: ShedForm,
    book: ShedBook,
    options: ShedOptions,
    hear: Callable[[], ShedWish],
    tell: Callable[[ShedReport], object] | None,
    *,
    once: bool,
    until_empty: bool,
) -> bool:
    """Work with all that the file names; as `ShedRun.work`.

    Raises:
        ConfigError: a cluster's client or configuration is missing.
    """
    async with open_hands(form) as (places, schedulers):
        watch = NodeWatch(schedulers, form.node_at)
        shedder = Shedder(Caps(places, book, options.acts), schedulers, book, options)
        return await ShedRun(shedder, watch, hear, tell, stamped).work(once=once, until_empty=until_empty)


@dataclass(slots=True)
class ShedRun:
    """watch: of the nodes that limits are named for; hear: asks the API (blocking).

    tell: where reports go (blocking), None: nowhere; say: gets lines for people.
    """

    shedder: Shedder
    watch: NodeWatch
    hear: Callable[[], ShedWish]
    tell: Callable[[ShedReport], object] | None
    say: Callable[[str], None]
    _untold: str = field(default="")
    _stuck: str = field(default="")
    _unheard: str = field(default="")

    async def work(self, *, once: bool, until_empty: bool) -> bool:
        """Until SIGTERM or SIGINT, one pass, or until nothing is held; whether the last pass went well.

        What is held then stays held: the next process goes on from the book.
        """
        stop = asyncio.Event()
        stop_on_signals(stop)
        while True:
            good = await self._pass()
            if once or stop.is_set() or (until_empty and self.shedder.book.empty):
                return good
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self.shedder.options.period_s)
            if stop.is_set():
                return good

    async def _pass(self) -> bool:
        wish = await asyncio.to_thread(self.hear)
        if wish.problem and wish.problem != self._unheard:
            self.say(wish.problem)
        self._unheard = wish.problem
        try:
            for deed in await self.shedder.round(wish):
                self.say(line(deed))
        except ColdplateError as error:
            if str(error) != self._stuck:
                self.say(f"nothing is done: {error}")
            self._stuck = str(error)
            return False
        self._stuck = ""
        for news in [] if wish.plans else await self.watch.look():
            self.say(news)
        report = replace(self.shedder.report(), unknown_nodes=self.watch.unknown)
        await self._report(report)
        return not report.last_error

    async def _report(self, report: ShedReport) -> None:
        if self.tell is None:
            return
        error = ""
        try:
            await asyncio.to_thread(self.tell, report)
        except ColdplateError as silent:
            error = str(silent)
        if error and error != self._untold:
            self.say(f"{error}; what is done is not shown there meanwhile")
        self._untold = error


def line(deed: Deed) -> str:
    """For people."""
    watts = "" if deed.watts is None else f" {deed.watts:.0f} W"
    would = "would " if deed.dry else ""
    error = f": {deed.error}" if deed.error else ""
    return f"{would}{deed.what} {deed.job}{watts} {deed.place}{error}".rstrip()
