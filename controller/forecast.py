"""Heat of the next hour in one-minute steps: a state-space model or persistence, whichever was better of late.

The parameters are fitted hourly; in each cycle only the Kalman filter runs, over the recent window. The filter's state
at every past minute gives the forecasts made then, hence the errors of each horizon, hence calibrated quantiles
(split conformal prediction with a rolling window).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from statsmodels.tools.sm_exceptions import ConvergenceWarning
from statsmodels.tsa.statespace.sarimax import SARIMAX

from controller.history import STEP_S, History
from controller.reasons import message
from plant.records import Forecast, HeatForecast, JobOutlook

Array = npt.NDArray[np.float64]

HORIZON = 60
QUANTILES = (0.05, 0.5, 0.95)
COLD_MINUTES = 60
"""Below this much data the model is not trusted and the forecast says cold start."""
REFIT_S = 3600.0
_WINDOW = 1440
_FIT_WINDOW = 720
_BURN_IN = 15
_MIN_ERRORS = 30
_BETTER = 0.97
"""The model must have been this much better than persistence, for it was fitted to the same data."""
_KNOTS = np.array([0, 1, 2, 4, 7, 11, 17, 25, 35, 47, 59])
_NEIGHBOURS = 2
_RAMP_SHARE = 0.02
"""Before errors are known, the band widens by this share of capacity times the square root of the minutes ahead."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Median trajectory [W] and the errors [W] of the same model at past origins, shape (origins, horizon)."""

    median_w: Array
    errors_w: Array

    @property
    def rmse_w(self) -> float:
        """Root mean square error over all horizons [W]; inf without enough errors."""
        squared = self.errors_w[np.isfinite(self.errors_w)] ** 2
        return float(np.sqrt(squared.mean())) if len(squared) >= _MIN_ERRORS * HORIZON else np.inf


def _model(scaled: Array) -> SARIMAX:
    return SARIMAX(scaled, order=(2, 0, 1), trend="c", concentrate_scale=True)


def fit(heat_w: Array, start: tuple[float, ...] = ()) -> tuple[float, ...]:
    """ARMA(2,1) parameters with mean, by maximum likelihood on the last 12 h; () where the data carries no model."""
    recent = heat_w[-_FIT_WINDOW:]
    centre, scale = _scaling(recent)
    if scale <= 0:
        return ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)  # statsmodels tells of its own choice of start values
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            result = _model((recent - centre) / scale).fit(start_params=start or None, disp=False, maxiter=25)
        except (ValueError, np.linalg.LinAlgError):
            return ()
    found = tuple(float(p) for p in result.params)
    return found if all(np.isfinite(found)) else ()


def _scaling(heat_w: Array) -> tuple[float, float]:
    known = heat_w[np.isfinite(heat_w)]
    spread = float(known.std()) if len(known) else 0.0
    return (
        (float(known.mean()), spread) if spread > 1e-6 * max(float(np.abs(known).max(initial=0.0)), 1.0) else (0.0, 0.0)
    )


def _past_errors(window: Array, made_w: Array) -> Array:
    """made_w[o, h] was forecast at minute o for o+h+1; errors are what came minus that, NaN where nothing came."""
    origins = len(window)
    ahead = np.arange(origins)[:, None] + 1 + np.arange(HORIZON)[None, :]
    actual = np.where(ahead < origins, window[np.minimum(ahead, origins - 1)], np.nan)
    return actual - made_w


def state_space(history: History) -> Judged | None:
    """Forecast and past errors of the state-space model with its present parameters; None without any."""
    window = history.heat_w[-_WINDOW:]
    centre, scale = _scaling(history.heat_w[-_FIT_WINDOW:])
    if not history.params or scale <= 0:
        return None
    model = _model((window - centre) / scale)
    model.initialize_approximate_diffuse()  # cheaper than the stationary start; the burn-in hides it
    model.update(np.asarray(history.params))
    predicted = model.ssm.filter().predicted_state[:, 1:].T  # row o: state of minute o+1 as known at o
    transition = np.asarray(model.ssm["transition"])
    drift = np.asarray(model.ssm["state_intercept"]).reshape(len(transition), -1)[:, 0]
    made = np.empty((len(window), HORIZON))
    states = predicted
    for horizon in range(HORIZON):
        made[:, horizon] = states[:, 0]
        states = states @ transition.T + drift
    made = made * scale + centre
    if not np.isfinite(made[-1]).all():
        return None
    return Judged(made[-1], _past_errors(window, made)[_BURN_IN:])


def persistence(history: History) -> Judged:
    """The last value goes on; a gap is bridged with the value before it."""
    window = history.heat_w[-_WINDOW:]
    known = np.maximum.accumulate(np.where(np.isfinite(window), np.arange(len(window)), 0))
    made = np.repeat(window[known][:, None], HORIZON, axis=1)
    return Judged(made[-1], _past_errors(window, made))


def quantile_offsets(errors_w: Array, capacity_w: float) -> Array:
    """Offsets [W] from the median, shape (3, horizon), from the pooled errors of neighbouring horizons."""
    fallback = _RAMP_SHARE * capacity_w * np.sqrt(1 + _KNOTS)
    offsets = np.stack([-fallback, np.zeros(len(_KNOTS)), fallback])
    for column, horizon in enumerate(_KNOTS.tolist()):
        pool = errors_w[:, max(horizon - _NEIGHBOURS, 0) : horizon + _NEIGHBOURS + 1]
        pool = pool[np.isfinite(pool)]
        if len(pool) >= _MIN_ERRORS * (2 * _NEIGHBOURS + 1):
            low, middle, high = np.quantile(pool, _finite_sample(len(pool) / (2 * _NEIGHBOURS + 1)))
            # few errors have not seen the rare steps of load yet, so the ramp band counts for the rest
            trust = min(len(errors_w) / (_WINDOW - _BURN_IN), 1.0)
            seen = np.array([min(low, 0.0), np.clip(middle, low, high), max(high, 0.0)])
            offsets[:, column] = trust * seen + (1 - trust) * np.array([-1.0, 0.0, 1.0]) * np.maximum(
                fallback[column], np.abs(seen)
            )
    return np.stack([np.interp(np.arange(HORIZON), _KNOTS, row) for row in offsets])


def _finite_sample(count: float) -> tuple[float, float, float]:
    """Conformal correction: with n errors the upper quantile is taken at (n+1)/n of its level (Vovk et al.)."""
    low, middle, high = QUANTILES
    return max(1 - (1 - low) * (count + 1) / count, 0.0), middle, min(high * (count + 1) / count, 1.0)


def refitted(history: History, now_s: float) -> History:
    """The history with fresh parameters, if it is time."""
    due = now_s - history.fitted_s >= REFIT_S and history.minutes >= COLD_MINUTES
    return replace(history, params=fit(history.heat_w, history.params), fitted_s=now_s) if due else history


def subject_forecast(subject: str, history: History, capacity_w: float, extra: npt.NDArray[np.float64]) -> HeatForecast:
    """The forecast of one subject.

    capacity_w [W] bounds it; extra [W], shape (3, horizon), is what known job starts and ends add to each quantile.
    """
    simple = persistence(history)
    model = state_space(history) if history.minutes >= COLD_MINUTES else None
    better = model is not None and model.rmse_w < _BETTER * simple.rmse_w
    chosen, name = (model, "state-space") if model is not None and better else (simple, "persistence")
    offsets = quantile_offsets(chosen.errors_w, capacity_w)
    heat_w = np.clip(chosen.median_w + offsets + extra, 0.0, capacity_w)
    return HeatForecast(
        subject=subject,
        times_s=tuple((STEP_S * (history.last + np.arange(1, HORIZON + 1))).tolist()),
        quantiles=QUANTILES,
        heat_w=tuple(tuple(row) for row in np.sort(heat_w, axis=0).tolist()),
        model=name,
        cold_start=history.minutes < COLD_MINUTES,
    )


def job_extra(jobs: tuple[JobOutlook, ...], share: Mapping[str, float], now_s: float) -> Array:
    """Heat [W] that known starts and ends add, per quantile, shape (3, horizon).

    share: rack -> fraction of its power that reaches the subject's liquid. Starts of queued jobs raise the median and,
    with their uncertainty, the upper quantile; ends are uncertain, so they lower only the lower one.
    """
    minutes_s = now_s + STEP_S * np.arange(1, HORIZON + 1)
    extra = np.zeros((3, HORIZON))
    for job in jobs:
        reach = sum(share.get(rack, 0.0) for rack in job.racks) / max(len(job.racks), 1)
        running = job.start_s <= now_s
        after = ((minutes_s >= job.start_s) & (minutes_s < job.end_s)).astype(float)
        change = after - 1.0 if running else after
        extra[0] += reach * (job.power_w * change if running else max(job.power_w - 1.64 * job.power_sd_w, 0) * change)
        if not running:
            extra[1] += reach * job.power_w * change
            extra[2] += reach * (job.power_w + 1.64 * job.power_sd_w) * change
    return extra


def forecast(
    histories: Mapping[str, History], capacity_w: Mapping[str, float], extra: Mapping[str, Array], now_s: float
) -> Forecast:
    """All subjects that have any history; the note says how well founded it is."""
    known = {s: h for s, h in histories.items() if h.minutes}
    none = np.zeros((3, HORIZON))
    heats = tuple(subject_forecast(s, h, capacity_w[s], extra.get(s, none)) for s, h in known.items())
    modelled = sum(h.model != "persistence" for h in heats)
    minutes = float(min((h.minutes for h in known.values()), default=0))
    if not heats:
        note = message("forecast_none")
    elif modelled:
        note = message("forecast_model", modelled=float(modelled), subjects=float(len(heats)), minutes=minutes)
    else:
        note = message("forecast_persistence", minutes=minutes)
    return Forecast(made_s=now_s, heats=heats, note=note)
