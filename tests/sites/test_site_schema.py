"""The exported schema agrees with the loader and with the committed file."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from sites.schema import schema_text, site_schema

FOLDER = Path(__file__).parents[2] / "site-configs"


def test_the_committed_schema_is_current() -> None:
    """Whoever changes the form also writes the schema anew: coldplate schema > site-configs/site.schema.json."""
    assert (FOLDER / "site.schema.json").read_text(encoding="utf-8") == schema_text()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda p: p.stem)
def test_an_editor_finds_no_fault_in_a_shipped_site(path: Path) -> None:
    """The schema takes what the loader takes, and refuses an unknown key."""
    jsonschema.Draft202012Validator.check_schema(site_schema())
    validator = jsonschema.Draft202012Validator(site_schema())
    data = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    assert not list(validator.iter_errors(data))
    assert list(validator.iter_errors(data | {"enable_writing": True}))


def test_every_key_is_described() -> None:
    """An editor can say what each key means and in which unit."""
    schema = site_schema()
    for name, definition in [("site file", schema), *schema["$defs"].items()]:
        for key, field in definition.get("properties", {}).items():
            referred = schema["$defs"].get(field.get("$ref", "").rpartition("/")[2], {})
            assert field.get("description") or referred.get("description"), f"{name}: {key} has no description"
