"""A node that one cluster lends to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class LoanState(StrEnum):
    """Where a loan stands; `allowed` begins it, `lent` rests until it is called back or due."""

    PROPOSED = "proposed"
    ALLOWED = "allowed"
    DRAINING = "draining"
    RELEASING = "releasing"
    ADMITTING = "admitting"
    VERIFYING = "verifying"
    LENT = "lent"
    CALLED_BACK = "called-back"
    LEAVING = "leaving"
    RETURNING = "returning"
    CHECKING = "checking"
    RETURNED = "returned"
    ROLLING_BACK = "rolling-back"
    FAILED = "failed"


OVER = (LoanState.RETURNED, LoanState.FAILED)
"""Nothing follows; the node is at home."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loan:
    """One node on its way. Times [s since 1970]; took_s: seconds of each step that is over.

    drain_limit_s: how long jobs of the lender may take to end before the loan is given up.
    """

    id: str
    node: str
    lender: str
    borrower: str
    owner: str
    due_s: float
    state: LoanState
    since_s: float
    drain_limit_s: float = 3600.0
    reason: str = ""
    problem: str = ""
    took_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """What the lender's own users read at the node."""
        return f"loan {self.id} to {self.borrower} by {self.owner}: {self.reason or 'no reason given'}"
