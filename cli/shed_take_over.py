"""Going on from the book of a `coldplate shed` whose host is gone: power limits end by nobody's clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from placement.api_client import Client
from placement.scheduler_reports import LEAST_SILENCE_S
from placement.shed.book import ShedBook
from plant.errors import ConflictError, RefusedError, SilentError

POLL_S = 5.0


def take_over(
    client: Client,
    name: str,
    book: ShedBook,
    say: Callable[[str], None],
    *,
    wait: bool,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Make what the process `name` told that it holds this book's; wait: first until its lease is over.

    A book that is that process's own goes on as it is.

    Raises:
        RefusedError: this book holds something else already, or the server said no.
        SilentError: no answer (not where it waits: it asks again).
        StoreError: it can't be written down.
    """
    said = ""
    while True:
        try:
            kept = client.shed_book(name)
            if kept.owner == book.owner:
                return
            if not book.empty:
                remedy = "give that back first (--give-back --act), or name another --state"
                raise RefusedError(f"this book holds something itself; {remedy}")
            left_s = _lease_left_s(client, name) if wait else 0.0
            if left_s <= 0.0:
                client.put_shed_book(name, replace(kept, owner=book.owner, taken_from=kept.owner))
                book.adopt(kept)
                say(f"goes on from {kept.owner or 'nobody'}: {len(kept.caps)} limits, {len(kept.jobs)} jobs held")
                return
            why = f"stands by: {kept.owner or name} is heard, or its lease lasts"
        except (SilentError, ConflictError) as error:
            if not wait:
                raise
            why = f"stands by: {error}"
        if why != said:
            say(why)
            said = why
        sleep(POLL_S)


def _lease_left_s(client: Client, name: str) -> float:
    """How long the process may still hold what it has, and come back to it [s]."""
    found = next((p for p in client.shed().processes if p.name == name), None)
    return 0.0 if found is None else max(found.report.lease_left_s, LEAST_SILENCE_S) - found.age_s
