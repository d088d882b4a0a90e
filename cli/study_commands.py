"""`bench`: every figure that this project quotes."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import typer

from plant.errors import ConfigError


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("bench")(bench)


def bench(
    name: str = typer.Argument("", help="Which figures; without a name, the list."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on standard output."),
    quick: bool = typer.Option(False, "--quick", help="A short run with rougher figures."),
    data: Path | None = typer.Option(None, "--data", help="Public data; else $COLDPLATE_DATA, else ../shared/data."),
) -> None:
    """Measure something and print the figures."""
    from benchmarks.registry import BENCHMARKS, find_data

    if name not in BENCHMARKS:
        for known, (_, text) in sorted(BENCHMARKS.items()):
            print(f"{known:16} {text}")
        if name:
            raise ConfigError(f"unknown benchmark {name!r}", remedy=f"use one of {', '.join(sorted(BENCHMARKS))}")
        return
    run, _ = BENCHMARKS[name]
    figures = run(quick, find_data(data, os.environ))
    if as_json:
        json.dump(figures, sys.stdout)
        print()
        return
    width = max(map(len, figures))
    for key, value in figures.items():
        print(f"{key:{width}}  {value:,.4g}" if isinstance(value, float) else f"{key:{width}}  {value}")
