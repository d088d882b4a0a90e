"""Who may call what: a table of every route that changes something or is asked for with a body."""

from __future__ import annotations

import re

import pytest

READS = {
    ("POST", "/v1/hints"),
    ("POST", "/v1/placement/hints"),
    ("POST", "/v1/advise/packing"),
    ("POST", "/k8s/extender/filter"),
    ("POST", "/k8s/extender/prioritize"),
}
"""Calculations that take a body: nothing is changed by them, so they need no token (the extender may have its own)."""
STRANGERS = [
    {},
    {"authorization": "Bearer wrong"},
    {"authorization": "Bearer "},
    {"authorization": "Basic YS10b2tlbi1mb3ItdGVzdHM6YS10b2tlbi1mb3ItdGVzdHM="},
    {"cookie": "token=a-token-for-tests"},
    {"x-forwarded-for": "127.0.0.1", "origin": "http://127.0.0.1:8080"},
]


def routes(app) -> set[tuple[str, str]]:
    """Method and path of whatever is not only looked at."""
    paths = app.openapi()["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods if method != "get"}


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_what_changes_something_needs_the_token(app, client, edge, stranger):
    """Every route that is not one of the reads, also those that are yet to come; nothing reaches the edge."""
    found = routes(app)
    assert found > READS
    for method, path in sorted(found - READS):
        address = re.sub(r"\{\w+\}", "x", path)
        for body in (b"", b"{}"):
            got = await client.request(method, address, content=body, headers=stranger)
            assert (got.status_code, got.headers["www-authenticate"]) == (401, "Bearer"), f"{method} {path}"
    assert (edge.heard, edge.budgets, edge.told, edge.outcomes) == ([], [], [], [])


async def test_looking_needs_no_token_and_says_no_secret(app, informed):
    """What is open to look at, tells neither the token nor anything that opens a door."""
    for path in [p for p, methods in app.openapi()["paths"].items() if "get" in methods and p != "/v1/stream"]:
        got = await informed.get(re.sub(r"\{\w+\}", "x", path))
        assert got.status_code not in {401, 403, 500}, path
        assert "a-token-for-tests" not in got.text, path
