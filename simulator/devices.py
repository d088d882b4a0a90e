"""Simulated device controllers: what a device does with the setpoints that it is told, and when it lets go of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from devices.profiles import Profile, ProfilePoint
from plant.errors import RefusedError
from plant.quantities import Quantity
from simulator.exchange import moved

RAMP_PER_S = {
    Quantity.TEMPERATURE: 0.01,
    Quantity.DIFFERENTIAL_PRESSURE: 500.0,
    Quantity.VOLUME_FLOW: 5e-5,
    Quantity.FRACTION: 0.002,
}
RAMP_LOG_S = 10.0

Log = Callable[[float, str, str, Mapping[str, float | str]], None]
"""Called with site time [s since 1970], equipment, event, values."""


class ControlSource(IntEnum):
    """Whose setpoints a device follows."""

    LOCAL = 0
    REMOTE = 1
    RETURNING = 2


@dataclass(slots=True)
class _Setpoint:
    point: ProfilePoint
    default: float
    remote: float
    effective: float
    ramp_per_s: float = field(default=1.0)
    written: bool = False


class DeviceController:
    """Setpoints of one device after its profile's fallback.

    With a native heartbeat a remote setpoint holds only while remote_enable is 1 and the heartbeat register changes
    within its timeout; then each setpoint goes back to its commissioned default by the device's own ramp, and the
    setpoint register follows, so that the next owner starts without a jump. Without a heartbeat a setpoint just holds.
    """

    def __init__(
        self, equipment: str, profile: Profile, defaults: Mapping[str, float], log: Log, timeout_s: float | None = None
    ) -> None:
        """timeout_s: its own patience [s], where it is not the profile's."""
        self.equipment, self.profile, self._log = equipment, profile, log
        fallback = profile.fallback
        self._watched = fallback.kind == "native_heartbeat"
        self._heartbeat, self._enable, self._owner = fallback.heartbeat, fallback.enable, fallback.owner
        self._timeout_s = fallback.timeout_s if timeout_s is None else timeout_s
        self._points = {p.name: p for p in profile.points if p.writable}
        self._held: dict[str, float] = {n: 0.0 for n in (self._heartbeat, self._enable, self._owner) if n}
        self._setpoints = {n: _setpoint(self._points[n], defaults) for n in self._points if n not in self._held}
        self._beat_s = -1e18
        self._logged_s = 0.0
        self.source = ControlSource.LOCAL if self._watched else ControlSource.REMOTE

    @property
    def writable(self) -> frozenset[str]:
        """Names that may be written."""
        return frozenset(self._points)

    def effective(self, name: str) -> float:
        """The setpoint in force [SI]."""
        return self._setpoints[name].effective

    def default(self, name: str) -> float:
        """The commissioned setpoint [SI]."""
        return self._setpoints[name].default

    def asked(self, name: str) -> float | None:
        """What somebody commands now [SI]; None where nobody has written it since the device was last let go."""
        setpoint = self._setpoints.get(name)
        if setpoint is None or not setpoint.written or self.source is not ControlSource.REMOTE:
            return None
        return setpoint.effective

    @property
    def heartbeat_lost(self) -> bool:
        """Whether it was told to be remote, and hears nothing."""
        return self._watched and bool(self._held[self._enable]) and self.source is not ControlSource.REMOTE

    def write(self, name: str, value: float, now_s: float) -> None:
        """Take one write [SI] at now_s [s since 1970].

        Raises:
            RefusedError: not writable, out of range, or an older owner than one already seen.
        """
        try:
            self._check(name, value)
        except RefusedError as error:
            self._log(now_s, self.equipment, "refused", {"point": name, "value": value, "reason": str(error)})
            raise
        self._log(now_s, self.equipment, "write", {"point": name, "value": value})
        if name in self._setpoints:
            self._setpoints[name].remote, self._setpoints[name].written = value, True
        else:
            if name == self._heartbeat and value != self._held[name]:
                self._beat_s = now_s
            self._held[name] = value
        self.step(now_s, 0.0)

    def step(self, now_s: float, dt_s: float) -> None:
        """Advance dt_s [s] to now_s [s since 1970]: watch the heartbeat, move the effective setpoints."""
        if self._watched:
            self._watch(now_s)
        if self.source is ControlSource.REMOTE:
            for setpoint in self._setpoints.values():
                setpoint.effective = setpoint.remote
        elif self.source is ControlSource.RETURNING:
            self._return(now_s, dt_s)

    def readings(self) -> dict[str, float]:
        """Its registers by name [SI]: what was written, setpoints in force, defaults, control source."""
        found: dict[str, float] = dict(self._held)
        for name, setpoint in self._setpoints.items():
            found |= {
                name: setpoint.remote,
                f"effective_{name}": setpoint.effective,
                f"default_{name}": setpoint.default,
            }
        if self._watched:
            found |= {"control_source": float(self.source), "heartbeat_timeout": self._timeout_s}
        return found

    def _check(self, name: str, value: float) -> None:
        point = self._points.get(name)
        if point is None:
            raise RefusedError(f"{self.equipment}/{name}: not writable")
        low, high = point.bound(point.min), point.bound(point.max)
        if (low is not None and value < low - 1e-9) or (high is not None and value > high + 1e-9):
            raise RefusedError(f"{self.equipment}/{name}: {value:g} outside {low:g}..{high:g}")
        if name == self._owner and value < self._held[name]:
            raise RefusedError(f"{self.equipment}/{name}: epoch {value:.0f} older than {self._held[name]:.0f}")
        codes = tuple(point.states) or ((0, 1) if name == self._enable else ())
        if codes and value not in codes:
            raise RefusedError(f"{self.equipment}/{name}: {value:g} is none of {', '.join(map(str, codes))}")

    def _watch(self, now_s: float) -> None:
        alive = now_s - self._beat_s <= self._timeout_s and bool(self._held[self._enable])
        if alive and self.source is not ControlSource.REMOTE:
            self._become(ControlSource.REMOTE, now_s)
        elif not alive and self.source is ControlSource.REMOTE:
            for setpoint in self._setpoints.values():
                setpoint.remote, setpoint.written = setpoint.default, False
            self._become(ControlSource.RETURNING, now_s)

    def _return(self, now_s: float, dt_s: float) -> None:
        for setpoint in self._setpoints.values():
            setpoint.effective = moved(setpoint.effective, setpoint.default, setpoint.ramp_per_s * dt_s)
        if all(s.effective == s.default for s in self._setpoints.values()):
            self._become(ControlSource.LOCAL, now_s)
        elif now_s - self._logged_s >= RAMP_LOG_S:
            self._logged_s = now_s
            self._log(now_s, self.equipment, "ramp", self._in_force())

    def _become(self, source: ControlSource, now_s: float) -> None:
        was, self.source = self.source, source
        self._logged_s = now_s
        change: dict[str, float | str] = {"from": was.name.lower(), "to": source.name.lower()}
        self._log(now_s, self.equipment, "control_source", change | self._in_force())

    def _in_force(self) -> dict[str, float | str]:
        return {f"effective_{name}": round(setpoint.effective, 4) for name, setpoint in self._setpoints.items()}


def _setpoint(point: ProfilePoint, defaults: Mapping[str, float]) -> _Setpoint:
    low, high = point.bound(point.min), point.bound(point.max)
    start = defaults.get(point.name)
    if start is None:
        start = 0.5 * (low + high) if low is not None and high is not None else 0.0
    return _Setpoint(point, start, start, start, RAMP_PER_S.get(point.quantity, 1.0))
