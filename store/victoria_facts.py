"""What VictoriaMetrics' processes say of themselves at /metrics, and which samples they would drop for it."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plant.errors import StoreError
from plant.samples import SampleBatch
from store.server import Reply, Server, refusal

FUTURE_S = 2 * 86_400.0
"""VictoriaMetrics drops what is later than this from now [s]."""
_HIDDEN = frozenset({400, 401, 403, 404, 405})
MISSING = "look at the paths and the tenant in the store's URL"
_START = re.compile(rb"^vm_app_start_timestamp(?:\{[^}]*\})? ([0-9.e+]+)$", re.MULTILINE)
_FLAG = r'^flag\{{name="{}", ?value="([^"]*)"'
_UNIT_S = {"h": 3600.0, "d": 86_400.0, "w": 604_800.0, "y": 31_536_000.0, "": 31 * 86_400.0}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a server says of itself: when it started, whether it drops duplicates, how long it keeps samples [s]."""

    started_s: float | None
    deduplicates: bool
    kept_s: float | None


async def ask_facts(storage: Sequence[Server]) -> Facts:
    """Of all processes that hold samples; a proxy that hides /metrics is a server that does not say.

    Raises:
        StoreError: one does not answer.
    """
    replies = [(server, await server.get("/metrics")) for server in storage]
    asked = [b"" if r.status in _HIDDEN else checked(server, r).body for server, r in replies]
    starts = [float(found.group(1)) for body in asked if (found := _START.search(body))]
    seen = [_flag(body, "dedup.minScrapeInterval") not in {"", "0", "0s"} for body in asked]
    kept = [s for body in asked if (s := _seconds_of(_flag(body, "retentionPeriod"))) is not None]
    return Facts(max(starts, default=None), bool(seen) and all(seen), min(kept, default=None))


def out_of_reach(batch: SampleBatch, facts: Facts) -> dict[int, str]:
    """Rows that the server would drop, by place, with the reason."""
    now_s = time.time()  # the server's clock is the real one, also where the site's is not
    oldest_s = max(0.0, now_s - facts.kept_s) if facts.kept_s else 0.0
    out = (batch.time_s < oldest_s) | (batch.time_s > now_s + FUTURE_S)
    text = "{}: time {} is out of what the server keeps, {:.0f} to {:.0f}; see its -retentionPeriod"
    span = (oldest_s, now_s + FUTURE_S)
    rows = ((i, batch.names[batch.index[i]], float(batch.time_s[i])) for i in np.flatnonzero(out).tolist())
    return {i: text.format(point, time_s, *span) for i, point, time_s in rows}


def _flag(body: bytes, name: str) -> str:
    found = re.search(_FLAG.format(re.escape(name)), body.decode("utf-8", "replace"), re.MULTILINE)
    return found.group(1) if found else ""


def _seconds_of(period: str) -> float | None:
    """A -retentionPeriod; months where it names no unit."""
    found = re.fullmatch(r"([0-9.]+)([hdwy]?)", period)
    return float(found.group(1)) * _UNIT_S[found.group(2)] if found else None


def checked(server: Server, reply: Reply) -> Reply:
    """A reply that is one.

    Raises:
        StoreError: the server refused.
    """
    if reply.ok:
        return reply
    error = refusal(server.url, reply, MISSING)
    raise error if isinstance(error, StoreError) else StoreError(str(error))
