"""Real servers of the distribution for stores to talk to: on loopback, own ports, own folders, ended afterwards."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from plant.errors import ConfigError

READY_S = 30.0
_PATHS = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/sbin"])
_INFLUX_CONF = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
[monitor]
  store-enabled = false
"""


def program(name: str) -> str | None:
    """Where a program of the distribution is; None where it is not installed."""
    return shutil.which(name, path=_PATHS)


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


class StoreServer:
    """One server process; `start` again after `kill` or `stop` finds the same data at the same address."""

    def __init__(self, command: list[str], folder: Path, port: int, ready: str) -> None:
        self._command, self._folder, self._ready = command, folder, ready
        self.port, self.url = port, f"http://127.0.0.1:{port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers.

        Raises:
            ConfigError: it does not come up.
        """
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self._folder)  # noqa: S603
        deadline = time.monotonic() + READY_S
        while self.get(self._ready) is None:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise ConfigError(f"{self._command[0]} did not start", where=str(self._folder / "server.log"))
            time.sleep(0.05)

    def get(self, path: str) -> bytes | None:
        """One answer; None where there is none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            body = reply.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        return body if reply.status < 300 else None

    def kill(self) -> None:
        """As by a power cut."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """In an orderly way."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None


def influxd(path: str, folder: Path) -> StoreServer:
    """InfluxDB 1.x."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    text = _INFLUX_CONF.format(rpc=free_port(), port=port, folder=folder)
    (folder / "influxdb.conf").write_text(text, encoding="utf-8")
    return StoreServer([path, "-config", str(folder / "influxdb.conf")], folder, port, "/ping")


def victoria(path: str, folder: Path, *flags: str) -> StoreServer:
    """VictoriaMetrics, one process, with samples kept for a hundred years unless the flags say otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    own = [f"-storageDataPath={folder}/data", f"-httpListenAddr=127.0.0.1:{port}", "-loggerLevel=ERROR"]
    kept = [] if any(f.startswith("-retentionPeriod") for f in flags) else ["-retentionPeriod=100y"]
    return StoreServer([path, *own, *kept, *flags], folder, port, "/health")
