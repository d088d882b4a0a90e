"""The Modbus client against an independent server (pymodbus): TCP, RTU over TCP, TLS with client certificates."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from contextlib import asynccontextmanager

import pytest
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer, ModbusTlsServer
from pymodbus.simulator import DataType, SimData, SimDevice

from devices.modbus import ModbusEndpoint, ModbusRefusedError
from devices.modbus_frames import crc16
from devices.modbus_options import modbus_endpoint, read_options
from devices.profiles import load_profile
from plant.errors import ConfigError, SilentError

BITS = [True, False, True, True, False, False, False, True, True, False]


def unit(number):
    """A unit with ten coils and discrete inputs, and two hundred registers of each kind."""
    return SimDevice(
        id=number,
        simdata=(
            [SimData(0, values=BITS, datatype=DataType.BITS)],
            [SimData(0, values=BITS[::-1], datatype=DataType.BITS)],
            [SimData(0, values=[number * 1000 + i for i in range(200)], datatype=DataType.REGISTERS)],
            [SimData(0, values=[number * 2000 + i for i in range(200)], datatype=DataType.REGISTERS)],
        ),
    )


@asynccontextmanager
async def serving(kind, peers, **options):
    """An independent server on a free port."""
    port = peers.free_port()
    server = kind([unit(1), unit(2)], address=("127.0.0.1", port), **options)
    await server.serve_forever(background=True)
    try:
        yield port
    finally:
        await server.shutdown()


@pytest.mark.parametrize("framing", ["tcp", "rtu"])
async def test_an_independent_server_is_read_and_written(peers, framing):
    """All tables, the largest block, single and multiple writes, refusals; two units over one connection."""
    framer = {"tcp": FramerType.SOCKET, "rtu": FramerType.RTU}[framing]
    async with serving(ModbusTcpServer, peers, framer=framer) as port:
        link = modbus_endpoint("127.0.0.1", port, {"framing": framing}, [], "link")
        assert await link.read(1, "coil", 0, 10) == [int(b) for b in BITS]
        assert await link.read(1, "discrete", 1, 9) == [int(b) for b in BITS[::-1][1:]]
        assert await link.read(1, "holding", 0, 125) == [1000 + i for i in range(125)]
        assert await link.read(2, "input", 70, 4) == [4070, 4071, 4072, 4073]
        await link.write(2, 5, [99])
        await link.write(2, 6, [98, 97])
        assert await link.read(2, "holding", 4, 5) == [2004, 99, 98, 97, 2008]
        with pytest.raises(ModbusRefusedError, match="illegal data address"):
            await link.read(1, "holding", 300, 2)
        assert await link.read(1, "holding", 7, 1) == [1007]
        await link.close()


@asynccontextmanager
async def serial_gateway(answer):
    """A dumb serial device server: hands out what the line says."""
    tasks = set()

    async def serve(reader, writer):
        tasks.add(asyncio.current_task())
        while data := await reader.read(300):
            for delay_s, part in answer(data):
                await asyncio.sleep(delay_s)
                writer.write(part)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.wait(tasks)


def rtu(*octets):
    """A serial frame."""
    return bytes(octets) + crc16(bytes(octets)).to_bytes(2, "little")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda _: [(0, rtu(1, 3, 2, 0, 7)[:-1] + b"\x00")], "CRC"),
        (lambda _: [(0, rtu(1, 3, 2, 0, 7) + b"\x00")], "more than"),
        (lambda _: [(0, rtu(2, 3, 2, 0, 7))], "unit 2"),
        (lambda _: [(0, rtu(1, 4, 2, 0, 7))], "function 4"),
        (lambda _: [(0, rtu(1, 3, 2, 0, 7)[:4])], "within"),
        (lambda _: [(0.15, rtu(1, 3, 2, 0, 9))], "within"),
    ],
)
async def test_a_spoiled_serial_frame_is_no_value_and_costs_the_connection(answer, why):
    """RTU frames carry no ids: after anything odd the connection goes, and a late answer with it."""
    answers = [answer, lambda _: [(0, part) for part in (rtu(1, 3, 2, 0, 8)[:1], rtu(1, 3, 2, 0, 8)[1:])]]
    async with serial_gateway(lambda data: answers.pop(0)(data)) as port:  # noqa: PLW0108 - one answer a request
        link = ModbusEndpoint("127.0.0.1", port, timeout_s=0.1, rtu=True)
        with pytest.raises(SilentError, match=why):
            await link.read(1, "holding", 0, 1)
        assert not link.connected
        assert await link.read(1, "holding", 1, 1) == [8]
        await link.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A certificate authority, a device's certificate for 127.0.0.1, a client's, and a stranger's."""
    folder = tmp_path_factory.mktemp("certificates")

    def make(openssl):
        def ssl_tool(*arguments):
            subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True)

        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
        for ca in ("ca", "other"):
            usage = ("-addext", "keyUsage=critical,keyCertSign")
            ssl_tool("req", "-x509", *key, *usage, "-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-subj", f"/CN={ca}")
        for name, ca in (("device", "ca"), ("client", "ca"), ("stranger", "other")):
            (folder / "ext").write_text("subjectAltName=IP:127.0.0.1,DNS:cdu-1.plant\n")
            ssl_tool("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
            ssl_tool(
                *("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial"),
                *("-days", "2", "-extfile", "ext", "-out", f"{name}.pem"),
            )
        return folder

    return make


@pytest.mark.real
async def test_tls_wants_the_right_certificates_on_both_sides(peers, authority, real_program):
    """With the plant's certificates values flow; a stranger's client, or a device of another authority, is told apart."""
    folder = authority(real_program("openssl"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "device.pem", folder / "device.key")
    context.verify_mode = ssl.CERT_REQUIRED

    def options(ca="ca", own="client", **more):
        own_files = {"tls_cert": str(folder / f"{own}.pem"), "tls_key": str(folder / f"{own}.key")} if own else {}
        return {"tls_ca": str(folder / f"{ca}.pem"), **own_files, **more}

    async with serving(ModbusTlsServer, peers, framer=FramerType.SOCKET, sslctx=context) as port:
        for good in (options(), options(tls_name="cdu-1.plant")):
            link = modbus_endpoint("127.0.0.1", port, good, [], "link")
            assert await link.read(2, "holding", 3, 2) == [2003, 2004]
            await link.close()
        for bad, why in (
            (options(ca="other"), "TLS failed, .*(certificate|issuer)"),
            (options(tls_name="cdu-2.plant"), "TLS failed, .*(mismatch|not valid)"),
            (options(own="stranger"), "TLS failed|no valid answer"),
            (options(own=""), "TLS failed|no valid answer"),
            ({}, "no valid answer"),
        ):
            link = modbus_endpoint("127.0.0.1", port, {"timeout_s": 0.5} | bad, [], "link")
            with pytest.raises(SilentError, match=why):
                await link.read(2, "holding", 3, 2)
            await link.close()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"framing": "ascii"}, "framing is 'ascii'; use tcp, or rtu"),
        ({"speed": 1}, "unknown option 'speed'; use framing"),
        ({"pause_s": "long"}, "pause_s is 'long'; give seconds"),
        ({"pause_s": True}, "pause_s is True"),
        ({"timeout_s": 0}, "timeout_s is 0"),
        ({"tls_ca": 7}, "tls_ca is 7; give a text"),
        ({"tls_cert": "x.pem"}, "TLS without an authority; add tls_ca"),
        ({"tls_ca": "a.pem", "tls_key": "x.pem"}, "tls_key without tls_cert"),
        ({"tls_ca": "a.pem", "framing": "rtu"}, "RTU frames do not travel over TLS"),
        ({"tls_ca": "/nowhere/ca.pem"}, "TLS files /nowhere/ca.pem: No such file"),
    ],
)
def test_wrong_link_options_are_told_with_a_remedy(options, why):
    """A setting that can't work is refused before anything is connected."""
    with pytest.raises(ConfigError, match=f"^site.yaml: link a: {why}"):
        modbus_endpoint("127.0.0.1", 502, options, [], "site.yaml: link a")


def test_the_longest_pause_counts():
    """Of the pauses of a link and of its devices' profiles the longest is kept."""
    slow = load_profile("generic-cdu").model_copy(update={"pause_s": 0.04, "connect_delay_s": 0.2})
    link = modbus_endpoint("h", 1, {"pause_s": 0.01, "connect_delay_s": 0.5}, [slow, load_profile("generic-cdu")], "")
    assert (link.pause_s, link.connect_delay_s) == (0.04, 0.5)
    assert read_options({}, "").timeout_s == 1.0
