"""The house rules: floors, types, style, and that our top-level names are ours alone."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ROOMS = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    """A tool of the environment, run in the checkout."""
    return subprocess.run([str(BIN / argv[0]), *argv[1:]], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "command",
    [
        ("lint-imports", "--no-cache"),
        ("mypy",),
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
    ],
    ids=" ".join,
)
def test_the_tools_agree(command: tuple[str, ...]) -> None:
    """Floors, strict types, lint and format hold over the whole tree."""
    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_ours_typed_and_described(room: str) -> None:
    """Each top-level package comes from coldplate alone, is typed, and says what it is."""
    owners = importlib.metadata.packages_distributions().get(room, ["coldplate"])
    assert set(owners) == {"coldplate"}
    assert (ROOT / room / "py.typed").exists()
    assert (ROOT / room / "__init__.py").read_text(encoding="utf-8").startswith('"""')


def test_nothing_speaks_of_this_machine() -> None:
    """No tracked file names a machine path."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    pattern = re.compile(r"(?<![\w.])/(?:work|root)/")
    texts = (p for p in tracked if p.endswith((".py", ".md", ".yaml", ".toml", ".ts", ".svelte", ".css", ".service")))
    hits = [p for p in texts if p != "tests/house/test_house.py" and pattern.search((ROOT / p).read_text("utf-8"))]
    assert hits == []


def test_version_stands_in_the_changelog() -> None:
    """The package's version, or an Unreleased heading, is in the changelog."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "[Unreleased]" in text or f"[{PROJECT['project']['version']}]" in text
