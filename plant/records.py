"""Records: what the rooms tell one another. Frozen, plain, and turned to JSON as they are."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

from plant.points import PointId

Params = dict[str, str | float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A sentence for a person: a code and its numbers (for translation), and the English text."""

    code: str
    text: str
    params: Params = field(default_factory=dict)


class Severity(StrEnum):
    """How much a condition asks of a person."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something a person may have to know. `code` + `subject` name it; it lasts from `since_s` until withdrawn."""

    code: str
    subject: str
    severity: Severity
    since_s: float
    cause: Message
    remedy: Message
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatForecast:
    """Heat of one subject over the horizon. heat_w[q][t]: quantile q at times_s[t] [s since 1970], in W."""

    subject: str
    times_s: tuple[float, ...]
    quantiles: tuple[float, ...]
    heat_w: tuple[tuple[float, ...], ...]
    model: str
    cold_start: bool = False

    def at(self, quantile: float) -> tuple[float, ...]:
        """The trajectory [W] of one of its quantiles."""
        return self.heat_w[self.quantiles.index(quantile)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AirForecast:
    """Outdoor dry or wet bulb, named like a point. celsius[q][t]: quantile q at times_s[t] [s since 1970], in °C."""

    subject: str
    times_s: tuple[float, ...]
    quantiles: tuple[float, ...]
    celsius: tuple[tuple[float, ...], ...]
    model: str
    cold_start: bool = False

    def at(self, quantile: float) -> tuple[float, ...]:
        """The trajectory [°C] of one of its quantiles."""
        return self.celsius[self.quantiles.index(quantile)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Heat per CDU, cooling group and site over two hours, with the model that made each.

    racks: heat of each rack whose power is known, at a few horizons; airs: outdoor dry and wet bulb where measured.
    """

    made_s: float
    heats: tuple[HeatForecast, ...]
    note: Message
    racks: tuple[HeatForecast, ...] = ()
    airs: tuple[AirForecast, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOutlook:
    """A running or queued job's expected power over all its racks [W], with uncertainty.

    racks: one entry for each equal share of the power; a rack that stands twice takes two shares.
    start_sd_s, end_sd_s [s]: how exact its times are; failures_per_s: chance of ending early, per second of running;
    interruptible: whether it may be stopped and started again from a checkpoint.
    """

    job: str
    racks: tuple[str, ...]
    start_s: float
    end_s: float
    power_w: float
    power_sd_w: float
    start_sd_s: float = 0.0
    end_sd_s: float = 0.0
    failures_per_s: float = 0.0
    interruptible: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobList:
    """All that one source knows of jobs: told at at_s, not to be believed from valid_until_s on [s since 1970]."""

    source: str
    actor: str
    at_s: float
    valid_until_s: float
    jobs: tuple[JobOutlook, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setpoint:
    """One commanded quantity of a plan: the step to take now towards `target`."""

    point: PointId
    current: float
    value: float
    target: float
    design: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one loop should do next, and why.

    predicted powers are of the cooling plant [W]; `predicted_it_extra_w` is the IT side's leakage against design;
    worst_case_margin_k: what is left to the case limit if coldplate and the largest CDU die now; swing_margin_k: what
    is kept for power swings that no loop can follow [K]; saving_per_h: money against design [currency/h]; probe: in
    mode auto asked in place of `setpoints`, a small step that tells more of the plant, () for none.
    staging: which units of the plant are to run, and why.
    air: what is asked of the hall's air unit, and why.
    """

    id: str
    loop: str
    made_s: float
    valid_until_s: float
    setpoints: tuple[Setpoint, ...]
    predicted_cooling_w: float
    predicted_design_cooling_w: float
    predicted_it_extra_w: float
    predicted_case_c: float
    case_limit_c: float
    worst_case_margin_k: float
    binding: str
    reason: Message
    probe: tuple[Setpoint, ...] = ()
    swing_margin_k: float = math.nan
    saving_per_h: float = 0.0
    currency: str = ""
    staging: Message | None = None
    air: Message | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """Watts that one rack can still take now, in power and in cooling, and what each costs the facility.

    limiting: what lets it take no more (`pdu`, `feed`, `flow`, `case_temperature`, `supply_temperature`, `cdu`, `n+1`);
    ahead_w, ahead_limiting: the same over the next horizon_s [s], at the forecast's highest quantile, NaN unknown;
    shared_w: what all racks of its loop together can take within that time [W]; risk: chance, by the forecast, that
    what runs already will need more cooling than the loop has (0..1).
    """

    rack: str
    at_s: float
    power_w: float
    cooling_w: float
    marginal_w_per_w: float
    known: bool
    reason: str = ""
    limiting: str = ""
    ahead_w: float = math.nan
    ahead_limiting: str = ""
    horizon_s: float = 0.0
    shared_w: float = math.nan
    risk: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class RideThrough:
    """Seconds until the first GPU case limit if the pump of `cdu` stops now; never more than it will be.

    seconds: None where the rest of its loop carries the heat for good, or where it is not `known` (`reason` says why).
    """

    cdu: str
    loop: str
    at_s: float
    seconds: float | None
    known: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelParameter:
    """One parameter of the plant as identified from telemetry, in `unit`.

    prior: the site file's figure; low, high: 95 % interval, instruments' errors included; used: what plans reckon with;
    baseline: value after the first fitted day, None before; looks: settled looks; at_s: last one [s since 1970].
    """

    equipment: str
    parameter: str
    loop: str
    unit: str
    prior: float
    value: float
    low: float
    high: float
    used: float
    baseline: float | None
    looks: int
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ShedRequest:
    """A wish that a loop's racks draw less: `power_w` [W] less of `it_w` [W], until it is withdrawn or `expires_s`.

    bearable_w: what they may draw at all [W]. Where nothing is held back yet, more than that is expected within the
    hour, and `power_w` allows for it; what is held back stays so, and then `bearable_w` alone counts.
    """

    loop: str
    at_s: float
    expires_s: float
    power_w: float
    it_w: float
    bearable_w: float
    racks: tuple[str, ...]
    reason: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class RackHint:
    """One place for a job, with the reasons for its rank."""

    rack: str
    rank: int
    fits: bool
    headroom_w: float
    marginal_cooling_w: float
    reasons: tuple[Message, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """Ranked places for a job of `power_w` [W]; worthless after `expires_s`."""

    made_s: float
    expires_s: float
    power_w: float
    racks: tuple[RackHint, ...]
