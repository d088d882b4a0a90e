"""A YAML file with the line of everything in it, also of what merge keys (`<<`) brought in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from plant.errors import ConfigError

Place = Sequence[str | int]
"""The way to one value: keys and indexes from the top, e.g. ("equipment", 3, "feeds")."""

_MAX_BYTES = 5_000_000
_START = "start with `coldplate init OUT.yaml`"
_FIX_YAML = "correct the YAML there; strings with ': ' or '#' need quotes"


@dataclass(frozen=True)
class Document:
    """A file's data (plain dicts and lists) and the node tree that knows the lines."""

    path: str
    data: dict[str, Any]
    root: Node

    def where(self, place: Place) -> str:
        """`file:line` of the deepest part of `place` that the file has."""
        node, line = self.root, self.root.start_mark.line
        for part in place:
            entry = _entry(node, part)
            if entry is None:
                break
            line, node = entry
        return f"{self.path}:{line + 1}"

    def entries(self, place: Place) -> dict[str, str]:
        """`file:line` of each entry of the mapping at `place`; empty where there is none."""
        node: Node = self.root
        for part in place:
            entry = _entry(node, part)
            if entry is None:
                return {}
            node = entry[1]
        pairs = node.value if isinstance(node, MappingNode) else []
        return {key.value: f"{self.path}:{key.start_mark.line + 1}" for key, _ in pairs if isinstance(key, ScalarNode)}


def _entry(node: Node, part: str | int) -> tuple[int, Node] | None:
    """Line and node of one entry; of a repeated key the last, since merged keys come first and own keys override."""
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        child = node.value[part]
        return child.start_mark.line, child
    if isinstance(node, MappingNode):
        for key, value in reversed(node.value):
            if isinstance(key, ScalarNode) and key.value == str(part):
                return key.start_mark.line, value
    return None


def read_document(path: str | Path, what: str = "site file", start: str = _START) -> Document:
    """The file at `path`; `what` it should be and how to `start` one, for messages.

    Raises:
        ConfigError: it can't be read, is not YAML, or is no mapping.
    """
    name = str(path)
    root, data = _parse(_text(Path(path), what), name)
    if root is None or not isinstance(data, dict):
        raise ConfigError(f"a {what} must be a mapping of keys at its top", where=f"{name}:1", remedy=start)
    return Document(path=name, data=data, root=root)


def _text(path: Path, what: str) -> str:
    try:
        raw = path.read_bytes()
        if len(raw) > _MAX_BYTES:
            remedy = f"give a {what}"
            raise ConfigError(f"larger than {_MAX_BYTES} bytes, so no {what}", where=f"{path}:1", remedy=remedy)
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError("not UTF-8 text", where=f"{path}:{line}", remedy="save the file as UTF-8") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"can't be read: {reason}", where=str(path), remedy=f"give the path of a {what}") from error


def _parse(text: str, name: str) -> tuple[Node | None, Any]:
    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(text)
        return root, None if root is None else yaml.constructor.construct_document(root)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        message = f"not YAML: {error.problem or error.context or 'malformed'}"
        raise ConfigError(_one_line(message), where=f"{name}:{line}", remedy=_FIX_YAML) from error
    except (YAMLError, ValueError, RecursionError, TypeError, LookupError, AttributeError, AssertionError) as error:
        # ruamel lets a few plain exceptions escape for odd tags, escapes and endless nesting.
        raise ConfigError(_one_line(f"not YAML: {error}"), where=f"{name}:1", remedy=_FIX_YAML) from error


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
