"""The Modbus client against a device with every fault that real ones were seen with: never a wrong value."""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.modbus_faults import OwnClient, hammer
from benchmarks.modbus_peer import FAULTS, FaultyPeer, words_at
from devices.modbus import BusyError, ModbusEndpoint, ModbusRefusedError
from devices.modbus_frames import (
    ExceptionAnswer,
    FrameError,
    RtuFraming,
    TcpFraming,
    bits_as_words,
    crc16,
    read_request,
    write_request,
)
from devices.modbus_line import Line, Manners
from plant.errors import RefusedError, SilentError


def peer_with(*faults, late_s=0.13):
    """A device whose answers have these faults in turn, and none thereafter."""
    rest = list(faults)
    return FaultyPeer(choose=lambda _: rest.pop(0) if rest else "", late_s=lambda: late_s, chance=random.Random(7))


def right_answer(request):
    """Of a device as it should be, to a read."""
    transaction, _, _, unit, function, address, count = struct.unpack(">HHHBBHH", request)
    pdu = struct.pack(f">BB{count}H", function, 2 * count, *words_at(unit, address, count))
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


async def test_thousands_of_exchanges_bring_no_wrong_value():
    """Random reads over many connections, a quarter of them spoiled, some cancelled: what comes is always right."""
    tally = await hammer(4_000, 11, OwnClient)
    assert tally.exchanges >= 4_000
    assert tally.answered > 2_000
    assert tally.wrong == 0


@pytest.mark.parametrize("fault", FAULTS)
async def test_after_each_fault_the_next_answers_are_right(fault):
    """Whatever is wrong with one answer, it is no value, or the right one, and soon all is well again."""
    peer = peer_with("", fault)
    endpoint = ModbusEndpoint("127.0.0.1", await peer.start(), timeout_s=0.1, jitter=lambda: 0.0)
    came = 0
    for address in range(100, 140):
        with contextlib.suppress(SilentError):
            assert await endpoint.read(2, "input", address, 3) == words_at(2, address, 3)
            came += 1
        await asyncio.sleep(0.01)
    assert came > 20
    await endpoint.close()
    await peer.close()


async def test_a_device_that_is_always_late_is_waited_for_and_told():
    """Answers at 1.3 times the timeout arrive from the second read on, and the endpoint says that it is slow."""
    peer = FaultyPeer(choose=lambda _: "late", late_s=lambda: 0.13, chance=random.Random(1))
    endpoint = ModbusEndpoint("127.0.0.1", await peer.start(), timeout_s=0.1)
    with pytest.raises(SilentError, match=r"no valid answer within 0\.1 s"):
        await endpoint.read(1, "holding", 0, 1)
    for address in range(10):
        assert await endpoint.read(1, "holding", address, 1) == words_at(1, address, 1)
    assert endpoint.slow
    await endpoint.close()
    await peer.close()


async def test_a_late_answer_teaches_patience_on_a_kept_connection():
    """A device that echoes ids keeps its connection through a timeout; its late answer is dropped, not delivered."""
    peer = peer_with("", "late")
    endpoint = ModbusEndpoint("127.0.0.1", await peer.start(), timeout_s=0.1)
    await endpoint.read(1, "holding", 0, 1)
    with pytest.raises(SilentError):
        await endpoint.read(1, "holding", 1, 1)
    assert endpoint.connected
    await asyncio.sleep(0.06)
    assert await endpoint.read(1, "holding", 2, 1) == words_at(1, 2, 1)
    assert endpoint.slow
    assert len(peer.connections) == 1
    for address in range(30):
        await endpoint.read(1, "holding", address, 1)
    assert not endpoint.slow, "patience returns to the timeout when the device is prompt again"
    await endpoint.close()
    await peer.close()


async def test_a_device_without_ids_loses_its_connection_after_a_timeout():
    """Once id 0 was seen, nothing tells a late answer from the next one, so the connection goes."""
    peer = peer_with("zero_id", "late_zero_id")
    endpoint = ModbusEndpoint("127.0.0.1", await peer.start(), timeout_s=0.1)
    assert await endpoint.read(1, "holding", 0, 1) == words_at(1, 0, 1)
    with pytest.raises(SilentError):
        await endpoint.read(1, "holding", 1, 1)
    assert not endpoint.connected
    assert await endpoint.read(1, "holding", 2, 1) == words_at(1, 2, 1)
    await endpoint.close()
    await peer.close()


async def test_a_late_answer_in_the_middle_of_the_next_is_no_value():
    """A device that answers two requests at once mixes their bytes; what has the right head and size is still refused."""
    requests: list[bytes] = []

    class Mixing(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            requests.append(data)
            answers = [right_answer(r) for r in requests]
            if len(requests) == 3:
                self.transport.write(answers[2][:10])
                rest = answers[1] + answers[2][10:]
                asyncio.get_running_loop().call_later(0.02, self.transport.write, rest)
            elif len(requests) != 2:
                self.transport.write(answers[-1])

    server = await asyncio.get_running_loop().create_server(Mixing, "127.0.0.1", 0)
    endpoint = ModbusEndpoint("127.0.0.1", server.sockets[0].getsockname()[1], timeout_s=0.15)
    assert await endpoint.read(1, "holding", 0, 2) == words_at(1, 0, 2)
    for address in (10, 20):
        with pytest.raises(SilentError):
            await endpoint.read(1, "holding", address, 2)
    assert await endpoint.read(1, "holding", 30, 2) == words_at(1, 30, 2)
    await endpoint.close()
    server.close()


async def test_a_connection_that_stays_silent_is_given_up():
    """Two requests without a byte in return: a half-open connection would never heal."""
    peer = peer_with("", "silent", "silent")
    endpoint = ModbusEndpoint("127.0.0.1", await peer.start(), timeout_s=0.05)
    await endpoint.read(1, "holding", 0, 1)
    for kept in (True, False):
        with pytest.raises(SilentError):
            await endpoint.read(1, "holding", 0, 1)
        assert endpoint.connected is kept
    await endpoint.close()
    await peer.close()


@pytest.mark.parametrize("code", [5, 6, 10, 11])
async def test_busy_is_no_value_and_keeps_the_connection(peers, code):
    """Exceptions that mean "later" are told as such; the connection is as good as before."""

    class Busy(peers.Peer):
        def answer(self, unit, pdu):
            return bytes([pdu[0] | 0x80, code])

    async with peers.serving(Busy({})) as peer:
        endpoint = ModbusEndpoint("127.0.0.1", peer.port, timeout_s=0.3)
        with pytest.raises(BusyError, match=f"exception {code}"):
            await endpoint.read(1, "holding", 0, 1)
        assert endpoint.connected
        await endpoint.close()


async def test_what_no_request_can_hold_never_leaves():
    """Too many words and addresses beyond the last one are refused here."""
    endpoint = ModbusEndpoint("127.0.0.1", 1)
    for address, count in ((0, 126), (65_535, 2), (-1, 1), (0, 0)):
        with pytest.raises(RefusedError, match="one request"):
            await endpoint.read(1, "holding", address, count)
    with pytest.raises(RefusedError, match="one request"):
        await endpoint.write(1, 0, [0] * 124)


@pytest.mark.parametrize("kind", ["u", "p"])
async def test_a_pause_is_kept_between_requests(peers, kind):
    """Between two requests, and after connecting, the device has the quiet time that it needs."""
    times = []

    class Timed(peers.Peer):
        def answer(self, unit, pdu):
            times.append(asyncio.get_running_loop().time())
            return super().answer(unit, pdu)

    options = {"pause_s": 0.08} if kind == "p" else {"connect_delay_s": 0.08}
    async with peers.serving(Timed({1: {"holding": {0: 1}}})) as peer:
        endpoint = ModbusEndpoint("127.0.0.1", peer.port, **options)
        started = asyncio.get_running_loop().time()
        await endpoint.read(1, "holding", 0, 1)
        await endpoint.read(1, "holding", 0, 1)
        await endpoint.close()
    assert (times[1] - times[0] if kind == "p" else times[0] - started) >= 0.075


REQUEST = read_request(1, "holding", 10, 2)
ANSWER = bytes((3, 4, 0, 7, 0, 8))


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_no_bytes_but_the_answer_pass(data):
    """A PDU is the answer only if it is the function, the count and that many bytes."""
    try:
        payload = REQUEST.check(data or b"\x00")
    except (FrameError, ExceptionAnswer):
        return
    assert data[:2] == ANSWER[:2]
    assert payload == data[2:]
    assert len(payload) == 4


@given(st.binary(max_size=80), st.booleans())
@settings(deadline=None, max_examples=300)
def test_garbage_never_becomes_a_frame_of_ours(data, rtu):
    """Random bytes end as incomplete or as a fault; a frame that is taken has exactly what its framing says."""
    framing = RtuFraming() if rtu else TcpFraming()
    try:
        frame, rest = framing.take(data, REQUEST)
    except FrameError:
        return
    if frame is not None and not rtu:
        assert struct.pack(">HHHB", frame.transaction, 0, len(frame.pdu) + 1, frame.unit) + frame.pdu + rest == data
    if frame is not None and rtu:
        assert crc16(data[:-2]).to_bytes(2, "little") == data[-2:]


def test_the_crc_is_the_serial_lines():
    """The worked examples of the trade: a read of one register, and an exception answer."""
    assert crc16(bytes.fromhex("010300000001")).to_bytes(2, "little").hex() == "840a"
    assert crc16(bytes.fromhex("018302")).to_bytes(2, "little").hex() == "c0f1"


@settings(deadline=None)
@given(st.integers(0, 255), st.integers(0, 7 * 8 - 1), st.binary(min_size=7, max_size=7))
def test_one_wrong_bit_fails_the_crc(unit, bit, body):
    """No single bit error passes on a serial line behind a gateway."""
    frame = bytes((unit,)) + body
    frame += crc16(frame).to_bytes(2, "little")
    spoiled = bytearray(frame)
    spoiled[1 + bit // 8] ^= 1 << bit % 8
    assert crc16(bytes(spoiled[:-2])).to_bytes(2, "little") != bytes(spoiled[-2:])


def test_bits_come_as_words():
    """Coils are packed from the lowest bit."""
    assert bits_as_words(b"\x05\x01", 9) == struct.pack(">9H", 1, 0, 1, 0, 0, 0, 0, 0, 1)


def test_ids_that_are_awaited_lie_far_apart():
    """A device that miscounts by a few never hits another id; none is 0, none comes twice in 65,000."""
    manners = Manners()
    ids = [manners.next_id() for _ in range(65_000)]
    assert 0 not in ids
    assert len(set(ids)) == len(ids)
    assert all(
        min(abs(a - b), 65_536 - abs(a - b)) > 8 for k in range(1, 9) for a, b in zip(ids, ids[k:], strict=False)
    )


async def test_a_write_whose_echo_differs_is_no_success():
    """An echo of another value, as from a device that clips, is not taken for the write."""
    request = write_request(1, 5, [70])
    assert request.check(bytes.fromhex("0600050046")) == request.pdu
    with pytest.raises(FrameError, match="does not fit"):
        request.check(bytes.fromhex("0600050045"))


async def test_bytes_that_nobody_asked_for_end_the_connection():
    """An unsolicited frame can't be left in the pipe for the next request."""
    line = Line(TcpFraming(), Manners())
    ends = []

    class Wire(asyncio.Transport):
        def is_closing(self):
            return bool(ends)

        def abort(self):
            ends.append(1)

    line.connection_made(Wire())
    line.data_received(struct.pack(">HHHB", 7, 0, 7, 1) + ANSWER)
    assert not line.open
    assert ends


async def test_a_refusal_is_told_with_its_place(peers):
    """The operator reads which register of which unit at which address."""
    async with peers.serving(peers.Peer({1: {"holding": {}}})) as peer:
        endpoint = ModbusEndpoint("127.0.0.1", peer.port)
        with pytest.raises(ModbusRefusedError, match=rf"127.0.0.1:{peer.port} unit 1 holding 300\+2: exception 2"):
            await endpoint.read(1, "holding", 300, 2)
        await endpoint.close()
