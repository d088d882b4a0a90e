"""What `bench --json` prints is JSON, whatever was measured."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from benchmarks import registry
from cli.main import app


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_null(monkeypatch, value):
    """A foreign plant may tell no hottest case: readers of JSON refuse NaN and Infinity."""

    def figures(quick, data):
        return {"hottest_c": value, "rows": [{"energy_kwh": value, "plant": "mine"}], "days": 1.0}

    monkeypatch.setattr(registry, "find_benchmark", lambda _: figures)
    result = CliRunner().invoke(app, ["bench", "control", "--json"])
    assert result.exit_code == 0

    def refused(name):
        raise AssertionError(name)

    said = json.loads(result.stdout, parse_constant=refused)
    assert said == {"hottest_c": None, "rows": [{"energy_kwh": None, "plant": "mine"}], "days": 1.0}
