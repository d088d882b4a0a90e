"""The image that the Kubernetes deployment names: made of files that exist, whole, without rights or secrets."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "packaging" / "Containerfile").read_text("utf-8")
LINES = [line.split(maxsplit=1) for line in TEXT.splitlines() if line and not line.startswith("#")]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def given(word: str) -> list[str]:
    """What follows each such instruction."""
    return [rest for instruction, rest in LINES if instruction == word]


def copied() -> set[str]:
    """Everything that comes from the top folder."""
    own = [shlex.split(rest)[:-1] for rest in given("COPY") if not rest.startswith("--from=")]
    return {source for sources in own for source in sources}


def test_it_takes_all_that_the_wheel_is_made_of_and_nothing_else():
    """Packages, the files that pyproject.toml names, and folders that are forced in; each exists."""
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    files = {"pyproject.toml", PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]}
    assert copied() == {*wheel["packages"], *wheel["force-include"], *files}
    assert all((ROOT / source).exists() for source in copied())


def test_it_installs_what_the_adapter_needs():
    """An extra that exists, on a Python that the project allows."""
    (extra,) = re.findall(r"'\.\[(\w+)\]'", TEXT)
    assert extra == "kubernetes"
    assert extra in PROJECT["project"]["optional-dependencies"]
    for image in given("FROM"):
        version = re.search(r"python:(\d+\.\d+)-slim", image)
        assert version
        assert tuple(map(int, version[1].split("."))) >= (3, 11)


def test_it_runs_without_rights_and_is_the_one_that_is_deployed():
    """The user of the manifest, its command on the PATH, its name and version; no arguments or variables for secrets."""
    documents = yaml.safe_load_all((ROOT / "packaging" / "kubernetes" / "adapter.yaml").read_text("utf-8"))
    pod = next(d for d in documents if d["kind"] == "Deployment")["spec"]["template"]["spec"]
    assert given("USER") == [f"{pod['securityContext']['runAsUser']}:65534"]
    (container,) = pod["containers"]
    assert container["image"] == f"coldplate:{PROJECT['project']['version']}"
    assert f"-t {container['image']} ." in TEXT
    assert container["command"][0] in PROJECT["project"]["scripts"]
    assert not given("ARG")
    assert not re.search(r"(?i)token|secret|password", " ".join(given("ENV")))
