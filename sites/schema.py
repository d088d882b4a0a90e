"""The JSON Schema of site files, for editors and for remedies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from sites.form import SiteForm

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def site_schema() -> dict[str, Any]:
    """JSON Schema of the site file, with a description of every key."""
    schema: dict[str, Any] = SiteForm.model_json_schema(by_alias=True)
    return {"$schema": _DIALECT, **schema, "title": "coldplate site file"}


def schema_text() -> str:
    """The schema as it is committed beside the example sites."""
    return json.dumps(site_schema(), indent=2, ensure_ascii=False) + "\n"


@cache
def _schema() -> dict[str, Any]:
    return site_schema()


def schema_at(place: Sequence[str | int]) -> dict[str, Any]:
    """The part of the schema that describes a place; empty where there is none."""
    node = _schema()
    for part in place:
        node = _child(node, part)
    return node


def _child(node: dict[str, Any], part: str | int) -> dict[str, Any]:
    node = _resolved(node)
    child = node.get("items") if isinstance(part, int) else node.get("properties", {}).get(part) or _any_key(node)
    return child if isinstance(child, dict) else {}


def _any_key(node: dict[str, Any]) -> Any:
    if "patternProperties" in node:
        return next(iter(node["patternProperties"].values()))
    return node.get("additionalProperties", {})


def _resolved(node: dict[str, Any]) -> dict[str, Any]:
    reference = node.get("$ref")
    return _schema()["$defs"][reference.rpartition("/")[2]] if reference else node


def keys_at(place: Sequence[str | int]) -> list[str]:
    """The keys that may stand in the mapping at a place."""
    return list(_resolved(schema_at(place)).get("properties", {}))


def meaning_of(place: Sequence[str | int]) -> str:
    """The description of a key, first letter small, without its full stop; empty if there is none."""
    node = schema_at(place)
    text = str(node.get("description") or _resolved(node).get("description") or "")
    first = text.split("\n", maxsplit=1)[0].rstrip(".")
    return first if first[1:2].isupper() else f"{first[:1].lower()}{first[1:]}"
