"""The last word before a write: pure, and knows nothing of any optimiser.

It refuses with a reason, or allows. The only thing it changes is the length of a step, and then it says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from plant.leases import Envelope, Lease
from plant.live import Snapshot
from plant.sight import unseen

FUTURE_TOLERANCE_S = 1.0
"""How far ahead of our clock a lease's issue may lie [s]."""
ROUNDING = 1e-6
"""Share of an envelope's width by which a frame's binary fractions may cross its bounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardVerdict:
    """What may be written.

    value: the allowed value [SI], NaN when refused; code: `allowed`, `clipped`, or why it was refused; text: in words.
    """

    allowed: bool
    value: float
    code: str
    text: str


def guard(
    lease: Lease,
    envelope: Envelope,
    actual: float,
    last_change_mono_s: float,
    snapshot: Snapshot,
    mono_s: float,
    *,
    epoch: int,
) -> GuardVerdict:
    """Judge one lease.

    actual: the setpoint that the device follows now [SI], NaN if unknown; last_change_mono_s: when its setpoint last
    changed [s], -inf if never; epoch: the fencing number of the process that would write.
    An operator's lease skips the age of inputs and the dwell; range, step and dew point bind everyone.
    """
    refused = (
        _identity(lease, envelope, mono_s, epoch)
        or _envelope(envelope)
        or _range(lease.value, envelope)
        or _actual(actual, envelope)
        or _inputs(lease, envelope, snapshot)
    )
    if refused:
        return refused
    value = _stepped(lease.value, actual, envelope.max_step)
    refused = (
        _reaches(value, actual, envelope)
        or _dew_point(value, envelope, snapshot)
        or _dwell(lease, value, actual, envelope, mono_s - last_change_mono_s)
    )
    return refused or _allowed(lease.value, value, envelope)


def guard_frame(meant: float, said: float, envelope: Envelope, within: float) -> GuardVerdict:
    """Judge a frame before it leaves.

    meant: what was allowed [SI]; said: what the frame's bytes say, decoded apart from the encoder [SI]; within: the
    register's resolution [SI].
    """
    slack = ROUNDING * (envelope.maximum - envelope.minimum)
    if within > envelope.max_step:
        return _refuse("frame_mismatch", f"{envelope.point}: its register is too coarse for steps of its envelope")
    if not abs(said - meant) <= within:
        return _refuse("frame_mismatch", f"{envelope.point}: {meant:g} was meant, the frame said {said:g}; not sent")
    if not envelope.minimum - slack <= said <= envelope.maximum + slack:
        return _refuse("frame_mismatch", f"{envelope.point}: the frame said {said:g}, beyond its envelope; not sent")
    return GuardVerdict(allowed=True, value=said, code="allowed", text=f"{envelope.point}: {said:g} may leave")


def guard_register(found: float, envelope: Envelope) -> GuardVerdict:
    """Judge what stands in a register before it is written for the first time [SI], as the profile decodes it."""
    if envelope.minimum <= found <= envelope.maximum:
        return GuardVerdict(allowed=True, value=found, code="allowed", text=f"{envelope.point}: {found:g} is possible")
    text = f"{envelope.point}: the device says {found:g}, outside {envelope.minimum:g} to {envelope.maximum:g}"
    return _refuse("register_implausible", f"{text}; its profile may be wrong")


def _refuse(code: str, text: str) -> GuardVerdict:
    return GuardVerdict(allowed=False, value=math.nan, code=code, text=text)


def _allowed(asked: float, value: float, envelope: Envelope) -> GuardVerdict:
    if value == asked:
        return GuardVerdict(allowed=True, value=value, code="allowed", text=f"{envelope.point}: {value:g} allowed")
    text = f"{envelope.point}: {asked:g} asked, {value:g} allowed: one step may be {envelope.max_step:g} at most"
    return GuardVerdict(allowed=True, value=value, code="clipped", text=text)


def _identity(lease: Lease, envelope: Envelope, mono_s: float, epoch: int) -> GuardVerdict | None:
    """Is it for this point, from this process, and alive."""
    if lease.point != envelope.point:
        return _refuse("wrong_point", f"lease for {lease.point} met the envelope of {envelope.point}")
    if lease.epoch != epoch:
        return _refuse("foreign_epoch", f"{lease.point}: lease of epoch {lease.epoch}, this process has {epoch}")
    if not (math.isfinite(lease.issued_mono_s) and math.isfinite(lease.ttl_s) and math.isfinite(mono_s)):
        return _refuse("not_a_number", f"{lease.point}: the lease's time or life is not a number")
    if lease.issued_mono_s > mono_s + FUTURE_TOLERANCE_S:
        return _refuse("from_the_future", f"{lease.point}: issued {lease.issued_mono_s - mono_s:.0f} s ahead of now")
    if not lease.live(mono_s):
        return _refuse("expired", f"{lease.point}: expired {mono_s - lease.expires_mono_s:.0f} s ago")
    return None


def _envelope(envelope: Envelope) -> GuardVerdict | None:
    """An envelope that is not a proper one allows nothing."""
    given = (envelope.minimum, envelope.maximum, envelope.max_step, envelope.min_dwell_s, envelope.min_off_s)
    known = all(math.isfinite(figure) for figure in given if figure is not None)
    if known and envelope.minimum <= envelope.maximum and envelope.max_step > 0:
        return None
    return _refuse("bad_envelope", f"{envelope.point}: its envelope is not valid; correct `writable` in the site file")


def _range(value: float, envelope: Envelope) -> GuardVerdict | None:
    if not math.isfinite(value):
        return _refuse("not_a_number", f"{envelope.point}: {value} is not a number that can be written")
    if envelope.min_off_s is not None and value not in (0.0, 1.0):
        return _refuse("no_switch_position", f"{envelope.point}: {value:g} is neither 0 nor 1, and it is a switch")
    if envelope.minimum <= value <= envelope.maximum:
        return None
    text = f"{envelope.point}: {value:g} is outside {envelope.minimum:g} to {envelope.maximum:g}"
    return _refuse("out_of_range", f"{text} ({envelope.source})" if envelope.source else text)


def _actual(actual: float, envelope: Envelope) -> GuardVerdict | None:
    if math.isfinite(actual):
        return None
    return _refuse("actual_unknown", f"{envelope.point}: the device's own setpoint is not known now")


def _inputs(lease: Lease, envelope: Envelope, snapshot: Snapshot) -> GuardVerdict | None:
    """A controller is blind without its inputs; a person sees by other means."""
    if lease.by_operator:
        return None
    for point in unseen(envelope, snapshot):
        reading = snapshot.readings.get(point)
        why = "no value yet" if reading is None else f"{reading.quality.name}, {reading.age_s:.0f} s old"
        return _refuse("input_not_good", f"{lease.point}: needs {point}, which is not good ({why})")
    return None


def _stepped(asked: float, actual: float, max_step: float) -> float:
    return min(max(asked, actual - max_step), actual + max_step)


def _reaches(value: float, actual: float, envelope: Envelope) -> GuardVerdict | None:
    """A device that stands outside the envelope is not walked back by steps that are outside too."""
    if envelope.minimum <= value <= envelope.maximum:
        return None
    text = f"{envelope.point}: the device stands at {actual:g} and one step does not reach the allowed range"
    return _refuse("actual_out_of_range", text)


def _dew_point(value: float, envelope: Envelope, snapshot: Snapshot) -> GuardVerdict | None:
    """Never below the highest known dew point plus the margin; an unknown one refuses."""
    if envelope.dew_point_margin_k is None:
        return None
    known = [v for v in map(snapshot.get, envelope.dew_point_points) if math.isfinite(v)]
    if not known:
        return _refuse("dew_point_unknown", f"{envelope.point}: no good dew point, so condensation can't be excluded")
    least_c = max(known) + envelope.dew_point_margin_k
    if value >= least_c:
        return None
    text = (
        f"{envelope.point}: {value:.2f} °C is below dew point {max(known):.2f} °C + {envelope.dew_point_margin_k:g} K"
    )
    return _refuse("dew_point", text)


def _dwell(lease: Lease, value: float, actual: float, envelope: Envelope, since_s: float) -> GuardVerdict | None:
    dwell_s = envelope.min_dwell_s
    if envelope.min_off_s is not None and value:  # a switch that is to go on: how long it has been off counts
        dwell_s = envelope.min_off_s
    if lease.by_operator or value == actual or since_s >= dwell_s:
        return None
    left_s = dwell_s - since_s
    return _refuse("dwell", f"{envelope.point}: changed {since_s:.0f} s ago, may change again in {left_s:.0f} s")
