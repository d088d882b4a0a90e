"""Fixtures of the command line's rooms."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path

import pytest

NAME = "coldplate_test_control_rig"
if NAME not in sys.modules:
    spec = importlib.util.spec_from_file_location(NAME, Path(__file__).with_name("control_rig.py"))
    assert spec is not None
    assert spec.loader is not None
    sys.modules[NAME] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[NAME])


@pytest.fixture(autouse=True)
def closed_stores():
    """No store of a room outlives its test: its database would be found open at any later time."""
    yield
    stores = sys.modules[NAME].STORES
    while stores:
        asyncio.run(stores.pop().close())
