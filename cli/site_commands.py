"""`coldplate validate`, `coldplate init`, `coldplate schema`: everything about site files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from plant.topology import Site
    from sites.problem import Problem


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command()(validate)
    app.command("init")(init)
    app.command("schema")(schema)


def validate(files: Annotated[list[Path], typer.Argument(help="Site files.", metavar="FILE...")]) -> None:
    """Check site files: one line for each fault, with file, line and remedy."""
    faulty = [path for path in files if not _valid(path)]
    raise typer.Exit(1 if faulty else 0)


def _valid(path: Path) -> bool:
    from sites import load_site
    from sites.check import problems

    found = problems(path)
    _print_problems(found)
    if any(p.severity == "fault" for p in found):
        return False
    typer.echo(f"{path}: ok, {_counts(load_site(path))}")
    return True


def _print_problems(found: list[Problem]) -> None:
    for problem in found:
        typer.echo(str(problem))


def _counts(site: Site) -> str:
    driven = sum(group.drivable for group in site.groups.values())
    return (
        f"{len(site.equipment)} equipment, {len(site.of_kind('rack'))} racks, {len(site.links)} links, "
        f"{len(site.points)} points, {len(site.groups)} cooling groups ({driven} drivable), {len(site.limits)} limits"
    )


def init(
    out: Annotated[Path, typer.Argument(help="The site file to write.")],
    from_csv: Annotated[Path | None, typer.Option(help="A point list: equipment,kind,profile,link,host,...")] = None,
) -> None:
    """Write a starting site file, or one made from a point list; never over an existing file."""
    from sites.starter import site_id, starting_site

    text = starting_site(site_id(out)) if from_csv is None else _from_csv(from_csv, out)
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        _stop(f"{out}: exists; give another name, or move it away")
    except OSError as error:
        _stop(f"{out}: can't be written: {error.strerror}; give a place that can be written to")
    typer.echo(f"{out}: written; edit it, then run: coldplate validate {out}")


def _from_csv(path: Path, out: Path) -> str:
    from sites.starter import site_from_csv, site_id

    text, found = site_from_csv(path, site_id(out))
    _print_problems(found)
    if not text:
        raise typer.Exit(1)
    return text


def _stop(message: str) -> None:
    typer.echo(message, err=True)
    raise typer.Exit(1)


def schema() -> None:
    """Print the JSON Schema of site files, for editors."""
    from sites.schema import schema_text

    typer.echo(schema_text(), nl=False)
