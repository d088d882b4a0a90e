"""What a site's own history says about its cooling, before anything is controlled: bring your trends. Pure.

Four findings, each a figure with the assumption that it rests on: hunting, CDUs that fight, low ΔT, supply colder than
needed; and from them a range of savings, not a promise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from reports.pue import ReportError
from reports.trend_savings import Saving, energy_kwh, of_cold_supply, of_hunting, of_low_delta_t, together
from reports.trend_table import Column, Floats, TrendTable

WINDOW_S = 6 * 3600.0
LEAST_WINDOWS = 8
LEAST_PER_WINDOW = 48
"""A window of fewer rows shows no oscillation; six hours at 450 s."""
HUNTING_INDEX = 0.4
"""Share of a window's movement in one narrow band: white noise has 0.05, a clean oscillation 0.9."""
HUNTING_SHARE = 0.2
AMPLITUDE = {
    "supply_setpoint": 0.2, "pressure_setpoint": 1500.0, "valve": 0.01, "pump_speed": 0.01, "supply_temperature": 0.15,
    "flow": 5e-5}  # fmt: skip
"""Least standard deviation that is movement, not noise [SI]."""
FIGHT_CORRELATION = -0.5
FIGHT_SHARE = 0.2
GOOD_DELTA_T_K = 10.0
NEEDED_SUPPLY_C = 32.0
MARGIN_K = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunting:
    """One trend's oscillation. index: median share of movement in its band; share: of the windows that hunt; SI."""

    trend: str
    role: str
    index: float
    share: float
    period_s: float
    amplitude: float
    hunts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Fight:
    """Two CDUs of one manifold. correlation: median of their windows; share: of windows in which they fight."""

    first: str
    second: str
    role: str
    correlation: float
    share: float
    fights: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaT:
    """One CDU's temperature rise [K], weighted by flow where that is known."""

    equipment: str
    delta_t_k: float
    low: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdSupply:
    """One CDU's supply [°C] against what is needed: colder_k [K] on average, share of the time that it is colder."""

    equipment: str
    supply_c: float
    colder_k: float
    share: float
    cold: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendAudit:
    """Everything; savings_low, savings_high: shares of cooling energy, all findings together."""

    days: float
    rows: int
    step_s: float
    complete: float
    hunting: tuple[Hunting, ...]
    fights: tuple[Fight, ...]
    delta_t: tuple[DeltaT, ...]
    cold_supply: tuple[ColdSupply, ...]
    savings: tuple[Saving, ...]
    savings_low: float
    savings_high: float
    cooling_kwh: float | None
    ignored: tuple[str, ...]


def audit(
    table: TrendTable, *, needed_supply_c: float = NEEDED_SUPPLY_C, good_delta_t_k: float = GOOD_DELTA_T_K
) -> TrendAudit:
    """What the trends show.

    needed_supply_c: the warmest supply that the racks and their warranty allow [°C]; good_delta_t_k: the rise that the
    racks were sized for [K].

    Raises:
        ReportError: too short or too coarse for any finding.
    """
    _check(table)
    hunting = tuple(h for c in table.columns if c.role in AMPLITUDE and (h := _hunting(table, c)) is not None)
    fights = tuple(_fights(table))
    delta_t = tuple(_delta_t(table, good_delta_t_k))
    cold = tuple(_cold(table, needed_supply_c))
    moves = any(h.hunts for h in hunting) or any(f.fights for f in fights)
    savings = tuple(_savings(table, moves, delta_t, cold, good_delta_t_k, needed_supply_c))
    known = np.array([np.isfinite(c.value).mean() for c in table.columns])
    return TrendAudit(
        days=(table.time_s[-1] - table.time_s[0]) / 86400, rows=len(table.time_s), step_s=table.step_s,
        complete=float(known.mean()), hunting=hunting, fights=fights, delta_t=delta_t, cold_supply=cold,
        savings=savings, savings_low=together([s.low for s in savings]),
        savings_high=together([s.high for s in savings]), cooling_kwh=energy_kwh(table), ignored=table.ignored,
    )  # fmt: skip


def _check(table: TrendTable) -> None:
    span_s = float(table.time_s[-1] - table.time_s[0])
    if span_s < LEAST_WINDOWS * WINDOW_S:
        raise ReportError(f"{span_s / 86400:.1f} days of trends; at least 2 are needed, 30 are better")
    if table.step_s * LEAST_PER_WINDOW > WINDOW_S:
        most_s = WINDOW_S / LEAST_PER_WINDOW
        raise ReportError(f"a row each {table.step_s:.0f} s shows no hunting; export every {most_s:.0f} s or faster")


def _windows(table: TrendTable, value: Floats) -> list[Floats]:
    """Even pieces of six hours, straightened; pieces with more than 10 % missing are left out. shape (k, n)."""
    n = int(WINDOW_S / table.step_s)
    grid_s = np.arange(table.time_s[0], table.time_s[-1], table.step_s)
    known = np.isfinite(value)
    if known.sum() < n:
        return []
    even = np.interp(grid_s, table.time_s[known], value[known])
    behind = np.searchsorted(table.time_s[known], grid_s, side="right") - 1
    gap = grid_s - table.time_s[known][np.maximum(behind, 0)] > 2.5 * table.step_s
    line = np.linspace(-1.0, 1.0, n)
    found = []
    for begin in range(0, len(even) - n + 1, n):
        if gap[begin : begin + n].mean() <= 0.1:
            piece = even[begin : begin + n]
            piece = piece - piece.mean()
            found.append(piece - line * (piece @ line) / (line @ line))
    return found


def _hunting(table: TrendTable, column: Column) -> Hunting | None:
    """Regular movement: how much of a window's variance lies in five neighbouring frequencies around the strongest."""
    windows = _windows(table, column.value)
    if len(windows) < LEAST_WINDOWS:
        return None
    rows = [_oscillation(piece, table.step_s) for piece in windows]
    least = AMPLITUDE[column.role]
    hunting = [r for r in rows if r[0] >= HUNTING_INDEX and r[2] >= least]
    share = len(hunting) / len(rows)
    shown = hunting or rows
    index, period_s, amplitude = (float(np.median([r[i] for r in shown])) for i in range(3))
    return Hunting(
        trend=column.header, role=column.role, index=index, share=share, period_s=period_s, amplitude=amplitude,
        hunts=share >= HUNTING_SHARE,
    )  # fmt: skip


def _oscillation(piece: Floats, step_s: float) -> tuple[float, float, float]:
    """Index, period [s] and standard deviation of one window. Slower than six swings a window is load, not hunting."""
    spread = float(piece.std())
    if spread <= 0:
        return 0.0, 0.0, 0.0
    power = np.abs(np.fft.rfft(piece * np.hanning(len(piece)))) ** 2
    total = float(power.sum())
    fast = power.copy()
    fast[:6] = 0.0
    peak = int(fast.argmax())
    band = float(power[max(6, peak - 2) : peak + 3].sum())
    return band / total, len(piece) * step_s / max(peak, 1), spread


def _fights(table: TrendTable) -> list[Fight]:
    """Pairs of CDUs of one manifold whose valves, pumps or flows move against one another."""
    found = []
    for members in _manifolds(table):
        for role in ("valve", "pump_speed", "flow"):
            columns = [c for name in members for c in table.of(role, name)[:1]]
            found += [_fight(table, a, b) for a, b in combinations(columns, 2)]
    return [f for f in found if f is not None]


def _manifolds(table: TrendTable) -> list[tuple[str, ...]]:
    """As the map says; else all CDUs of a hall together, by what stands before `cdu` in their names."""
    halls: dict[str, dict[str, None]] = {}
    for name in (c.equipment for c in table.columns if "cdu" in c.equipment.lower()):
        halls.setdefault(name.lower().partition("cdu")[0], {})[name] = None
    return list(table.manifolds.values()) or [tuple(names) for names in halls.values()]


def _fight(table: TrendTable, first: Column, second: Column) -> Fight | None:
    both = np.isfinite(first.value) & np.isfinite(second.value)
    one, other = (_windows(table, np.where(both, c.value, math.nan)) for c in (first, second))
    pairs = [(a, b) for a, b in zip(one, other, strict=True) if min(a.std(), b.std()) > 0]
    if len(pairs) < LEAST_WINDOWS:
        return None
    least = AMPLITUDE[first.role]
    rows = [(float(np.corrcoef(a, b)[0, 1]), bool(min(a.std(), b.std()) >= least)) for a, b in pairs]
    share = sum(r <= FIGHT_CORRELATION and moves for r, moves in rows) / len(rows)
    return Fight(
        first=first.equipment, second=second.equipment, role=first.role,
        correlation=float(np.median([r for r, _ in rows])), share=share, fights=share >= FIGHT_SHARE,
    )  # fmt: skip


def _delta_t(table: TrendTable, good_k: float) -> list[DeltaT]:
    found = []
    for supply in table.of("supply_temperature"):
        backs = table.of("return_temperature", supply.equipment)
        for back in backs if len(backs) == 1 else ():  # of several nobody knows which belongs to it
            flow = table.of("flow", supply.equipment)
            weight = flow[0].value if flow else np.ones_like(supply.value)
            rise = back.value - supply.value
            known = np.isfinite(rise) & np.isfinite(weight) & (weight > 0)
            if known.any():
                mean_k = float(np.average(rise[known], weights=weight[known]))
                found.append(DeltaT(equipment=supply.equipment, delta_t_k=mean_k, low=mean_k < 0.8 * good_k))
    return found


def _cold(table: TrendTable, needed_c: float) -> list[ColdSupply]:
    found = []
    for supply in table.of("supply_temperature"):
        known = supply.value[np.isfinite(supply.value)]
        if len(known):
            colder = np.maximum(0.0, needed_c - known)
            mean_k = float(colder.mean())
            row = ColdSupply(
                equipment=supply.equipment, supply_c=float(known.mean()), colder_k=mean_k,
                share=float((colder > MARGIN_K).mean()), cold=mean_k > MARGIN_K,
            )  # fmt: skip
            found.append(row)
    return found


def _savings(
    table: TrendTable,
    moves: bool,
    delta_t: Sequence[DeltaT],
    cold: Sequence[ColdSupply],
    good_k: float,
    needed_c: float,
) -> list[Saving]:
    """What the findings are worth; moves: something hunts or fights."""
    found = [of_hunting()] if moves else []
    if any(d.low for d in delta_t):
        found.append(of_low_delta_t([d.delta_t_k for d in delta_t], good_k))
    if any(c.cold for c in cold):
        found.append(of_cold_supply(table, float(np.mean([c.colder_k for c in cold])), needed_c))
    return found


def lines(found: TrendAudit) -> list[str]:
    """The audit as a table for people."""
    said = [f"{found.days:.1f} days, a row each {found.step_s:.0f} s, {found.complete:.0%} of the cells filled", ""]
    said.append(f"{'trend':40} {'index':>6} {'windows':>8} {'period':>8}  hunting")
    for h in found.hunting:
        period = f"{h.period_s:.0f} s" if h.period_s > 0 else "-"
        verdict = f"hunts, ±{math.sqrt(2) * h.amplitude:.3g} (SI)" if h.hunts else "steady"
        said.append(f"{h.trend[:40]:40} {h.index:6.2f} {h.share:8.0%} {period:>8}  {verdict}")
    for f in found.fights:
        verdict = "fight" if f.fights else "agree"
        pair = f"{f.first} and {f.second}"
        said.append(f"{pair[:40]:40} {f.correlation:6.2f} {f.share:8.0%} {f.role:>8}  {verdict}")
    said += [f"{d.equipment[:40]:40} ΔT {d.delta_t_k:.1f} K{', low' if d.low else ''}" for d in found.delta_t]
    said += [f"{c.equipment[:40]:40} supply {c.supply_c:.1f} °C{_cold_words(c)}" for c in found.cold_supply]
    said.append("")
    said += [f"{s.finding}: {s.low:.1%} to {s.high:.1%} of cooling energy, if {s.assumption}" for s in found.savings]
    energy = f" of {found.cooling_kwh:,.0f} kWh" if found.cooling_kwh is not None else ""
    said.append(f"together {found.savings_low:.1%} to {found.savings_high:.1%}{energy}; a range, no promise")
    if found.ignored:
        said.append(f"not understood: {', '.join(found.ignored)}; name them in a map")
    return said


def _cold_words(cold: ColdSupply) -> str:
    return f", {cold.colder_k:.1f} K colder than needed, {cold.share:.0%} of the time" if cold.cold else ""
