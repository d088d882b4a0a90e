"""Shared fixtures: real programs of the distribution, and the sites that coldplate ships."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# How fast an example runs is the machine's business, and says nothing of what is tested.
settings.register_profile("coldplate", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("coldplate")

ROOT = Path(__file__).parents[1]


def load_beside(name: str, path: Path) -> ModuleType:
    """A module of the tests, whose folders are no packages; loaded once under its name."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


stack_module = load_beside("coldplate_test_stack", ROOT / "tests" / "stack.py")
peers_module = load_beside("coldplate_test_peers", ROOT / "tests" / "devices" / "wire_peers.py")

_DEBIAN_PATHS = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/sbin"])


def find_program(name: str) -> str:
    """Path of a real program; without it skip loudly, or fail where COLDPLATE_REQUIRE_REAL=1."""
    path = shutil.which(name, path=_DEBIAN_PATHS)
    if path is None:
        text = f"{name} is not installed (make test installs it where it may: apt-get install {name})"
        if os.environ.get("COLDPLATE_REQUIRE_REAL") == "1":
            pytest.fail(text)
        pytest.skip(text)
    return path


@pytest.fixture
def real_program() -> Callable[[str], str]:
    """`real_program("mosquitto")` is its path."""
    return find_program


@pytest.fixture
def certificate(tmp_path: Path) -> Callable[[str], tuple[Path, Path]]:
    """`certificate("DNS:localhost")`: a self-signed one for these names, and its key, as PEM files made by openssl."""

    def make(names: str) -> tuple[Path, Path]:
        folder = tmp_path / f"certificate-{len(list(tmp_path.glob('certificate-*')))}"
        folder.mkdir()
        words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "2"]
        words += ["-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=localhost"]
        words += ["-addext", f"subjectAltName={names}"]
        subprocess.run([find_program("openssl"), *words], check=True, capture_output=True, cwd=folder)
        return folder / "cert.pem", folder / "key.pem"

    return make


@pytest.fixture(scope="session")
def peers() -> ModuleType:
    """Raw Modbus devices, and real brokers: `peers.Peer`, `peers.serving`, `peers.Broker`."""
    return peers_module


@pytest.fixture
def broker(real_program: Callable[[str], str], tmp_path: Path) -> Iterator[Any]:
    """A running mosquitto: `peers.Broker`."""
    with peers_module.Broker(real_program("mosquitto"), tmp_path) as running:
        yield running


@pytest.fixture
def demo_site_path() -> Path:
    """The shipped demo pod."""
    return ROOT / "site-configs" / "demo-pod.yaml"


@pytest.fixture
def lab_site_path() -> Path:
    """The shipped small lab."""
    return ROOT / "site-configs" / "small-lab.yaml"


@pytest.fixture
def public_data() -> Path:
    """The folder of public data beside the project; skip without it."""
    folder = Path(os.environ.get("COLDPLATE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no public data at {folder}; set COLDPLATE_DATA")
    return folder


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--campaign`: the long versions of the fault tests."""
    parser.addoption("--campaign", action="store_true", help="run fault tests at full length")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without `--campaign` its tests are left out: minutes of waiting for what a quicker test shows in kind."""
    if config.getoption("--campaign"):
        return
    left_out = [item for item in items if item.get_closest_marker("campaign")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("campaign")]


@pytest.fixture
def make_stack(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """`make_stack(site, speed=30, mosquitto=True)`: a whole site as real processes, ended after the test."""
    stacks = []

    def make(site: Path, *, speed: float = 30.0, mosquitto: bool = False) -> Any:
        stack = stack_module.Stack(tmp_path, site, speed, find_program("mosquitto") if mosquitto else None)
        stacks.append(stack)
        stack.start()
        return stack

    yield make
    for stack in stacks:
        stack.close()
