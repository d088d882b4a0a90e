"""Site data written as a site file for people: comments, one line an equipment."""

from __future__ import annotations

import json
import re
from typing import Any

_TOP = """\
# yaml-language-server: $schema=site.schema.json
# Made from a point list by `coldplate init`. Edit what says placeholder, then run `coldplate validate` on it.
# A site file never enables writing; every loop starts in advisory mode.
schema: 1
"""
_GROUPS = """\
# What is commanded together. Without a group coldplate only watches. Take off the #, fill in the design:
cooling_groups: []
"""
_LIMITS = """\
# Bounds that must hold, e.g. - {id: tcs-supply, quantity: tcs_supply_temperature, min: 20, max: 43, source: vendor}
limits: []
"""
_PLAIN = re.compile(r"^[A-Za-z][A-Za-z0-9_.-]*\Z")
_RESERVED = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_COMMANDS = {
    "supply_temperature": ("supply_temperature_setpoint", "supply_temperature_c"),
    "differential_pressure": ("differential_pressure_setpoint", "differential_pressure_pa"),
}


def site_text(data: dict[str, Any]) -> str:
    """A site file's text; all scalars are written as JSON, which YAML reads the same."""
    head = [f"  {key}: {_flow(value)}" for key, value in data["site"].items()]
    links = [f"  {_flow(name)}: {_flow(link)}" for name, link in data["links"].items()]
    equipment = [f"  - {_flow({k: v for k, v in e.items() if v})}" for e in data["equipment"]]
    parts = [
        _TOP,
        _section("site", head),
        _section("links", links) if links else "links: {}\n",
        _section("equipment", equipment),
        _GROUPS + _group_hint(data),
        _LIMITS,
        "".join(f"{key}: {_flow(data[key])}\n" for key in ("tariff", "carbon")),
    ]
    return "\n".join(parts)


def _section(name: str, lines: list[str]) -> str:
    return "\n".join([f"{name}:", *lines]) + "\n"


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    plain = isinstance(value, str) and _PLAIN.match(value) and value.lower() not in _RESERVED
    return str(value) if plain else json.dumps(value, ensure_ascii=isinstance(value, str) and not value.isprintable())


def _group_hint(data: dict[str, Any]) -> str:
    members = [e["id"] for e in data["equipment"] if e["kind"] == "cdu"]
    if not members:
        return ""
    lines = ["  - id: tcs", f"    members: {_flow(members)}", f"    master: {_flow(members[0])}"]
    commands = ", ".join(f"{role}: {members[0]}/{point}" for role, (point, _) in _COMMANDS.items())
    design = ", ".join(f"{key}: " for _, key in _COMMANDS.values())
    lines += [f"    commands: {{{commands}}}", f"    design: {{{design}}}", "    writable:"]
    lines += [f"      {role}: {{min: , max: , max_step: , min_dwell_s: 300, source: }}" for role in _COMMANDS]
    return "".join(f"#{line}\n" for line in lines)
