"""A Modbus unit that serves any profile with plausible moving values, for tests, demos and trying a profile out.

It writes its registers with `struct`, and not with the encoder of `devices`, so that it is a second opinion on them.
"""

from __future__ import annotations

import asyncio
import math
import struct
import time
from collections.abc import Callable, Mapping, Sequence

from devices.profiles import Profile, ProfilePoint, TextRegister
from plant.quantities import Quantity, to_si
from simulator.chance import seed_number
from simulator.registers import ILLEGAL_ADDRESS, ModbusFault
from simulator.wire import ModbusServer

STEP_S = 1.0
SUNSPEC_BASE = 40000
SUNSPEC_LENGTH = {1: 66, 201: 105, 202: 105, 203: 105, 204: 105}
"""Words of a model after its header."""
_PACK = {"u16": "H", "s16": "h", "u32": "I", "s32": "i", "u64": "Q", "s64": "q", "f32": "f", "f64": "d"}
_USUAL: dict[Quantity, tuple[float, float]] = {
    Quantity.COUNT: (0.0, 1000.0),
    Quantity.ENERGY: (0.0, 3.6e12),
    Quantity.DURATION: (0.0, 3.6e6),
    Quantity.STATE: (0.0, 0.0),
}
"""Where no bounds are given, values move within these [SI]."""
_LOWEST, _HIGHEST = 0.3, 0.6
_PERIOD_S = 600.0
_EXPONENTS = range(-3, 7)


class ProfileDevice:
    """One simulated unit. `values` [SI] by point is exactly what its registers hold; a test may change `words`."""

    def __init__(self, profile: Profile, equipment: str = "device") -> None:
        self.profile, self.equipment = profile, equipment
        self.values: dict[str, float] = {}
        self.words: dict[str, dict[int, int]] = {}
        self._base = SUNSPEC_BASE + 2 + 2 + SUNSPEC_LENGTH[1] if profile.sunspec_models else 0
        self._exponents = _exponents(profile)
        self._alarms: dict[str, int] = {}
        self._open()
        self.step(0.0)

    def step(self, time_s: float) -> None:
        """Move every value to what it is at a time [s]; points that were written stay."""
        for point in self.profile.points:
            if not point.writable or point.name not in self.values:
                self._put(point, self._moving(point, time_s))

    def put(self, name: str, value: float) -> float:
        """Let one point be `value` [SI]; returns it as the register holds it."""
        point = self.profile.point(name)
        self._put(point, round((value - point.offset) / self._factor(point)))
        return self.values[name]

    def set_alarm(self, name: str, *bits: int) -> None:
        """Set alarm bits of a register, and clear its others; they stay through `step`."""
        self._alarms[name] = sum(1 << bit for bit in bits)
        self._put(self.profile.point(name), self._alarms[name])

    def text(self, register: TextRegister) -> str:
        """What stands in a text register."""
        return f"{register.name}-{self.equipment}"[: 2 * register.words]

    def read(self, table: str, address: int, count: int) -> list[int]:
        """Words of a table.

        Raises:
            ModbusFault: an address that the device does not have.
        """
        held = self.words.get(table, {})
        wanted = range(address, address + count)
        if any(a not in held for a in wanted):
            raise ModbusFault(ILLEGAL_ADDRESS, f"no {table} {address}..{address + count - 1}")
        return [held[a] for a in wanted]

    def write(self, address: int, words: Sequence[int]) -> None:
        """Holding registers, whole writable points only.

        Raises:
            ModbusFault: not writable.
        """
        points = {self._address(p): p for p in self.profile.points if p.writable and p.table == "holding"}
        at, rest = address, list(words)
        while rest:
            point = points.get(at)
            if point is None or len(rest) < point.words:
                raise ModbusFault(ILLEGAL_ADDRESS, f"holding {at} is not writable")
            own, rest = rest[: point.words], rest[point.words :]
            self._put(point, _raw_of(point, own))
            at += point.words

    def _open(self) -> None:
        """Every readable register exists, and holds 0 where the profile names no point."""
        for block in self.profile.readable:
            self._fill(block.table, range(self._base + block.first, self._base + block.last + 1))
        for point in self.profile.points:
            self._fill(point.table or "", range(self._address(point), self._address(point) + point.words))
        for text in self.profile.texts:
            letters = self.text(text).encode("ascii").ljust(2 * text.words, b"\0")
            words = struct.unpack(f">{text.words}H", letters)
            self.words.setdefault(text.table, {}).update(enumerate(words, self._base + text.address))
        if self.profile.sunspec_models:
            self._open_sunspec()

    def _fill(self, table: str, addresses: range) -> None:
        held = self.words.setdefault(table, {})
        for address in addresses:
            held.setdefault(address, 0)

    def _open_sunspec(self) -> None:
        model = self.profile.sunspec_models[0]
        held = self.words.setdefault("holding", {})
        common = {SUNSPEC_BASE: 0x5375, SUNSPEC_BASE + 1: 0x6E53, SUNSPEC_BASE + 2: 1}
        common[SUNSPEC_BASE + 3] = SUNSPEC_LENGTH[1]
        self._fill("holding", range(SUNSPEC_BASE, self._base))
        end = self._base + 2 + SUNSPEC_LENGTH[model]
        held |= common | {self._base: model, self._base + 1: SUNSPEC_LENGTH[model], end: 0xFFFF, end + 1: 0}

    def _address(self, point: ProfilePoint) -> int:
        return self._base + (point.address or 0)

    def _factor(self, point: ProfilePoint) -> float:
        """SI of one count, written out on purpose; see the module's text."""
        unit = to_si(point.unit)[0]
        return float(point.scale / 2**point.fixed * unit * 10.0 ** self._exponents.get(point.scale_from, 0))

    def _moving(self, point: ProfilePoint, time_s: float) -> float:
        """The raw number of a point at a time."""
        if point.name in self._exponents:
            return self._exponents[point.name]
        if point.bits or point.name in self._alarms:
            return self._alarms.get(point.name, 0)
        seed = seed_number("profile device", self.equipment, point.name) % 997
        if point.states:
            codes = sorted(point.states)
            return codes[int(time_s // _PERIOD_S + seed) % len(codes)]
        low, high = _span(point)
        swing = 0.5 + 0.5 * math.sin(2 * math.pi * (time_s / _PERIOD_S + seed / 997))
        value = low + (high - low) * (_LOWEST + (_HIGHEST - _LOWEST) * swing)
        raw = (value - point.offset) / self._factor(point)
        return raw if point.type.startswith("f") else min(max(round(raw), _least(point)), _most(point))

    def _put(self, point: ProfilePoint, raw: float) -> None:
        code = _PACK[point.type]
        number: float = raw if point.type.startswith("f") else int(raw)
        if code == "f":
            number = struct.unpack(">f", struct.pack(">f", raw))[0]
        if point.bit is None:
            words = list(struct.unpack(f">{point.words}H", struct.pack(f">{code}", number)))
        else:
            words = self._merged(point, int(number))
        first = self._address(point)
        self.words.setdefault(point.table or "", {}).update(enumerate(_ordered(words, point.order), first))
        self.values[point.name] = number * self._factor(point) + point.offset

    def _merged(self, point: ProfilePoint, number: int) -> list[int]:
        """The register with only this point's bits changed."""
        held, first = self.words[point.table or ""], self._address(point)
        size = 16 * point.words
        whole = 0
        for word in _ordered([held[first + i] for i in range(point.words)], point.order):
            whole = whole << 16 | word
        mask = ((1 << point.bit_width) - 1) << (point.bit or 0)
        whole = whole & ~mask | number << (point.bit or 0) & mask
        return [whole >> shift & 0xFFFF for shift in range(size - 16, -1, -16)]


async def serve_profile(
    profile: Profile, host: str, port: int, unit: int, ready: Callable[[str, int], None] = lambda _host, _port: None
) -> None:
    """Serve one simulated device until cancelled; `ready` gets its address.

    Raises:
        ConfigError: the port is in use.
    """
    device, start_s = ProfileDevice(profile), time.monotonic()
    server = ModbusServer({unit: device}, lambda _: False)
    try:
        ready(*await server.start(host, port, where="--port"))
        while True:
            await asyncio.sleep(STEP_S)
            device.step(time.monotonic() - start_s)
    finally:
        await server.close()


def nominal(point: ProfilePoint) -> float:
    """A plausible value [SI] at rest: no alarm, the first state, somewhat below the middle of its bounds."""
    if point.states:
        return float(min(point.states))
    if point.bits:
        return 0.0
    low, high = _span(point)
    return low + _LOWEST * (high - low)


def _span(point: ProfilePoint) -> tuple[float, float]:
    """Bounds [SI]; what is not given is taken from what is usual."""
    low, high = point.bound(point.min), point.bound(point.max)
    usual = _USUAL.get(point.quantity, (0.0, 100.0 * abs(point.factor)))
    low = usual[0] if low is None else low
    return low, max(usual[1], low) if high is None else high


def _exponents(profile: Profile) -> Mapping[str, int]:
    """SunSpec scale factors: for each the least power of ten with which every value that needs it fits its register."""
    found = {}
    for name in {p.scale_from for p in profile.points if p.scale_from}:
        users = [p for p in profile.points if p.scale_from == name]
        found[name] = next(
            (e for e in _EXPONENTS if all(_span(p)[1] * _HIGHEST / p.factor / 10.0**e < _most(p) for p in users)),
            _EXPONENTS[-1],
        )
    return found


def _least(point: ProfilePoint) -> int:
    """The least raw number; signed registers keep their smallest for "no value"."""
    if point.bit is not None or not point.type.startswith("s"):
        return 1 if 0 in point.invalid else 0
    return 1 - (1 << 16 * point.words - 1)


def _most(point: ProfilePoint) -> int:
    """The most raw number; all ones are kept for "no value"."""
    if point.bit is not None:
        return (1 << point.bit_width) - 1
    return (1 << 16 * point.words - (1 if point.type.startswith("s") else 0)) - 2


def _raw_of(point: ProfilePoint, words: Sequence[int]) -> float:
    octets = struct.pack(f">{point.words}H", *_ordered(words, point.order))
    return float(struct.unpack(f">{_PACK[point.type]}", octets)[0])


def _ordered(words: Sequence[int], order: str) -> list[int]:
    """Between big-endian and the device's order; each order is its own inverse."""
    swapped = list(words)[::-1] if order in {"CDAB", "DCBA"} else list(words)
    return [(w & 0xFF) << 8 | w >> 8 for w in swapped] if order in {"BADC", "DCBA"} else swapped
