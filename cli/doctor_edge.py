"""What the running edge says of itself, heard on its bus."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli.doctor_checks import Check
from plant.errors import ConfigError
from plant.records import Condition
from plant.running import LinkState
from store.bus_client import BusClient
from store.codec import from_plain

HEARD_WITHIN_S = 5.0
_STATUS = {"up": "ok", "slow": "warn", "mismatch": "warn"}
_REMEDY = {
    "slow": "the device answers later than it is asked; poll it less often, or look at its network",
    "mismatch": "compare the device with its profile; its conditions name the points",
    "silent": "check the device's power and network, and the link's host and port",
}


@dataclass
class EdgeWord:
    """The newest of each kind that it said."""

    links: list[LinkState] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    counters: dict[str, float] = field(default_factory=dict)


async def ask_edge(state: Path) -> EdgeWord | None:
    """What the edge that works in this state directory says; None if none answers."""
    word: dict[str, Any] = {}
    with contextlib.suppress(TimeoutError):
        async with (
            asyncio.timeout(HEARD_WITHIN_S),
            contextlib.aclosing(BusClient(state / "bus.sock").subscribe()) as news,
        ):
            async for kind, body in news:
                if kind == "bus" and not body["connected"]:
                    return None
                word[kind] = body
                if {"links", "conditions", "counters"} <= set(word):
                    break
    if "links" not in word:
        return None
    try:
        return EdgeWord(
            from_plain(list[LinkState], word["links"]),
            from_plain(list[Condition], word.get("conditions", [])),
            word.get("counters", {}),
        )
    except ConfigError:  # an edge of another version
        return None


def edge_checks(state: Path, edge: EdgeWord | None) -> list[Check]:
    """The edge, its links and its conditions."""
    if edge is None:
        return [_no_edge(state)]
    samples = int(edge.counters.get("samples", 0))
    checks = [Check(name="edge", status="ok", text=f"runs, {samples} samples since its start")]
    checks += [_link(link) for link in edge.links]
    return checks + [_condition(c) for c in edge.conditions if c.severity != "info"]


def _no_edge(state: Path) -> Check:
    holder = _holder(state / "edge.lock")
    if holder:
        text = f"process {holder} holds {state} and does not answer on its bus"
        return Check(name="edge", status="fail", text=text, remedy="look at its log; if it hangs, restart the service")
    text = f"no edge runs in {state}; devices are asked from here"
    return Check(name="edge", status="warn", text=text, remedy="start it: coldplate run SITE --state DIR")


def _holder(lock: Path) -> str:
    """Pid of who holds the lock, by the kernel's list; taking it, even for a moment, could stop an edge that starts."""
    try:
        inode = lock.stat().st_ino
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return ""
    fields = (line.split() for line in lines if "FLOCK" in line)
    return next((f[4] for f in fields if len(f) > 5 and f[5].endswith(f":{inode}")), "")


def _link(link: LinkState) -> Check:
    error = f": {link.last_error}" if link.last_error else ""
    return Check(
        name=f"link {link.link}",
        status=_STATUS.get(link.state, "fail"),  # type: ignore[arg-type]  # the values of a constant table
        text=f"{link.endpoint} is {link.state}{error} ({link.reads} reads, {link.failures} failures, by the edge)",
        remedy=_REMEDY.get(link.state, ""),
    )


def _condition(condition: Condition) -> Check:
    return Check(
        name=f"condition {condition.code} {condition.subject}".rstrip(),
        status="fail" if condition.severity == "critical" else "warn",
        text=condition.cause.text,
        remedy=condition.remedy.text,
    )
