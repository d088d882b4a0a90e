"""How good the forecasts are: skill against persistence, coverage of the bands, value of job knowledge, update time.

Real load: the public trace of one day of Frontier's CDUs. Simulated: the job mix, four-week blocks of many pods that
make a pod-year together. Every forecast is made with what was known at its minute, nothing is fitted beforehand.
"""

from __future__ import annotations

import time
import warnings
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from statsmodels.tsa.ar_model import AutoReg
from statsmodels.tsa.holtwinters import SimpleExpSmoothing

from benchmarks.climate import CLIMATES, read_climate
from benchmarks.progress import Said
from controller.forecasting import bank as banks
from controller.forecasting import telling
from controller.forecasting.ahead import look, promise
from controller.forecasting.cycle import AIR_RAMP_K, RAMP_SHARE
from controller.forecasting.jobs import JobHeat, job_heat, no_jobs
from plant.errors import ConfigError
from plant.topology import Workload
from simulator.load import Job, JobMix, announced

Array = npt.NDArray[np.float64]
Figures = dict[str, float | str]

TRACE = Path("frontier") / "cdu_power_2024-04-07.csv"
CDUS = 25
RACK_W = 132e3
KINDS = ("training", "training", "training", "training", "inference", "inference", "inference", "training")
START_S = 1_767_225_600.0  # 2026-01-01 00:00 UTC
HORIZONS = banks.COARSE
DAY = 1440
WARM = 360
BLOCK = 120
ORIGINS, QUICK_ORIGINS = 100, 25
"""The peers are fitted anew at about so many moments of a run."""
BANDS = {80: (2, 4), 95: (0, 6)}
"""A band's percent -> its rows among the quantiles."""


@dataclass(slots=True, eq=False)
class Trial:
    """Series y (minutes, n) and what became of the forecasts due at each minute, all (minutes, n, horizons).

    errors: of the middle, NaN where nothing was due; inside: band [%] -> whether what came lay in it.
    """

    y: Array
    errors: npt.NDArray[np.float32]
    inside: dict[int, npt.NDArray[np.bool_]]

    def rmse(self, series: Sequence[int], column: int, minutes: slice) -> tuple[float, float]:
        """Of ours and of persistence, for forecasts made in `minutes`."""
        due = _later(minutes, HORIZONS[column])
        naive = self.y[due][:, series] - self.y[minutes][: len(self.y[due])][:, series]
        return _rms(self.errors[due][:, series, column]), _rms(naive)


@dataclass(slots=True, eq=False)
class Pods:
    """Simulated pods: heat (minutes, series), the racks behind each series, and their jobs with the seed of each."""

    y: Array
    shares: list[dict[str, float]]
    jobs: list[tuple[Job, int]]
    steps: list[int]
    totals: list[int]

    def outlook(self, minute: int, count: int) -> JobHeat:
        """What schedulers say at a minute, for `count` series: those beyond the pods' own hear nothing."""
        now_s, shares = START_S + 60.0 * minute, self.shares + [{}] * (count - len(self.shares))
        touching = [j for j in self.jobs if j[0].start_s < now_s + 7200.0 and j[0].end_s > now_s]
        return job_heat([announced(job, seed, now_s) for job, seed in touching], shares, now_s)


def run(quick: bool, data: Path | None) -> Figures:
    """All figures. Skill is 1 - RMSE/RMSE(persistence); coverage is a share; quick takes 2 pods for 2 days."""
    said, origins = Said("forecast"), QUICK_ORIGINS if quick else ORIGINS
    pods = simulated(2, 2) if quick else simulated(13, 28)
    n = len(pods.shares)
    said(f"{len(pods.totals)} simulated pods, {len(pods.y) // DAY} days")
    both = trial(np.concatenate([pods.y, pods.y], axis=1), pods, said)  # the second half of the series hears of no job
    told, untold = ("mix_jobs", range(n)), ("mix_no_jobs", range(n, 2 * n))
    unheard = [n + i for i in pods.totals]
    ours, theirs = both.rmse(pods.steps, HORIZONS.index(15), slice(WARM, None))
    found: Figures = {
        "pod_days": len(pods.y) / DAY * len(pods.totals),
        **_skills("mix_jobs", both, pods.totals, WARM),
        **_skills("mix_no_jobs", both, unheard, WARM),
        **_skills("steps_jobs", both, pods.steps, WARM),
        **_skills("steps_no_jobs", both, [n + i for i in pods.steps], WARM),
        "steps_jobs_rmse_ratio_15_min": ours / theirs,
        **{k: v for name, series in (told, untold) for k, v in _coverage(name, both, series, DAY).items()},
        **_peers("mix", both, unheard[:2], DAY, origins),
    }
    said("peers on the simulated pods")
    found |= _frontier(data, origins)
    said("Frontier's day")
    return found | _air(quick, data, said) | _speed()


def simulated(count: int, days: int) -> Pods:
    """Pods of eight racks with seeds of their own, in different weeks of the year; series: racks, then each total."""
    columns, shares, jobs = list[Array](), list[dict[str, float]](), list[tuple[Job, int]]()
    steps, totals = list[int](), list[int]()
    for pod in range(count):
        racks = {f"pod-{pod}/rack-{i}": kind for i, kind in enumerate(KINDS)}
        seed = 11 + pod
        mix = JobMix(Workload(seed=seed, racks=racks), dict.fromkeys(racks, RACK_W))
        times = START_S + 60.0 * np.arange(days * DAY)
        heat = np.array([[mix.utilisation(rack, t) for rack in racks] for t in times.tolist()]) * RACK_W
        steps += [len(shares) + i for i, kind in enumerate(KINDS) if kind == "training"]
        shares += [{rack: 1.0} for rack in racks] + [dict.fromkeys(racks, 1.0)]
        totals.append(len(shares) - 1)
        columns += [heat, heat.sum(axis=1, keepdims=True)]
        jobs += [(job, seed) for job in mix.jobs(times[0], times[-1] + 7200.0)]
    return Pods(np.concatenate(columns, axis=1), shares, jobs, steps, totals)


def trial(y: Array, pods: Pods | None = None, said: Said | None = None) -> Trial:
    """Forecast each minute of y (minutes, n) with what was known then; with job knowledge where pods are given."""
    capacity, names = y.max(axis=0), tuple(f"series-{i}" for i in range(y.shape[1]))
    bank = banks.new_bank(names, RAMP_SHARE * capacity, 0.0 * capacity, 1.05 * capacity, HORIZONS)
    return _tried(bank, y, pods, said=said)


def _tried(
    bank: banks.Bank, y: Array, pods: Pods | None = None, *, refit: bool = True, said: Said | None = None
) -> Trial:
    shape, nothing = (*y.shape, len(HORIZONS)), no_jobs(y.shape[1])
    found = Trial(y, np.full(shape, np.nan, dtype=np.float32), {p: np.zeros(shape, dtype=np.bool_) for p in BANDS})
    waiting: deque[Array] = deque(maxlen=max(HORIZONS))
    for minute, values in enumerate(y):
        if said is not None:
            said.day(f"{y.shape[1]} series", minute)
        _settle(found, minute, waiting)
        jobs = pods.outlook(minute, y.shape[1]) if pods is not None else nothing
        bank = banks.learn(bank, minute, values, jobs.now_w)
        bank = banks.refitted(bank) if refit else bank
        ahead = look(bank, jobs)
        bank = promise(bank, ahead)
        waiting.append(np.concatenate([telling.quantiles(bank, ahead), ahead.middle[None]]))
    return found


def _settle(found: Trial, minute: int, waiting: Sequence[Array]) -> None:
    """Judge the forecasts that are due at this minute."""
    for column, horizon in enumerate(h for h in HORIZONS if h <= len(waiting)):
        made, came = waiting[-horizon][..., column], found.y[minute]
        found.errors[minute, :, column] = made[-1] - came
        for percent, (low, high) in BANDS.items():
            found.inside[percent][minute, :, column] = (came >= made[low]) & (came <= made[high])


def _later(minutes: slice, horizon: int) -> slice:
    return slice(minutes.start + horizon, None if minutes.stop is None else minutes.stop + horizon, minutes.step)


def _rms(error: npt.NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(error, dtype=np.float64))))


def _skills(name: str, found: Trial, series: Sequence[int], first: int) -> Figures:
    both = [found.rmse(list(series), column, slice(first, None)) for column in range(len(HORIZONS))]
    return {f"{name}_skill_{h}_min": 1.0 - ours / naive for h, (ours, naive) in zip(HORIZONS, both, strict=True)}


def _coverage(name: str, found: Trial, series: Sequence[int], first: int) -> Figures:
    return {
        f"{name}_coverage_{percent}_{horizon}_min": float(inside[first + horizon :, list(series), column].mean())
        for percent, inside in found.inside.items()
        for column, horizon in enumerate(HORIZONS)
    }


def _peers(name: str, found: Trial, series: Sequence[int], first: int, origins: int) -> Figures:
    """Skill of seasonal naive and two statsmodels models, fitted anew at each origin, and ours at the same origins."""
    step = len(found.y) // origins
    minutes = slice(first, len(found.y) - max(HORIZONS), step)
    errors: dict[str, list[Array]] = {}
    steps = np.asarray(HORIZONS)
    for origin in range(minutes.start, minutes.stop, minutes.step):
        for past in found.y[:, list(series)].T:
            guesses = {**_statsmodels(past[max(origin - 719, 0) : origin + 1]), "persistence": past[origin]}
            if origin >= DAY:
                guesses["seasonal_naive"] = past[origin + steps - DAY]
            for peer, guess in guesses.items():
                errors.setdefault(peer, []).append(guess - past[origin + steps])
    rmse = {peer: np.sqrt(np.mean(np.square(e), axis=0)) for peer, e in errors.items()}
    rmse["ours"] = np.array([found.rmse(list(series), k, minutes)[0] for k in range(len(HORIZONS))])
    naive = rmse.pop("persistence")
    return {
        f"{name}_peer_{peer}_skill_{h}_min": float(1.0 - value[k] / naive[k])
        for peer, value in rmse.items()
        for k, h in enumerate(HORIZONS)
    }


def _statsmodels(past: Array) -> dict[str, Array]:
    scale = max(float(past.std()), 1.0)
    values, steps = past / scale, np.asarray(HORIZONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a flat stretch of load is no news here
        smooth = SimpleExpSmoothing(values, initialization_method="estimated").fit()
        auto = AutoReg(values, lags=10).fit()
        ahead = np.asarray(auto.predict(start=len(values), end=len(values) + max(HORIZONS) - 1))
    level = float(np.asarray(smooth.forecast(1))[0])
    return {"exp_smoothing": np.full(len(steps), level * scale), "autoreg": ahead[steps - 1] * scale}


def _frontier(data: Path | None, origins: int) -> Figures:
    """Frontier's day in minutes: 25 CDUs, their total, wet bulb; coverage with a bootstrap interval, and backwards."""
    if not (path := (data or Path()) / TRACE).is_file():
        remedy = "it comes from github.com/HewlettPackard/sustain-lc; name the folder that has `frontier/` with --data"
        raise ConfigError("no Frontier trace", where=str(path), remedy=remedy)
    rows = np.loadtxt(path, delimiter=",", skiprows=1, usecols=range(1, CDUS + 2))[: 4 * DAY]
    cdus, sky = np.split(rows.reshape(DAY, 4, CDUS + 1).mean(axis=1), [CDUS], axis=1)
    heat = np.column_stack([cdus, cdus.sum(axis=1)])
    found, backwards = trial(heat), trial(heat[::-1])  # what one day shows by chance, it need not show backwards
    figures = {
        **_skills("frontier_total", found, [CDUS], WARM),
        **_skills("frontier_cdus", found, range(CDUS), WARM),
        **_skills("frontier_wet_bulb", trial_air(sky), [0], WARM),
        **_peers("frontier_total", found, [CDUS], WARM, origins),
        **_coverage("frontier", found, range(CDUS + 1), WARM),
        **_coverage("frontier_backwards", backwards, range(CDUS + 1), WARM),
    }
    for percent, inside in found.inside.items():
        for column, horizon in enumerate(HORIZONS):
            key = f"frontier_coverage_{percent}_{horizon}_min"
            ends = interval(inside[WARM + horizon :, :, column].mean(axis=1), horizon)
            figures |= dict(zip((f"{key}_low", f"{key}_high"), ends, strict=True))
    return figures


def interval(hits: Array, horizon: int, draws: int = 500) -> tuple[float, float]:
    """95 % interval of a mean over dependent minutes, by resampling blocks of two hours; horizon [minutes].

    Misses that together last no longer than the horizon are one at most, and resampling a day shows no more: there it
    is the exact binomial interval of a day without a miss, as many draws as horizons fit into it.
    """
    if (1.0 - hits).sum() < horizon:
        return float(0.025 ** (horizon / len(hits))), 1.0
    starts = np.random.default_rng(4).integers(0, max(len(hits) - BLOCK, 1), size=(draws, -(-len(hits) // BLOCK)))
    means = hits[starts[..., None] + np.arange(min(BLOCK, len(hits)))].mean(axis=(1, 2))
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def _air(quick: bool, data: Path | None, said: Said) -> Figures:
    """Dry and wet bulb of the weather years: each climate's year as thirteen blocks of four weeks, side by side.

    Between the hours of a weather file air is linear, so that skill at a minute says little; the sensor shows 0.1 K.
    """
    years = [read_climate(data, name) for name in (list(CLIMATES)[:1] if quick else CLIMATES)]
    blocks, days = (2, 2) if quick else (13, 28)
    starts = [(year, year.start_s(28 * block)) for year in years for block in range(blocks)]
    skies = [[year.at(start_s + 60.0 * minute) for minute in range(days * DAY)] for year, start_s in starts]
    columns = [[w.dry_bulb_c for w in sky] for sky in skies] + [[w.wet_bulb_c for w in sky] for sky in skies]
    found = trial_air(np.round(np.array(columns).T, 1), said)
    dry, wet = range(len(skies)), range(len(skies), 2 * len(skies))
    return {
        **_skills("dry_bulb", found, dry, DAY),
        **_skills("wet_bulb", found, wet, DAY),
        **_coverage("air", found, (*dry, *wet), DAY),
    }


def trial_air(y: Array, said: Said | None = None) -> Trial:
    """Like `trial`, for temperatures: no bounds, a ramp in kelvin."""
    names, infinite = tuple(f"air-{i}" for i in range(y.shape[1])), np.full(y.shape[1], np.inf)
    bank = banks.new_bank(names, np.full(y.shape[1], AIR_RAMP_K), -infinite, infinite, HORIZONS)
    return _tried(bank, y, refit=False, said=said)


def _speed() -> Figures:
    """CPU time of one cycle's forecast [ms]: 2,000 racks at five horizons, and 200 CDUs at thirteen."""
    figures: Figures = {}
    for name, count, horizons in (("2000_series", 2000, banks.COARSE), ("200_series_fine", 200, banks.FINE)):
        rng = np.random.default_rng(0)
        names, one = tuple(map(str, range(count))), np.ones(count)
        bank = banks.new_bank(names, 1e3 * one, 0.0 * one, 2e5 * one, horizons)
        spent: list[float] = []
        for minute in range(40):
            began = time.process_time()
            bank = banks.learn(bank, minute, 1e5 + 1e3 * rng.normal(size=count), np.zeros(count))
            ahead = look(bank, no_jobs(count))
            bank = promise(bank, ahead)
            telling.quantiles(bank, ahead)
            spent.append(time.process_time() - began)
        figures[f"update_ms_{name}"] = float(np.median(spent[10:])) * 1e3
    return figures
