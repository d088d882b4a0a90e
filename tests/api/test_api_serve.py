"""`coldplate serve` as a process."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from cli.listening import Listening
from cli.serve import serve
from plant.errors import ConfigError
from store.state import StateDir

ROOT = Path(__file__).parents[2]
SITE = ROOT / "site-configs" / "demo-pod.yaml"
PROGRAM = "import sys; from pathlib import Path; from cli.listening import Listening; from cli.serve import serve; serve(Path(sys.argv[1]), Path(sys.argv[2]), Listening(port=int(sys.argv[3])), until_stdin_closes=True)"


@pytest.fixture
def port() -> int:
    """A free port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@asynccontextmanager
async def served(state: Path, port: int):
    """The server in a process of its own, ended if it has not ended by itself."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, str(SITE), str(state), str(port)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ready(port: int, process: asyncio.subprocess.Process) -> httpx.Response:
    """The first answer, once it listens."""
    async with httpx.AsyncClient() as client, asyncio.timeout(30):
        while True:
            try:
                return await client.get(f"http://127.0.0.1:{port}/v1/status")
            except httpx.TransportError:
                if process.returncode is not None:
                    pytest.fail((await process.stdout.read()).decode())
                await asyncio.sleep(0.1)


async def test_it_serves_with_nothing_else_there_and_ends_with_its_parent(tmp_path, port):
    """No edge, no history: it answers, knows the state's token, and ends quietly when its standard input does."""
    token = StateDir(tmp_path).token()
    async with served(tmp_path, port) as process:
        status = (await ready(port, process)).json()
        assert (status["edge_connected"], status["store_ok"]) == (False, False)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            right = await client.post("/v1/all-to-default", headers={"Authorization": f"Bearer {token}"})
            wrong = await client.post("/v1/all-to-default", headers={"Authorization": f"Bearer {token}x"})
        assert (right.status_code, wrong.status_code) == (503, 401)
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 10) == 0
        assert await process.stdout.read() == b""


async def test_it_ends_on_sigterm_while_a_page_listens(tmp_path, port):
    """An open stream does not hold up the end."""
    async with served(tmp_path, port) as process:
        await ready(port, process)
        async with httpx.AsyncClient() as client, client.stream("GET", f"http://127.0.0.1:{port}/v1/stream") as got:
            assert got.status_code == 200
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 10) == 0


def test_a_port_in_use_is_said_in_one_line(tmp_path):
    """The message names port, host and the option that helps."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError) as caught:
            serve(SITE, tmp_path, Listening(port=port))
    text = str(caught.value)
    assert f"port {port} on 127.0.0.1" in text
    assert "in use" in text
    assert "--port" in text
    assert "\n" not in text


def test_only_loopback_names_are_allowed_unless_told_otherwise():
    """Bound to loopback only its names pass; another address adds itself, every address adds the machine's own."""
    assert Listening().allowed_hosts == {"127.0.0.1", "localhost", "::1"}
    assert "10.1.2.3" in Listening(host="10.1.2.3").allowed_hosts
    assert socket.gethostname().lower() in Listening(host="0.0.0.0").allowed_hosts
    assert "coldplate.example" in Listening(names=("Coldplate.example",)).allowed_hosts


@pytest.fixture
def pair(certificate):
    """A certificate of localhost and its key."""
    return certificate("DNS:localhost,IP:127.0.0.1")


async def test_with_a_certificate_the_command_serves_https_alone(pair, tmp_path, port):
    """Checked by who trusts it; plain http gets nothing."""
    cert, key = pair
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "cli.main",
            "serve",
            str(SITE),
            "--state",
            str(tmp_path / "state"),
            "--port",
            str(port),
        ),
        *("--tls-cert", str(cert), "--tls-key", str(key)),
        cwd=ROOT,
    )
    try:
        trusting = ssl.create_default_context(cafile=str(cert))
        async with httpx.AsyncClient(verify=trusting) as client, asyncio.timeout(30):
            while True:
                try:
                    answer = await client.get(f"https://127.0.0.1:{port}/v1/status")
                    break
                except httpx.TransportError:
                    assert process.returncode is None
                    await asyncio.sleep(0.1)
            assert answer.status_code == 200
            with pytest.raises(httpx.TransportError):
                await client.get(f"http://127.0.0.1:{port}/v1/status")
    finally:
        process.terminate()
        await process.wait()


def test_a_certificate_that_is_none_is_said_before_anything_starts(pair, tmp_path, port):
    """Without its key, with a file that is not there, with another's key."""
    cert, key = pair
    for wrong, said in (
        (Listening(port=port, tls_cert=cert), "--tls-key"),
        (Listening(port=port, tls_cert=cert, tls_key=tmp_path / "none.pem"), "none.pem"),
        (Listening(port=port, tls_cert=cert, tls_key=cert), "key it was made for"),
    ):
        with pytest.raises(ConfigError) as caught:
            wrong.check()
        assert said in str(caught.value)
    Listening(port=port, tls_cert=cert, tls_key=key).check()
