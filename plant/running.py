"""What a run tells of itself: links, actuator, switchback, audit. Frozen, plain, JSON as they are."""

from __future__ import annotations

from dataclasses import dataclass

from plant.leases import Lease
from plant.points import PointId


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchbackState:
    """Where a switchback is. arm: `rule` or `coldplate`, empty outside of its blocks; block: its number from 1.

    until_s: when this arm's block ends (before the first: begins) [s since 1970]; washing_out: in its begin, which does
    not count; paused: why it is not driven as planned now; valid, invalid: blocks that are over.
    """

    digest: str
    arm: str
    block: int
    blocks: int
    until_s: float
    washing_out: bool
    paused: str
    valid: int
    invalid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """One link to one endpoint: up, slow, silent or mismatch, with the last error in words."""

    link: str
    endpoint: str
    state: str
    since_s: float
    last_error: str = ""
    reads: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ActuatorState:
    """What the actuator holds and has done since it started."""

    epoch: int
    leases: tuple[Lease, ...]
    accepted_commands: int
    refused_commands: int
    writable_points: tuple[PointId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who or what did what. `hash` covers everything else and the hash before it."""

    seq: int
    at_s: float
    writer: str
    actor: str
    action: str
    subject: str
    detail: dict[str, str | float | int | bool | None]
    previous: str
    hash: str
