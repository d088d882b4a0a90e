"""What a process that takes load off holds and has done: caps that are leases, jobs that it stopped, deeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHeld:
    """A job that has less than all of its power. share: of dynamic power that it keeps; 0: it was requeued.

    full_w: by loop, what it would give if it were stopped altogether [W]; share of 1: what is given back last.
    """

    job: str
    share: float
    full_w: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CapHeld:
    """One power limit of ours. place: the device's resource; draw_w: before the first cap [W].

    before_w: the limit that was there before us [W], None: none; asked_w, watts: what we asked and were told [W];
    sure: the device has told it back.
    """

    place: str
    node: str
    job: str
    draw_w: float
    before_w: float | None
    asked_w: float
    watts: float
    sure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStopped:
    """A job that we requeued. started_s: of the run that was meant, at_s: when it was [s since 1970].

    before: nodes that it excludes by itself;
    sure: False from the moment before the scheduler is asked until it has agreed.
    """

    job: str
    source: str
    started_s: float
    at_s: float = 0.0
    before: str = ""
    sure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ShedKept:
    """All that a process holds, so that another one can go on from it when its host is gone.

    owner: whose it is; taken_from: who had it before, where it is being taken over.
    """

    owner: str
    taken_from: str = ""
    jobs: tuple[JobHeld, ...] = ()
    caps: tuple[CapHeld, ...] = ()
    stopped: tuple[JobStopped, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is held."""
        return not (self.jobs or self.caps or self.stopped)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One thing done at at_s [s since 1970, the process's clock], or not: `error` says why; dry: only said.

    what: cap, lift, left (changed by others, so left as it is), requeue, release; watts: of a limit.
    """

    at_s: float
    job: str
    what: str
    place: str = ""
    watts: float | None = None
    error: str = ""
    dry: bool = False
