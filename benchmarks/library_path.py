"""The plain way to do what the collector does, as the peer: each library used as its own documentation shows.

pymodbus reads a block, every value becomes an influxdb-client `Point`, and the client's batching sends them to a server
that takes everything and keeps nothing (in its own process).
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write.point import Point
from influxdb_client.client.write_api import WriteOptions
from pymodbus.client import AsyncModbusTcpClient

_SINK = """
import http.server
class Sink(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
print(server.server_port, flush=True)
server.serve_forever()
"""


@contextmanager
def sink() -> Iterator[int]:
    """The port of a server that answers 204 to every write."""
    with subprocess.Popen([sys.executable, "-c", _SINK], stdout=subprocess.PIPE) as server:  # noqa: S603 - ours
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.terminate()


async def read_and_send(host: str, port: int, url: str, count: int, seconds: float) -> float:
    """Points a second of CPU, reading `count` registers at a time for some seconds."""
    options = WriteOptions(batch_size=5000, flush_interval=1000)
    modbus = AsyncModbusTcpClient(host, port=port)
    await modbus.connect()
    with InfluxDBClient(url=url, token="any", org="o") as client, client.write_api(write_options=options) as api:  # noqa: S106 - nobody checks it
        points, began_cpu, end = 0, time.process_time(), time.monotonic() + seconds
        while time.monotonic() < end:
            answer = await modbus.read_holding_registers(0, count=count, device_id=1)
            for address, word in enumerate(answer.registers):
                value = modbus.convert_from_registers([word], modbus.DATATYPE.UINT16)
                assert isinstance(value, int)
                point = Point("coldplate").tag("point", f"d/p{address}")  # type: ignore[no-untyped-call]
                api.write("b", "o", point.field("value", value * 0.1))
                points += 1
    modbus.close()
    return points / (time.process_time() - began_cpu)


def points_per_s_per_core(host: str, port: int, count: int, seconds: float) -> float:
    """The peer's figure, with a sink of its own."""
    with sink() as sink_port:
        return asyncio.run(read_and_send(host, port, f"http://127.0.0.1:{sink_port}", count, seconds))
