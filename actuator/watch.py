"""Does the device still do what we told it? Judged on polled values only; no I/O."""

from __future__ import annotations

import math

from actuator.hand import Driven, FaultError, Hand
from plant.live import Reading, Snapshot
from plant.points import PointId
from plant.topology import Drive, Site

REMOTE = 1.0
STRIKES = 2
"""One odd poll may be a race with our own write; two in a row are a fact."""
SWITCH_WITHIN = 0.04
"""Two positions of a switch are never the same, not even where ten times the tolerance is allowed."""


def effective_point(point: PointId) -> PointId:
    """Where a device reports the setpoint that it follows: `cdu-1/effective_supply_temperature_setpoint`."""
    equipment, _, name = point.rpartition("/")
    return f"{equipment}/effective_{name}"


def mode_point(site: Site, drive: Drive) -> PointId:
    """Where a device says whether it follows the path that its drive takes; empty where it does not say.

    A CDU that is asked over the BMS stays local to its own Modbus map.
    """
    point = f"{drive.equipment}/control_source"
    known = site.points.get(point)
    return point if known is not None and drive.link in ("", known.link) else ""


def tolerance(site: Site, point: PointId) -> float:
    """How far two values of a setpoint [SI] may lie apart and still be the same: a quantum, or 0.1 % of its range."""
    envelope = site.envelopes[point]
    if envelope.min_off_s is not None:
        return SWITCH_WITHIN
    return max(site.points[point].quantum or 0.0, 1e-3 * (envelope.maximum - envelope.minimum))


def resolution(site: Site, point: PointId) -> float:
    """How far a frame may lie from what was meant [SI]: half a count of its register, or a float's rounding."""
    envelope, quantum = site.envelopes[point], site.points[point].quantum
    if envelope.min_off_s is not None:
        return 0.0
    return 0.500001 * quantum if quantum else 1e-6 * max(abs(envelope.minimum), abs(envelope.maximum))


def watched_points(site: Site, hand: Hand) -> list[PointId]:
    """Every polled point that the actuator looks at for one device."""
    own = [mode_point(site, hand.drive), *hand.setpoints, *map(effective_point, hand.setpoints)]
    return [p for p in own if p in site.points]


def check(site: Site, hand: Hand, snapshot: Snapshot, mono_s: float, follow_s: float) -> None:
    """Look at one driven device.

    Raises:
        FaultError: `mode_lost`, `foreign_write` or `command_failure`.
    """
    _check_mode(hand, snapshot.readings.get(mode_point(site, hand.drive)), snapshot.at_s)
    for point, driven in hand.driven.items():
        _check_register(point, driven, snapshot.readings.get(point), tolerance(site, point), snapshot.at_s)
        if effective_point(point) in site.points:
            actual = snapshot.get(effective_point(point))
            _check_following(point, driven, actual, mono_s, follow_s, 10 * tolerance(site, point))


def _is_news(reading: Reading, since_s: float, looked_s: float, now_s: float) -> bool:
    """Whether it is good, from after since_s, and not the one of looked_s; a clock that was set back hides none [s]."""
    return reading.good and (reading.time_s > since_s or since_s > now_s) and reading.time_s != looked_s


def _check_mode(hand: Hand, reading: Reading | None, now_s: float) -> None:
    if reading is None or not _is_news(reading, hand.taken_s, hand.mode_polled_s, now_s):
        return
    hand.mode_polled_s = reading.time_s
    hand.mode_strikes = hand.mode_strikes + 1 if reading.value != REMOTE else 0
    if hand.mode_strikes >= STRIKES:
        text = f"{hand.equipment} no longer follows remote setpoints though leases are held"
        raise FaultError("mode_lost", hand.equipment, text)


def _check_register(point: PointId, driven: Driven, reading: Reading | None, within: float, now_s: float) -> None:
    if reading is None or not _is_news(reading, driven.written_s, driven.polled_s, now_s):
        return
    driven.polled_s = reading.time_s
    driven.poll_strikes = driven.poll_strikes + 1 if abs(reading.value - driven.value) > within else 0
    if driven.poll_strikes >= STRIKES:
        raise foreign_write(point, driven.value, reading.value)


def foreign_write(point: PointId, ours: float, found: float) -> FaultError:
    """Somebody else writes a setpoint that we hold."""
    text = f"{point} reads {found:g} though {ours:g} was written: somebody else writes it"
    return FaultError("foreign_write", point, text, {"ours": ours, "found": found})


def _check_following(
    point: PointId, driven: Driven, actual: float, mono_s: float, follow_s: float, within: float
) -> None:
    """An unknown effective setpoint counts as not following: blind driving ends too."""
    if math.isfinite(actual) and abs(actual - driven.value) <= within:
        driven.off_since_mono_s = None
        return
    if driven.off_since_mono_s is None:
        driven.off_since_mono_s = mono_s
    if mono_s - driven.off_since_mono_s > follow_s:
        found = f"{actual:g}" if math.isfinite(actual) else "unknown"
        text = f"{point}: {driven.value:g} was written, the device's own setpoint is {found} after {follow_s:.0f} s"
        params: dict[str, str | float] = {"ours": driven.value, "found": found, "after_s": follow_s}
        raise FaultError("command_failure", point, text, params)


MEASURED = {
    "supply_temperature_setpoint": "tcs_supply_temperature",
    "bms_supply_temperature_setpoint": "bms_tcs_supply_temperature",
    "differential_pressure_setpoint": "tcs_differential_pressure",
    "leaving_temperature_setpoint": "leaving_temperature",
    "flow_setpoint": "tcs_flow",
    "pump_speed_setpoint": "pump_speed",
}
"""Where the plant shows that a setpoint is followed."""


def witness(site: Site, point: PointId) -> PointId:
    """The point that shows whether a setpoint is followed; empty where none does.

    Of a flow that a master holds for several CDUs its own meter shows but a part.
    """
    device, _, name = point.rpartition("/")
    group = next((g for g in site.groups.values() if point in g.commands.values()), None)
    shared = group is not None and len(group.members) > 1 and group.taken("flow") == (point,)
    shown = f"{device}/{MEASURED.get(name, '')}"
    return shown if shown in site.points and not shared else ""


def switched_within_s(site: Site, point: PointId, *, on: bool) -> float:
    """How long a unit may take after its switch [s]: its own lock, then the way up; 0 where a thermostat decides."""
    stage = next((s for g in site.groups.values() for s in g.stages if s.command == point), None)
    if stage is None or (on and stage.kind == "chiller"):
        return 0.0
    return stage.min_off_s + stage.start_s if on else stage.min_on_s
