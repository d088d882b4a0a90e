"""`bench`: every figure that this project quotes."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
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
    plant: str = typer.Option("", "--plant", help="Only this plant: a name, or MODULE:FACTORY (docs/plants.md)."),
    days: int = typer.Option(0, "--days", help="Days of the year: 1, 12 weighted ones, or 365."),
    controllers: str = typer.Option("", "--controllers", help="Of bench control: only these, with commas between."),
    load: str = typer.Option("", "--load", help="Of bench control: frontier, jobs or squares (1-10 s) on every day."),
    robust: bool = typer.Option(False, "--robust", help="Of bench control: ours with bad figures and data, too."),
    write: str = typer.Option("", "--write", help="Of bench tuning: the file that keeps its tunings."),
    climate: str = typer.Option("", "--climate", help="Of bench control and tuning: only this one."),
) -> None:
    """Measure something and print the figures."""
    from benchmarks.registry import BENCHMARKS, find_benchmark, find_data

    if name not in BENCHMARKS:
        for known, text in sorted(BENCHMARKS.items()):
            print(f"{known:16} {text}")
        if not name:
            return
    run = find_benchmark(name)
    given = {"plant": plant, "days": days, "controllers": controllers, "load": load}
    given |= {"robust": robust, "write": write, "climate": climate}
    figures = run(quick, find_data(data, os.environ), **_extras(name, run, given))
    if as_json:
        print(msgspec.json.encode(figures).decode())  # what is no number is null there, as JSON wants it
        return
    width = max(map(len, figures))
    for key, value in figures.items():
        if isinstance(value, list):
            print(*table(value), sep="\n")
        else:
            print(f"{key:{width}}  {_shown(value)}")


def _extras(name: str, run: Callable[..., object], given: Mapping[str, object]) -> dict[str, object]:
    """The options that were given, if this benchmark takes them."""
    known = inspect.signature(run).parameters
    for option, value in given.items():
        if value and option not in known:
            raise ConfigError(f"bench {name} takes no --{option}", remedy="leave it out")
    return {option: value for option, value in given.items() if value}


def _shown(value: float | str) -> str:
    """Four digits, or all before the point."""
    if isinstance(value, str):
        return value
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def table(rows: Sequence[Mapping[str, float | str]]) -> list[str]:
    """Rows as lines under their column names; what a row has not is blank."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    cells = [[_shown(row.get(column, "")) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in (columns, *cells)) for i in range(len(columns))]
    numeric = [any(isinstance(row.get(column), float) for row in rows) for column in columns]
    return [
        "  ".join(
            f"{text:>{w}}" if right else f"{text:{w}}" for text, w, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in (columns, *cells)
    ]
