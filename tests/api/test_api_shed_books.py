"""What a process that takes load off tells of its book: kept for another host, and whose it is decided once."""

from __future__ import annotations

import pytest

from api.shed_book_files import ShedBooks

CAP = {"place": "bmc-1:443/x", "node": "n1", "job": "7", "draw_w": 1300.0, "asked_w": 900.0, "watts": 900.0}
STOP = {"job": "8", "source": "hpc", "started_s": None, "at_s": 5.0, "before": "n9", "sure": True}
HELD = {"owner": "host-a-1", "caps": [CAP], "stopped": [STOP]}
PATH = "/v1/shed/hall-a/book"


@pytest.fixture
def books(app, tmp_path):
    """The server keeps them in a folder."""
    app.state.service.shed_books = ShedBooks(tmp_path / "shed-books")
    return app.state.service


async def test_it_comes_back_as_it_was_told_also_from_the_next_server(client, bearer, books, tmp_path):
    """With what is not known; nobody told anything yet, or without the token: said."""
    assert (await client.get(PATH)).json()["owner"] == ""
    assert (await client.put(PATH, json=HELD)).status_code == 401
    got = await client.put(PATH, json=HELD, headers=bearer)
    assert (got.status_code, got.json()["text"]) == (200, "1 limits, 0 jobs kept")
    books.shed_books = ShedBooks(tmp_path / "shed-books")
    told = (await client.get(PATH)).json()
    assert told["caps"] == [CAP | {"before_w": None, "sure": False}]
    assert told["stopped"] == [STOP]


async def test_only_its_owner_or_a_named_successor_changes_what_is_held(client, bearer, books):
    """Another is refused with what to do, until nothing is held any more."""

    async def told(**more) -> int:
        return (await client.put(PATH, json=HELD | more, headers=bearer)).status_code

    assert await told() == 200
    got = await client.put(PATH, json=HELD | {"owner": "host-b-2"}, headers=bearer)
    assert (got.status_code, "host-a-1" in got.json()["error"]) == (409, True)
    assert all(words in got.json()["remedy"] for words in ("--name of its own", "--take-over"))
    assert await told(owner="host-b-2", taken_from="host-c-3") == 409
    assert await told(owner="host-b-2", taken_from="host-a-1") == 200
    assert await told() == 409
    assert await told(owner="host-b-2", caps=[], stopped=[]) == 200
    assert await told() == 200


async def test_what_cannot_be_kept_is_said(client, bearer, books, tmp_path):
    """No folder, a damaged file, a wrong field, a limit that is no number."""
    (tmp_path / "shed-books").mkdir()
    (tmp_path / "shed-books" / "hall-a.json").write_text("{")
    for got in (await client.put(PATH, json=HELD, headers=bearer), await client.get(PATH)):
        assert (got.status_code, "then remove it" in got.json()["error"]) == (503, True)
    books.shed_books = ShedBooks(None)
    got = await client.put(PATH, json=HELD, headers=bearer)
    assert (got.status_code, "state" in got.json()["error"]) == (503, True)
    got = await client.put(PATH, json=HELD | {"caps": [CAP | {"watts": -1}]}, headers=bearer)
    assert (got.status_code, "caps" in got.json()["error"]) == (422, True)
