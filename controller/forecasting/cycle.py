"""One cycle's forecasts of a site: heat of racks, CDUs, groups and the whole, and outdoor air."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from controller.design import rack_design
from controller.forecasting import bank as banks
from controller.forecasting import telling
from controller.forecasting.ahead import Ahead, look, promise
from controller.forecasting.bank import Bank
from controller.forecasting.calibration import QUANTILES
from controller.forecasting.coherence import agreed, shared
from controller.forecasting.jobs import MINUTES, STEP_S, JobHeat, job_heat, no_jobs, retold_w
from controller.forecasting.note import note
from plant.errors import ConfigError
from plant.records import AirForecast, Forecast, HeatForecast, JobOutlook
from plant.topology import Site

Array = npt.NDArray[np.float64]
Columns = tuple[Array, Array]
"""Times [s since 1970] and values."""

RAMP_SHARE = 0.012
"""Before errors are known: standard deviation of a minute's change as a share of capacity; it grows with √minutes."""
AIR_RAMP_K = 0.1
_MIDDLE, _LOW90, _HIGH90 = QUANTILES.index(0.5), QUANTILES.index(0.05), QUANTILES.index(0.95)
_NORMAL_90 = 3.29
"""A normal 90 % band is this many standard deviations wide."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Memory:
    """What forecasting remembers: a bank each of CDUs with their sums, racks and air, and stored heat to learn from.

    told: the jobs of the last cycle, to see what is news and what is only told otherwise.
    """

    heats: Bank | None = None
    racks: Bank | None = None
    airs: Bank | None = None
    seeds: Mapping[str, Columns] = field(default_factory=dict)
    told: tuple[JobOutlook, ...] = ()

    def heat_w(self, subject: str) -> float:
        """The newest heat of a subject [W], NaN if there was none."""
        if self.heats is None or subject not in self.heats.names:
            return np.nan
        return float(self.heats.level[self.heats.names.index(subject)])

    def minutes(self, subject: str) -> int:
        """How many minutes of a subject's heat are known."""
        known = self.heats is not None and subject in self.heats.names
        return int(self.heats.known[self.heats.names.index(subject)]) if known and self.heats is not None else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one cycle saw; NaN where unknown. heats and racks [W into the liquid] by subject, airs [°C] by name."""

    heats: Mapping[str, float]
    racks: Mapping[str, float] = field(default_factory=dict)
    airs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Subject:
    """One heat: the share of each rack's power that reaches it, and its capacity [W]."""

    name: str
    shares: Mapping[str, float]
    capacity_w: float


@dataclass(frozen=True, slots=True)
class _Known:
    """What schedulers say at now_s [s since 1970], and what they said a cycle before."""

    jobs: tuple[JobOutlook, ...]
    before: tuple[JobOutlook, ...]
    now_s: float


def remember(memory: Memory, seeds: Mapping[str, Columns]) -> Memory:
    """Stored heat for the next cycle to learn from: subject -> (time_s [s since 1970] ascending, heat_w [W])."""
    return replace(memory, seeds={**memory.seeds, **seeds})


def forecast(
    memory: Memory, site: Site, measured: Measured, outlook: Sequence[JobOutlook], now_s: float
) -> tuple[Memory, Forecast]:
    """Learn this cycle's values, then forecast two hours; now_s [s since 1970]. Pure."""
    subjects = _subjects(site)
    known = _Known(tuple(outlook), memory.told, now_s)
    heats, ahead, jobs = _cycle(_heat_bank(memory, subjects), measured.heats, subjects, known, refit=True)
    middle, band = telling.by_minute(heats, ahead, jobs)
    middle = _coherent(site, measured, heats, np.clip(middle, 0.0, banks.highest(heats)[:, None]), band)
    records = _heat_records(heats, measured, middle, band, telling.leading(heats, ahead))
    racks, rack_records = _racks(memory.racks, site, measured, known, dict(zip(heats.names, middle, strict=True)))
    airs, air_records = _airs(memory.airs, measured, now_s)
    made = Forecast(
        made_s=now_s,
        heats=records,
        note=note(records, heats, len(outlook)),
        racks=rack_records,
        airs=air_records,
    )
    return Memory(heats=heats, racks=racks, airs=airs, told=known.jobs), made


def _subjects(site: Site) -> tuple[_Subject, ...]:
    """Members, groups and, where there are several groups, the site under its own id."""
    found: dict[str, _Subject] = {}
    for group in site.groups.values():
        fractions = {r: liquid_fraction(site, r) for r in group.racks}
        heat_w = sum(site.equipment[r].design.get("power_w", 0.0) * f for r, f in fractions.items())
        for name in dict.fromkeys((group.id, *group.members)):
            share = 1.0 if name == group.id else 1.0 / len(group.members)
            shares = {r: f * share for r, f in fractions.items()}
            found[name] = _Subject(name, shares, banks.HEADROOM * heat_w)
    if len(site.groups) > 1:
        whole = [found[g] for g in site.groups]
        shares = {r: f for s in whole for r, f in s.shares.items()}
        found[site.id] = _Subject(site.id, shares, sum(s.capacity_w for s in whole))
    return tuple(found.values())


def liquid_fraction(site: Site, rack: str) -> float:
    """Share of a rack's power that its liquid carries; all of it where the design does not say."""
    try:
        return rack_design(site, rack).liquid_fraction
    except ConfigError:
        return 1.0


def _new(subjects: Sequence[_Subject], horizons: tuple[int, ...]) -> Bank:
    capacity = np.array([s.capacity_w for s in subjects])
    unit = np.maximum(RAMP_SHARE * capacity, 1.0)
    return banks.new_bank(tuple(s.name for s in subjects), unit, np.zeros(len(capacity)), capacity, horizons)


def _heat_bank(memory: Memory, subjects: Sequence[_Subject]) -> Bank:
    names = tuple(s.name for s in subjects)
    known = memory.heats if memory.heats is not None and memory.heats.names == names else _new(subjects, banks.FINE)
    return _taught(known, memory.seeds) if memory.seeds else known


def _taught(bank: Bank, seeds: Mapping[str, Columns]) -> Bank:
    """Live through stored minutes as if they happened now, so that skills and bands are learnt from them too."""
    rows: dict[int, Array] = {}
    for column, name in enumerate(bank.names):
        for time_s, value in zip(*(c.tolist() for c in seeds.get(name, (np.empty(0), np.empty(0)))), strict=True):
            rows.setdefault(int(time_s // STEP_S), np.full(len(bank.names), np.nan))[column] = value
    none = no_jobs(len(bank.names))
    for minute in sorted(m for m in rows if m > bank.minute):
        bank = banks.learn(bank, minute, rows[minute], none.now_w)
        bank = promise(bank, look(bank, none))
    return bank


def _cycle(
    bank: Bank,
    values: Mapping[str, float],
    subjects: Sequence[_Subject],
    known: _Known,
    *,
    refit: bool = False,
) -> tuple[Bank, Ahead, JobHeat]:
    shares = [s.shares for s in subjects]
    jobs = job_heat(known.jobs, shares, known.now_s)
    minute, before = int(known.now_s // STEP_S), bank.minute
    if minute > before:
        bank = banks.retold(bank, retold_w(known.before, known.jobs, shares, known.now_s))
    bank = banks.learn(bank, minute, np.array([values.get(n, np.nan) for n in bank.names]), jobs.now_w)
    bank = banks.refitted(bank) if refit else bank
    ahead = look(bank, jobs)
    return (promise(bank, ahead) if bank.minute != before else bank), ahead, jobs


def _coherent(site: Site, measured: Measured, bank: Bank, middle: Array, band: Array) -> Array:
    """Middles (n, MINUTES) in which members sum to groups and groups to the site, where all of them are known."""
    row = {name: i for i, name in enumerate(bank.names)}
    variance = np.square((band[_HIGH90] - band[_LOW90]) / _NORMAL_90)
    settled = middle.copy()
    whole = [g for g in site.groups.values() if all(_known(measured, n) for n in (g.id, *g.members))]
    for group in whole:
        own, members = row[group.id], [row[m] for m in group.members]
        settled[own], settled[members] = agreed(settled[own], settled[members], variance[own], variance[members])
    if site.id in row and len(whole) == len(site.groups):
        own, groups = row[site.id], [row[g.id] for g in whole]
        settled[own], settled[groups] = agreed(settled[own], settled[groups], variance[own], variance[groups])
        for group in whole:
            members = [row[m] for m in group.members]
            settled[members] = shared(settled[row[group.id]], settled[members], variance[members])
    return settled


def _known(measured: Measured, name: str) -> bool:
    return bool(np.isfinite(measured.heats.get(name, np.nan)))


def _heat_records(
    bank: Bank, measured: Measured, middle: Array, band: Array, models: Sequence[str]
) -> tuple[HeatForecast, ...]:
    times_s, most = tuple((STEP_S * (bank.minute + np.arange(1, MINUTES + 1))).tolist()), banks.highest(bank)
    return tuple(
        HeatForecast(
            subject=name,
            times_s=times_s,
            quantiles=QUANTILES,
            heat_w=_rows(np.clip(middle[i] + band[:, i], 0.0, most[i])),
            model=models[i],
            cold_start=bool(bank.known[i] < banks.COLD_MINUTES),
        )
        for i, name in enumerate(bank.names)
        if _known(measured, name) and bank.known[i]
    )


def _rows(values: Array, decimals: int = 0) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in np.round(values, decimals).tolist())


def _racks(
    bank: Bank | None,
    site: Site,
    measured: Measured,
    known: _Known,
    totals: Mapping[str, Array],
) -> tuple[Bank | None, tuple[HeatForecast, ...]]:
    """Racks at a few horizons; where a group's racks are all known they sum to the group."""
    if not measured.racks:
        return bank, ()
    subjects = [_rack(site, rack) for rack in measured.racks]
    if bank is None or bank.names != tuple(measured.racks):
        bank = _new(subjects, banks.COARSE)
    bank, ahead, _ = _cycle(bank, measured.racks, subjects, known)
    middle, offsets = ahead.middle.copy(), telling.quantiles(bank, ahead) - ahead.middle
    variance, row = ahead.scale2 + ahead.jobs2, {name: i for i, name in enumerate(bank.names)}
    column = np.asarray(bank.horizons) - 1
    for group in site.groups.values():
        rows = [row[r] for r in group.racks if np.isfinite(measured.racks.get(r, np.nan))]
        if rows and len(rows) == len(group.racks) and _known(measured, group.id):
            middle[rows] = shared(totals[group.id][column], middle[rows], variance[rows])
    values = np.clip(middle + offsets, 0.0, banks.highest(bank)[:, None])
    return bank, _rack_records(bank, measured, values, telling.leading(bank, ahead))


def _rack(site: Site, rack: str) -> _Subject:
    fraction = liquid_fraction(site, rack)
    heat_w = site.equipment[rack].design.get("power_w", 0.0) * fraction
    return _Subject(rack, {rack: fraction}, banks.HEADROOM * heat_w)


def _rack_records(bank: Bank, measured: Measured, values: Array, models: Sequence[str]) -> tuple[HeatForecast, ...]:
    times_s = tuple((STEP_S * (bank.minute + np.asarray(bank.horizons))).tolist())
    cold = (bank.known < banks.COLD_MINUTES).tolist()
    rows = np.round(values, 0).transpose(1, 0, 2).tolist()
    return tuple(
        HeatForecast(
            subject=name,
            times_s=times_s,
            quantiles=QUANTILES,
            heat_w=tuple(map(tuple, rows[i])),
            model=models[i],
            cold_start=cold[i],
        )
        for i, name in enumerate(bank.names)
        if np.isfinite(measured.racks[name])
    )


def _airs(bank: Bank | None, measured: Measured, now_s: float) -> tuple[Bank | None, tuple[AirForecast, ...]]:
    names = tuple(measured.airs)
    if not names:
        return bank, ()
    if bank is None or bank.names != names:
        count, infinite = len(names), np.full(len(names), np.inf)
        bank = banks.new_bank(names, np.full(count, AIR_RAMP_K), -infinite, infinite)
    nothing = [_Subject(n, {}, np.inf) for n in names]
    bank, ahead, jobs = _cycle(bank, measured.airs, nothing, _Known((), (), now_s))
    middle, band = telling.by_minute(bank, ahead, jobs)
    models = telling.leading(bank, ahead)
    times_s = tuple((STEP_S * (bank.minute + np.arange(1, MINUTES + 1))).tolist())
    return bank, tuple(
        AirForecast(
            subject=name,
            times_s=times_s,
            quantiles=QUANTILES,
            celsius=_rows(middle[i] + band[:, i], 2),
            model=models[i],
            cold_start=bool(bank.known[i] < banks.COLD_MINUTES),
        )
        for i, name in enumerate(names)
        if np.isfinite(measured.airs[name])
    )
