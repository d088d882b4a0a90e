"""Names of many hosts in one word, as Slurm writes them: gpu[001-003,7] is gpu001, gpu002, gpu003, gpu7."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping

from plant.errors import ConfigError

MOST_HOSTS = 20_000
_PARTS = re.compile(r"\[([^\[\]]*)\]")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?$")


def hosts(expression: str) -> tuple[str, ...]:
    """The names, in order.

    Raises:
        ConfigError: a bracket holds no numbers or ranges, or there are too many.
    """
    texts = _PARTS.split(expression)
    choices = [_numbers(text, expression) if i % 2 else [text] for i, text in enumerate(texts)]
    if not expression or any(c in "[]," or c.isspace() for text in texts[::2] for c in text):
        raise ConfigError(f"{expression!r} is no list of hosts", remedy="write one word such as gpu[001-018]")
    found = tuple("".join(parts) for parts in itertools.islice(itertools.product(*choices), MOST_HOSTS + 1))
    if len(found) > MOST_HOSTS:
        raise ConfigError(f"{expression!r} names more than {MOST_HOSTS} hosts", remedy="write fewer")
    return found


def names_there(names: Mapping[str, str], nodes: Iterable[str]) -> dict[str, str]:
    """What a cluster calls nodes that it calls otherwise: ranges for ranges, as {"gpu[1-2]": "ip-10-0-0-[1-2]"}.

    nodes: all that it may have, so that no two of them are called the same there.

    Raises:
        ConfigError: a word is no list of hosts, ranges differ in length, a node would have no name or two, or two
            nodes one.
    """
    found: dict[str, str] = {}
    for node, own in names.items():
        if not own:
            raise ConfigError(f"{node!r} has an empty name there", remedy="give each node one name")
        many, as_many = hosts(node), hosts(own)
        if len(many) != len(as_many):
            message = f"{node!r} is {len(many)} nodes and {own!r} is {len(as_many)}"
            raise ConfigError(message, remedy="write ranges of one length")
        twice = next((n for n in many if n in found), None)
        if twice is not None:
            raise ConfigError(f"node {twice!r} has two names there", remedy="give each node one name")
        found |= zip(many, as_many, strict=True)
    called: dict[str, str] = {}
    for node in dict.fromkeys((*found, *nodes)):
        own = found.get(node, node)
        if own in called:
            message = f"nodes {called[own]!r} and {node!r} are both {own!r} there"
            raise ConfigError(message, remedy="give each node a name of its own there")
        called[own] = node
    return found


def _numbers(text: str, expression: str) -> list[str]:
    found: list[str] = []
    for part in text.split(","):
        match = _RANGE.match(part)
        if match is None:
            raise ConfigError(f"{part!r} in {expression!r} is no number or range", remedy="write such as gpu[001-018]")
        first, last = match[1], match[2] or match[1]
        numbers = range(int(first), min(int(last), int(first) + MOST_HOSTS) + 1)
        found += [str(n).zfill(len(first)) for n in numbers]
    return found
