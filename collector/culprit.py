"""Which single wrong sensor or fluid explains how the balances of a loop changed: generalised likelihood ratio."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collector.balance import WINDOW_MINUTES, Constants, Floats, Means, Uncertainty, heats, rise_variance

BEFORE_MINUTES = 120
"""A culprit is sought by how the last hour differs from these minutes before, so that drift does not matter."""
UNMODELLED = 0.0015
"""What two such means of a residual differ by without an error and without noise (relative)."""
DECIDED = 9.0
"""Twice the logarithm of the likelihood ratio by which the first suspect must lead."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """One possible culprit.

    kind: `rack_flow`, `rack_temperatures`, `rack_power` (or its capture fraction),
    `unit_flow`, `unit_temperatures`, `primary` (flow or temperatures) or `coolant`; number: of its rack or unit.
    """

    kind: str
    number: int


def suspects(racks: int, units: int) -> list[Suspect]:
    """Everything that can be wrong in a loop, in the order of `signatures`."""
    of_racks = [Suspect(kind, i) for kind in ("rack_flow", "rack_temperatures", "rack_power") for i in range(racks)]
    of_units = [Suspect(kind, i) for kind in ("unit_flow", "unit_temperatures", "primary") for i in range(units)]
    return [*of_racks, *of_units, Suspect("coolant", 0)]


def signatures(means: Means, known: Constants) -> Floats:
    """How each balance answers to a relative error of each suspect: (balances, suspects), for means without lead."""
    rack_w, unit_w = heats(means, known)
    heat, heat_unit = rack_w / rack_w.sum(), unit_w / unit_w.sum()
    flow, flow_unit = means.rack_flow / means.rack_flow.sum(), means.unit_flow / means.unit_flow.sum()
    n, m = len(heat), len(heat_unit)
    one, none = np.eye(n), np.zeros
    unit = np.eye(m)
    columns = [
        np.vstack([one, -heat, -flow, none((m, n))]),
        np.vstack([one, -heat, none(n), none((m, n))]),
        np.vstack([-one, none(n), none(n), none((m, n))]),
        np.vstack([none((n, m)), heat_unit, flow_unit, -unit]),
        np.vstack([none((n, m)), heat_unit, none(m), -unit]),
        np.vstack([none((n, m)), none(m), none(m), unit]),
        np.concatenate([np.ones(n), [0.0, 0.0], -np.ones(m)])[:, None],
    ]
    return np.hstack(columns)


@dataclass(frozen=True, slots=True)
class Isolated:
    """The suspects that explain the deviations best, and whether the first one leads clearly."""

    ranked: tuple[Suspect, ...]
    error: float
    decided: bool


def isolate(minutes: Floats, since: int, means: Means, known: Constants, sure: Uncertainty) -> Isolated:
    """Which single error explains how the deviations (minutes, balances) changed: generalised likelihood ratio.

    since: how many of the last minutes lie after the error's onset. The covariance is that of the sensors' own noise
    through the same signatures, so that balances which share a sensor are not counted as two witnesses. Balances that
    were muted are left out.
    """
    since = min(max(since, 1), len(minutes))
    after, before = minutes[-since:][-WINDOW_MINUTES:], minutes[:-since][-BEFORE_MINUTES:]
    deviation = mean_heard(after) - np.nan_to_num(mean_heard(before))
    scatter = 1.0 / len(after) + 1.0 / max(len(before), 1)
    heard = np.isfinite(deviation)
    shape = signatures(means, known)[heard]
    shape = np.where(np.isfinite(shape), shape, 0.0)
    noise = shape @ np.diag(_sensor_variances(means, sure)) @ shape.T
    inverse = np.linalg.inv(scatter * noise + UNMODELLED**2 * np.eye(int(heard.sum())))
    along = shape.T @ inverse @ deviation[heard]
    length = np.einsum("bs,bc,cs->s", shape, inverse, shape)
    gain = np.where(length > 0, along**2 / np.maximum(length, 1e-12), 0.0)
    order = np.argsort(-gain)
    names = suspects(means.rack_flow.shape[-1], means.unit_flow.shape[-1])
    best = order[0]
    return Isolated(
        ranked=tuple(names[i] for i in order.tolist() if gain[best] - gain[i] < DECIDED),
        error=float(along[best] / length[best]) if length[best] > 0 else 0.0,
        decided=bool(gain[best] - gain[order[1]] >= DECIDED),
    )


def _sensor_variances(means: Means, sure: Uncertainty) -> Floats:
    racks, units = means.rack_flow.shape[-1], means.unit_flow.shape[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        primary = sure.flow**2 + rise_variance(means.primary_rise, sure)
        found = np.concatenate(
            [
                np.full(racks, sure.flow**2),
                rise_variance(means.rack_rise, sure),
                np.full(racks, sure.power**2),
                np.full(units, sure.flow**2),
                rise_variance(means.unit_rise, sure),
                primary,
                [0.0],
            ]
        )
    return np.where(np.isfinite(found), found, 1.0)


def mean_heard(minutes: Floats) -> Floats:
    """Of each balance, over the minutes in which it was heard; NaN where there are none."""
    heard = np.isfinite(minutes)
    count = heard.sum(axis=0)
    total = np.where(heard, minutes, 0.0).sum(axis=0)
    mean: Floats = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean
