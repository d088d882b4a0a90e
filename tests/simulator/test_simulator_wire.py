"""The simulated devices over real sockets: Modbus TCP, MQTT, the process itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import pytest

from devices import dsx, gpu
from devices.links import ModbusDevice
from devices.modbus import ModbusEndpoint, ModbusRefusedError
from devices.profiles import load_profile
from plant.clock import ScaledClock
from plant.errors import ConfigError, SilentError
from plant.topology import Site
from simulator.faults import Faults
from simulator.serve import run_from, serve_plant
from sites import load_site

ROOT = Path(__file__).parents[2]
SUMMER_S = 1_783_900_800.0


@pytest.fixture(scope="module")
def demo() -> Site:
    """The demo pod."""
    return load_site(ROOT / "site-configs" / "demo-pod.yaml")


class Served:
    """A plant that is being served."""

    def __init__(self, endpoints, faults: Faults) -> None:
        self.endpoints, self.faults = endpoints, faults

    def modbus(self, link: str, timeout_s: float = 5.0) -> ModbusEndpoint:
        """A client of one link."""
        return ModbusEndpoint(*self.endpoints[link], timeout_s=timeout_s)


@contextlib.asynccontextmanager
async def serving(site: Site, speed: float = 20.0, **options) -> AsyncIterator[Served]:
    """Serve a site on free ports."""
    ready: asyncio.Future = asyncio.get_running_loop().create_future()
    clock, faults = ScaledClock(speed, origin_epoch_s=SUMMER_S), Faults()
    ports = dict.fromkeys(site.links, 0)
    task = asyncio.create_task(
        serve_plant(site, clock, **{"ports": ports, "faults": faults, "ready": ready.set_result, **options})
    )
    done, _ = await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED, timeout=30)
    if task in done:
        task.result()
    try:
        yield Served(await ready, faults)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_foreign_client_reads_and_drives(demo, tmp_path):
    """Pymodbus reads the registers of the profile, takes control, is refused what is out of range, and the log tells."""
    async with serving(demo, log_path=tmp_path / "devices.jsonl") as served:
        wire = served.modbus("cdu-1")
        cdu = ModbusDevice(wire, "cdu-1", load_profile("generic-cdu"), 1)
        supply = (await wire.read(1, "input", 0, 24))[0]
        assert 31.0 < supply * 0.01 < 33.0
        for name, value in (("remote_enable", 1.0), ("heartbeat", 5.0), ("supply_temperature_setpoint", 33.5)):
            assert await cdu.write(f"cdu-1/{name}", value) == value
        assert await cdu.read_back("cdu-1/supply_temperature_setpoint") == 33.5
        assert (await wire.read(1, "input", 19, 2)) == [1, 3350]
        with pytest.raises(ModbusRefusedError, match="exception 3"):
            await wire.write(1, 103, [6000])
        await wire.close()
    events = [json.loads(line) for line in (tmp_path / "devices.jsonl").read_text().splitlines()]
    assert [e["event"] for e in events].count("refused") == 1
    assert any(e["event"] == "control_source" and e["values"]["to"] == "remote" for e in events)
    assert set(events[0]) == {"t", "mono", "device", "event", "values"}


async def test_exceptions_of_the_protocol(demo):
    """Unknown addresses, read-only registers, foreign functions and absent units get their exception codes."""
    async with serving(demo) as served:
        wire = served.modbus("cdu-1")
        for code, asked in (
            (2, wire.read(1, "input", 30, 2)),
            (2, wire.read(1, "coil", 0, 1)),
            (2, wire.write(1, 105, [30])),
            (2, wire.write(1, 0, [30])),
        ):
            with pytest.raises(ModbusRefusedError) as refused:
                await asked
            assert refused.value.code == code
        with pytest.raises(SilentError, match="exception 11"):
            await wire.read(9, "input", 0, 1)
        await wire.close()
        raw_reader, raw_writer = await asyncio.open_connection(*served.endpoints["cdu-1"])
        raw_writer.write(bytes.fromhex("000700000006012b00000000"))
        assert (await raw_reader.readexactly(9))[7:] == bytes((0x2B | 0x80, 1))
        raw_writer.close()


async def test_many_units_and_growing_energy(demo):
    """Eight meters answer behind one port, and their energy registers only grow."""
    async with serving(demo, speed=120.0) as served:
        wire = served.modbus("meters")
        first = [await wire.read(unit, "input", 2, 4) for unit in range(1, 9)]
        await asyncio.sleep(1.0)
        second = [await wire.read(unit, "input", 2, 4) for unit in range(1, 9)]
        assert all(b >= a for a, b in zip(first, second, strict=True))
        assert second[0] > first[0]
        await wire.close()


async def test_faults_over_the_wire(demo):
    """Silence, a missing value and all ones are injected by lines over TCP, and taken back."""
    async with serving(demo) as served:
        wire = served.modbus("cdu-2", timeout_s=0.5)
        reader, writer = await asyncio.open_connection(*served.endpoints["faults"])

        async def tell(line: str) -> str:
            writer.write(line.encode() + b"\n")
            return (await reader.readline()).decode().strip()

        assert await tell("silence cdu-2") == "ok"
        with pytest.raises(SilentError):
            await wire.read(1, "input", 0, 1)
        assert await tell("resume cdu-2") == "ok"
        assert await tell("0xffff cdu-2/tcs_supply_temperature") == "ok"
        assert await tell("nan cdu-2/tcs_flow") == "ok"
        assert await wire.read(1, "input", 0, 1) == [0xFFFF]
        assert (await wire.read(1, "input", 8, 2))[0] & 0x7FC0 == 0x7FC0
        assert (await tell("frobnicate")).startswith("error: unknown fault")
        writer.close()
        await wire.close()


async def test_a_port_in_use_is_named_or_replaced(demo):
    """A taken port is an error that names it, or with fallback a free one is taken and reported."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = dict.fromkeys(demo.links, 0) | {"cdu-1": port}
        with pytest.raises(ConfigError, match=f"link cdu-1: port {port}.*change the link's port"):
            async with serving(demo, ports=ports):
                pass
        async with serving(demo, ports=ports, fallback_ports=True) as served:
            assert served.endpoints["cdu-1"][1] != port


async def test_the_bus_speaks_dsx_and_gpu(demo):
    """Metadata is retained, values, heartbeat and all GPUs come, and silent racks say nothing."""
    async with serving(demo, speed=20.0) as served:
        served.faults.silent.add("rack-08")
        await asyncio.sleep(1.5)
        metadata, values, beats, gpus = {}, {}, 0, set()
        async with aiomqtt.Client(*served.endpoints["bms"]) as client, asyncio.timeout(20):
            await client.subscribe(dsx.SUBSCRIPTION)
            await client.subscribe(gpu.subscription(demo.id), qos=1)
            async for message in client.messages:
                text = str(message.topic)
                if text.startswith("coldplate/"):
                    node = gpu.decode(text, message.payload)
                    gpus |= {(node.rack, index) for index in node.gpus}
                elif (topic := dsx.parse_topic(text)).point_type == dsx.HEARTBEAT_POINT:
                    beats += topic.kind == dsx.VALUE
                elif topic.kind == dsx.METADATA:
                    assert message.retain
                    metadata[topic.key] = dsx.decode_metadata(message.payload)
                else:
                    values[topic.key] = dsx.decode_value(message.payload)
                if beats > 1 and len(gpus) >= 7 * 72 and len(metadata) >= 62 and len(values) > 3:
                    break
    assert not any(rack == "rack-08" for rack, _ in gpus)
    assert set(values) <= set(metadata)
    assert all(value.good and value.time_s > SUMMER_S for value in values.values())
    rack = next(m for m in metadata.values() if m.point_type == "RackLiquidFlow")
    assert rack.names[0].startswith("R0")
    assert dsx.match(rack, load_profile("dsx-rack"))[0].name == "liquid_flow"


@pytest.mark.parametrize("how", ["sigterm", "stdin"])
async def test_the_process_says_where_it_is_and_ends_cleanly(tmp_path, how):
    """`python -m simulator.serve` writes its addresses when it is ready, and SIGTERM or the end of stdin ends it with 0."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulator.serve", str(ROOT / "site-configs" / "small-lab.yaml")),
        *("--clock", ScaledClock(10.0).spec(), "--state", str(tmp_path), "--fallback-ports"),
        *(["--until-stdin-closes"] if how == "stdin" else []),
        stdin=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    async with asyncio.timeout(40):
        while not (tmp_path / "endpoints.json").exists():
            assert process.returncode is None
            await asyncio.sleep(0.1)
    endpoints = {
        link: tuple(address) for link, address in json.loads((tmp_path / "endpoints.json").read_text()).items()
    }
    assert set(endpoints) == {"cdu", "sidecar", "facility", "meters", "bms"}
    wire = ModbusEndpoint(*endpoints["sidecar"], timeout_s=5.0)
    assert 300 < (await wire.read(12, "holding", 0x9001, 1))[0] < 420
    await wire.close()
    if how == "sigterm":
        process.send_signal(signal.SIGTERM)
    else:
        process.stdin.close()
    async with asyncio.timeout(15):
        assert await process.wait() == 0


def test_serving_where_a_port_is_taken_is_one_sentence(demo_site_path, tmp_path, capsys):
    """Which link's port, and what to do; no traceback."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        text = demo_site_path.read_text("utf-8")
        port = next(link.port for link in load_site(demo_site_path).links.values() if link.transport == "modbus-tcp")
        site = tmp_path / "site.yaml"
        site.write_text(text.replace(str(port), str(held.getsockname()[1])), "utf-8")
        assert run_from([str(site), "--state", str(tmp_path / "state")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
