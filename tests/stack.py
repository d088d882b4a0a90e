"""A whole site on loopback, as real processes: broker, simulated plant, `coldplate run`. Ends what it started."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from plant.clock import ScaledClock
from store.state import StateDir

ROOT = Path(__file__).parents[1]


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(what: Callable[[], Any], seconds: float, text: str) -> Any:
    """Poll until `what` gives something true; fail with `text` after `seconds`."""
    deadline = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError, OSError, KeyError, ValueError):
            last = what()
            if last:
                return last
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds:g} s: {text} (last seen: {last!r})")


class Stack:
    """Broker (optional), plant and run over one state directory."""

    def __init__(self, folder: Path, site: Path, speed: float, mosquitto: str | None = None) -> None:
        self.folder, self.site, self.mosquitto = folder, site, mosquitto
        self.state = folder / "state"
        StateDir(self.state)
        self.clock = ScaledClock(speed=speed)
        self.port = free_port()
        self.broker_port = free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.on_close: list[Callable[[], object]] = []

    def start(self) -> None:
        """Everything, in order; writing enabled for the plant's own endpoints as the demo does."""
        if self.mosquitto:
            self.start_broker()
        self.start_plant()
        own = [f"{host}:{port}" for host, port in self.endpoints().values()]
        (self.state / "commissioning.json").write_text(json.dumps({"endpoints": own, "start_mode": "auto"}))
        self.start_run()
        self.wait_live()

    def start_broker(self) -> None:
        """A real mosquitto that keeps an offline session's queue without a bound."""
        config = self.folder / "mosquitto.conf"
        config.write_text(
            f"listener {self.broker_port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n"
            f"max_inflight_messages 0\npersistence false\n"
        )
        assert self.mosquitto
        self._spawn("broker", [self.mosquitto, "-c", str(config)])
        wait_for(self._broker_listens, 10, "mosquitto listens")

    def _broker_listens(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.broker_port), timeout=1):
            return True

    def start_plant(self) -> None:
        """The simulated devices, on free ports where the site's are taken."""
        argv = [sys.executable, "-m", "simulator.serve", str(self.site), "--clock", self.clock.spec()]
        argv += ["--state", str(self.state), "--fallback-ports"]
        argv += ["--broker", f"127.0.0.1:{self.broker_port}"] if self.mosquitto else []
        self._spawn("plant", argv)
        wait_for((self.state / "endpoints.json").exists, 60, "the plant is ready")

    def endpoints(self) -> dict[str, tuple[str, int]]:
        """Where the simulated devices answer."""
        return json.loads((self.state / "endpoints.json").read_text())

    def start_run(self, *options: str, **environment: str) -> None:
        """`coldplate run`, with more options where given."""
        argv = [sys.executable, "-m", "cli.main", "run", str(self.site), "--state", str(self.state)]
        argv += ["--port", str(self.port), "--clock", self.clock.spec()]
        argv += ["--endpoints", str(self.state / "endpoints.json")]
        self._spawn("run", [*argv, *options], **environment)

    def _spawn(self, name: str, argv: list[str], **environment: str) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        self.processes[name] = subprocess.Popen(
            argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=ROOT, env=os.environ | environment
        )
        log.close()

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """End one of our own processes."""
        process = self.processes.pop(name)
        process.send_signal(how)
        process.wait(30)

    def get(self, path: str, **query: Any) -> Any:
        """JSON of an API path."""
        answer = httpx.get(f"http://127.0.0.1:{self.port}{path}", params=query, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: dict[str, Any], *, token: bool = True) -> httpx.Response:
        """POST, with the token of the state directory."""
        headers = {"Authorization": f"Bearer {(self.state / 'token').read_text().strip()}"} if token else {}
        return httpx.post(f"http://127.0.0.1:{self.port}{path}", json=body, headers=headers, timeout=20)

    def wait_live(self) -> None:
        """Until the page's API shows live points."""
        wait_for(lambda: self.get("/v1/status")["live_points"] > 50, 60, "live points")

    def wait_command(self) -> None:
        """Until a command was accepted since the edge's start."""
        wait_for(lambda: self.get("/v1/status")["accepted_commands"] > 0, 90, "an accepted command")

    def fault(self, line: str) -> str:
        """Tell the plant to misbehave: a line of `simulator.faults`."""
        address = json.loads((self.state / "faults.json").read_text())["address"]
        with socket.create_connection(tuple(address), timeout=5) as wire:
            wire.sendall(line.encode() + b"\n")
            return wire.recv(1000).decode()

    def conditions(self) -> set[str]:
        """Codes of the conditions that stand."""
        return {c["code"] for c in self.get("/v1/conditions")["conditions"]}

    def log(self, name: str) -> str:
        """What a process printed."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def device_events(self) -> Iterator[dict[str, Any]]:
        """The plant's own log of its devices."""
        for line in (self.state / "devices.jsonl").read_text().splitlines():
            yield json.loads(line)

    def audit(self) -> list[dict[str, Any]]:
        """The edge's audit entries."""
        paths = (self.state / "audit").glob("*.jsonl")
        return [json.loads(line) for path in paths for line in path.read_text().splitlines()]

    def close(self) -> None:
        """End everything, also where a test fell over."""
        while self.on_close:
            self.on_close.pop()()
        for name in ("run", "plant", "broker"):
            if name in self.processes:
                process = self.processes.pop(name)
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(30)
