"""What the guard must say at every boundary, as data: one row a promise, for any module that claims to be the guard."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import MappingProxyType, ModuleType
from typing import Any

from plant.leases import Envelope, Lease
from plant.live import Reading, Snapshot
from plant.samples import Quality, Reason

NAN, INF = math.nan, math.inf
ENVELOPE = Envelope(
    point="c/s", minimum=22, maximum=42, max_step=1, min_dwell_s=300, dew_point_margin_k=3,
    dew_point_points=("c/dew", "d/dew"), inputs=("c/in",), source="test",
)  # fmt: skip
SWITCH = Envelope(point="c/s", minimum=0, maximum=1, max_step=1, min_dwell_s=300, min_off_s=100, source="test")
UNIT = replace(ENVELOPE, minimum=-1.0, maximum=0.0)
LEASE = Lease(point="c/s", value=31.5, epoch=4, seq=1, issued_s=0, issued_mono_s=100, ttl_s=60)
HAND = replace(LEASE, holder="operator:ann")
ABOVE, BELOW = math.nextafter(42.0, INF), math.nextafter(22.0, -INF)


def reading(value: float, quality: Quality = Quality.GOOD, age_s: float = 1.0) -> Reading:
    """A reading of a value."""
    return Reading(value, 0.0, age_s, quality, Reason.NONE)


def snapshot(**changes: Reading | None) -> Snapshot:
    """A snapshot with some readings changed or left out."""
    base: dict[str, Reading | None] = {"c/dew": reading(12), "c/in": reading(1)}
    base |= {k.replace("_", "/"): v for k, v in changes.items()}
    return Snapshot(0.0, MappingProxyType({k: v for k, v in base.items() if v is not None}))


@dataclass(frozen=True)
class Case:
    """function: of the guard's module; expected: code, value (NaN: refused) and pieces of the text.

    A piece that begins with = is all of the text.
    """

    function: str
    arguments: dict[str, Any]
    code: str
    value: float = NAN
    says: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For a test's id."""
        return f"{self.function}-{self.code}"

    def fault(self, module: ModuleType) -> str:
        """What a module says otherwise than it must; empty if it says the same."""
        try:
            verdict = getattr(module, self.function)(**self.arguments)
        except Exception as error:  # noqa: BLE001 - a guard that falls over is as wrong as one that errs
            return f"{self.name}: {error!r}"
        if not hasattr(verdict, "value"):
            return f"{self.name}: {verdict!r} is no verdict"
        allowed = self.code in {"allowed", "clipped"}
        same = verdict.value == self.value or (math.isnan(verdict.value) and math.isnan(self.value))
        if (verdict.allowed, verdict.code) != (allowed, self.code) or not same:
            return f"{self.name}: {verdict}"
        silent = [piece for piece in self.says if not _says(verdict.text, piece)]
        return f"{self.name}: {verdict.text!r} lacks {silent}" if silent or not verdict.text else ""


def _says(text: str, piece: str) -> bool:
    return text == piece[1:] if piece.startswith("=") else piece in text


def judged(code: str, value: float = NAN, *says: str, **changes: Any) -> Case:
    """A case of `guard`, sound but for the changes."""
    sound: dict[str, Any] = {
        "lease": LEASE, "envelope": ENVELOPE, "actual": 32.0, "last_change_mono_s": -INF, "snapshot": snapshot(),
        "mono_s": 120.0, "epoch": 4,
    }  # fmt: skip
    return Case("guard", sound | changes, code, value, says)


def framed(code: str, value: float = NAN, *says: str, **changes: Any) -> Case:
    """A case of `guard_frame`."""
    sound: dict[str, Any] = {"meant": 31.5, "said": 31.5, "envelope": ENVELOPE, "within": 0.005}
    return Case("guard_frame", sound | changes, code, value, says)


def asked(value: float, **changes: Any) -> Lease:
    """A controller's lease of a value."""
    return replace(LEASE, value=value, **changes)


def cases() -> list[Case]:
    """All of them."""
    return [*_identity(), *_envelope(), *_range(), *_actual(), *_inputs(), *_step(), *_dew_point(), *_dwell(),
            *_switch(), *_frames(), *_registers()]  # fmt: skip


def _identity() -> Iterator[Case]:
    yield judged("allowed", 31.5, "c/s: 31.5")
    yield judged("wrong_point", NAN, "x/y", "c/s", lease=asked(31.5, point="x/y"))
    yield judged("foreign_epoch", NAN, "epoch 4", "has 5", epoch=5)
    yield judged("foreign_epoch", epoch=3)
    for broken in (NAN, INF, -INF):
        yield judged("not_a_number", lease=asked(31.5, ttl_s=broken))
        yield judged("not_a_number", lease=asked(31.5, issued_mono_s=broken))
        yield judged("not_a_number", mono_s=broken)
    yield judged("allowed", 31.5, mono_s=99.0)
    yield judged("from_the_future", NAN, "1 s ahead", mono_s=math.nextafter(99.0, 0))
    yield judged("from_the_future", NAN, "3 s ahead", mono_s=97.0)
    yield judged("allowed", 31.5, mono_s=math.nextafter(160.0, 0))
    yield judged("expired", NAN, "expired 0 s", mono_s=160.0)
    yield judged("expired", NAN, "expired 40 s", mono_s=200.0)


def _envelope() -> Iterator[Case]:
    for field in ("minimum", "maximum", "max_step", "min_dwell_s"):
        for broken in (NAN, INF, -INF):
            yield judged("bad_envelope", NAN, "writable", envelope=replace(ENVELOPE, **{field: broken}))
    yield judged("bad_envelope", envelope=replace(ENVELOPE, minimum=32, maximum=math.nextafter(32, 0)))
    yield judged("allowed", 32.0, envelope=replace(ENVELOPE, minimum=32, maximum=32), lease=asked(32.0))
    yield judged("bad_envelope", envelope=replace(ENVELOPE, max_step=0.0), lease=asked(32.0))
    yield judged("bad_envelope", envelope=replace(ENVELOPE, max_step=-1.0))
    yield judged("clipped", 31.75, envelope=replace(ENVELOPE, max_step=0.25))


def _range() -> Iterator[Case]:
    for broken in (NAN, INF, -INF):
        yield judged("not_a_number", NAN, "not a number that can be written", lease=asked(broken))
    yield judged("allowed", 42.0, lease=asked(42.0), actual=41.5)
    yield judged("allowed", 22.0, lease=asked(22.0), actual=22.5)
    yield judged("out_of_range", NAN, "22 to 42", "(test)", lease=asked(ABOVE), actual=41.5)
    yield judged("out_of_range", lease=asked(BELOW), actual=22.5)
    yield judged(
        "out_of_range", NAN, "=c/s: 50 is outside 22 to 42", lease=asked(50), envelope=replace(ENVELOPE, source="")
    )
    yield judged("out_of_range", lease=replace(HAND, value=43))
    yield judged("out_of_range", lease=asked(320.0))


def _actual() -> Iterator[Case]:
    for broken in (NAN, INF, -INF):
        yield judged("actual_unknown", NAN, "not known", actual=broken)
    yield judged("clipped", 42.0, actual=43.0, lease=asked(41.0))
    yield judged("actual_out_of_range", NAN, "stands at 43", actual=math.nextafter(43.0, INF), lease=asked(41.0))
    yield judged("clipped", 22.0, actual=21.0, lease=asked(25.0))
    yield judged("actual_out_of_range", actual=math.nextafter(21.0, 0), lease=asked(25.0))


def _inputs() -> Iterator[Case]:
    yield judged("input_not_good", NAN, "needs c/in", "(no value yet)", snapshot=snapshot(c_in=None))
    for quality in (Quality.UNCERTAIN, Quality.BAD):
        seen = snapshot(c_in=reading(1, quality, 7.0))
        yield judged("input_not_good", NAN, quality.name, "7 s old", snapshot=seen)
    for broken in (NAN, INF):
        yield judged("input_not_good", NAN, "GOOD", snapshot=snapshot(c_in=reading(broken)))
    second = replace(ENVELOPE, inputs=("c/in", "d/in"))
    yield judged("input_not_good", NAN, "d/in", envelope=second)
    yield judged("allowed", 31.5, envelope=second, snapshot=snapshot(d_in=reading(2)))
    yield judged("allowed", 31.5, lease=HAND, snapshot=snapshot(c_in=None))
    near = replace(ENVELOPE, stand_ins=("d/in", "e/in", "f/in"))
    two = {"d_in": reading(1), "f_in": reading(1)}
    yield judged("allowed", 31.5, envelope=near, snapshot=snapshot(c_in=None, **two))
    yield judged("allowed", 31.5, envelope=near, snapshot=snapshot(c_in=reading(NAN), **two))
    yield judged("input_not_good", NAN, "needs c/in", envelope=near, snapshot=snapshot(c_in=None, d_in=reading(1)))
    for quality in (Quality.UNCERTAIN, Quality.BAD):
        half = {"d_in": reading(1), "f_in": reading(1, quality)}
        yield judged("input_not_good", NAN, "needs c/in", envelope=near, snapshot=snapshot(c_in=None, **half))


def _step() -> Iterator[Case]:
    for to, allowed in ((33.0, 33.0), (31.0, 31.0), (32.0, 32.0)):
        yield judged("allowed", allowed, lease=asked(to))
    yield judged("clipped", 33.0, "36 asked", "33 allowed", "1 at most", lease=asked(36.0))
    yield judged("clipped", 33.0, lease=asked(math.nextafter(33.0, INF)))
    yield judged("clipped", 31.0, lease=asked(math.nextafter(31.0, 0)))
    yield judged("clipped", 31.0, lease=asked(25.0))
    yield judged("clipped", 33.0, lease=replace(HAND, value=36.0))


def _dew_point() -> Iterator[Case]:
    yield judged("allowed", 31.5, snapshot=snapshot(c_dew=reading(28.5)))
    yield judged("dew_point", NAN, "31.50", "28.60", "3 K", snapshot=snapshot(c_dew=reading(28.6)))
    yield judged("dew_point", snapshot=snapshot(c_dew=reading(math.nextafter(28.5, 99))))
    yield judged("dew_point", NAN, "28.60", snapshot=snapshot(d_dew=reading(28.6)))
    yield judged("dew_point", snapshot=snapshot(c_dew=reading(28.6), d_dew=reading(12)))
    yield judged("dew_point", lease=HAND, snapshot=snapshot(c_dew=reading(29)))
    yield judged("dew_point", lease=asked(26.0), snapshot=snapshot(c_dew=reading(28.001)))
    yield judged("clipped", 31.0, lease=asked(26.0), snapshot=snapshot(c_dew=reading(28.0)))
    for unknown in (None, reading(12, Quality.BAD), reading(12, Quality.UNCERTAIN), reading(NAN), reading(INF)):
        yield judged("dew_point_unknown", NAN, "condensation", snapshot=snapshot(c_dew=unknown))
        yield judged("dew_point_unknown", lease=HAND, snapshot=snapshot(c_dew=unknown))
    yield judged("allowed", 31.5, snapshot=snapshot(c_dew=None, d_dew=reading(12)))
    yield judged("allowed", 31.5, envelope=replace(ENVELOPE, dew_point_margin_k=None), snapshot=snapshot(c_dew=None))
    yield judged("dew_point", envelope=replace(ENVELOPE, dew_point_margin_k=0), snapshot=snapshot(c_dew=reading(31.6)))


def _dwell() -> Iterator[Case]:
    yield judged("allowed", 31.5, last_change_mono_s=-180.0)
    yield judged("dwell", NAN, "300 s ago", "in 0 s", last_change_mono_s=-179.999)
    yield judged("dwell", NAN, "120 s ago", "in 180 s", last_change_mono_s=0.0)
    yield judged("dwell", last_change_mono_s=NAN)
    yield judged("dwell", lease=asked(36.0), last_change_mono_s=0.0)
    yield judged("allowed", 31.5, lease=HAND, last_change_mono_s=119.0)
    yield judged("allowed", 32.0, lease=asked(32.0), last_change_mono_s=119.0)


def _switch() -> Iterator[Case]:
    """On and off, and nothing between; off lasts for its own least time, on for the dwell."""
    for to in (0.0, 1.0):
        for actual in (0.0, 1.0):
            yield judged("allowed", to, envelope=SWITCH, lease=asked(to), actual=actual)
            yield judged("allowed", to, envelope=SWITCH, lease=replace(HAND, value=to), actual=actual)
    for between in (0.5, 1e-9, math.nextafter(1.0, 0), math.nextafter(1.0, 2), -1.0, 2.0, 10.0):
        says = (f"{between:g} is neither 0 nor 1",)
        yield judged("no_switch_position", NAN, *says, envelope=SWITCH, lease=asked(between), actual=1.0)
        yield judged("no_switch_position", NAN, envelope=SWITCH, lease=replace(HAND, value=between), actual=0.0)
    yield judged("out_of_range", envelope=replace(SWITCH, maximum=0.0), lease=asked(1.0), actual=0.0)
    on, off = {"lease": asked(1.0), "actual": 0.0}, {"lease": asked(0.0), "actual": 1.0}
    yield judged("allowed", 1.0, envelope=SWITCH, last_change_mono_s=20.0, **on)
    yield judged("dwell", NAN, "99 s ago", "in 1 s", envelope=SWITCH, last_change_mono_s=21.0, **on)
    yield judged("allowed", 0.0, envelope=SWITCH, last_change_mono_s=-180.0, **off)
    yield judged("dwell", NAN, "299 s ago", "in 1 s", envelope=SWITCH, last_change_mono_s=-179.0, **off)
    yield judged("dwell", envelope=replace(SWITCH, min_dwell_s=10.0), last_change_mono_s=21.0, **on)
    yield judged("allowed", 1.0, envelope=replace(SWITCH, min_off_s=0.0), last_change_mono_s=120.0, **on)
    yield judged("allowed", 1.0, envelope=SWITCH, lease=replace(HAND, value=1.0), actual=0.0, last_change_mono_s=119.0)
    for broken in (NAN, INF, -INF):
        yield judged("bad_envelope", envelope=replace(SWITCH, min_off_s=broken), **on)


def _frames() -> Iterator[Case]:
    yield framed("allowed", 31.5, "31.5 may leave")
    yield framed("allowed", 31.503, said=31.503)
    for said in (315.0, 3.15, 31.51, 31.49, NAN, INF, -INF, -31.5, 0.0):
        yield framed("frame_mismatch", NAN, "31.5 was meant", "not sent", said=said)
    yield framed("allowed", 32.0, said=32.0, within=0.5)
    yield framed("allowed", 31.0, said=31.0, within=0.5)
    yield framed("frame_mismatch", said=math.nextafter(32.0, 99), within=0.5)
    yield framed("frame_mismatch", meant=NAN)
    yield framed("frame_mismatch", within=NAN)
    yield framed("allowed", 31.5, within=1.0)
    yield framed("frame_mismatch", NAN, "too coarse", within=math.nextafter(1.0, 2))
    yield framed("frame_mismatch", NAN, "beyond its envelope", "42.3", meant=42.0, said=42.3, within=0.5)
    yield framed("frame_mismatch", NAN, "beyond its envelope", "21.7", meant=22.0, said=21.7, within=0.5)
    slack = 1e-6
    for edge, sign in ((0.0, 1), (-1.0, -1)):
        inside, outside = edge + sign * slack, math.nextafter(edge + sign * slack, sign * INF)
        yield framed("allowed", inside, envelope=UNIT, meant=edge, said=inside)
        yield framed("frame_mismatch", NAN, "beyond", envelope=UNIT, meant=edge, said=outside)
    wide = replace(UNIT, minimum=-10.0)
    yield framed("allowed", 9e-6, envelope=wide, meant=0.0, said=9e-6)
    yield framed("frame_mismatch", envelope=wide, meant=0.0, said=1.1e-5)
    yield framed("frame_mismatch", envelope=wide, meant=-10.0, said=-10.000011)


def _registers() -> Iterator[Case]:
    for found in (22.0, 32.0, 42.0):
        arguments = {"found": found, "envelope": ENVELOPE}
        yield Case("guard_register", arguments, "allowed", found, (f"{found:g} is possible",))
    for found in (ABOVE, BELOW, 320.0, 3.2, 89.6, 305.15, NAN, INF, -INF):
        arguments = {"found": found, "envelope": ENVELOPE}
        yield Case("guard_register", arguments, "register_implausible", NAN, ("22 to 42", "profile"))
