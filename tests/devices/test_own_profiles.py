"""A site's own profiles, from a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from devices.profiles import load_profile, profile_names, read_profile, shipped_names
from plant.errors import ConfigError
from sites import load_site

SHIPPED = Path(__file__).parents[2] / "devices" / "models" / "generic-chiller.yaml"
SITE = Path(__file__).parents[1] / "sites" / "base-site.yaml"


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Write one's own profile: a generic chiller under another name."""
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.setenv("COLDPLATE_PROFILES", str(folder))

    def write(file, name):
        text = SHIPPED.read_text(encoding="utf-8").replace("profile: generic-chiller", f"profile: {name}")
        (folder / f"{file}.yaml").write_text(text, encoding="utf-8")

    yield write
    load_profile.cache_clear()


def test_an_own_profile_is_known_by_its_files_name(own, tmp_path):
    """It stands among the shipped ones, and a site file can use it."""
    own("our-chiller", "our-chiller")
    assert set(profile_names()) - set(shipped_names()) == {"our-chiller"}
    assert load_profile("our-chiller").points == load_profile("generic-chiller").points
    path = tmp_path / "site.yaml"
    line = (
        "  - {id: chiller, kind: chiller, sources: [{profile: our-chiller, link: facility, unit: 9}], feeds: [pump]}\n"
    )
    path.write_text(SITE.read_text(encoding="utf-8").replace("equipment:\n", "equipment:\n" + line), encoding="utf-8")
    assert "chiller/load" in load_site(path).points


def test_a_shipped_name_cannot_be_taken(own):
    """What a shipped name means does not depend on the environment."""
    own("generic-pump", "x")
    own("generic-cdu", "generic-cdu")
    assert load_profile("generic-cdu") == read_profile(SHIPPED.with_name("generic-cdu.yaml"))


def test_a_name_that_differs_from_its_file_is_refused(own):
    """One name, or people would look for the wrong file."""
    own("a", "b")
    with pytest.raises(ConfigError, match=r"a\.yaml: the profile calls itself 'b'; write `profile: a`"):
        load_profile("a")


def test_without_a_folder_there_are_only_the_shipped_ones(monkeypatch):
    """The variable may be unset or empty."""
    monkeypatch.setenv("COLDPLATE_PROFILES", "")
    assert profile_names() == shipped_names()
    with pytest.raises(ConfigError, match="unknown profile 'our-chiller'"):
        load_profile("our-chiller")
