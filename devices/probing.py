"""Looking at an unknown Modbus device: what it lets one read, every way to understand it, and a first profile of it."""

from __future__ import annotations

import math
import struct
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from devices.modbus import ILLEGAL_ADDRESS, ILLEGAL_VALUE, ModbusEndpoint, ModbusRefusedError
from devices.profiles import Profile, Table
from devices.sunspec import BASES, END_MODEL, MARK, MOST_MODELS
from plant.errors import RefusedError, SilentError

ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")
BLOCK_WORDS = 32
"""Small blocks: an unknown device may have small buffers, and a refused block costs less to halve."""
MOST_SILENCES = 3
_LEAST_TEXT = 3
_FLOAT_RANGE = (1e-3, 1e7)
_COUNTER_MOST = 1 << 28
_LEAST_FLOATS = 2
_REAL_FROM, _REAL_TO = 0x3A80, 0x4B20
"""First words of f32 from 0.001 to 10 million, without sign."""

Read = Callable[[int, int], Awaitable[list[int]]]
"""Read so many words from an address."""


@dataclass
class Found:
    """What a device let one read: `words` by address, and how it came to that."""

    words: dict[int, int] = field(default_factory=dict)
    requests: int = 0
    refused: int = 0
    silences: int = 0
    stopped: str = ""

    def ranges(self) -> list[range]:
        """The readable addresses as runs."""
        return list(runs(self.words))


@dataclass(frozen=True)
class Row:
    """One register, and with the next one every 32-bit reading: (order, u32, s32, f32) in each order."""

    address: int
    word: int
    wide: tuple[tuple[str, int, int, float], ...]

    @property
    def signed(self) -> int:
        """The word with its sign."""
        return self.word - 0x10000 if self.word & 0x8000 else self.word

    @property
    def bits(self) -> str:
        """Highest bit first, in fours."""
        text = f"{self.word:016b}"
        return " ".join(text[i : i + 4] for i in range(0, 16, 4))


async def explore(read: Read, first: int, count: int, *, most_requests: int = 2000) -> Found:
    """Read what can be read of an area, in small blocks; what is refused is halved down to single registers.

    A register that is refused alone is tried once with its neighbour: many devices give 32-bit values only whole.

    Raises:
        SilentError: the device answers nothing at all.
        RefusedError: the device has no such table, or refuses for another reason than an address.
    """
    found = Found()
    waiting = [(a, min(BLOCK_WORDS, first + count - a)) for a in range(first, first + count, BLOCK_WORDS)]
    waiting.reverse()
    in_a_row = 0
    while waiting and not found.stopped:
        address, size = waiting.pop()
        answer = await _one(read, found, address, size)
        in_a_row = in_a_row + 1 if answer is None else 0
        if in_a_row >= MOST_SILENCES:
            found.stopped = f"{MOST_SILENCES} reads in a row had no answer, the last at {address}"
        elif found.requests >= most_requests:
            found.stopped = f"{most_requests} requests were made, the last at {address}"
        elif answer == [] and size > 1:
            half = (size + 1) // 2
            waiting += [(address + half, size - half), (address, half)]
        elif answer == [] and address + 1 < first + count and address not in found.words:
            await _one(read, found, address, 2)
    return found


async def _one(read: Read, found: Found, address: int, size: int) -> list[int] | None:
    """The words, [] where they are refused, None where nobody answers; kept in `found`."""
    found.requests += 1
    try:
        words = await read(address, size)
    except SilentError:
        found.silences += 1
        if not found.words and not found.refused:
            raise
        return None
    except ModbusRefusedError as refusal:
        if refusal.code not in {ILLEGAL_ADDRESS, ILLEGAL_VALUE}:
            raise
        found.refused += 1
        return []
    found.words.update(enumerate(words, address))
    return words


async def sunspec_map(endpoint: ModbusEndpoint, unit: int) -> list[tuple[int, int, int]]:
    """(address of the header, model, length) of every SunSpec model; empty if it is no SunSpec device.

    Raises:
        SilentError: no answer.
    """
    for base in BASES:
        try:
            if await endpoint.read(unit, "holding", base, 2) == MARK:
                return await _models(endpoint, unit, base + 2)
        except RefusedError:
            continue
    return []


async def _models(endpoint: ModbusEndpoint, unit: int, address: int) -> list[tuple[int, int, int]]:
    found: list[tuple[int, int, int]] = []
    while len(found) < MOST_MODELS:
        model, length = await endpoint.read(unit, "holding", address, 2)
        if model == END_MODEL:
            break
        found.append((address, model, length))
        address += 2 + length
    return found


async def read_texts(endpoint: ModbusEndpoint, profile: Profile, unit: int) -> dict[str, str]:
    """What a device says of itself in letters; texts that it does not have are left out. Raises: SilentError."""
    found = {}
    for text in profile.texts:
        try:
            words = await endpoint.read(unit, text.table, text.address, text.words)
        except RefusedError:
            continue
        found[text.name] = letters(words)
    return found


def letters(words: Sequence[int]) -> str:
    """Two letters in a word, up to the first zero; what is no letter becomes `?`."""
    octets = struct.pack(f">{len(words)}H", *words).partition(b"\0")[0]
    return "".join(chr(o) if 32 <= o < 127 else "?" for o in octets).strip()


def runs(addresses: Iterable[int]) -> Iterator[range]:
    """Addresses without gaps, as ranges."""
    first = last = None
    for address in sorted(addresses):
        if last is not None and first is not None and address != last + 1:
            yield range(first, last + 1)
            first = None
        first = address if first is None else first
        last = address
    if first is not None and last is not None:
        yield range(first, last + 1)


def rows(words: Mapping[int, int]) -> list[Row]:
    """Every register with all its readings."""
    return [Row(a, words[a], tuple(_wide(words[a], words[a + 1])) if a + 1 in words else ()) for a in sorted(words)]


def _wide(high: int, low: int) -> Iterator[tuple[str, int, int, float]]:
    for order in ORDERS:
        octets = in_order((high, low), order)
        (unsigned,), (signed,), (real,) = (struct.unpack(f">{code}", octets) for code in "Iif")
        yield order, unsigned, signed, real


def in_order(pair: tuple[int, int], order: str) -> bytes:
    """Two words as big-endian bytes, if the device sends them in `order`."""
    octets = struct.pack(">HH", *pair)
    return bytes(octets["ABCD".index(place)] for place in order)  # each order is its own inverse


def plausible_float(value: float) -> bool:
    """Whether a reading as f32 looks like a measurement: neither tiny nor huge; 0 says nothing."""
    low, high = _FLOAT_RANGE
    return math.isfinite(value) and low <= abs(value) <= high


def plausible_counter(value: int) -> bool:
    """Whether a reading as 32-bit integer looks like one that needs both words, and is no pattern of bits."""
    return 0xFFFF < value < _COUNTER_MOST


def float_order(words: Mapping[int, int]) -> str:
    """The order in which the device seems to send f32, "" if there is no clear answer.

    Only pairs of two non-zero words count, so that zeros beside a value do not pass for its other half. In a row of
    floats another order fits too, one register off, but then the ends of the row have no partner.
    """
    scores = {order: sum(bool(words[a] and words[a + 1]) for a in float_pairs(words, order)) for order in ORDERS}
    best, second = sorted(scores, key=lambda o: scores[o], reverse=True)[:2]
    return best if scores[best] >= _LEAST_FLOATS and scores[best] > scores[second] else ""


def float_pairs(words: Mapping[int, int], order: str) -> list[int]:
    """Addresses of pairs that look like an f32 in this order, none overlapping."""
    found: list[int] = []
    for address in sorted(words):
        overlaps = bool(found) and address == found[-1] + 1
        if not overlaps and address + 1 in words and _looks_real(words[address], words[address + 1], order):
            found.append(address)
    return found


def _looks_real(high: int, low: int, order: str) -> bool:
    octets = in_order((high, low), order)
    exponent_word = struct.unpack(">H", octets[:2])[0] & 0x7FFF
    return _REAL_FROM <= exponent_word <= _REAL_TO and plausible_float(struct.unpack(">f", octets)[0])


def text_runs(words: Mapping[int, int]) -> list[tuple[int, int, str]]:
    """(address, words, text) of runs that read as letters; two letters a word, at least three words."""
    found = []
    for run in runs(a for a, word in words.items() if _is_letters(word)):
        # "\0" pads texts, so a run ends where the letters do
        text = letters([words[a] for a in run])
        if len(run) >= _LEAST_TEXT and len(text) > 2 * (_LEAST_TEXT - 1) and any(c.isalpha() for c in text):
            found.append((run.start, len(run), text))
    return found


def _is_letters(word: int) -> bool:
    high, low = word >> 8, word & 0xFF
    return 32 <= high < 127 and (32 <= low < 127 or low == 0)


def draft(name: str, device: str, table: Table, found: Found) -> str:
    """A first profile in YAML, valid as it is: every register is named after its address, for a person to rename."""
    texts = text_runs(found.words) if table in {"holding", "input"} else []
    lettered = {a for first, size, _ in texts for a in range(first, first + size)}
    order = float_order({a: w for a, w in found.words.items() if a not in lettered}) if table != "coil" else ""
    pairs = set(float_pairs(found.words, order)) - lettered if order else set()
    lines = [
        f"# Draft by `coldplate probe` of {device}. Replace kind, names, quantities, units and scales by what the",
        "# device's manual says, give min and max, and delete what you do not need. The numbers behind # were read.",
        f"profile: {name}",
        "title: Unknown device",
        "kind: cdu",
        "transport: modbus-tcp",
        'revision: "draft"',
        f"source: found by coldplate probe at {device}",
        "fallback: {kind: none}",
        f"readable:{'' if found.words else ' []'}",
        *(f"  - {{table: {table}, first: {run.start}, last: {run.stop - 1}}}" for run in found.ranges()),
    ]
    if texts:
        lines.append("texts:")
        lines += [
            f"  - {{name: text_{first}, table: {table}, address: {first}, words: {size}}}  # {text}"
            for first, size, text in texts
        ]
    points = list(_draft_points(table, found.words, order, pairs, lettered))
    return "\n".join([*lines, f"points:{'' if points else ' []'}", *points]) + "\n"


def _draft_points(
    table: Table, words: Mapping[int, int], order: str, pairs: set[int], lettered: set[int]
) -> Iterator[str]:
    for address in sorted(words):
        if address in lettered or address - 1 in pairs:
            continue
        place = f"table: {table}, address: {address}"
        if address in pairs:
            real = struct.unpack(">f", in_order((words[address], words[address + 1]), order))[0]
            kind, shown = f"type: f32, order: {order}", f"{real:g}"
        else:
            kind, shown = "type: u16", f"{words[address]} 0x{words[address]:04X}"
        yield f'  - {{name: {table}_{address}, quantity: count, unit: "1", {place}, {kind}, period_s: 10}}  # {shown}'
