"""The bus between processes of one host."""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import socket
import sys
from pathlib import Path

import pytest

from plant.errors import RefusedError, SilentError
from plant.intents import Answer, Intent, IntentKind, Mode, ModeState
from plant.records import Headroom
from store import codec
from store.bus import BusServer
from store.bus_client import BusClient

INTENT = Intent(kind=IntentKind.SET_MODE, actor="ann", reason="night shift", at_s=1.0, loop="tcs-1", mode=Mode.AUTO)


async def accept(intent):
    """An intent handler that says what it got."""
    return Answer(accepted=True, text=f"{intent.actor}: {intent.loop} {intent.mode}")


@pytest.fixture
async def serving(tmp_path):
    """Starts servers on the one path; closes them."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(handler=accept, path=tmp_path / "bus.sock"):
            server = BusServer(path, handler)
            await server.start()
            stack.push_async_callback(server.close)
            return server

        yield start


async def take(stream, count, limit_s=10.0):
    """The next messages of a subscription."""
    async with asyncio.timeout(limit_s):
        return [await anext(stream) for _ in range(count)]


async def test_an_intent_is_answered(serving, tmp_path):
    """An intent arrives whole, and its answer comes back; many at once do not mix."""
    await serving()
    client = BusClient(tmp_path / "bus.sock")
    assert await client.intent(INTENT) == Answer(accepted=True, text="ann: tcs-1 auto")
    loops = [f"loop-{i}" for i in range(20)]
    many = [Intent(kind=IntentKind.SET_MODE, actor="ann", reason="", at_s=1.0, loop=n, mode=Mode.OFF) for n in loops]
    answers = await asyncio.gather(*map(client.intent, many))
    assert [a.text for a in answers] == [f"ann: {n} off" for n in loops]


async def test_a_refusing_handler_answers_in_words(serving, tmp_path):
    """An error of the house raised by the handler is an answer, not a broken connection."""

    async def refuse(intent):
        raise RefusedError("tcs-1: no such loop")

    await serving(refuse)
    assert await BusClient(tmp_path / "bus.sock").intent(INTENT) == Answer(accepted=False, text="tcs-1: no such loop")


async def test_a_late_subscriber_gets_the_latest_of_each_kind(serving, tmp_path):
    """A new subscriber hears the whole live table and the newest record of every kind, then what is new."""
    server = await serving()
    await server.publish("live", [["a/x", 1.0, 10.0, 0], ["b/x", math.nan, 10.0, 2]])
    await server.publish("live", [["a/x", 2.0, 11.0, 0]])
    await server.publish("modes", [ModeState(loop="tcs-1", mode=Mode.OFF, since_s=1.0, actor="ann", reason="old")])
    await server.publish("modes", [ModeState(loop="tcs-1", mode=Mode.AUTO, since_s=2.0, actor="ann", reason="new")])
    stream = BusClient(tmp_path / "bus.sock").subscribe()
    connected, live, modes = await take(stream, 3)
    assert connected == ("bus", {"connected": True})
    assert live == ("live", [["a/x", 2.0, 11.0, 0], ["b/x", None, 10.0, 2]])
    assert (modes[0], modes[1][0]["mode"], modes[1][0]["reason"]) == ("modes", "auto", "new")
    await server.publish(
        "headroom", [Headroom(rack="r", at_s=1.0, power_w=math.nan, cooling_w=1, marginal_w_per_w=0, known=False)]
    )
    ((kind, body),) = await take(stream, 1)
    assert (kind, body[0]["power_w"]) == ("headroom", None)
    await stream.aclose()


async def test_a_slow_subscriber_stops_nobody_and_catches_up(serving, tmp_path):
    """A subscriber that reads nothing holds up neither the server nor others; later it is told to resync and is right."""
    server = await serving()
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "bus.sock"), limit=2**25)
    writer.write(b'{"subscribe":true}\n')
    reader._transport.pause_reading()
    quick = BusClient(tmp_path / "bus.sock").subscribe()
    await take(quick, 1)
    async with asyncio.timeout(20):
        for i in range(2000):
            await server.publish("live", [[f"p/{k}", float(i), 1.0, 0] for k in range(50)])
            kind, body = await anext(quick)
            assert (kind, body[0][1]) == ("live", float(i))
    await quick.aclose()
    await server.publish("counters", {"end": 1})
    reader._transport.resume_reading()
    seen, table, resyncs = "", {}, 0
    async with asyncio.timeout(20):
        while "end" not in seen:
            line = (await reader.readline()).decode()
            message = codec.decode(line) if line.strip() else {"kind": "", "body": []}
            resyncs += message["kind"] == "bus"
            if message["kind"] == "live":
                table.update((row[0], row[1]) for row in message["body"])
            seen = line
    assert resyncs == 1
    assert table == {f"p/{k}": 1999.0 for k in range(50)}
    writer.transport.abort()


async def test_a_table_larger_than_a_line_comes_in_pieces(serving, tmp_path, monkeypatch):
    """Published at once or in turn: a later subscriber and one that is there get every row, however many there are."""
    monkeypatch.setattr("store.bus.LIVE_AT_ONCE", 100)
    monkeypatch.setattr("store.bus.LONGEST_LINE", 10_000)
    monkeypatch.setattr("store.bus_client.LONGEST_LINE", 10_000)
    server = await serving()
    there = BusClient(tmp_path / "bus.sock").subscribe()
    await take(there, 1)
    await server.publish("live", [[f"p/{i}", float(i), 1.0, 0] for i in range(950)])
    late = BusClient(tmp_path / "bus.sock").subscribe()
    await take(late, 1)
    for stream in (there, late):
        lots = await take(stream, 10)
        assert [row[0] for _, lot in lots for row in lot] == [f"p/{i}" for i in range(950)]
        await stream.aclose()


async def test_a_line_that_is_too_long_is_a_lost_connection(serving, tmp_path, monkeypatch):
    """A subscriber is told that it is disconnected and tries again; an intent gets no answer, in words."""
    monkeypatch.setattr("store.bus.LONGEST_LINE", 10_000)
    monkeypatch.setattr("store.bus_client.LONGEST_LINE", 10_000)

    async def rant(intent):
        return Answer(accepted=True, text="x" * 30_000)

    server = await serving(rant)
    await server.publish("plans", ["x" * 30_000])
    stream = BusClient(tmp_path / "bus.sock").subscribe()
    assert await take(stream, 3) == [("bus", {"connected": state}) for state in (True, False, True)]
    await stream.aclose()
    with pytest.raises(SilentError, match="no answer"):
        await BusClient(tmp_path / "bus.sock").intent(INTENT)


async def test_subscribers_outlive_the_server(serving, tmp_path):
    """A subscriber says when the server is gone, once, and when it is back, with the news."""
    stream = BusClient(tmp_path / "bus.sock").subscribe()
    assert await take(stream, 1) == [("bus", {"connected": False})]
    for speed in ("1", "60"):
        server = BusServer(tmp_path / "bus.sock", accept)
        await server.start()
        await server.publish("clock", speed)
        assert await take(stream, 2) == [("bus", {"connected": True}), ("clock", speed)]
        await server.close()
        assert await take(stream, 1) == [("bus", {"connected": False})]
    await stream.aclose()


async def test_nobody_there_is_silent_in_words(tmp_path):
    """Without a server, and with one that never answers, an intent raises SilentError that says what to check."""
    with pytest.raises(SilentError, match="check that the edge process"):
        await BusClient(tmp_path / "bus.sock").intent(INTENT)

    async def hang(intent):
        await asyncio.sleep(60)

    server = BusServer(tmp_path / "bus.sock", hang)
    await server.start()
    with pytest.raises(SilentError, match=r"no answer within 0\.2 s; it is not known whether"):
        await BusClient(tmp_path / "bus.sock", timeout_s=0.2).intent(INTENT)
    await server.close()


async def test_a_hung_server_counts_as_gone(tmp_path, monkeypatch):
    """A server that holds the connection but says nothing (stopped, hung) is reported as not connected."""
    monkeypatch.setattr("store.bus_client.SILENCE_S", 0.3)
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(tmp_path / "bus.sock"))
        mute.listen()
        stream = BusClient(tmp_path / "bus.sock").subscribe()
        assert await take(stream, 2) == [("bus", {"connected": True}), ("bus", {"connected": False})]
        await stream.aclose()


async def test_an_idle_server_stays_connected(serving, tmp_path, monkeypatch):
    """When there is nothing to tell, pings keep a subscriber from taking the server for dead."""
    monkeypatch.setattr("store.bus_client.SILENCE_S", 0.6)
    monkeypatch.setattr("store.bus.PING_S", 0.1)
    server = await serving()
    stream = BusClient(tmp_path / "bus.sock").subscribe()
    await take(stream, 1)
    waiting = asyncio.ensure_future(take(stream, 1))
    await asyncio.sleep(1.2)
    assert not waiting.done()
    await server.publish("counters", {"reads": 1})
    assert await waiting == [("counters", {"reads": 1})]
    await stream.aclose()


async def test_a_deep_state_directory_works(serving, tmp_path):
    """A socket path longer than the kernel's 107 bytes serves and is reached."""
    folder = tmp_path / ("deep" * 20) / ("er" * 40)
    folder.mkdir(parents=True)
    assert len(str(folder / "bus.sock")) > 107
    server = await serving(path=folder / "bus.sock")
    client = BusClient(folder / "bus.sock")
    assert (await client.intent(INTENT)).accepted
    stream = client.subscribe()
    assert await take(stream, 1) == [("bus", {"connected": True})]
    await stream.aclose()
    await server.close()
    assert not (folder / "bus.sock").exists()


async def test_the_socket_of_a_killed_process_is_replaced(serving, tmp_path):
    """After kill -9 of a serving process its left-over socket does not keep the next from serving; a living one does."""
    code = (
        "import asyncio, pathlib, sys\nfrom store.bus import BusServer\n"
        "async def main():\n    s = BusServer(pathlib.Path(sys.argv[1]), None)\n    await s.start()\n"
        "    print('up', flush=True)\n    await asyncio.sleep(60)\nasyncio.run(main())"
    )
    path = tmp_path / "bus.sock"
    command = [sys.executable, "-c", code, str(path)]
    root = Path(__file__).parents[2]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=root)
    assert await process.stdout.readline() == b"up\n"
    with pytest.raises(RefusedError, match="another process listens"):
        await BusServer(path, accept).start()
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    assert path.exists()
    await serving()
    assert (await BusClient(path).intent(INTENT)).accepted
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("line", [b"nonsense\n", b'{"intent": {"kind": "fly"}}\n', b"[]\n", b"\xff\xfe\n", b"null\n"])
async def test_nonsense_is_answered_and_harms_nobody(serving, tmp_path, line):
    """A client that sends anything else is told so; the server goes on."""
    await serving()
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "bus.sock"))
    writer.write(line)
    assert b"not an intent" in await reader.readline()
    writer.transport.abort()
    assert (await BusClient(tmp_path / "bus.sock").intent(INTENT)).accepted


async def test_what_is_no_socket_is_not_removed(tmp_path):
    """A file in the socket's place is refused, not deleted."""
    (tmp_path / "bus.sock").write_text("mine")
    with pytest.raises(RefusedError, match="not a socket"):
        await BusServer(tmp_path / "bus.sock", accept).start()
    assert (tmp_path / "bus.sock").read_text() == "mine"
