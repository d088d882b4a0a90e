"""`coldplate grid`: load targets from the DSX bus become power budgets, held by the API, until their own end."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from cli.processes import stop_on_signals
from devices.mqtt import Message, Subscriber
from placement.api_client import Client
from placement.flex import LoadTarget, limits, load_targets, with_targets
from placement.scheduler_reports import Report
from plant.budgets import WHOLE_SITE
from plant.errors import ColdplateError, ConfigError
from store import codec
from store.files import replace_file

PASS_S = 1.0
TELL_S = 10.0
OPEN_END_S = 6 * 3600.0
"""A target without an end is set for so long, and again long before that is over [s]."""
MOVED = 0.01
"""An IT budget that moves by less than this share with the cooling's power is not set anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GridOptions:
    """feeds: tag -> scope; other_w: what else than IT the site's feed carries [W], None: as metered now.

    acts: else it only says; unsigned: plain data are taken, too.
    """

    feeds: Mapping[str, str]
    other_w: float | None = None
    acts: bool = False
    unsigned: bool = False


@dataclass(slots=True)
class Grid:
    """file: where targets outlive this process; verified: as `placement.flex.load_targets` wants it."""

    client: Client
    file: Path
    options: GridOptions
    verified: Callable[[str], bytes]
    say: Callable[[str], None]
    wall_s: Callable[[], float] = time.time
    _targets: list[LoadTarget] = field(default_factory=list)
    _set: dict[str, tuple[str, float, float]] = field(default_factory=dict)
    _garbage: str = ""
    _said: tuple[str, ...] = ()
    _good_s: float | None = None
    _recalled: bool = False

    def __post_init__(self) -> None:
        """Remember what was told before."""
        with contextlib.suppress(FileNotFoundError):
            self._targets = codec.from_plain(list[LoadTarget], codec.decode(self.file.read_bytes()))
            # JSON has no infinity: an end that is none comes back as no number
            self._targets = [replace(t, end_s=math.inf) if math.isnan(t.end_s) else t for t in self._targets]

    async def take(self, messages: list[Message]) -> None:
        """Messages of the bus; kept on disk before they are acknowledged. What is none is told, and changes nothing."""
        for message in messages:
            try:
                new = await asyncio.to_thread(self._read, message)
            except ConfigError as error:
                self._garbage = f"{error} (at {_clock(self.wall_s())})"
                self.say(f"not taken: {error}")
                continue
            self._garbage = ""
            for target in new:
                self.say(_words(target))
            self._targets = with_targets(self._targets, new, self.wall_s())
            await asyncio.to_thread(replace_file, self.file, codec.encode(codec.to_plain(self._targets)) + b"\n")

    def _read(self, message: Message) -> list[LoadTarget]:
        where = (message.topic, message.payload, self.verified, self.wall_s())
        return load_targets(*where, unsigned=self.options.unsigned)

    def hold(self) -> list[str]:
        """Bring budgets to what counts now (blocking); what hinders."""
        try:
            self._recall()
            wanted = self._wanted()
            for scope in self._set.keys() - wanted.keys():
                self._end(scope)
            for scope, (target, power_w) in wanted.items():
                self._hold(scope, target, power_w)
        except ColdplateError as error:
            return self._news([str(error)])
        self._good_s = self.wall_s()
        return self._news([])

    def report(self, bus: str) -> Report:
        """How it goes; bus: what is wrong with the broker, or ""."""
        errors = [*self._said, *([bus] if bus else []), *([self._garbage] if self._garbage else [])]
        return Report(
            kind="grid",
            dry_run=not self.options.acts,
            period_s=TELL_S,
            last_success=self._good_s,
            sent_at=self.wall_s(),
            nodes=0,
            last_error="; ".join(errors)[:2000],
        )

    def _recall(self) -> None:
        """What a process before us has set, so that it is ended if nobody asks for it any more."""
        if self._recalled:
            return
        if self.options.acts:
            now_s = self.wall_s()
            for budget in self.client.budgets():
                if budget.source == "grid" and budget.scope in self.options.feeds.values():
                    self._set[budget.scope] = ("", math.nan, now_s + budget.left_s)
        self._recalled = True

    def _wanted(self) -> dict[str, tuple[LoadTarget, float]]:
        found = limits(self._targets, self.options.feeds, self.wall_s())
        return {scope: (target, self._it_w(scope, target.power_w or 0.0)) for scope, target in found.items()}

    def _it_w(self, scope: str, feed_w: float) -> float:
        """What a feed's limit leaves for IT [W]: cooling and losses hang on the site's feed as well."""
        if scope != WHOLE_SITE:
            return feed_w
        other_w = self.options.other_w
        if other_w is None:
            it_w, site_w = self.client.site_powers()
            if it_w is None or site_w is None:
                remedy = "give what else the feed carries with --other-kw"
                raise ConfigError("what else than IT draws on the feed is not metered", where="grid", remedy=remedy)
            other_w = max(site_w - it_w, 0.0)
        return max(feed_w - other_w, 0.0)

    def _hold(self, scope: str, target: LoadTarget, power_w: float) -> None:
        now_s = self.wall_s()
        event, held_w, until_s = self._set.get(scope, ("", math.nan, 0.0))
        moved = not abs(held_w - power_w) <= MOVED * max(held_w, 1.0)
        ends_soon = until_s < min(target.end_s, now_s + OPEN_END_S / 2.0)
        if event == target.event and not moved and not ends_soon:
            return
        end_s = min(target.end_s, now_s + OPEN_END_S)
        words = f"load target {target.correlation} of the grid"
        if self.options.acts:
            ahead_s = self.client.site_time_s() - now_s
            self.client.put_budget(
                power_w / 1e3, words, end_s + ahead_s, scope=scope, source="grid", actor=target.isv[:60]
            )
        self.say(f"{'' if self.options.acts else 'would set '}{scope}: {power_w / 1e3:.1f} kW until {_clock(end_s)}")
        self._set[scope] = (target.event, power_w, end_s)

    def _end(self, scope: str) -> None:
        """A budget that has reached its end has ended by itself."""
        _, _, until_s = self._set[scope]
        if self.options.acts and until_s > self.wall_s() + 1.0:
            self.client.end_budget("the grid asks for no limit any more", scope=scope, source="grid", actor="grid")
        self.say(f"{scope}: no limit any more")
        del self._set[scope]

    def _news(self, errors: list[str]) -> list[str]:
        for error in errors:
            if error not in self._said:
                self.say(f"error: {error}")
        self._said = tuple(errors)
        return errors


async def serve_grid(grid: Grid, bus: Subscriber, tell: Callable[[Report], object] | None) -> None:
    """Until SIGTERM or SIGINT. Budgets that are set end at their time, whether or not this process is there.

    Raises:
        StoreError: what was heard can't be kept.
    """
    stop = asyncio.Event()
    stop_on_signals(stop)
    hearing = asyncio.create_task(bus.run(grid.take))
    told_s = -TELL_S
    try:
        while not stop.is_set() and not hearing.done():
            await asyncio.to_thread(grid.hold)
            if tell is not None and time.monotonic() - told_s >= TELL_S:
                told_s = time.monotonic()
                report = grid.report(
                    "" if bus.connected else f"no connection to the broker {bus.name}: {bus.last_error}"
                )
                with contextlib.suppress(ColdplateError):  # the API is away: told by its own silence
                    await asyncio.to_thread(tell, report)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), PASS_S)
        if hearing.done():
            hearing.result()
    finally:
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)


def _words(target: LoadTarget) -> str:
    feeds = ", ".join(target.feeds) or "all feeds"
    what = "no limit" if target.power_w is None else f"{target.power_w / 1e3:.1f} kW"
    end = "until it is replaced" if math.isinf(target.end_s) else f"until {_clock(target.end_s)}"
    return f"{target.isv}: {what} for {feeds} from {_clock(target.start_s)} {end}"


def _clock(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, UTC).isoformat(timespec="seconds")
