"""The `coldplate` command. Errors are one line on standard error and exit status 2."""

from __future__ import annotations

import sys
from importlib.metadata import version

import typer

from cli import (
    audit_commands,
    commission_command,
    device_commands,
    doctor,
    grid_commands,
    k8s_commands,
    operate_commands,
    pool_commands,
    run_commands,
    shed_commands,
    site_commands,
    slurm_commands,
    study_commands,
)
from plant.errors import ColdplateError

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown"
)
for commands in (
    run_commands,
    operate_commands,
    doctor,
    site_commands,
    device_commands,
    study_commands,
    commission_command,
    audit_commands,
    pool_commands,
    slurm_commands,
    k8s_commands,
    shed_commands,
    grid_commands,
):
    commands.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"coldplate {version('coldplate')}")
        raise typer.Exit


@app.callback()
def coldplate(
    show_version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print it."),
) -> None:
    """Energy controller for liquid-cooled AI and HPC datacenters."""
    del show_version


def main() -> None:
    """Entry point."""
    try:
        app()
    except ColdplateError as error:
        print(f"coldplate: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
