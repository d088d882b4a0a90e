"""Parts and totals that agree: the middles of members sum to their group's, those of groups to the site's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def agreed(total: Array, parts: Array, total_var: Array, parts_var: Array) -> tuple[Array, Array]:
    """Total (t,) and parts (n, t) that sum, moved least where they were surest; all stay at or above zero.

    Minimum-trace reconciliation with diagonal errors (Wickramasuriya, Athanasopoulos and Hyndman 2019): of the gap
    total - sum(parts) each part takes its variance over the sum of all variances, the total the rest.
    """
    whole_var = total_var + parts_var.sum(axis=0) + 1e-12
    gap = total - parts.sum(axis=0)
    moved = np.maximum(parts + gap * parts_var / whole_var, 0.0)
    return moved.sum(axis=0), moved


def shared(total: Array, parts: Array, parts_var: Array) -> Array:
    """Parts (n, t) that sum to a total (t,) which is settled already; all stay at or above zero."""
    gap = total - parts.sum(axis=0)
    moved = np.maximum(parts + gap * parts_var / (parts_var.sum(axis=0) + 1e-12), 0.0)
    whole = moved.sum(axis=0)
    return np.asarray(np.where(whole > 0, moved * np.maximum(total, 0.0) / np.maximum(whole, 1e-12), 0.0))
