"""Looking at unknown devices: what can be read is found gently, and understood in every order."""

from __future__ import annotations

import struct
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from devices import probing
from devices.modbus import ModbusEndpoint, ModbusRefusedError
from devices.probing import Found, draft, explore, float_order, rows, runs, text_runs
from devices.profiles import read_profile
from plant.errors import RefusedError, SilentError


class Device:
    """A device that knows some addresses, and counts what it is asked. whole: pairs that it gives only together."""

    def __init__(self, known, *, whole=(), silent=()):
        self.known, self.whole, self.silent, self.asked = set(known), set(whole), set(silent), []

    async def read(self, address, size):
        """Words that are their address, or what a device says instead."""
        self.asked.append((address, size))
        wanted = set(range(address, address + size))
        if wanted & self.silent:
            raise SilentError("no answer")
        torn = any((a in wanted) != (a + 1 in wanted) for a in self.whole)
        if torn or not wanted <= self.known:
            raise ModbusRefusedError("here", 2)
        return sorted(wanted)


@given(st.sets(st.integers(0, 120), max_size=60), st.integers(0, 60), st.integers(1, 90))
@settings(max_examples=40, deadline=None)
async def test_exactly_the_readable_registers_are_found(known, first, count):
    """Whatever the holes are, nothing outside the area is asked for and nothing inside is missed or invented."""
    device = Device(known)
    found = await explore(device.read, first, count)
    assert found.words == {a: a for a in known if first <= a < first + count}
    assert found.stopped == ""
    assert all(first <= a and a + size <= first + count for a, size in device.asked)
    assert all(size <= probing.BLOCK_WORDS for _, size in device.asked)
    assert len(device.asked) == found.requests <= 4 * count


async def test_a_device_without_holes_costs_one_read_a_block():
    """96 registers are three reads."""
    device = Device(range(96))
    assert (await explore(device.read, 0, 96)).requests == 3


async def test_values_that_come_only_whole_are_found():
    """A 32-bit value whose half is refused is read as a pair, also where blocks would part it."""
    device = Device([31, 32, 50, 51], whole=[31, 50])
    found = await explore(device.read, 0, 64)
    assert set(found.words) == {31, 32, 50, 51}


async def test_a_device_that_falls_silent_is_left_alone():
    """A first silence is an error; later ones are skipped, and three in a row end the search with what was found."""
    with pytest.raises(SilentError):
        await explore(Device([], silent=range(200)).read, 0, 96)
    one = await explore(Device(range(96), silent=[40]).read, 0, 96)
    assert (len(one.words), one.silences, one.stopped) == (64, 1, "")
    gone = Device(range(32), silent=range(32, 1000))
    found = await explore(gone.read, 0, 900)
    assert len(found.words) == 32
    assert "3 reads in a row had no answer" in found.stopped
    assert len(gone.asked) == 4


async def test_the_number_of_reads_is_bounded():
    """An empty map of 65,536 addresses is not halved for hours."""
    device = Device([])
    found = await explore(device.read, 0, 65536, most_requests=300)
    assert "300 requests" in found.stopped
    assert len(device.asked) <= 301


async def test_another_refusal_ends_the_search():
    """Exception 1 means that there is no such table; halving would not help."""

    async def read(_address, _size):
        raise ModbusRefusedError("here", 1)

    with pytest.raises(RefusedError, match="illegal function"):
        await explore(read, 0, 10)


@given(st.binary(min_size=4, max_size=4))
def test_every_order_shows_what_was_sent_in_it(octets):
    """Bytes ABCD sent as CDAB, BADC or DCBA are read back as ABCD in that column."""
    for order in probing.ORDERS:
        sent = bytes(octets["ABCD".index(place)] for place in order)
        high, low = struct.unpack(">HH", sent)
        row = rows({5: high, 6: low})[0]
        shown = {name: (unsigned, signed, real) for name, unsigned, signed, real in row.wide}[order]
        assert struct.pack(">I", shown[0]) == struct.pack(">i", shown[1]) == octets
        if shown[2] == shown[2]:
            assert struct.pack(">f", shown[2]) == octets


def test_one_word_is_shown_with_sign_and_bits():
    """The last register of a run has no 32-bit reading."""
    row = rows({7: 0xFF9C})[0]
    assert (row.word, row.signed, row.bits, row.wide) == (65436, -100, "1111 1111 1001 1100", ())


@pytest.mark.parametrize("order", probing.ORDERS)
def test_the_order_of_floats_is_recognised(order):
    """From a handful of everyday measurements; small integers and bits alone give no answer."""
    words = {}
    for i, value in enumerate((21.7, 230.4, 49.98, 1234.5, 0.87)):
        sent = bytes(struct.pack(">f", value)["ABCD".index(place)] for place in order)
        words |= dict(enumerate(struct.unpack(">HH", sent), 100 + 2 * i))
    assert float_order(words) == order
    assert float_order({0: 1, 1: 0, 2: 250, 3: 251, 4: 0, 5: 3}) == ""


def test_letters_are_recognised():
    """A padded serial number is a text; a word that happens to look like two letters is not."""
    words = dict(enumerate(struct.unpack(">6H", b"SN-12345\0\0\0\0"), 40))
    assert [(first, text) for first, _, text in text_runs(words)] == [(40, "SN-12345")]
    assert text_runs({0: 0x4142, 1: 7}) == []


def test_ranges_are_runs():
    """Runs of addresses, in order."""
    assert [(r.start, r.stop) for r in runs([7, 3, 4, 5, 9])] == [(3, 6), (7, 8), (9, 10)]
    assert list(runs([])) == []


@pytest.mark.parametrize("table", ["holding", "input", "coil", "discrete"])
def test_a_draft_is_a_profile(tmp_path, table):
    """What is found can be read as a profile at once: its ranges, a float in its order, and a text."""
    words = {}
    for i, value in enumerate((21.7, 230.4, 49.98)):
        a, b = struct.unpack(">HH", struct.pack(">f", value))
        words |= {10 + 2 * i: b, 11 + 2 * i: a}
    words |= {30: 5} | dict(enumerate(struct.unpack(">4H", b"SN-12345"), 40))
    if table in {"coil", "discrete"}:
        words = {10: 1, 11: 0, 30: 1}
    path = tmp_path / "new.yaml"
    path.write_text(draft("new", "10.0.0.9:502 unit 1", table, Found(words=words)))
    profile = read_profile(path)
    assert {a for r in profile.readable for a in range(r.first, r.last + 1)} == set(words)
    if table in {"holding", "input"}:
        assert [(p.address, p.type, p.order) for p in profile.points[:3]] == [(a, "f32", "CDAB") for a in (10, 12, 14)]
        assert [(p.address, p.type) for p in profile.points[3:]] == [(30, "u16")]
        assert [(t.address, t.words) for t in profile.texts] == [(40, 4)]
    else:
        assert [p.address for p in profile.points] == [10, 11, 30]


@asynccontextmanager
async def pymodbus_device(*data):
    """An independent server: (endpoint)."""
    server = ModbusTcpServer(SimDevice(1, list(data)), address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    endpoint = ModbusEndpoint("127.0.0.1", server.transport.sockets[0].getsockname()[1], timeout_s=5.0)
    try:
        yield endpoint
    finally:
        await endpoint.close()
        await server.shutdown()


async def test_an_independent_server_is_understood():
    """A server by pymodbus with integers, floats and a hole between them: the same ranges, values and order."""
    floats = [SimData(20, values=[21.5, 230.25, 50.0, 1417.75], datatype=DataType.FLOAT32)]
    async with pymodbus_device(SimData(4, values=[7, 8, 65535], datatype=DataType.REGISTERS), *floats) as endpoint:
        found = await explore(lambda address, size: endpoint.read(1, "holding", address, size), 0, 60)
    assert [(r.start, r.stop) for r in found.ranges()] == [(4, 7), (20, 28)]
    assert [found.words[a] for a in (4, 5, 6)] == [7, 8, 65535]
    assert float_order(found.words) == "ABCD"
    real = {r.address: {o: f for o, _, _, f in r.wide} for r in rows(found.words)}
    assert [real[a]["ABCD"] for a in (20, 22, 24, 26)] == [21.5, 230.25, 50.0, 1417.75]
