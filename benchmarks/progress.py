"""How far a long benchmark is, on stderr: its figures stand alone on stdout."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

DAY_MINUTES = 1440


@dataclass(frozen=True, slots=True)
class Said:
    """Says what is done and how much CPU time it took so far."""

    benchmark: str

    def __call__(self, what: str) -> None:
        """One line."""
        spent_s = time.process_time()
        print(f"bench {self.benchmark}: {what} ({spent_s:.0f} s of CPU time)", file=sys.stderr, flush=True)

    def day(self, what: str, minute: int) -> None:
        """The end of each simulated day."""
        if minute % DAY_MINUTES == DAY_MINUTES - 1:
            self(f"{what}, day {minute // DAY_MINUTES + 1}")
