"""Peers of the wire tests: `peers.Peer`, `peers.serving`, `peers.Broker`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

_PATH = Path(__file__).parents[1] / "devices" / "wire_peers.py"


@pytest.fixture(scope="session")
def peers():
    """Raw Modbus devices, and real brokers."""
    name = "coldplate_test_peers"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, _PATH)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]
